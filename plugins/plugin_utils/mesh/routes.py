# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static next hops: which destinations a member sends to which neighbour. Pure; equal input, equal output.

Only hubs (members with transit) forward. A packet from anywhere arrives without passing a member twice:

1. A leaf sends to a direct neighbour directly and everything else to one hub. It forwards for nobody, so it
   is only ever the first or the last of a path.
2. A hub sends to a direct neighbour directly: the path ends.
3. Every destination is routed either singly by all hubs of the mesh, or as a part of its region; which of the
   two, all tables decide alike.
   - Singly: each hub sends to a hub whose distance to the destination is smaller by the link's cost, which is
     above zero. The distance falls strictly with each hop.
   - As a part of its region: hubs of other regions send its block to a hub whose distance to the region's
     nearest hub is strictly smaller; so a path enters the region after finitely many hops. Inside, hubs send
     to it singly along the shortest path over hubs of the region only: the path never leaves again, and its
     distance falls strictly.
4. Distances are whole numbers (µs), so that no rounding makes two tables disagree.

A number of a block that nobody has is sent to the region, where no hub has a route for it: it ends there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .graph import Delays, components, shortest

BLOCK = 64
"""Numbers in a block: an aggregate."""


@dataclass(frozen=True)
class Place:
    """A member as the routes see it. block: its number // 64."""

    name: str
    region: str
    transit: bool
    number: int
    block: int


class Destination(NamedTuple):
    """kind: "all" (the whole mesh, value 0), "block" (value: number // 64), "member" (value: number)."""

    kind: str
    value: int = 0


ALL = Destination("all")


class RouteTable:
    """The routes of all members over these links; each member's are worked out when asked for.

    cut_off: members that the largest part of the mesh cannot reach; other tables leave them out
    """

    def __init__(
        self,
        spots: Sequence[Place],
        links: Collection[tuple[str, str]],
        latency: Mapping[tuple[str, str], float],
    ) -> None:
        self._places = {spot.name: spot for spot in sorted(spots, key=lambda spot: spot.name)}
        delays = Delays({name: spot.region for name, spot in self._places.items()}, latency)
        self._links: dict[str, dict[str, int]] = {name: {} for name in self._places}
        for one, other in sorted(links):
            self._links[one][other] = self._links[other][one] = delays.cost(one, other)
        hubs = {name for name, place in self._places.items() if place.transit}
        self._hubs = {
            hub: {end: cost for end, cost in sorted(self._links[hub].items()) if end in hubs}
            for hub in sorted(hubs)
        }
        self._hubs_of: dict[str, list[str]] = defaultdict(list)
        for hub in self._hubs:
            self._hubs_of[self._places[hub].region].append(hub)
        self._at = {
            name: {hub: cost for hub, cost in sorted(self._links[name].items()) if hub in hubs}
            for name in self._places
        }
        self._as_member = {place.name: Destination("member", place.number) for place in self._places.values()}
        self._blocks = self._aggregates()
        self._single: list[str] = []
        self._inside: dict[str, list[str]] = defaultdict(list)
        for name, place in self._places.items():
            (self._inside[place.region] if self._is_inside(name) else self._single).append(name)
        self.cut_off = self._cut_off()

    def next_hops(self, name: str) -> dict[str, list[Destination]]:
        """Neighbour → what is sent to it, both sorted; every destination is in exactly one list.

        Raises KeyError for a member that is not there.
        """
        found: dict[str, list[Destination]] = {end: [self._as_member[end]] for end in self._links[name]}
        ways = self._hub_ways(name) if self._places[name].transit else self._leaf_ways(name)
        for destination, hop in ways:
            found[hop].append(destination)
        return {end: sorted(found[end]) for end in sorted(found)}

    def whole_blocks(self) -> dict[int, str]:
        """Block → its region, of those that are reached as a whole: every member that has a hub has one of
        the region, and so hubs of the region send to it over hubs of the region alone.
        """
        outside = {self._places[name].block for name in self._single if self._at[name] or name in self._hubs}
        return {block: region for block, region in self._blocks.items() if block not in outside}

    def _leaf_ways(self, name: str) -> Iterable[tuple[Destination, str]]:
        """Everything to the nearest hub, among the hubs that reach the most members."""
        lost = set(self.cut_off)
        best = min(((hub in lost, cost, hub) for hub, cost in self._at[name].items()), default=None)
        return [] if best is None else [(ALL, best[2])]

    def _hub_ways(self, name: str) -> Iterable[tuple[Destination, str]]:
        region = self._places[name].region
        whole = shortest(self._hubs, name)
        yield from self._to_members(name, self._single, whole)
        own = self._hubs_of[region]
        inside = whole if len(own) == len(self._hubs) else shortest(self._hubs, name, set(own))
        yield from self._to_members(name, self._inside[region], inside)
        nearest = {
            other: min((whole[hub] for hub in hubs if hub in whole), default=None)
            for other, hubs in self._hubs_of.items()
        }
        for block, other in self._blocks.items():
            found = nearest[other] if other != region else None
            if found is not None:
                yield Destination("block", block), found[1]

    def _to_members(
        self, name: str, ends: Iterable[str], ways: Mapping[str, tuple[int, str]]
    ) -> Iterable[tuple[Destination, str]]:
        """Singly, each over the best hub it is linked to. Neighbours and what has no way are left out.

        ways: hub → distance and first hop
        """
        direct = self._links[name]
        for end in ends:
            if end in direct or end == name:
                continue
            if end in ways:
                yield self._as_member[end], ways[end][1]
                continue
            found = [
                (ways[hub][0] + cost, ways[hub][1]) for hub, cost in self._at[end].items() if hub in ways
            ]
            if found:
                yield self._as_member[end], min(found)[1]

    def _aggregates(self) -> dict[int, str]:
        """Block → the region whose hubs take it: the one with the most members in it.

        Only of regions whose hubs reach each other inside the region.
        """
        whole = {region for region, hubs in self._hubs_of.items() if self._is_connected(hubs)}
        count = Counter((place.block, place.region) for place in self._places.values())
        owner: dict[int, str] = {}
        for (block, region), _n in sorted(count.items(), key=lambda item: (item[0][0], -item[1], item[0][1])):
            owner.setdefault(block, region)
        return {block: region for block, region in owner.items() if region in whole}

    def _is_connected(self, hubs: Collection[str]) -> bool:
        inside = set(hubs)
        return len(components({hub: inside.intersection(self._hubs[hub]) for hub in hubs})) == 1

    def _is_inside(self, name: str) -> bool:
        """Whether its region's block reaches a member: it is in one, and linked to a hub of the region."""
        place = self._places[name]
        if self._blocks.get(place.block) != place.region:
            return False
        return place.transit or any(self._places[hub].region == place.region for hub in self._at[name])

    def _cut_off(self) -> list[str]:
        """Members outside the largest part of the hubs' graph, and not linked to all others."""
        parts = components(self._hubs)
        main = set(parts[0]) if parts else set()
        everybody = len(self._places) - 1
        return [
            name
            for name in self._places
            if name not in main and main.isdisjoint(self._at[name]) and len(self._links[name]) < everybody
        ]
