# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pairs of members are measured: all of them in a small mesh, a fair choice in a large one. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence

from ..mesh.registry import Pair, pair_of

LINK, REGIONS, CHANCE, ALL = "link", "regions", "sample", "all"
"""Why a pair is measured: a direct link, one for its two regions, by chance, or as all pairs are."""

REGION_PAIRS_PER_MEMBER = 2
"""So many pairs for regions at most: the number of pairs grows with the members, not with their square."""


def sampled(
    regions: Mapping[str, str], links: Iterable[Pair], all_up_to: int, partners: int, seed: int
) -> dict[Pair, str]:
    """Pair → why it is measured.

    regions: member → its region; links: direct ones, others' are left out
    partners: by chance, for each member
    Equal input gives equal output. Every member is in a pair, if there are two.
    """
    names = sorted(regions)
    direct = sorted({pair_of(*pair) for pair in links if pair[0] in regions and pair[1] in regions})
    found: dict[Pair, str] = dict.fromkeys(direct, LINK)
    if len(names) <= all_up_to:
        for pair in itertools.combinations(names, 2):
            found.setdefault(pair, ALL)
        return dict(sorted(found.items()))
    for pair in _for_regions(regions, found, seed):
        found.setdefault(pair, REGIONS)
    for pair in _by_chance(names, partners, seed):
        found.setdefault(pair, CHANCE)
    return dict(sorted(found.items()))


def _for_regions(regions: Mapping[str, str], found: Iterable[Pair], seed: int) -> list[Pair]:
    """One pair for each two regions that no pair of `found` joins."""
    members: dict[str, list[str]] = {}
    for name, region in sorted(regions.items()):
        members.setdefault(region, []).append(name)
    joined = {pair_of(regions[one], regions[other]) for one, other in found}
    # Of very many regions not all pairs are even looked at.
    order = sorted(members)
    chance = random.Random(f"regions {seed}")
    chance.shuffle(order)
    most = REGION_PAIRS_PER_MEMBER * len(regions)
    pairs: list[Pair] = []
    for first, second in _by_distance(order):
        if len(pairs) >= most:
            break
        if pair_of(first, second) not in joined:
            pairs.append(pair_of(chance.choice(members[first]), chance.choice(members[second])))
    return pairs


def _by_distance(order: Sequence[str]) -> Iterable[tuple[str, str]]:
    """All pairs of a ring, neighbours first: if it is cut short, each has about as many as any other."""
    count = len(order)
    for step in range(1, count // 2 + 1):
        for at in range(count if 2 * step != count else step):
            yield order[at], order[(at + step) % count]


def _by_chance(names: Sequence[str], partners: int, seed: int) -> list[Pair]:
    """Rings in an order by chance: in each, every member has the one before it and the one after it."""
    pairs = []
    for turn in range((partners + 1) // 2):
        order = list(names)
        random.Random(f"partners {turn} {seed}").shuffle(order)
        ring = len(order) if partners - 2 * turn >= 2 else len(order) - 1
        step = 1 if partners - 2 * turn >= 2 else 2
        pairs += [pair_of(order[at], order[(at + 1) % len(order)]) for at in range(0, ring, step)]
        if step == 2 and len(order) % 2:
            pairs.append(pair_of(order[-1], order[0]))
    return pairs


def clients(pairs: Iterable[Pair], seed: int) -> dict[Pair, str]:
    """Pair → the end that begins, for each member in about half of its pairs."""
    ahead: dict[str, int] = {}
    found = {}
    for pair in pairs:
        one, other = pair
        first = one
        if ahead.get(one, 0) == ahead.get(other, 0):
            first = pair[random.Random(f"{one} {other} {seed}").randrange(2)]
        elif ahead.get(one, 0) > ahead.get(other, 0):
            first = other
        for end in pair:
            ahead[end] = ahead.get(end, 0) + (1 if end == first else -1)
        found[pair] = first
    return found
