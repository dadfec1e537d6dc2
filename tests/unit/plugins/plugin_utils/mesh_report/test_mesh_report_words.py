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

from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report import lines, picture, ways
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.answers import routing_of
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from mesh_report_cases import MESH, report, small, whole

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
