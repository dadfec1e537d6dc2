# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..report.values import clean, hosts_text, plural
from .confidence import MET, MISSED, NOT_SHOWN
from .judge import Judged
from .settings import METRICS, UNITS
from .summary import by_badness

MOST_ROWS = 30
MOST_REASONS = 10
WORDS: dict[Optional[str], str] = {MET: "met", MISSED: "MISSED", NOT_SHOWN: "not shown", None: "not asked"}
MARKS: dict[Optional[str], str] = {MET: "", MISSED: "!", NOT_SHOWN: "?", None: ""}
DIGITS = {"latency": 2, "jitter": 2, "loss": 4, "throughput": 0}
NAME = 28


def lines(report: Mapping[str, Any]) -> list[str]:
    """What the playbook prints."""
    return [*_head(report), *_table(report["pairs"]), *_reasons(report)]


def pairs_text(counts: Mapping[str, int]) -> str:
    """`14 met, 1 MISSED`"""
    found = [f"{counts[key]} {WORDS[key]}" for key in (MISSED, NOT_SHOWN, MET) if counts[key]]
    if counts.get("not_asked"):
        found.append(f"{counts['not_asked']} not asked")
    return ", ".join(found) or "nothing"


def window_text(report: Mapping[str, Any]) -> str:
    """What was measured for how long, and what can be said by that."""
    settings = report["settings"]
    needed = report["probes_needed"]
    said = (
        f"window {settings['window']} s, confidence {settings['confidence_percent']:g} % for each verdict by "
        f"itself; latency and jitter: {settings['share_percent']:g} % of the values are within the target"
    )
    if needed:
        said += (
            f"; a loss of {needed['loss_percent']:g} % takes {needed['probes']} probes without a lost one, "
            f"{needed['seconds']:g} s here"
        )
    return said


def value_text(metric: str, entry: Judged) -> str:
    """`0.0010` and what is said of it: `0.0000 (<0.0091)`, `1043`, `-`."""
    if entry["value"] is None:
        return f"-{MARKS[entry['verdict']]}"
    text = f"{entry['value']:.{DIGITS[metric]}f}"
    if metric == "loss":
        text += f" (<{entry['at_most']:.4f})"
    return text + MARKS[entry["verdict"]]


def _head(report: Mapping[str, Any]) -> list[str]:
    run, totals, traffic = report["run"], report["totals"], report["traffic"]
    whole = f"{totals['members']} of {totals['members_of_mesh']} members"
    part = " (only pairs among the hosts of this run)" if run["partial"] else ""
    count = sum(totals["pairs"].values())
    return [
        f"mesh {clean(run['mesh'])}: {WORDS[report['verdict']]}; {whole}{part}, "
        f"{plural(count, 'pair')}: "
        f"{pairs_text(totals['pairs'])}",
        *(f"  {metric:<11}{pairs_text(totals[metric])}" for metric in METRICS),
        f"  {window_text(report)}",
        f"  planned traffic: {traffic['mbytes']:g} MB, at most {traffic['most_of_a_member_mbytes']:g} MB "
        f"of a member; {plural(traffic['rounds'], 'round')} of transfers",
    ]


def _table(pairs: Sequence[Judged]) -> list[str]:
    """Both directions in a row: there / back."""
    ordered = by_badness(pairs)
    head = ("pair", "kind", *(f"{metric} {UNITS[metric]}" for metric in METRICS), "verdict")
    rows = [head, *(_row(item) for item in ordered[:MOST_ROWS])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    found = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    left = len(ordered) - MOST_ROWS
    return found + ([f"and {left} more, none of them worse; the report has all"] if left > 0 else [])


def _row(item: Judged) -> tuple[str, ...]:
    ways = item["directions"]
    single = item["round_trip_only"]
    cells = [value_text("latency", item["latency"])]
    for metric in METRICS[1:]:
        both = [value_text(metric, way[metric]) for way in ways]
        cells.append(both[0] if single and metric != "throughput" else " / ".join(both))
    name = " > ".join(clean(end, NAME) for end in (ways[0]["from"], ways[0]["to"]))
    return (name, item["kind"], *cells, WORDS[item["verdict"]])


def _reasons(report: Mapping[str, Any]) -> list[str]:
    """Why something was not measured, equal reasons together."""
    found: dict[str, list[str]] = {}
    for item in report["pairs"]:
        pair = " > ".join(clean(item["directions"][0][end], NAME) for end in ("from", "to"))
        why = item["why"]
        if why:
            found.setdefault(why, []).append(pair)
        moved = {way["throughput"]["why"] for way in item["directions"] if way["throughput"]["verdict"]}
        for reason in sorted(moved - {"", why}):
            found.setdefault(f"throughput: {reason}", []).append(pair)
    said = [f"{_some(pairs)}: {clean(why, 300)}" for why, pairs in sorted(found.items())]
    hosts: dict[str, list[str]] = {}
    for host, why in report["not_measured"].items():
        hosts.setdefault(why, []).append(host)
    said += [f"not measured, {hosts_text(names)}: {clean(why, 300)}" for why, names in sorted(hosts.items())]
    said += [clean(line, 300) for line in report["remarks"]]
    left = len(said) - MOST_REASONS
    return said[:MOST_REASONS] + ([f"and {left} more reasons; the report has all"] if left > 0 else [])


def _some(pairs: Sequence[str]) -> str:
    return ", ".join(pairs[:3]) + (f" and {len(pairs) - 3} more" if len(pairs) > 3 else "")
