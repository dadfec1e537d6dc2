# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every probe of a long trial has its place: answered, or lost, and by what."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.routing.long.paths import Pair, Prices, Timeline
from benchmarks.routing.long.probes import INTERVAL
from benchmarks.routing.long.routes import History, trace

NO_WAY, IN_FLIGHT, STALLED, UNEXPLAINED = "no clean way", "in flight", "machine stood still", "unexplained"
UNAVOIDABLE = (NO_WAY, IN_FLIGHT)
"""What a sender loses, too, that knows all links of the moment, but not the future."""
DOUBT = 0.02
"""Seconds by which the times of routes and links may be wrong."""
LEAST_LOST = 3
"""Probes lost in a row that are an outage."""
STALL = 2.0
"""Seconds around a probe that was sent late, in which an unexplained loss is the machine's."""
NEAR = 45.0
"""ms: so much longer than the best way a way may be before the setting promises to leave it."""

SHARES = (0.5, 0.95, 0.99, 1.0)


@dataclass
class Account:
    """Counts of probes.

    lost: by cause. outages: [(s, cause of most of it, pair, when)].
    excess: ms of round trips beyond the best clean way, where there was one. beyond_prices: the same beyond
    what the daemons would choose by their prices, if they knew everything at once.
    """

    sent: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    outages: list[tuple[float, str, Pair, float]] = field(default_factory=list)
    excess: list[float] = field(default_factory=list)
    beyond_prices: list[float] = field(default_factory=list)

    @property
    def avoidable(self) -> int:
        return sum(count for cause, count in self.lost.items() if cause not in UNAVOIDABLE)


@dataclass(frozen=True)
class Book:
    """What the causes are looked up in. late: when probes were sent late, ascending; nodes: how many."""

    timeline: Timeline
    history: History
    late: Sequence[float]
    nodes: int
    prices: Prices | None = None

    def priced(self, here: int, there: int, sent: float) -> float | None:
        """ms there by the cheapest way and back by the cheapest way."""
        ways = [self.timeline.best(*ends, sent, self.prices) for ends in ((here, there), (there, here))]
        return None if None in ways else sum(way.rtt for way in ways if way is not None) / 2

    def cause(self, here: int, there: int, sent: float) -> str:
        """Why a probe of then was lost."""
        best = self.timeline.best(here, there, sent)
        if best is None:
            return NO_WAY
        if not self.timeline.holds(best, sent, sent + best.rtt / 1000):
            return IN_FLIGHT
        for shift in (0.0, DOUBT, -DOUBT):
            found, _ = trace(self.history, self.timeline, here, there, sent + shift, self.nodes)
            if found:
                return found
        place = bisect_left(self.late, sent - STALL)
        near = place < len(self.late) and self.late[place] <= sent + STALL
        return STALLED if near else UNEXPLAINED


Probes = Iterable[tuple[Pair, list[tuple[float, float | None]]]]


def account(book: Book, probes: Probes, start: float, end: float) -> Account:
    """Of the probes that were sent between `start` and `end`."""
    made = Account()
    for pair, sent in probes:
        run: list[tuple[float, str]] = []
        for at, trip in sent:
            if not start <= at < end:
                continue
            made.sent += 1
            if trip is None:
                cause = book.cause(*pair, at)
                made.lost[cause] += 1
                run.append((at, cause))
                continue
            best = book.timeline.best(*pair, at)
            if best is not None:
                made.excess.append(trip - best.rtt)
            priced = book.priced(*pair, at)
            if priced is not None:
                made.beyond_prices.append(trip - priced)
            _close(made, pair, run)
        _close(made, pair, run)
    return made


def _close(made: Account, pair: Pair, run: list[tuple[float, str]]) -> None:
    """Enters what was lost in a row as an outage, of which the unavoidable does not count."""
    causes = Counter(cause for _, cause in run if cause not in UNAVOIDABLE)
    count = sum(causes.values())
    if count >= LEAST_LOST:
        first = next(at for at, cause in run if cause not in UNAVOIDABLE)
        made.outages.append((count * INTERVAL, causes.most_common(1)[0][0], pair, first))
    run.clear()


def quantiles(values: Iterable[float]) -> list[float | None]:
    """For each of SHARES the least value that so large a share of them does not exceed."""
    ordered = sorted(values)
    if not ordered:
        return [None] * len(SHARES)
    return [ordered[max(0, -(-int(share * 1e6) * len(ordered) // 1_000_000) - 1)] for share in SHARES]


def as_data(made: Account) -> dict[str, Any]:
    """JSON-able: numbers only, the single outages included."""
    within = sum(one <= NEAR for one in made.excess)
    return {
        "sent": made.sent,
        "lost": sum(made.lost.values()),
        "lost_avoidable": made.avoidable,
        "lost_by_cause": dict(made.lost.most_common()),
        "outages": [
            {"seconds": round(seconds, 3), "cause": cause, "pair": list(pair), "at": at}
            for seconds, cause, pair, at in sorted(made.outages, reverse=True)
        ],
        "outage_quantiles_s": quantiles([one[0] for one in made.outages]),
        "excess_quantiles_ms": quantiles(made.excess),
        "beyond_prices_quantiles_ms": quantiles(made.beyond_prices),
        "within_near_percent": 100 * within / len(made.excess) if made.excess else None,
    }
