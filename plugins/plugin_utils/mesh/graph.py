# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs and delays as the planner and the routes need them. Pure; the same output on every Python.

A graph is `node → its neighbours`, undirected, both directions present.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Optional

Graph = Mapping[str, Collection[str]]

SAME_REGION_US = 5_000
"""Assumed where nothing was measured: round trip inside a region, µs. A guess, only its order matters."""

OTHER_REGION_US = 50_000
"""The same between regions."""

MAX_US = 10**9
"""Longer measurements count as this: 1000 s."""

HOP_US = 500
"""What passing a member costs beside the link, µs. Keeps every link's cost above zero."""


def pair(one: str, other: str) -> tuple[str, str]:
    """A link's name: its ends, sorted."""
    return (one, other) if one < other else (other, one)


def stable_order(names: Iterable[str]) -> list[str]:
    """Mixed, but always alike, and a new name moves no other: by checksum."""
    return sorted(names, key=lambda name: (zlib.crc32(name.encode()), name))


class Delays:
    """Round trips between members, µs.

    latency: ends in any order → ms; where both orders are there, the larger counts. Ends that are no member
    are passed over: measurements outlive members.
    """

    def __init__(self, regions: Mapping[str, str], latency: Mapping[tuple[str, str], float]) -> None:
        self._regions = regions
        self._known: dict[str, dict[str, int]] = {}
        for (one, other), value in latency.items():
            if one != other and one in regions and other in regions:
                found = max(_microseconds(value), self._known.get(one, {}).get(other, 0))
                self._known.setdefault(one, {})[other] = found
                self._known.setdefault(other, {})[one] = found

    def measured(self, name: str) -> Mapping[str, int]:
        """All members to which the delay is known."""
        return self._known.get(name, {})

    def of(self, one: str, other: str) -> int:
        """Measured, else assumed by region."""
        known = self._known.get(one, {}).get(other)
        if known is not None:
            return known
        return SAME_REGION_US if self._regions[one] == self._regions[other] else OTHER_REGION_US

    def grade(self, one: str, other: str) -> int:
        """Delays within a factor of about two count as equal, so that load can decide between them."""
        return self.of(one, other).bit_length()

    def cost(self, one: str, other: str) -> int:
        """Of a link in a route: above zero."""
        return self.of(one, other) + HOP_US

    def between_regions(self) -> dict[tuple[str, str], int]:
        """The shortest measured delay between members of two regions."""
        found: dict[tuple[str, str], int] = {}
        for one, others in self._known.items():
            for other, value in others.items():
                key = pair(self._regions[one], self._regions[other])
                if one < other and key[0] != key[1]:
                    found[key] = min(value, found.get(key, MAX_US))
        return found


def _microseconds(value: float) -> int:
    return MAX_US if math.isinf(value) else min(round(value * 1000), MAX_US)


def components(graph: Graph, without: Optional[str] = None) -> list[list[str]]:
    """Connected parts, each sorted, the largest first. `without`: as if that node were not there."""
    seen = set() if without is None else {without}
    found = []
    for start in sorted(graph):
        if start in seen:
            continue
        seen.add(start)
        part, todo = [], [start]
        while todo:
            node = todo.pop()
            part.append(node)
            fresh = [other for other in graph[node] if other not in seen]
            seen.update(fresh)
            todo += fresh
        found.append(sorted(part))
    return sorted(found, key=lambda part: (-len(part), part[0]))


def articulation_points(graph: Graph) -> list[str]:
    """Nodes without which their part of the graph falls apart (Hopcroft and Tarjan, without recursion)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    found: set[str] = set()
    for root in sorted(graph):
        if root in order:
            continue
        order[root] = low[root] = len(order)
        children = 0
        stack: list[tuple[str, str, Iterator[str]]] = [(root, "", iter(sorted(graph[root])))]
        while stack:
            node, parent, rest = stack[-1]
            child = next(rest, None)
            if child is None:
                stack.pop()
                if parent and parent != root:
                    low[parent] = min(low[parent], low[node])
                    if low[node] >= order[parent]:
                        found.add(parent)
            elif child not in order:
                order[child] = low[child] = len(order)
                children += node == root
                stack.append((child, node, iter(sorted(graph[child]))))
            elif child != parent:
                low[node] = min(low[node], order[child])
        if children > 1:
            found.add(root)
    return sorted(found)


def shortest(
    graph: Mapping[str, Mapping[str, int]], source: str, region: Optional[Collection[str]] = None
) -> dict[str, tuple[int, str]]:
    """Dijkstra: node → (distance, first hop from the source); the source itself has ("" as hop, 0).

    graph: node → neighbour → cost, above zero
    region: only over these nodes
    """
    found = {source: (0, "")}
    heap = [(0, source, "")]
    while heap:
        distance, node, hop = heapq.heappop(heap)
        if (distance, hop) != found[node]:
            continue
        for other, cost in graph[node].items():
            way = (distance + cost, hop or other)
            if (other not in found or way < found[other]) and (region is None or other in region):
                found[other] = way
                heapq.heappush(heap, (way[0], other, way[1]))
    return found
