# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links among hubs: meshed inside a region, a few between regions, whole without any one of them.

First what must be: a ring inside each region, a ring of regions, and a repair that gives the guarantee
(`_join` connects what is apart, `_double` looks for hubs whose loss would split the rest). When the leaves
have their hubs, what makes paths shorter: meshed regions, chords across the ring of regions, near regions.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Optional

from .draft import Draft, some
from .graph import articulation_points, components, pair, stable_order

NEAR_REGIONS = 2
"""Regions that are linked because they are the nearest, beside the pattern."""

REGION_LINKS = 6
"""Up to one more region than this, each is linked to each; beyond it, to about so many."""

COMPARED = 16
"""Hubs of a region that are compared for a link to another region: those with the most places."""

GROWTH = 8
"""Links that only shorten paths leave places for one leaf more per so many leaves."""


def plan_backbone(draft: Draft) -> None:
    """Links all hubs. What is impossible stays apart; the caller judges that."""
    for region in sorted(draft.hubs_of):
        _link_ring(draft, region)
    between = _Between(draft)
    for one, other in _ring(_tour(draft)):
        between.link(one, other)
    _join(draft)
    _double(draft)


def shorten_backbone(draft: Draft) -> None:
    """More links among hubs, where there are places that leaves do not need."""
    room, between = _Room(draft), _Between(draft)
    for one, other in dict.fromkeys(pair(*ends) for ends in _region_pairs(draft)):
        between.link(one, other, room)
    for region in sorted(draft.hubs_of):
        _mesh_region(draft, region, room)
    if room.refused:
        where = some(sorted(room.refused))
        draft.notes.append(f"Longer paths than need be, as transit members have few places left: {where}.")


class _Room:
    """Places at the hubs of each region beside those kept for leaves to come."""

    def __init__(self, draft: Draft) -> None:
        self._spare = {}
        for region, hubs in draft.hubs_of.items():
            leaves = sum(draft.degree(hub) - len(draft.hubs_at(hub)) for hub in hubs)
            self._spare[region] = sum(draft.places(hub) for hub in hubs) - -(-leaves // GROWTH)
        self.refused: set[str] = set()

    def take(self, one: str, other: str) -> bool:
        """Whether a link between these regions (or inside one) leaves enough; if so, it is counted."""
        need = 2 if one == other else 1
        short = [region for region in (one, other) if self._spare[region] < need]
        if short:
            self.refused.update(short)
            return False
        self._spare[one] -= 1
        self._spare[other] -= 1
        return True


def _core(draft: Draft, region: str) -> list[str]:
    """The hubs of a region that can all call each other."""
    members = draft.members
    return stable_order(hub for hub in draft.hubs_of[region] if members[hub].reachable or members[hub].local)


def _width(draft: Draft) -> int:
    """How many of its places a hub gives to its region at most, and about how many to others."""
    return max(2, draft.limits.max_degree // 4)


def _link_ring(draft: Draft, region: str) -> None:
    """A ring, unless the hubs of the region are linked well enough already."""
    names = _core(draft, region)
    inside = {name: [end for end in draft.hubs_at(name) if end in set(names)] for name in names}
    if len(components(inside)) == 1 and not articulation_points(inside):
        return
    for one, other in _ring(names):
        draft.try_add(one, other)


def _mesh_region(draft: Draft, region: str, room: _Room) -> None:
    """All with all where that needs few places; else chords across the ring."""
    names, width = _core(draft, region), _width(draft)
    taken = {name: sum(draft.region(other) == region for other in draft.hubs_at(name)) for name in names}
    for one, other in _pattern(names, width):
        if (taken[one] < width or taken[other] < width) and draft.may(one, other):
            if not room.take(region, region):
                return
            draft.add(one, other)
            taken[one] += 1
            taken[other] += 1


def _ring(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((name, names[(index + 1) % len(names)]) for index, name in enumerate(names) if len(names) > 1)


def _pattern(names: Sequence[str], width: int) -> Iterator[tuple[str, str]]:
    """Pairs of a full mesh if nobody has more than `width` links in it, else of a ring with chords."""
    count = len(names)
    if count - 1 <= width:
        yield from itertools.combinations(names, 2)
        return
    step = 1
    while step**3 < count:
        step += 1
    for offset in (1, step, step * step)[: max(1, width // 2)]:
        if offset < count - 1:
            yield from ((name, names[(index + offset) % count]) for index, name in enumerate(names))


class _Between:
    """The links between regions: two for each pair asked for, at different hubs where there are two."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._count: dict[tuple[str, str], int] = defaultdict(int)
        self._used: dict[tuple[str, str], set[str]] = defaultdict(set)
        for one in draft.hubs:
            for other in draft.hubs_at(one):
                if one < other and draft.region(one) != draft.region(other):
                    self._add(pair(draft.region(one), draft.region(other)), one, other)

    def _add(self, key: tuple[str, str], one: str, other: str) -> None:
        self._count[key] += 1
        self._used[key].update((one, other))

    def link(self, one: str, other: str, room: Optional[_Room] = None) -> None:
        """room: where it has to be asked."""
        draft, key = self._draft, pair(one, other)
        wanted = 1 if len(draft.hubs_of[one]) == len(draft.hubs_of[other]) == 1 else 2
        while self._count[key] < wanted:
            found = _best_hubs(draft, one, other, self._used[key])
            if found is None or (room and not room.take(one, other)):
                return
            draft.add(*found)
            self._add(key, *found)


def _near(draft: Draft) -> dict[str, list[tuple[int, str]]]:
    """Region → measured delays to other regions with hubs, sorted."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (one, other), value in draft.delays.between_regions().items():
        if one in draft.hubs_of and other in draft.hubs_of:
            found[one].append((value, other))
            found[other].append((value, one))
    return {region: sorted(items) for region, items in found.items()}


def _tour(draft: Draft) -> list[str]:
    """From the first region always on to the nearest that is left; by name where nothing is known."""
    near, left = _near(draft), dict.fromkeys(sorted(draft.hubs_of))
    found: list[str] = []
    while left:
        known = near.get(found[-1], []) if found else []
        found.append(next((region for _rank, region in known if region in left), next(iter(left))))
        del left[found[-1]]
    return found


def _region_pairs(draft: Draft) -> Iterator[tuple[str, str]]:
    yield from _pattern(_tour(draft), REGION_LINKS)
    for region, items in sorted(_near(draft).items()):
        yield from ((region, other) for _rank, other in items[:NEAR_REGIONS])


def _best_hubs(draft: Draft, one: str, other: str, used: set[str]) -> Optional[tuple[str, str]]:
    """The hubs for one more link between two regions: few such links, then near, then places left."""
    share = _width(draft)

    def usable(region: str) -> list[str]:
        names = draft.hubs_of[region]
        found = [name for name in names if draft.places(name) and (len(names) == 1 or name not in used)]
        return sorted(found, key=lambda name: (draft.degree(name), name))[:COMPARED]

    def outward(name: str) -> int:
        return sum(draft.region(end) != draft.region(name) for end in draft.hubs_at(name))

    first, second = ({name: outward(name) for name in usable(region)} for region in (one, other))
    rated = [
        (
            (first[a] >= share) + (second[b] >= share),
            draft.delays.grade(a, b),
            first[a] + second[b],
            draft.degree(a) + draft.degree(b),
            a,
            b,
        )
        for a in first
        for b in second
        if draft.may(a, b)
    ]
    return min(rated)[-2:] if rated else None


def _join(draft: Draft) -> None:
    """Links parts of the hubs' graph that are apart, as far as that is possible."""
    parts = components(draft.hub_graph())
    while len(parts) > 1:
        whole, rest = parts[0], [name for part in parts[1:] for name in part]
        found = _cheapest(draft, rest, whole)
        if found is None:
            return
        draft.add(*found)
        parts = components(draft.hub_graph())


def _double(draft: Draft) -> None:
    """Adds links until no hub's loss splits the others; says which hubs still would."""
    stuck: set[str] = set()
    while True:
        graph = draft.hub_graph()
        weak = next((name for name in articulation_points(graph) if name not in stuck), None)
        if weak is None:
            break
        joined = set(components(graph)[0]) if weak in components(graph)[0] else set(graph)
        parts = [part for part in components(graph, weak) if joined.issuperset(part)]
        rest = [name for part in parts[1:] for name in part]
        found = _cheapest(draft, rest, parts[0]) if len(parts) > 1 else None
        if found is None:
            stuck.add(weak)
        else:
            draft.add(*found)
    left = [name for name in articulation_points(draft.hub_graph()) if name in stuck]
    if left:
        draft.notes.append(
            f"Transit members cannot reach each other without {some(left)}: no link around can be added."
        )


def _cheapest(draft: Draft, some_hubs: Sequence[str], others: Sequence[str]) -> Optional[tuple[str, str]]:
    """The link between two sets of hubs that costs least: by load first, so that nobody is filled up."""
    ranked = sorted(others, key=lambda name: (draft.degree(name), name))
    best: Optional[tuple[int, int, str, str]] = None
    for one in some_hubs:
        usable = [other for other in ranked if draft.may(one, other)][:COMPARED]
        for other in usable:
            load = draft.degree(one) + draft.degree(other)
            key = (load // 4, draft.delays.of(one, other), one, other)
            best = key if best is None else min(best, key)
    return best[-2:] if best else None
