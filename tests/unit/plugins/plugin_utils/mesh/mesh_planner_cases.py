# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members, and packets followed from table to table, for the tests of the mesh's planner."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.graph import components
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.routes import (
    BLOCK,
    Destination,
    Place,
    RouteTable,
)
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.topology import (
    Limits,
    Links,
    Spot,
    plan_links,
    possible,
)

LIMITS = Limits(full_mesh_up_to=16, neighbours=6, max_degree=24)

Pairs = Collection[tuple[str, str]]


def hub(name: str, region: str = "fra", **more) -> Spot:
    return Spot(name, region, transit=True, **{"reachable": True, **more})


def leaf(name: str, region: str = "fra", **more) -> Spot:
    return Spot(name, region, transit=False, **{"reachable": True, **more})


def home(name: str, region: str = "home", **more) -> Spot:
    """Behind NAT."""
    return leaf(name, region, reachable=False, **more)


def places(spots: Iterable[Spot]) -> list[Place]:
    """Numbers in blocks of the region, in the order of names; of a large region in several."""
    spots = sorted(spots, key=lambda spot: spot.name)
    found, used = [], 0
    for region in sorted({spot.region for spot in spots}):
        inside = [spot for spot in spots if spot.region == region]
        first = used * BLOCK
        for index, spot in enumerate(inside, 1):
            number = first + index
            found.append(Place(spot.name, region, spot.transit, number, number // BLOCK))
        used += len(inside) // BLOCK + 1
    return found


def degrees(pairs: Pairs) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in itertools.chain.from_iterable(pairs):
        found[name] = found.get(name, 0) + 1
    return found


class Walker:
    """Follows packets by longest prefix, as kernels do."""

    def __init__(self, members: Sequence[Place], table: RouteTable) -> None:
        self.members = {place.name: place for place in members}
        self.next: dict[str, dict[Destination, str]] = {}
        for place in members:
            hops = table.next_hops(place.name)
            pairs = [(destination, end) for end, found in hops.items() for destination in found]
            self.next[place.name] = dict(pairs)
            assert len(pairs) == len(self.next[place.name]), f"{place.name} has a destination twice"

    def hop(self, at: str, number: int) -> str | None:
        table = self.next[at]
        for wanted in (
            Destination("member", number),
            Destination("block", number // BLOCK),
            Destination("all"),
        ):
            if wanted in table:
                return table[wanted]
        return None

    def path(self, start: str, number: int) -> list[str]:
        """Members a packet to a number passes, the first and last included. Fails the test at a loop."""
        found = [start]
        while self.members[found[-1]].number != number:
            end = self.hop(found[-1], number)
            if end is None:
                return found
            assert end not in found, f"a loop: {found} -> {end}"
            found.append(end)
        return found

    def check_all(self) -> None:
        """Everybody reaches everybody, over members with transit only; numbers of nobody end somewhere."""
        for start, end in itertools.permutations(self.members.values(), 2):
            path = self.path(start.name, end.number)
            assert path[-1] == end.name, f"{start.name} to {end.name} ends: {path}"
            assert all(self.members[name].transit for name in path[1:-1]), path
        last = max((place.number for place in self.members.values()), default=0)
        taken = {place.number for place in self.members.values()}
        nobody = [number for number in range(1, last + BLOCK + 2) if number not in taken][::7]
        for start, number in itertools.product(self.members, nobody):
            self.path(start, number)


def walk(spots: Sequence[Spot], pairs: Pairs, latency: Mapping[tuple[str, str], float]) -> None:
    members = places(spots)
    table = RouteTable(members, pairs, latency)
    assert table.cut_off == []
    Walker(members, table).check_all()


def apart(spots: Sequence[Spot], pairs: Pairs, without: str = "") -> list[tuple[str, str]]:
    """Pairs that cannot reach each other over hubs, worked out pair by pair."""
    left = [spot for spot in spots if spot.name != without]
    hubs = {spot.name for spot in left if spot.transit}
    linked = {frozenset(ends) for ends in pairs}
    graph: dict[str, set[str]] = {name: set() for name in hubs}
    at: dict[str, set[str]] = {spot.name: set() for spot in left}
    for one, other in pairs:
        for a, b in ((one, other), (other, one)):
            if a in at and b in hubs:
                at[a].add(b)
                if a in hubs:
                    graph[a].add(b)
    part = {name: number for number, names in enumerate(components(graph)) for name in names}
    reach = {
        name: {part[end] for end in ends} | ({part[name]} if name in hubs else set())
        for name, ends in at.items()
    }
    return [
        (one, other)
        for one, other in itertools.combinations(sorted(at), 2)
        if frozenset((one, other)) not in linked and not reach[one] & reach[other]
    ]


def all_possible(spots: Sequence[Spot]) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in itertools.combinations(spots, 2) if possible(one, other)]


SPARSE = Limits(full_mesh_up_to=0, neighbours=3, max_degree=8)


def plan(spots, limits=LIMITS, latency=None, kept=(), only_for=None):
    return plan_links(spots, limits, latency or {}, kept, only_for)


def pairs(text: str) -> list[tuple[str, str]]:
    """`a-b a-c` as links."""
    found = []
    for word in text.split():
        one, other = word.split("-")
        found.append((one, other))
    return found


def hub_links(links: Links, name: str, hubs: Iterable[str]) -> set[str]:
    return {one if other == name else other for one, other in links.pairs if name in (one, other)} & set(hubs)


def refusal(*arguments, **more) -> str:
    with pytest.raises(BindError) as caught:
        plan(*arguments, **more)
    return str(caught.value)
