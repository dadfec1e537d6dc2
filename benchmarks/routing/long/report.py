# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a long trial as text."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from benchmarks.routing.long.account import NEAR, UNAVOIDABLE, quantiles


def table(found: dict[str, Any]) -> str:
    """Markdown, from the result of `run.measure`."""
    probes, nodes = found["probes"], list(found["nodes"].values())
    hours = found["seconds"] / 3600
    moves = [row["moves"] / hours for row in found["moves"]]
    kinds = Counter(event["kind"] for event in found["events"] if event["begins"])
    rows = [
        ("events", ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())),
        ("probes sent", f"{probes['sent']:,}"),
        ("lost", f"{probes['lost']:,}"),
        *(
            (f"… {cause}{' (unavoidable)' if cause in UNAVOIDABLE else ''}", f"{count:,}")
            for cause, count in probes["lost_by_cause"].items()
        ),
        (
            "lost beyond the unavoidable",
            f"{probes['lost_avoidable']:,} ({_percent(probes['lost_avoidable'], probes['sent'])})",
        ),
        (
            "outages: how many; s: median, 95 %, 99 %, longest",
            f"{len(probes['outages'])}; {_line(probes['outage_quantiles_s'], 2)}",
        ),
        *_outages(probes["outages"]),
        (
            "ms beyond the best clean way: median, 95 %, 99 %, worst",
            _line(probes["excess_quantiles_ms"], 1),
        ),
        (
            "ms beyond what its prices make the best: median, 95 %, 99 %, worst",
            _line(probes["beyond_prices_quantiles_ms"], 1),
        ),
        (f"round trips within {NEAR:g} ms of it", f"{probes['within_near_percent'] or 0:.2f} %"),
        (
            "changes of route an hour: of a node to one other, mean and most; altogether",
            f"{sum(moves) / max(1, len(moves)):.1f}, {max(moves, default=0):.0f}; {sum(moves):.0f}",
        ),
        ("loops: packets whose time to live was used up", str(sum(node["expired"] for node in nodes))),
        (
            "circles in the tables: how many; s: median, 95 %, 99 %, longest",
            f"{len(found['circles'])}; {_line(quantiles(one['seconds'] for one in found['circles']), 3)}",
        ),
        ("leaks: packets to the mesh by the default route", str(sum(node["leaked"] for node in nodes))),
        ("processor of a daemon, % of one core: median, most", _both(nodes, "cpu_percent", 2)),
        ("Babel sent by a node, kbit/s: median, most", _both(nodes, "babel_kbit_s", 0)),
        ("packets a second: median, most", _both(nodes, "babel_packets_s", 0)),
        (
            "the machine stood still (> 0.1 s): how often, longest",
            f"{len(found['late'])}, {max((one[1] for one in found['late']), default=0):.2f} s",
        ),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _outages(outages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    by_cause: dict[str, list[float]] = {}
    for one in outages:
        by_cause.setdefault(one["cause"], []).append(one["seconds"])
    return [
        (f"… by {cause}", f"{len(values)}; {_line(quantiles(values), 2)}")
        for cause, values in sorted(by_cause.items(), key=lambda item: -len(item[1]))
    ]


def _line(values: list[float | None], digits: int) -> str:
    return ", ".join("–" if value is None else f"{value:.{digits}f}" for value in values)


def _both(nodes: list[dict[str, Any]], key: str, digits: int) -> str:
    values = [node[key] for node in nodes]
    return f"{statistics.median(values):.{digits}f}, {max(values):.{digits}f}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3f} %" if whole else "–"
