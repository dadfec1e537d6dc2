# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Circles in the routing tables of all nodes, whether or not a packet was in one while it lasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.routing.long.paths import Timeline, ordered
from benchmarks.routing.long.routes import History


@dataclass(frozen=True)
class Circle:
    """start: monotonic s; nodes: in the order in which they send to each other, the lowest first"""

    start: float
    seconds: float
    destination: int
    nodes: tuple[int, ...]


def circles(
    history: History, timeline: Timeline, nodes: Sequence[int], start: float, end: float
) -> list[Circle]:
    """All between the two times, by their beginning. A circle with a dead link is none: nothing gets around.

    Nodes are looked at whenever a route changes somewhere. Times of changes are those at which the kernel's
    message was read, a few ms late, so what lasts no longer may not have been there at all.
    """
    found: list[Circle] = []
    moments = sorted({start, *(at for at in history.times() if start < at < end)})
    for destination in nodes:
        running: dict[tuple[int, ...], float] = {}
        for at in moments:
            now = _circles(history, timeline, nodes, destination, at)
            for circle in now - running.keys():
                running[circle] = at
            for circle in running.keys() - now:
                began = running.pop(circle)
                found.append(Circle(began, at - began, destination, circle))
        found += [Circle(began, end - began, destination, circle) for circle, began in running.items()]
    return sorted(found, key=lambda one: (one.start, one.destination, one.nodes))


def _circles(
    history: History, timeline: Timeline, nodes: Sequence[int], destination: int, at: float
) -> set[tuple[int, ...]]:
    hops = {node: history.hop(node, destination, at) for node in nodes if node != destination}
    found = set()
    for node in hops:
        seen: list[int] = []
        here: int | None = node
        while here in hops and here not in seen:
            seen.append(here)
            here = hops[here]
        if here in seen:
            ring = seen[seen.index(here) :]
            place = ring.index(min(ring))
            found.add((*ring[place:], *ring[:place]))
    return {ring for ring in found if _alive(timeline, ring, at)}


def _alive(timeline: Timeline, ring: tuple[int, ...], at: float) -> bool:
    ends = zip(ring, (*ring[1:], ring[0]), strict=True)
    return all(timeline.link(ordered(here, there), at).up for here, there in ends)
