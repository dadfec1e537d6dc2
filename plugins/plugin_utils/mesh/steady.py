# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays of a topology when it is planned anew: measured round trips are never the same twice. Pure.

A link goes only for one that is clearly better, unless the mesh as a whole is to be another one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .draft import HUB_LINKS
from .graph import Delays, articulation_points, components
from .spots import Limits, Spot, possible

FACTOR = 1.5
"""Two measurements of one round trip, each up to a fifth off, differ by up to this factor."""

LEAST_MS = 2.0
"""What a packet may wait in any queue; a difference below it says nothing."""

GRADE = 2.0
"""Round trips to hubs within this factor count as equal when they are chosen (Delays.grade)."""

SURPLUS = 1.1
"""With more links than this times the plan's, it is another mesh: settings or many members have changed."""

ROUNDS = 20
"""A link that was replaced may leave its other end short, and so on; each round is a step."""

Pair = tuple[str, str]


def differs(one: float, other: float, factor: float = FACTOR) -> bool:
    """Whether two round trips (ms) differ by more than noise."""
    low, high = sorted((one, other))
    return high > low * factor and high - low > LEAST_MS


def believed(known: Mapping[Pair, float], measured: Mapping[Pair, float]) -> dict[Pair, float]:
    """Measured round trips (ms), but those that are known already where nothing but noise differs."""
    return {
        pair: known[pair] if pair in known and not differs(known[pair], ms) else ms
        for pair, ms in measured.items()
    }


def steady(
    fresh: Collection[Pair],
    present: Collection[Pair],
    spots: Collection[Spot],
    limits: Limits,
    latency: Mapping[Pair, float],
) -> set[Pair]:
    """The links there are to be.

    fresh: what a plan from nothing chooses; present: links there are
    """
    members = {spot.name: spot for spot in spots}
    known = {pair for pair in present if all(end in members for end in pair)}
    usable = {pair for pair in known if possible(*(members[end] for end in pair))}
    small = len(members) <= limits.full_mesh_up_to
    if small or len(usable) > SURPLUS * len(fresh):
        return set(fresh)
    weigher = _Weigher(members, Delays({spot.name: spot.region for spot in spots}, latency))
    found = usable
    for _round in range(ROUNDS):
        before = found
        found = _swapped(found, fresh, weigher)
        found = found | _wanting(set(fresh) - found, found, fresh, members, limits)
        if found == before:
            break
    return found if _is_sound(found, fresh, members, limits) else set(fresh)


def _swapped(present: set[Pair], fresh: Collection[Pair], weigher: _Weigher) -> set[Pair]:
    """Each link that a clearly better one of the plan may replace, replaced."""
    found, new = set(present), set(fresh) - present
    for pair in sorted(present - set(fresh)):
        better = next((other for other in sorted(new) if weigher.is_better(other, pair)), None)
        if better is not None:
            new.discard(better)
            found.discard(pair)
            found.add(better)
    return found


@dataclass(frozen=True)
class _Weigher:
    """Compares links that do the same for the mesh."""

    members: Mapping[str, Spot]
    delays: Delays

    def is_better(self, new: Pair, old: Pair) -> bool:
        """Whether `new` does what `old` does, and its round trip is clearly shorter."""
        if self._kind(new) != self._kind(old) or not self._takes_its_place(new, old):
            return False
        chosen_by_grade = any(self.members[end].transit for end in old)
        factor = FACTOR * GRADE if chosen_by_grade else FACTOR
        ms, before = (self.delays.of(*pair) / 1000 for pair in (new, old))
        return ms < before and differs(ms, before, factor)

    def _kind(self, pair: Pair) -> tuple[int, bool]:
        """How many of its ends forward, and whether it leads to another region."""
        ends = [self.members[end] for end in pair]
        hubs = sum(spot.transit for spot in ends)
        return hubs, hubs == 2 and ends[0].region != ends[1].region

    def _takes_its_place(self, new: Pair, old: Pair) -> bool:
        """A leaf's link is replaced for the leaf's sake; between hubs of regions it is any of the region."""
        hubs, between = self._kind(old)
        if between:
            regions = [{self.members[end].region for end in pair} for pair in (new, old)]
            return bool(regions[0] & regions[1])
        shared = set(new) & set(old)
        return any(hubs != 1 or not self.members[end].transit for end in shared)


def _wanting(
    new: Collection[Pair],
    present: Collection[Pair],
    fresh: Collection[Pair],
    members: Mapping[str, Spot],
    limits: Limits,
) -> set[Pair]:
    """Of the new links those that somebody needs who has too few, or a relay that was asked for."""
    held, wished = _around(present, members), _around(fresh, members)
    found = set()
    for pair in sorted(new):
        if any(_needs(end, _other(pair, end), held, wished, members, limits) for end in pair):
            found.add(pair)
            held[pair[0]].add(pair[1])
            held[pair[1]].add(pair[0])
    if not _is_joined(held, wished, members):
        found |= {pair for pair in new if all(members[end].transit for end in pair)}
    return found


def _needs(
    name: str,
    other: str,
    held: Mapping[str, set[str]],
    wished: Mapping[str, set[str]],
    members: Mapping[str, Spot],
    limits: Limits,
) -> bool:
    spot = members[name]
    if spot.transit:
        return False
    if other in spot.relays:
        return True
    if members[other].transit:
        hubs = [sum(members[end].transit for end in ends[name]) for ends in (held, wished)]
        return hubs[0] < min(HUB_LINKS, hubs[1])
    return len(held[name]) < min(limits.neighbours, len(wished[name]))


def _is_sound(
    pairs: Collection[Pair], fresh: Collection[Pair], members: Mapping[str, Spot], limits: Limits
) -> bool:
    """Whether it holds together as well as the plan, and nobody has too many links."""
    held, wished = _around(pairs, members), _around(fresh, members)
    if any(len(ends) > limits.max_degree for ends in held.values()):
        return False
    lonely = [
        name
        for name, spot in members.items()
        if not spot.transit and _hubs(name, held, members) < min(HUB_LINKS, _hubs(name, wished, members))
    ]
    return not lonely and _is_joined(held, wished, members)


def _is_joined(
    held: Mapping[str, set[str]], wished: Mapping[str, set[str]], members: Mapping[str, Spot]
) -> bool:
    """Whether the hubs hold together as well as in the plan, without any one of them, too."""
    graphs = [
        {name: sorted(end for end in ends if members[end].transit) for name, ends in around.items()}
        for around in (held, wished)
    ]
    mine, plan = [{name: g[name] for name in g if members[name].transit} for g in graphs]
    if len(components(mine)) > len(components(plan)):
        return False
    return set(articulation_points(mine)) <= set(articulation_points(plan))


def _around(pairs: Collection[Pair], members: Mapping[str, Spot]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in members}
    for one, other in pairs:
        found[one].add(other)
        found[other].add(one)
    return found


def _hubs(name: str, around: Mapping[str, set[str]], members: Mapping[str, Spot]) -> int:
    return sum(members[end].transit for end in around[name])


def _other(pair: Pair, end: str) -> str:
    return pair[1] if pair[0] == end else pair[0]
