# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heat maps: a metric from every member to every other as an SVG for the page. Pure.

No script, no outside resource; everything a node said is escaped here. A mesh of more than MOST members is
drawn by its regions, each cell by its worst pair. What a cell means does not rest on its colour alone:
missed ones have a cross, and those that show nothing a dot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Optional

from ..report.values import clean
from .confidence import MISSED, NOT_SHOWN, VERDICTS
from .judge import Judged
from .settings import UNITS
from .summary import ratio
from .table import WORDS, value_text

MOST = 40
"""Rows; more cannot be told apart."""

CELL = 16
"""Lengths are SVG user units."""

LABEL = 20
"""Characters."""
CHARACTER = 6.5

SHADES = (0.25, 0.5, 0.75, 1.0)
"""Value by target, up to which the first, second … shade goes; the last is for what is worse than it."""


@dataclass(frozen=True)
class Cell:
    verdict: Optional[str]
    shade: Optional[int]
    title: str

    @property
    def rank(self) -> tuple[int, int]:
        """Worst first."""
        return (
            VERDICTS.index(self.verdict) if self.verdict else len(VERDICTS),
            -(self.shade if self.shade is not None else -1),
        )


def draw(metric: str, report: Mapping[str, Any]) -> str:
    """One <svg>; the report as `summary.report` makes it."""
    members = report["members"]
    by_region = len(members) > MOST
    names = (
        _regions(report) if by_region else sorted(members, key=lambda name: (members[name]["region"], name))
    )
    cells: dict[tuple[str, str], Cell] = {}
    for item in report["pairs"]:
        for start, end, cell in _cells(metric, item):
            key = (members[start]["region"], members[end]["region"]) if by_region else (start, end)
            if key not in cells or cell.rank < cells[key].rank:
                cells[key] = cell
    return _svg(f"{metric} in {UNITS[metric]}, from row to column", names, cells)


def _regions(report: Mapping[str, Any]) -> list[str]:
    """At most MOST, those with the worst pairs first chosen."""
    worst: dict[str, tuple[int, str]] = {}
    for item in report["regions"]:
        found = [verdict for verdict in item["verdicts"].values() if verdict]
        rank = min((VERDICTS.index(verdict) for verdict in found), default=len(VERDICTS))
        for region in item["regions"]:
            worst[region] = min(worst.get(region, (rank, region)), (rank, region))
    return sorted(region for _rank, region in sorted(worst.values())[:MOST])


def _cells(metric: str, item: Judged) -> list[tuple[str, str, Cell]]:
    found = []
    for way in item["directions"]:
        entry = item["latency"] if metric == "latency" else way[metric]
        value = ratio(metric, entry)
        shade = None if value is None else sum(value > limit for limit in SHADES)
        title = f"{clean(way['from'])} to {clean(way['to'])}: {value_text(metric, entry).strip('!? ')} "
        title += f"{UNITS[metric]}, {WORDS[entry['verdict']]} (target {entry['target']:g})"
        found.append((way["from"], way["to"], Cell(entry["verdict"], shade, title)))
    return found


def _svg(label: str, names: Sequence[str], cells: Mapping[tuple[str, str], Cell]) -> str:
    longest = max((len(clean(name, LABEL)) for name in names), default=0)
    left = top = 8 + CHARACTER * longest
    size = CELL * len(names)
    parts = [
        f'<svg class="heat" role="img" xmlns="http://www.w3.org/2000/svg" aria-label="{escape(label)}" '
        f'viewBox="0 0 {left + size + 8:.0f} {top + size + 8:.0f}" '
        f'width="{left + size + 8:.0f}"><title>{escape(label)}</title>'
    ]
    for number, name in enumerate(names):
        middle = CELL * number + CELL / 2
        text = escape(clean(name, LABEL))
        parts.append(f'<text x="{left - 4:.0f}" y="{top + middle + 4:.0f}" text-anchor="end">{text}</text>')
        x, y = left + middle + 4, top - 4
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" transform="rotate(-90 {x:.0f} {y:.0f})">{text}</text>')
    at = {name: number for number, name in enumerate(names)}
    for (start, end), cell in sorted(cells.items()):
        if start in at and end in at:
            parts.append(_rect(left + CELL * at[end], top + CELL * at[start], cell))
    return "\n".join([*parts, "</svg>"])


def _rect(x: float, y: float, cell: Cell) -> str:
    kind = "heat-none" if cell.shade is None else f"heat-{cell.shade}"
    mark = {MISSED: "×", NOT_SHOWN: "·"}.get(cell.verdict or "", "")
    place = f'x="{x + CELL / 2:.0f}" y="{y + CELL - 4:.0f}"'
    sign = f'<text {place} text-anchor="middle">{mark}</text>' if mark else ""
    shape = f'class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{CELL - 1}" height="{CELL - 1}" rx="2"'
    return f"<g><rect {shape}/>{sign}<title>{escape(cell.title)}</title></g>"
