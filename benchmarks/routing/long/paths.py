# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the links of a mesh are like, over time, and the best way between two nodes at each moment."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class Link:
    """rtt, jitter: ms (jitter one way, plus and minus); loss: percent each way; up: False for dead."""

    rtt: float
    loss: float = 0.0
    jitter: float = 0.0
    up: bool = True

    @property
    def clean(self) -> bool:
        """It loses nothing, except what overflows a queue."""
        return self.up and self.loss == 0


State = dict[Pair, Link]


@dataclass(frozen=True)
class Way:
    """rtt: ms there and back; nodes: from the first to the last."""

    rtt: float
    nodes: tuple[int, ...]

    @property
    def links(self) -> list[Pair]:
        return [ordered(a, b) for a, b in zip(self.nodes, self.nodes[1:], strict=False)]


def ordered(here: int, there: int) -> Pair:
    """How a link is called, whatever the direction."""
    return (here, there) if here < there else (there, here)


Prices = Mapping[int, float]
"""What each node asks for a packet that is sent to it, in ms of round trip."""


def best_ways(
    state: State, forwarding: Collection[int], start: int, prices: Prices | None = None
) -> dict[int, Way]:
    """The shortest way by clean links to each node that has one; only nodes that forward are in between.

    With prices the cheapest one.
    """
    near: dict[int, list[tuple[int, float]]] = {}
    for (a, b), link in state.items():
        if link.clean:
            near.setdefault(a, []).append((b, link.rtt))
            near.setdefault(b, []).append((a, link.rtt))
    found: dict[int, Way] = {}
    queue: list[tuple[float, float, tuple[int, ...]]] = [(0.0, 0.0, (start,))]
    while queue:
        cost, rtt, nodes = heapq.heappop(queue)
        at = nodes[-1]
        if at in found:
            continue
        found[at] = Way(rtt, nodes)
        if at == start or at in forwarding:
            for there, more in near.get(at, []):
                if there not in found:
                    price = prices[there] if prices else 0.0
                    heapq.heappush(queue, (cost + more + price, rtt + more, (*nodes, there)))
    return found


class Timeline:
    """States one after the other. Before the first one nothing is known, and the first is taken."""

    def __init__(self, time: float, state: State, forwarding: Collection[int]) -> None:
        self._forwarding = frozenset(forwarding)
        self._times, self._states = [time], [dict(state)]
        self._ways: dict[tuple[int, int, bool], dict[int, Way]] = {}

    def add(self, time: float, state: State) -> None:
        """From then on; times do not go back."""
        if time < self._times[-1]:
            raise ValueError(f"{time} is before {self._times[-1]}")
        self._times.append(time)
        self._states.append(dict(state))

    def _index(self, time: float) -> int:
        return max(0, bisect_right(self._times, time) - 1)

    def link(self, pair: Pair, time: float) -> Link:
        return self._states[self._index(time)][pair]

    def best(self, here: int, there: int, time: float, prices: Prices | None = None) -> Way | None:
        """The shortest clean way at that moment, or the cheapest one; prices are always the same ones."""
        key = self._index(time), here, prices is not None
        if key not in self._ways:
            self._ways[key] = best_ways(self._states[key[0]], self._forwarding, here, prices)
        return self._ways[key].get(there)

    def holds(self, way: Way, start: float, end: float) -> bool:
        """All links of the way are clean from `start` to `end`."""
        states = self._states[self._index(start) : self._index(end) + 1]
        return all(state[pair].clean for state in states for pair in way.links)
