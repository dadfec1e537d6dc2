# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that can be given up while new ones wait for slots, against trying them one after another."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import (
    Identity,
    Link,
    Member,
    Registry,
    Settings,
)
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.switching import expendable
from hypothesis import given
from hypothesis import strategies as st

NAMES = "abcdefg"
PAIRS = list(itertools.combinations(NAMES, 2))


def mesh(hubs: set[str], pairs: list[tuple[str, str]]) -> Registry:
    members = {name: Member(name, number, transit=name in hubs) for number, name in enumerate(NAMES, 1)}
    links = {pair: Link(pair, (0, 0), Identity((1, 1))) for pair in pairs}
    return Registry("wan", Settings(("10.99.0.0/16",)), members=members, links=links)


def one_after_another(
    hubs: set[str], pairs: list[tuple[str, str]], going: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    kept, found = set(pairs), []
    for pair in going:
        if is_whole(hubs, kept - {pair}):
            kept.discard(pair)
            found.append(pair)
    return found


def is_whole(hubs: set[str], pairs: set[tuple[str, str]]) -> bool:
    """A member that forwards is reached over others such; each other one hangs on one of them."""
    reached = {min(hubs)} if hubs else set()
    for _round in NAMES:
        for pair in pairs:
            if hubs >= set(pair) and reached & set(pair):
                reached |= set(pair)
    hanging = {name for pair in pairs for name in pair if (set(pair) - {name}) & hubs}
    return bool(hubs) and reached == hubs and hanging | hubs == set(NAMES)


@pytest.mark.parametrize(
    ("hubs", "pairs", "going", "found"),
    [
        ("ab", "ab ac ad ae af ag bc", "ac bc", "ac"),
        ("ab", "ab ac ad ae af ag bc", "bc ac", "bc"),
        ("ab", "ab ac ad ae af ag cd", "cd ab", "cd"),
        ("abc", "ab bc ac ad ae af ag", "ab bc ac", "ab"),
        # A member that does not forward joins no two that do.
        ("ab", "ac bc ad ae af ag bd", "bc", ""),
        ("", "ab bc", "ab", ""),
    ],
)
def test_what_can_be_given_up(hubs: str, pairs: str, going: str, found: str) -> None:
    registry = mesh(set(hubs), [(pair[0], pair[1]) for pair in pairs.split()])
    assert ["".join(pair) for pair in expendable(registry, [(p[0], p[1]) for p in going.split()])] == (
        found.split()
    )


@given(
    st.sets(st.sampled_from(NAMES)),
    st.lists(st.sampled_from(PAIRS), unique=True, min_size=6),
    st.randoms(use_true_random=False),
)
def test_it_is_as_if_they_were_tried_one_after_another(hubs, pairs, chance) -> None:
    going = chance.sample(pairs, chance.randint(0, len(pairs)))
    assert expendable(mesh(hubs, pairs), going) == one_after_another(hubs, pairs, going)
