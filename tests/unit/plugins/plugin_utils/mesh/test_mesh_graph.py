# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts, weak points and shortest paths of graphs; delays between members."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.graph import (
    HOP_US,
    MAX_US,
    OTHER_REGION_US,
    SAME_REGION_US,
    Delays,
    articulation_points,
    components,
    shortest,
    stable_order,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NODES = "abcdefgh"
ENDS = [(one, other) for one, other in itertools.combinations(NODES, 2)]


def graph(pairs) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in NODES}
    for one, other in pairs:
        found[one].add(other)
        found[other].add(one)
    return found


@pytest.mark.parametrize(
    ("pairs", "weak", "parts"),
    [
        ("", "", "a b c d e f g h"),
        ("ab", "", "ab c d e f g h"),
        ("ab bc", "b", "abc d e f g h"),
        ("ab bc ca", "", "abc d e f g h"),
        ("ab bc ca cd de ec", "c", "abcde f g h"),
        ("ab bc cd ef fg", "bcf", "abcd efg h"),
    ],
)
def test_parts_and_weak_points(pairs, weak, parts):
    found = graph(tuple(ends) for ends in pairs.split())
    assert articulation_points(found) == list(weak)
    assert ["".join(part) for part in components(found)] == parts.split()


@settings(max_examples=200, deadline=None)
@given(st.sets(st.sampled_from(ENDS)))
def test_weak_points_are_those_without_which_more_parts_are_left(pairs):
    found = graph(pairs)
    whole = len(components(found))
    expected = [name for name in NODES if len(components(found, name)) > whole - (not found[name])]
    assert articulation_points(found) == expected


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(ENDS), st.integers(1, 9)))
def test_shortest_paths(costs):
    weighted: dict[str, dict[str, int]] = {name: {} for name in NODES}
    for (one, other), cost in costs.items():
        weighted[one][other] = weighted[other][one] = cost
    far = 10**6
    distance = dict.fromkeys(itertools.product(NODES, NODES), far)
    distance.update({(name, name): 0 for name in NODES})
    for (one, other), cost in costs.items():
        distance[one, other] = distance[other, one] = cost
    for by, one, other in itertools.product(NODES, NODES, NODES):
        distance[one, other] = min(distance[one, other], distance[one, by] + distance[by, other])
    found = shortest(weighted, "a")
    assert {name: way[0] for name, way in found.items()} == {
        name: distance["a", name] for name in NODES if distance["a", name] < far
    }
    for name, (length, hop) in found.items():
        assert (hop == "") == (name == "a")
        assert name == "a" or weighted["a"][hop] + distance[hop, name] == length


def test_shortest_paths_inside_a_region():
    weighted = {"a": {"b": 1, "c": 9}, "b": {"a": 1, "c": 1}, "c": {"a": 9, "b": 1}}
    assert shortest(weighted, "a") == {"a": (0, ""), "b": (1, "b"), "c": (2, "b")}
    assert shortest(weighted, "a", {"a", "c"}) == {"a": (0, ""), "c": (9, "c")}


def test_delays():
    regions = {"a": "r", "b": "r", "c": "s", "d": "s"}
    latency = {
        ("a", "c"): 7,
        ("c", "a"): 2,
        ("b", "d"): 3.25,
        ("d", "c"): float("inf"),
        ("a", "gone"): 1,
        ("a", "a"): 9,
    }
    found = Delays(regions, latency)
    assert found.of("a", "b") == SAME_REGION_US
    assert found.of("d", "a") == OTHER_REGION_US
    assert found.of("c", "a") == found.of("a", "c") == 7000
    assert found.of("c", "d") == MAX_US
    assert found.cost("d", "b") == 3250 + HOP_US
    assert found.measured("a") == {"c": 7000}
    assert found.measured("gone") == {}
    assert found.between_regions() == {("r", "s"): 3250}


def test_a_new_name_moves_no_other():
    names = [f"n{number}" for number in range(50)]
    order = stable_order(names)
    assert sorted(order) == sorted(names) != order
    assert [name for name in stable_order([*names, "new"]) if name != "new"] == order
