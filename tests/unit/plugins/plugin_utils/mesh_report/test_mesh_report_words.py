# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever nodes say, there is a report of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report import lines, picture, ways
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.answers import routing_of
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from mesh_report_cases import MESH, NOW, report, small, whole

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("neighbours", "routes", "changes", "dropped", "drained", "since", "version", "rank", "why", "running")


@settings(deadline=None, max_examples=50)
@given(st.fixed_dictionaries(dict.fromkeys(KEYS, JSON)), JSON)
def test_whatever_a_node_says_there_is_a_report(said: dict[str, Any], other: Any) -> None:
    world = small()
    world.said["ann"]["routing"] = {MESH: said, "else": other}
    body = report(world)
    json.dumps(whole(body), allow_nan=False)
    ElementTree.fromstring(picture.draw(MESH, body))


ROUTES = ("prefix", "number", "via", "metric", "installed", "member")
FIELDS = (
    "interface",
    "peer",
    "up",
    "reach",
    "cost",
    "rtt_ms",
    "at",
    "from",
    "to",
    "number",
    "metric",
    *ROUTES,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON | st.just("gw1"), max_size=8), max_size=6))
def test_whatever_stands_in_its_lists_there_is_a_report(entries: list[dict[str, Any]]) -> None:
    world = small()
    world.routing("ann").update(
        neighbours=entries,
        routes=entries,
        changes=entries,
        dropped={"foreign": entries, "outside": 1, "spoofed": None},
    )
    made = whole(report(world))
    json.dumps(made, allow_nan=False)
    assert lines.lines(made)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3) | JSON)
def test_no_answer_at_all_is_no_answer(said: Any) -> None:
    assert isinstance(routing_of({"routing": said}), dict)


HOPS = st.dictionaries(
    st.sampled_from("abcde"), st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["", *"abcde"]))
)


@settings(deadline=None, max_examples=50)
@given(HOPS)
def test_a_way_ends(hops: dict[str, dict[str, str]]) -> None:
    for start in "abcde":
        for goal in set("abcde") - {start}:
            found = ways.follow(start, goal, hops, {})
            assert found.members[0] == start and len(found.members) <= 6
            if found.kind in (ways.DIRECT, ways.RELAYED):
                assert found.members[-1] == goal and len(set(found.members)) == len(found.members)
            if found.kind == ways.LOOP:
                assert found.members[-1] in found.members[:-1]


def said(**more: Any) -> dict[str, Any]:
    return routing_of({"routing": {MESH: {"running": True, **more}}})[MESH]


def route(
    prefix: str, via: str, metric: int | None, number: int | None = None, block: Any = None
) -> dict[str, Any]:
    installed = metric is not None
    return {
        "prefix": prefix,
        "number": number,
        "numbers": block,
        "via": via,
        "metric": metric,
        "installed": installed,
    }


def test_a_block_stands_for_its_numbers() -> None:
    found = said(
        routes=[
            route("10.99.0.64/26", "gw1", 900, block=[64, 127]),
            route("10.99.0.70/32", "bob", 800, 70),
            route("10.99.0.71/32", "bob", None, 71),
            route("10.99.0.0/26", "gw2", None, block=[0, 63]),
            route("10.99.0.2/32", "gw3", 800, 2),
        ]
    )["ways"]
    assert len(found) == 64 + 63
    assert found["64"] == ["gw1", 900] and found["70"] == ["bob", 800] and found["2"] == ["gw3", 800]
    assert found["71"] == ["gw1", 900], "the way of its own is gone, so it is the block's"
    assert found["3"] == ["", None] and "0" not in found


@pytest.mark.parametrize("block", [[5], [7, 3], [0, 64], [-3, 9], [65500, 65563], "64-127", None, {}])
def test_a_block_that_is_none_is_passed_over(block: Any) -> None:
    found = said(routes=[route("10.99.0.64/26", "gw1", 900, block=block)])["ways"]
    assert found == {}


def test_a_block_that_is_reached_otherwise_is_named_by_its_numbers() -> None:
    world = small()
    entry = {"at": NOW - 5, "prefix": "10.99.1.0/26", "number": None, "numbers": [256, 319], "metric": 900}
    world.routing("ann")["changes"] = [{**entry, "from": "gw1", "to": "gw2"}]
    (change,) = [one for one in report(world)["changes"] if one["member"] == "ann"]
    assert change["goal"] == "numbers 256-319" and (change["from"], change["to"]) == ("gw1", "gw2")


def test_rules_that_are_gone_are_said() -> None:
    world = small()
    world.routing("ann")["aggregates"] = {"own": [], "others": [], "tables": [104], "rules": False}
    world.routing("bob")["aggregates"] = {"own": [], "others": [], "tables": [104], "rules": True}
    found = [one for one in report(world)["problems"] if "rules" in one["what"]]
    assert [(one["severity"], one["where"]) for one in found] == [("wrong", ["ann"])]
