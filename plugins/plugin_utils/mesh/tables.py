# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which member sends what to which neighbour: as planned, and as it is while routes move. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .readiness import is_ready
from .registry import BLOCK, Foreign, Member, Pair, Registry
from .routes import ALL, Destination, Place, RouteTable

Table = dict[Destination, str]
"""Destination → neighbour. Beside RouteTable's there is ("foreign", number): all networks of that peer."""

EMPTY: Table = {}


def block_of(destination: Destination) -> Destination:
    """Of a member. What is foreign is in none."""
    return Destination("block", destination.value // BLOCK if destination.kind == "member" else -1)


def lookup(table: Mapping[Destination, str], destination: Destination) -> str | None:
    """The longest prefix that fits, as kernels do it."""
    found = table.get(destination)
    if found is None and destination.kind == "member":
        found = table.get(block_of(destination))
    return table.get(ALL) if found is None and destination.kind != "foreign" else found


def named(registry: Registry) -> dict[int, Destination]:
    """Number → the member, or the foreign peer."""
    found = {member.number: Destination("member", member.number) for member in registry.members.values()}
    found.update({peer.number: Destination("foreign", peer.number) for peer in registry.foreign.values()})
    return found


def kept_ways(registry: Registry) -> dict[str, Table]:
    """Member → what it keeps, beside the planned."""
    found: dict[str, Table] = {}
    known = named(registry) if registry.ways else {}
    for way in registry.ways:
        if way.kept:
            table = found.setdefault(way.at, {})
            table.update({known[number]: way.by for number in way.to})
            table.update({Destination("block", block): way.by for block in way.blocks})
    return found


class Tables:
    """The tables of all members of a registry; each is worked out when asked for."""

    def __init__(self, registry: Registry) -> None:
        self._use(registry)
        self._planned: dict[str, Table] = {}
        carrying: list[Pair] = []
        going: list[Pair] = []
        coming: list[Pair] = []
        latency: dict[Pair, float] = {}
        for pair, link in registry.links.items():
            if is_ready(registry, link, link.current):
                if link.carries:
                    carrying.append(pair)
                elif link.leaving and any(registry.members[name].leaving for name in pair):
                    going.append(pair)
                elif link.fresh and not link.leaving:
                    coming.append(pair)
            if link.ms is not None:
                latency[pair] = link.ms
        places = {name: _place(member, member.is_hub) for name, member in registry.members.items()}
        beginning = {name: _place(item, True) for name, item in registry.members.items() if item.fresh}
        ending = {
            name: _place(item, True)
            for name, item in registry.members.items()
            if item.held or (item.fresh and item.leaving)
        }
        self._gateways = {
            peer.name: next((via for via in peer.via if registry.members[via].is_hub), "")
            for peer in registry.foreign.values()
        }
        self._here = {name for pair in carrying for name in pair}
        self.inputs = (places, beginning, ending, carrying, going, coming, latency, self._gateways)
        """Equal ones give equal planned tables."""

        def table(more: Mapping[str, Place], pairs: list[Pair]) -> RouteTable:
            return RouteTable(list({**places, **more}.values()), carrying + pairs, latency)

        self._main = table({}, [])
        # Who goes forwards as before: others send over it until each of them has its new routes.
        self._before = table(ending, going) if going or ending else self._main
        # Who is to stay sends over none of those that may go before it.
        self._alone = {
            name: table({name: place}, [])
            for name, place in ending.items()
            if not registry.members[name].leaving
        }
        # Who comes can forward before others send over it.
        self._after = table(beginning, coming) if coming else self._main
        self._early = table(beginning, []) if beginning else self._main

    def _use(self, registry: Registry) -> None:
        self.registry = registry
        self.kept = kept_ways(registry)

    def again(self, registry: Registry) -> Tables:
        """Those of a registry that differs in its `ways` alone; nothing is worked out again."""
        found = object.__new__(Tables)
        found.__dict__.update(self.__dict__)
        found._use(registry)
        return found

    def like(self, other: Tables) -> Tables:
        """With what those of another registry have worked out already, where the same is planned."""
        if self.inputs == other.inputs:
            self._planned = other._planned
        return self

    def whole_blocks(self) -> dict[int, str]:
        """Block → region, as `RouteTable.whole_blocks`, by the ways of members that stay as they are."""
        return self._main.whole_blocks()

    def hops(self, name: str) -> dict[str, list[Destination]]:
        """Neighbour → what is sent to it. Without foreign peers that the member has a tunnel with itself."""
        if not self.registry.foreign and name not in self.kept:
            return self._table_of(name).next_hops(name)
        found: dict[str, list[Destination]] = {}
        for destination, hop in self.effective(name).items():
            found.setdefault(hop, []).append(destination)
        return found

    def planned(self, name: str) -> Table:
        """Without what is kept. It is not to be changed."""
        found = self._planned.get(name)
        if found is None:
            hops = self._table_of(name).next_hops(name)
            found = {destination: hop for hop, wanted in hops.items() for destination in wanted}
            for peer in self.registry.foreign.values():
                hop = self._way_to(name, peer, found)
                if hop:
                    found[Destination("foreign", peer.number)] = hop
            if self.registry.members[name].forwards:
                self._planned[name] = found
        return found

    def effective(self, name: str) -> Table:
        """As its share has it. It is not to be changed."""
        kept = self.kept.get(name)
        return {**self.planned(name), **kept} if kept else self.planned(name)

    def _table_of(self, name: str) -> RouteTable:
        member = self.registry.members[name]
        if member.leaving:
            return self._before
        if member.held:
            return self._alone[name]
        if name not in self._here:
            return self._after
        return self._early if member.fresh else self._main

    def _way_to(self, name: str, peer: Foreign, table: Table) -> str | None:
        """Towards the first of `via` that forwards."""
        gateway = self._gateways[peer.name]
        if not gateway or name in peer.via:
            return None
        return lookup(table, Destination("member", self.registry.members[gateway].number))


def _place(member: Member, transit: bool) -> Place:
    return Place(member.name, member.region, transit, member.number, member.number // BLOCK)
