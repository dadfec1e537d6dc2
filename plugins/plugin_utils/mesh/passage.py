# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the routes of one registry to those of the next, so that no mixture of shares has a circle. Pure.

Members apply their shares one after another, and some do not for long. So of each member that forwards it
is noted (`Registry.ways`) which ways it may still use beside those of its present share. What would close a
circle with any of these is put off: the member keeps its way, until a later `finish` finds that it need not
(`turns`).

Looked at are destinations of which a route changes, each by itself, but for a block of numbers: outside of
its region all its members are alike. A member of the block is then looked at only among those who send to it
singly, where all their ways lead to each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from .registry import Registry, Way, pair_of
from .routes import Destination
from .tables import EMPTY, Table, Tables, block_of, lookup, named
from .turns import waiting

Maybe = dict[str, dict[Destination, set[str]]]
"""Member → destination → neighbours that it may still send it to, beside the one in its present share."""

NOBODY: frozenset[str] = frozenset()


def ways(before: Tables, after: Tables, applied: Collection[str] = ()) -> tuple[Way, ...]:
    """The `ways` of the registry that comes after.

    after: without ways; applied: members that are known to have the share of `before`
    """
    maybe = unconfirmed(before.registry, applied)
    if before.inputs == after.inputs and not before.kept and not maybe:
        return ()
    return _Passage(before, after, maybe).ways()


def unconfirmed(registry: Registry, applied: Collection[str] = ()) -> Maybe:
    """The ways that are no longer in a share; `applied` have their present one."""
    found: Maybe = {}
    known = named(registry) if registry.ways else {}
    for way in registry.ways:
        if way.kept or way.at in applied:
            continue
        table = found.setdefault(way.at, {})
        for destination in (
            *(known[number] for number in way.to),
            *(Destination("block", block) for block in way.blocks),
        ):
            table.setdefault(destination, set()).add(way.by)
    return found


class _Passage:
    """old, new: the tables of members that forward, before and as they are wanted"""

    def __init__(self, before: Tables, after: Tables, maybe: Maybe) -> None:
        self.registry = after.registry
        self.old = {name: before.effective(name) for name in _forwarding(before.registry)}
        self.new = {name: after.planned(name) for name in _forwarding(after.registry)}
        for name in self.new.keys() - self.old.keys():  # who is new has never used others
            self.old[name] = self.new[name]
        self.maybe = maybe
        self.forwarding = self.old.keys() | self.new.keys()
        self.owner = {place: name for name, place in _destinations(before.registry).items()}
        self.owner.update({place: name for name, place in _destinations(after.registry).items()})
        self.numbers = named(self.registry).keys()
        self.kept: dict[str, Table] = defaultdict(dict)
        self.turned: dict[Destination, set[str]] = defaultdict(set)
        for name in self.new:
            old, new = self.old.get(name, EMPTY), self.new[name]
            if old != new:
                for place in old.keys() | new.keys():
                    if old.get(place) != new.get(place):
                        self.turned[place].add(name)

    def ways(self) -> tuple[Way, ...]:
        blocks = {place for place in self.turned if place.kind == "block"}
        for block in blocks:
            self._keep(block, self.turned[block])
        singly = self._singly(blocks)
        for place in sorted(singly):
            changed = singly[place]
            if changed:
                self._keep(place, changed)
        return self._lines()

    def _singly(self, blocks: Collection[Destination]) -> dict[Destination, set[str]]:
        """Destination of one number → members whose way to it changes and may be in a circle with others'."""
        found = {place: set(names) for place, names in self.turned.items() if place.kind != "block"}
        if not blocks:
            return found
        holders: dict[Destination, set[str]] = {
            place: set() for place in self.owner if block_of(place) in blocks
        }
        for tables in (self.old, self.new):
            for name, table in tables.items():
                for place in table:
                    if place in holders:
                        holders[place].add(name)
        for place, names in holders.items():
            more = names | self._beyond(place, names)
            found[place] = {name for name in more if self._changes(name, place)}
        return found

    def _beyond(self, place: Destination, names: Collection[str]) -> set[str]:
        """Whose routes to the whole block count as well, as some that send to it singly send it to others."""
        for name in names:
            ends = {*self.possible(name, place), self._sends_on(self.wanted(name, place), place)} - {""}
            if not ends <= set(names):
                return self.turned[block_of(place)] - set(names)
        return set()

    def _changes(self, name: str, place: Destination) -> bool:
        return name in self.new and lookup(self.old.get(name, EMPTY), place) != self.wanted(name, place)

    def wanted(self, name: str, place: Destination) -> str | None:
        return lookup(self.new.get(name, EMPTY), place)

    def possible(self, name: str, place: Destination) -> set[str]:
        """Neighbours that it may send it to now, and that send it on."""
        old = self.old.get(name, EMPTY)
        found = {self._sends_on(lookup(old, place), place)}
        found.update(self._sends_on(end, place) for end in self._maybe(name, place))
        return found - {""}

    def _maybe(self, name: str, place: Destination) -> set[str]:
        """Without the present one. Its ways to the block count where it has no route to just this one."""
        table = self.maybe.get(name)
        if not table:
            return set()
        found = set(table.get(place, NOBODY))
        if place not in self.old.get(name, EMPTY):
            found |= table.get(block_of(place), NOBODY)
        return found

    def _sends_on(self, end: str | None, place: Destination) -> str:
        """ "" for the destination itself, and for who does not forward."""
        return end if end and end in self.forwarding and self.owner.get(place) != end else ""

    def _keep(self, place: Destination, changed: Collection[str]) -> None:
        wanted, fixed = {}, set[str]()
        for name in changed:
            end = self.wanted(name, place)
            if end is None:
                continue
            wanted[name] = self._sends_on(end, place)
            if not self._can_keep(name, lookup(self.old.get(name, EMPTY), place)):
                fixed.add(name)
        if len(wanted) < 2 and not self.maybe:
            return
        for name in waiting(wanted, lambda name: self.possible(name, place), fixed):
            end = lookup(self.old[name], place)
            # What is kept for its whole block needs no line of its own.
            if end and self.kept[name].get(block_of(place)) != end:
                self.kept[name][place] = end

    def _can_keep(self, name: str, end: str | None) -> bool:
        return end is not None and pair_of(name, end) in self.registry.links

    # -- what is noted

    def _lines(self) -> tuple[Way, ...]:
        found: dict[tuple[str, str, bool], list[Destination]] = defaultdict(list)
        for name in self.new:
            kept = self.kept.get(name, EMPTY)
            for place, end in kept.items():
                found[name, end, True].append(place)
            for place, ends in self._unsaid(name, kept).items():
                for end in ends:
                    if self._is_noted(name, end, place):
                        found[name, end, False].append(place)
        return tuple(
            Way(at, by, _numbers(places, single=True), _numbers(places, single=False), kept)
            for (at, by, kept), places in sorted(found.items())
        )

    def _unsaid(self, name: str, kept: Table) -> dict[Destination, set[str]]:
        """The ways that it may use until it has said that it has the share to come."""
        old, new = self.old.get(name, EMPTY), self.new[name]
        found = {place: set(ends) for place, ends in self.maybe.get(name, {}).items()}
        if old == new and not found:
            return found
        turned = {place for place in old.keys() | new.keys() if old.get(place) != new.get(place)}
        for place in kept.keys() | turned:
            before = lookup(old, place)
            found[place] = self._maybe(name, place) | ({before} if before else set())
        for place, ends in found.items():
            ends.discard(kept.get(place) or lookup({**new, **kept} if kept else new, place) or "")
        return found

    def _is_noted(self, name: str, end: str, place: Destination) -> bool:
        members = self.registry.members
        if pair_of(name, end) not in self.registry.links or not members[end].forwards:
            return False
        return self.owner.get(place) != end and (place.kind == "block" or place.value in self.numbers)


def _forwarding(registry: Registry) -> list[str]:
    return sorted(name for name, member in registry.members.items() if member.forwards)


def _destinations(registry: Registry) -> dict[str, Destination]:
    return {name: Destination("member", member.number) for name, member in registry.members.items()}


def _numbers(places: Iterable[Destination], single: bool) -> tuple[int, ...]:
    return tuple(sorted({place.value for place in places if (place.kind != "block") == single}))
