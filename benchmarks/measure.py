# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples, ratios and the rows of the result. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Samples:
    """Repeated measurements of one thing, in the order they were made. Never empty."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("samples without a value")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, digits: int, suffix: str = "") -> str:
        """`0.52 (0.50-0.55)`; without the range where there is nothing between."""
        middle = f"{self.median:.{digits}f}{suffix}"
        low, high = (f"{edge:.{digits}f}" for edge in (min(self.values), max(self.values)))
        return middle if low == high else f"{middle} ({low}-{high})"

    def as_json(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "samples": list(self.values),
        }


def samples(values: Sequence[float]) -> Samples:
    return Samples(tuple(float(value) for value in values))


def ratios(above: Samples, below: Samples) -> Samples:
    """The ratio of every repetition; pairs were measured one right after the other."""
    pairs = zip(above.values, below.values, strict=True)
    return samples([first / second for first, second in pairs])


@dataclass(frozen=True)
class Row:
    """One line of the result: what was measured, ours, the peer's, and how often ours fits into the peer's.

    `ratio` says which way round: "peer/ours" (larger is better for us), "ours/peer" (the peer is a floor)
    or "" for none.
    """

    benchmark: str
    measure: str
    unit: str
    ours: Samples
    peer: Samples | None = None
    ratio: str = ""
    digits: int = 2

    def __post_init__(self) -> None:
        if self.ratio not in ("", "peer/ours", "ours/peer"):
            raise ValueError(f"{self.measure}: unknown ratio {self.ratio!r}")
        if self.ratio and self.peer is None:
            raise ValueError(f"{self.measure}: a ratio needs a peer")

    @property
    def ratio_samples(self) -> Samples | None:
        if not self.ratio or self.peer is None:
            return None
        pair = (self.peer, self.ours) if self.ratio == "peer/ours" else (self.ours, self.peer)
        return ratios(*pair)

    def cells(self) -> list[str]:
        ratio = self.ratio_samples
        return [
            self.benchmark,
            self.measure,
            self.unit,
            self.ours.text(self.digits),
            self.peer.text(self.digits) if self.peer else "-",
            f"{self.ratio} {ratio.text(1)}" if ratio else "-",
        ]

    def as_json(self) -> dict[str, Any]:
        ratio = self.ratio_samples
        return {
            "benchmark": self.benchmark,
            "measure": self.measure,
            "unit": self.unit,
            "ours": self.ours.as_json(),
            "peer": self.peer.as_json() if self.peer else None,
            "ratio": {"of": self.ratio, **ratio.as_json()} if ratio else None,
        }


HEADINGS = ["benchmark", "measure", "unit", "swarm.node", "peer", "ratio"]


def table(rows: Sequence[Row]) -> str:
    """All rows as plain text in aligned columns; a benchmark's name stands only on its first line."""
    lines = [HEADINGS]
    for row in rows:
        cells = row.cells()
        again = len(lines) > 1 and rows[len(lines) - 2].benchmark == row.benchmark
        lines.append(["" if again else cells[0], *cells[1:]])
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join(line.rstrip() for line in [drawn[0], rule, *drawn[1:]])
