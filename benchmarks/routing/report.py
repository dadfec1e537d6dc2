# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Median and worst of every column, as Markdown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """`goal`: a pass is good up to that; None: nothing is asked."""

    title: str
    goal: float | None = None
    digits: int = 2


COLUMNS = {
    "cold_start_s": Column("settled after a cold start, s", None, 1),
    "cold_rtt_ms": Column("round trip of 10 ms, as reckoned 20 s later", None, 0),
    "start_s": Column("settled after start, s", None, 1),
    "link_outage_s": Column("dead link: outage, s", 0.65),
    "link_return_s": Column("and back after, s", 10, 1),
    "link_return_lost": Column("probes lost on the way back", 0, 0),
    "relay_outage_s": Column("dead relay: outage, s", 0.65),
    "relay_return_s": Column("and back after, s", 10, 1),
    "relay_return_lost": Column("probes lost on the way back", 0, 0),
    "slow_left_s": Column("10 → 120 ms: left after, s", 2),
    "slow_lost": Column("probes lost", 0, 0),
    "slow_return_s": Column("and back after, s", 10, 1),
    "loss_left_s": Column("30 % loss: left after, s", 2),
    "loss_lost_after_2s": Column("lost after 2 s, of 1800", 0, 0),
    "loss_lost_after_leaving": Column("lost after leaving", 0, 0),
    "loss_moves": Column("changes of route in 20 s", None, 0),
    "tcp50_moves": Column("TCP, 50 ms queue: changes in 40 s", 2, 0),
    "tcp50_mbit_s": Column("TCP, 50 ms queue: Mbit/s of 20", None, 1),
    "tcp20_moves": Column("TCP, 20 ms queue: changes in 40 s", 2, 0),
    "tcp100_moves": Column("TCP, 100 ms queue: changes in 40 s", 2, 0),
    "tcp100_mbit_s": Column("TCP, 100 ms queue: Mbit/s of 20", None, 1),
    "bbr100_moves": Column("TCP with BBR, 100 ms queue: changes in 40 s", 2, 0),
    "jitter_moves": Column("5 ms jitter: changes in 30 s", 0, 0),
    "jitter_even_moves": Column("5 ms jitter, D 10 ms nearer: changes in 30 s", None, 0),
    "jitter_lost": Column("probes lost", 0, 0),
    "drain_left_s": Column("relay drained: left after, s", None),
    "drain_lost": Column("probes lost", 0, 0),
    "undrain_return_s": Column("undrained: back after, s", None, 1),
    "restart_lost_ms": Column("daemon of the relay restarted: lost, ms", 20, 0),
    "kill_lost_ms": Column("daemon of the relay killed: lost, ms", 0, 0),
    "leaf_restart_lost_ms": Column("daemon of A restarted, direct: lost, ms", 20, 0),
    "leaf_restart_relayed_lost_ms": Column("daemon of A restarted, relayed: lost, ms", None, 0),
    "still_rekeyed": Column("at rest for 130 s: tunnels with new keys, of 12", None, 0),
    "still_moves": Column("changes of route", 0, 0),
    "still_lost": Column("probes lost", 0, 0),
    "rotate_moves": Column("all keys replaced by mesh_rotate: changes of route", None, 0),
    "rotate_lost": Column("probes lost", 0, 0),
    "play_drain_away": Column("relay drained by the playbook: left (1) or not (0)", None, 0),
    "play_drain_lost": Column("probes lost, until it was taken back", 0, 0),
    "play_undrain_s": Column("back after the playbook that takes it back, s", None, 1),
    "cpu_percent": Column("processor, % of one core", None),
    "packets_s": Column("packets sent a second", None, 0),
    "kbit_s": Column("sent, kbit/s", None, 0),
}
NEVER = float("inf")


SCALE = {
    "links": Column("links", None, 0),
    "routes_s": Column("all routes everywhere after, s", None, 1),
    "outage_s": Column("dead link of two leaves: outage, s", 0.65),
    "cpu_median": Column("processor of a node, % of one core, median"),
    "cpu_worst": Column("the same, the busiest node"),
    "packets_median": Column("packets sent a second, median of the nodes", None, 0),
    "packets_worst": Column("the same, the busiest node", None, 0),
    "kbit_median": Column("sent, kbit/s, median of the nodes", None, 0),
    "kbit_worst": Column("the same, the busiest node", None, 0),
    "mb_worst": Column("memory of the largest daemon, MB", None, 1),
}


def numbers(passes: list[dict[str, Any]], column: str) -> list[float]:
    """What the passes have of a column; what did not happen is infinite."""
    found = [one["values"][column] for one in passes if column in one["values"]]
    return sorted(NEVER if value is None else float(value) for value in found)


def cell(values: list[float], column: Column) -> str:
    """Median and worst, bold where the worst is worse than the goal."""
    if not values:
        return "–"
    texts = [
        "never" if value == NEVER else f"{value:.{column.digits}f}"
        for value in (statistics.median(values), values[-1])
    ]
    text = texts[0] if texts[0] == texts[1] else " / ".join(texts)
    return f"**{text}**" if column.goal is not None and values[-1] > column.goal + 1e-9 else text


def table(found: dict[str, list[dict[str, Any]]], columns: dict[str, Column] = COLUMNS) -> str:
    """A row per column, a column per candidate: median / worst."""
    lines = ["| | goal | " + " | ".join(found) + " |", "|---" * (len(found) + 2) + "|"]
    for key, column in columns.items():
        values = {name: numbers(passes, key) for name, passes in found.items()}
        if any(values.values()):
            goal = "" if column.goal is None else f"≤ {column.goal:g}"
            cells = [cell(one, column) for one in values.values()]
            lines.append(f"| {column.title} | {goal} | " + " | ".join(cells) + " |")
    loads = [one["load"] for passes in found.values() for one in passes]
    counts = ", ".join(f"{name} {len(passes)}" for name, passes in found.items())
    tail = f"\nMedian / worst; bold: the worst misses the goal. Passes: {counts}."
    repeated = sum(one.get("again", 0) for passes in found.values() for one in passes)
    if repeated:
        tail += f" Steps repeated as the machine stood still: {repeated}."
    if loads:
        tail += f" Load average {min(loads):.1f} to {max(loads):.1f}."
    return "\n".join(lines) + "\n" + tail
