# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wins, who loses, what contradicts: tables, and random groups against a naive model of Ansible."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.kernel.sysctl_conf import normalise
from ansible_collections.swarm.node.plugins.plugin_utils.merge.resolve import (
    EXTRA_RANK,
    PLAY_RANK,
    PROFILE_RANK,
    Candidate,
    Level,
    candidates,
    group_rank,
    host_rank,
    outranked,
    resolve,
    split_map,
)
from hypothesis import given, settings
from hypothesis import strategies as st

INLINE, FILES = 1, 4


def group(name: str, value: Any, *, stage=INLINE, depth=1, priority=1, above=()) -> Candidate:
    return Candidate(value, f"group {name}", group_rank(stage, 0, depth, priority), name, frozenset(above))


def host(value: Any, place: int = 0) -> Candidate:
    return Candidate(value, "host h", host_rank(place, 0), "h")


PROFILE = Candidate(1, "profile p@1", PROFILE_RANK, source="a book")
PLAY = Candidate(8, "play or role", PLAY_RANK)
EXTRA = Candidate(9, "extra vars", EXTRA_RANK)


@pytest.mark.parametrize(
    ("found", "winner"),
    [
        ([PROFILE], "profile p@1"),
        ([group("all", 2, stage=0, depth=0), PROFILE], "group all"),
        ([group("b", 2, depth=1), group("a", 3, depth=2)], "group a"),
        ([group("b", 2, priority=5), group("a", 3, priority=10)], "group a"),
        ([group("deep", 2, depth=3), group("high", 3, depth=1, priority=99)], "group deep"),
        # a file of a parent beats what a child says inline: Ansible's order, surprising or not
        ([group("child", 2, depth=2, above=["top"]), group("top", 3, stage=FILES)], "group top"),
        ([group("a", 2), host(3)], "host h"),
        ([host(3), PLAY], "play or role"),
        ([PLAY, EXTRA, host(3)], "extra vars"),
        ([group("a", 2), group("b", 2)], "group b"),
        ([group("a", 2), group("b", 3), host(4)], "host h"),
        ([group("a", 2), group("b", 3), group("c", 4, depth=2)], "group c"),
        ([group("a", 2), group("a", 3, stage=FILES)], "group a"),
    ],
)
def test_winner(found, winner):
    for order in (found, found[::-1]):
        resolved = resolve("k", order)
        assert resolved is not None and resolved.origin == winner
        assert len(resolved.losers) == len(found) - 1


def test_nobody():
    assert resolve("k", []) is None
    assert split_map([], str) == {}


def test_losers_lowest_first_and_source_of_the_winner():
    resolved = resolve("k", [EXTRA, host(3), PROFILE])
    assert [item["origin"] for item in resolved.losers] == ["profile p@1", "host h"]
    assert resolve("k", [PROFILE]).as_explained() == {
        "key": "k", "value": 1, "origin": "profile p@1", "source": "a book", "losers": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "found",
    [
        [group("a", 2), group("b", 3)],
        [group("a", 2), group("b", 3), PROFILE],
        [group("a", 2), group("b", 2), group("c", 3)],
        [group("a", 3), group("b", 2), group("c", 3)],
        [group("a", None), group("b", 3)],
        # the alphabet would not decide, the kind of file would: no decision either
        [group("a", 2, stage=FILES), group("b", 3)],
    ],
)
def test_conflict(found):
    with pytest.raises(BindError) as caught:
        resolve("kernel_thp", found)
    (problem,) = caught.value.problems
    assert problem.key == "kernel_thp" and "ansible_group_priority" in problem.allowed
    assert problem.origin in str(problem) and "alphabet" in problem.allowed


def test_related_groups_never_contradict():
    assert resolve("k", [group("a", 2), group("b", 3, above=["a"])]).value == 3


def test_different_spellings_of_one_value_do_not_contradict():
    found = [group("a", [1, 2]), group("b", "1  2")]
    assert resolve("k", found, normalise).value == "1  2"
    with pytest.raises(BindError):
        resolve("k", [group("a", True), group("b", 1)], normalise)


def test_outranked():
    one, other = group("a", 1), group("b", 2)
    assert not outranked(one, [one, other]) and outranked(one, [one, other, host(3)])
    assert not outranked(one, [one, group("b", 2, stage=FILES)])
    assert outranked(PROFILE, [PROFILE, one])


def test_split_map_spells_and_keeps_every_key():
    found = [group("a", {"x/y": 1, "z": 2}), host({"x.y": 3})]
    keys = split_map(found, lambda name: name.replace("/", "."))
    assert {key: [item.value for item in items] for key, items in keys.items()} == {"x.y": [1, 3], "z": [2]}


def test_split_map_refuses_one_key_twice_in_one_map():
    found = [host({"x/y": 1, "x.y": 2})]
    with pytest.raises(BindError, match=r"x\.y: 2 .*host h.*also says 1"):
        split_map(found, lambda name: name.replace("/", "."))
    assert split_map([host({"x/y": 1, "x.y": "1"})], lambda name: name.replace("/", "."), normalise)


def test_split_map_null_leaves_every_key_alone():
    keys = split_map([group("a", {"x": 1, "y": 2}), host(None), EXTRA_MAP], str)
    assert {key: resolve(key, items).value for key, items in keys.items()} == {"x": None, "y": 5, "w": 6}


EXTRA_MAP = Candidate({"y": 5, "w": 6}, "extra vars", EXTRA_RANK)


# -- random groups against a naive model

VALUES = st.sampled_from([None, 1, 2, 3])
MAPS = st.one_of(st.none(), st.dictionaries(st.sampled_from("uvwx"), VALUES, max_size=4))


@st.composite
def levels(draw, values=VALUES) -> list[Level]:
    """Levels as an inventory gives them: a group lies deeper than its ancestors, names are unique."""
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=5))
    facts = {name: (draw(st.integers(1, 3)), draw(st.integers(1, 2))) for name in names}
    found = []
    for name in names:
        depth, priority = facts[name]
        above = frozenset(draw(st.sets(st.sampled_from(names)))) if names else frozenset()
        above = frozenset(item for item in above if facts[item][0] < depth)
        for stage in draw(st.sets(st.sampled_from([INLINE, FILES, FILES + 1]), min_size=1)):
            own = {"k": draw(values)}
            rank = group_rank(stage, 0, depth, priority)
            found.append(Level(f"group {name}", rank, own, name, above))
    for rank, name in ((PROFILE_RANK, "p"), (host_rank(0, 0), "h"), (PLAY_RANK, "play"), (EXTRA_RANK, "e")):
        if draw(st.integers(0, 3)) == 0:
            found.append(Level(name, rank, {"k": draw(values)}, name))
    return draw(st.permutations(found))


def naive_order(found: list[Level]) -> list[Level]:
    """As Ansible walks: place by place, in each from shallow to deep, low to high priority, a to z."""
    ordered = [level for level in found if level.rank == PROFILE_RANK]
    for stage in range(6):
        here = [level for level in found if level.rank[0] == 1 and level.rank[1] == stage]
        ordered += sorted(here, key=lambda level: (level.rank[3], level.rank[4], level.name))
    for rank in (host_rank(0, 0), PLAY_RANK, EXTRA_RANK):
        ordered += [level for level in found if level.rank == rank]
    return ordered


def naive(found: list[Level]) -> tuple[bool, Any]:
    """(whether only the alphabet or a file's place decides, the value) by plain dict.update()."""
    result: dict[str, Any] = {}
    for level in naive_order(found):
        result.update(level.variables)
    top = naive_order(found)[-1]
    if top.rank[0] != 1:
        return False, result["k"]
    clash = any(
        level.rank[0] == 1
        and level.rank[3:] == top.rank[3:]
        and level.name != top.name
        and level.variables != top.variables
        for level in found
    )
    return clash, result["k"]


@settings(max_examples=400, deadline=None)
@given(levels())
def test_resolve_equals_the_naive_model(found):
    if not found:
        assert resolve("k", candidates(found, "k")) is None
        return
    clash, value = naive(found)
    try:
        resolved = resolve("k", candidates(found, "k"))
    except BindError:
        assert clash
    else:
        assert not clash and resolved.value == value
        assert len(resolved.losers) == len(found) - 1


@settings(max_examples=200, deadline=None)
@given(levels(), st.randoms())
def test_the_order_in_the_inventory_does_not_matter(found, random):
    def answer(some):
        try:
            return resolve("k", candidates(some, "k"))
        except BindError as error:
            return [str(problem) for problem in error.problems]

    shuffled = list(found)
    random.shuffle(shuffled)
    assert answer(found) == answer(shuffled)


@settings(max_examples=400, deadline=None)
@given(levels(MAPS))
def test_maps_equal_the_naive_model_key_by_key(found):
    keys = split_map(candidates(found, "k"), str)
    assert set(keys) == {key for level in found for key in level.variables["k"] or {}}
    for key, items in keys.items():
        mine = [
            Level(level.origin, level.rank, {"k": (level.variables["k"] or {}).get(key)}, level.name)
            for level in found
            if level.variables["k"] is None or key in level.variables["k"]
        ]
        clash, value = naive(mine)
        try:
            resolved = resolve(key, items)
        except BindError:
            assert clash
        else:
            assert not clash and resolved.value == value
