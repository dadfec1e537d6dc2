# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links of leaves, the members that forward for nobody: to two hubs, and to near members."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from ...module_utils.core.errors import BindError, Problem
from .draft import HUB_LINKS, Draft, some
from .graph import SAME_REGION_US, stable_order
from .spots import possible

WINDOW = 32
"""Hubs without a measured delay that are compared at a time."""

NAMED = 10
"""Members named in an error."""

TRIED = 8
"""Members tried for each link to a near one: where nobody may be called, the search ends."""


class Hubs:
    """The hubs that still have places, in each region, taken in turns."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._open = {region: stable_order(names) for region, names in draft.hubs_of.items()}
        self._at: dict[str, int] = defaultdict(int)
        self._near: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for (one, other), value in sorted(draft.delays.between_regions().items()):
            self._near[one].append((value, other))
            self._near[other].append((value, one))

    def _window(self, region: str) -> list[str]:
        """Some hubs of a region with places; the next call begins after them."""
        names = self._open.get(region, [])
        if any(not self._draft.places(name) for name in names):
            names = self._open[region] = [name for name in names if self._draft.places(name)]
        if len(names) <= WINDOW:
            return names
        start = self._at[region] = (self._at[region] + WINDOW) % len(names)
        return (names + names)[start : start + WINDOW]

    def candidates(self, leaf: str) -> Iterator[str]:
        """The hubs a leaf may be linked to, best first: own relays, own region, measured, other regions."""
        draft = self._draft
        yield from draft.members[leaf].relays
        own = draft.region(leaf)
        yield from self._ranked(leaf, self._window(own))
        measured = draft.delays.measured(leaf)
        yield from self._ranked(leaf, [name for name in measured if draft.members[name].transit])
        near = [region for _rank, region in sorted(self._near[own])]
        rest = sorted(self._open, key=lambda region: (self._load(region), region))
        for region in dict.fromkeys(near + rest):
            if region != own:
                yield from self._ranked(leaf, self._window(region))
        # Only where the windows held no hub that the leaf can call.
        yield from self._ranked(leaf, draft.hubs)

    def link(self, leaf: str) -> None:
        """One more hub for a leaf, if any has a place."""
        for hub in self.candidates(leaf):
            if self._draft.try_add(leaf, hub):
                return

    def _ranked(self, leaf: str, names: Iterable[str]) -> list[str]:
        draft = self._draft
        fit = [name for name in names if draft.may(leaf, name)]
        return sorted(fit, key=lambda name: (draft.delays.grade(leaf, name), draft.degree(name), name))

    def _load(self, region: str) -> int:
        return min(
            (self._draft.degree(name) for name in self._open[region]), default=self._draft.limits.max_degree
        )


def link_to_hubs(draft: Draft) -> None:
    """Gives every leaf two hubs, its relays first. Raises BindError where there are no places left.

    Leaves behind NAT come first, as they have the fewest hubs to choose from.
    """
    hubs = Hubs(draft)
    reachable = sum(draft.members[name].reachable for name in draft.hubs)
    order = stable_order(draft.leaves)
    wanted = {leaf: min(HUB_LINKS, _hubs_for(draft, leaf, reachable)) for leaf in order}
    _refuse_lonely(draft, sorted(leaf for leaf in order if not wanted[leaf] and draft.is_free(leaf)))
    for behind_nat in (True, False):
        leaves = [leaf for leaf in order if draft.members[leaf].reachable != behind_nat]
        for least in range(1, HUB_LINKS + 1):
            for leaf in leaves:
                if len(draft.hubs_at(leaf)) < min(least, wanted[leaf]):
                    hubs.link(leaf)
    short = {leaf: wanted[leaf] - len(draft.hubs_at(leaf)) for leaf in order}
    _judge(draft, {leaf: missing for leaf, missing in short.items() if missing > 0})
    single = sorted(leaf for leaf in order if wanted[leaf] == 1)
    if single:
        draft.notes.append(
            f"Only one transit member can be linked to by {some(single)}: no second path if it fails."
        )
    _link_relays(draft, order)


def _hubs_for(draft: Draft, leaf: str, reachable: int) -> int:
    """How many hubs a leaf could be linked to, places aside."""
    spot = draft.members[leaf]
    if spot.reachable:
        return len(draft.hubs)
    near = draft.hubs_of.get(spot.region, []) if spot.local else []
    return reachable + sum(draft.members[name].local and not draft.members[name].reachable for name in near)


def _refuse_lonely(draft: Draft, lonely: list[str]) -> None:
    """Raises BindError for leaves that no hub can call and that can call no hub."""
    if lonely:
        allowed = (
            f"a transit member that can be called: both are behind NAT or have no endpoint, as are all "
            f"{len(draft.hubs)} transit members"
        )
        wrong = [f"{leaf} and {draft.hubs[0]} cannot reach each other" for leaf in lonely[:NAMED]]
        raise BindError([Problem("mesh", text, allowed) for text in wrong])


def _judge(draft: Draft, short: Mapping[str, int]) -> None:
    """Leaves without places at hubs: an error where links were to be planned, else a note."""
    own = sorted(leaf for leaf in short if draft.is_free(leaf))
    full = [leaf for leaf in own if not draft.places(leaf)]
    if full:
        raise BindError([_itself_full(draft, leaf, short[leaf]) for leaf in full[:NAMED]])
    if own:
        raise BindError([_no_places(draft, own, sum(short[leaf] for leaf in own))])
    if short:
        draft.notes.append(
            f"Less than {HUB_LINKS} links to transit members: {some(sorted(short))}. Plan the mesh again."
        )


def _itself_full(draft: Draft, leaf: str, missing: int) -> Problem:
    allowed = (
        f"{draft.degree(leaf) + missing} or more: its links leave no place for {missing} to transit members"
    )
    return Problem("max_degree", draft.limits.max_degree, allowed, target=leaf)


def _no_places(draft: Draft, leaves: list[str], missing: int) -> Problem:
    most = draft.limits.max_degree
    usable = [
        hub
        for hub in draft.hubs
        if any(possible(draft.members[leaf], draft.members[hub]) for leaf in leaves[:WINDOW])
    ]
    taken = sum(len(draft.hubs_at(hub)) for hub in draft.hubs) // len(draft.hubs)
    more = -(-missing // max(1, most - taken - 1))
    return Problem(
        "max_degree",
        most,
        f"at least {most - (-missing // len(usable))}, or at least {more} more transit members: the "
        f"{len(draft.hubs)} there are have no places for {missing} links of {some(leaves)}",
    )


def _link_relays(draft: Draft, leaves: list[str]) -> None:
    """The relays that are not linked yet, where there are places: nobody's second hub comes after them."""
    full = []
    for leaf in leaves:
        for relay in draft.members[leaf].relays:
            if relay not in draft.links[leaf] and not draft.try_add(leaf, relay) and draft.is_free(leaf):
                full.append(f"{relay} of {leaf}")
    if full:
        draft.notes.append(f"Relays without places, replaced by other transit members: {some(sorted(full))}.")


def link_to_near(draft: Draft) -> None:
    """Links leaves to near leaves until they have `neighbours` links, as far as they can call each other.

    Hubs are left out: their places are for leaves to come. Two places stay free at each leaf, so that it can
    get other hubs without losing links; one that many can only call takes at most twice `neighbours`.
    """
    most = draft.limits.max_degree - HUB_LINKS
    ring = _Ring(draft)
    for leaf in stable_order(draft.leaves):
        if draft.only_for is not None and leaf not in draft.only_for:
            continue
        tries = TRIED * draft.limits.neighbours
        for other in itertools.islice(ring.near(leaf), tries):
            if draft.degree(leaf) >= min(most, draft.limits.neighbours):
                break
            if draft.degree(other) < min(most, 2 * draft.limits.neighbours):
                draft.try_add(leaf, other)


class _Ring:
    """The leaves of each region in a stable order, those that can be called apart."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._order = stable_order(draft.leaves)
        self._rank = {leaf: rank for rank, leaf in enumerate(self._order)}
        self._rings: dict[tuple[str, str], list[int]] = defaultdict(list)
        for leaf in self._order:
            spot = draft.members[leaf]
            for kind, fits in (("all", True), ("reachable", spot.reachable), ("local", spot.local)):
                if fits:
                    self._rings[spot.region, kind].append(self._rank[leaf])

    def near(self, leaf: str) -> Iterator[str]:
        """Leaves by measured delay; those of the region without one stand where the assumed puts them."""
        draft, spot = self._draft, self._draft.members[leaf]
        measured = sorted(
            (value, other)
            for other, value in draft.delays.measured(leaf).items()
            if not draft.members[other].transit
        )
        yield from (other for value, other in measured if value < SAME_REGION_US)
        kinds = ["all"] if spot.reachable else ["local", "reachable"] if spot.local else ["reachable"]
        for kind in kinds:
            yield from self._after(leaf, self._rings[spot.region, kind])
        yield from (other for value, other in measured if value >= SAME_REGION_US)

    def _after(self, leaf: str, ring: list[int]) -> Iterator[str]:
        """The others of a ring, from the place of this leaf on, without those that were measured."""
        known = self._draft.delays.measured(leaf)
        start = bisect.bisect_right(ring, self._rank[leaf])
        for step in range(len(ring)):
            other = self._order[ring[(start + step) % len(ring)]]
            if other != leaf and other not in known:
                yield other
