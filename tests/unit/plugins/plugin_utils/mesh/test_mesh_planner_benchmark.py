# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of the mesh's planner: its fleet and its counts."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import mesh_planner
from benchmarks.errors import BenchmarkError

GOOD = {
    "members": 10,
    "links": 40,
    "routes": 90,
    "degree": 24,
    "lonely": 0,
    "lost": 0,
    "joined": 6,
    "moved": 0,
}


def test_a_thousand_members_are_planned_as_they_have_to_be() -> None:
    mesh_planner.check(mesh_planner.plan(1000), 1000)


def test_planning_grows_with_what_is_planned() -> None:
    """Twice the members are twice the work: their routes are found for many at a time. Seconds are the
    benchmark's."""
    assert lines(400) < 2.5 * lines(200)


def lines(count: int) -> int:
    """Executed lines of Python, which do not depend on the machine."""
    found = 0

    def each(frame: Any, event: str, argument: Any) -> Any:
        nonlocal found
        found += 1
        return each

    before = sys.gettrace()
    sys.settrace(each)
    try:
        mesh_planner.plan(count)
    finally:
        sys.settrace(before)
    return found


def test_the_fleet_is_alike_in_each_run() -> None:
    members, latency = mesh_planner.fleet(120)
    assert (members, latency) == mesh_planner.fleet(120)
    assert len(members) == 120
    assert [sum(member["region"] == f"region-{n:03d}" for member in members) for n in range(3)] == [
        50,
        50,
        20,
    ]
    assert sum(member["transit"] for member in members) == 18
    assert {end for ends in latency for end in ends} == {member["name"] for member in members}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"members": 9}, "9 members"),
        ({"degree": 25}, "a member with 25 links"),
        ({"lost": 1}, "1 of 2000 packets lost"),
        ({"lonely": 2}, "2 leaves"),
        ({"joined": 7}, "7 links for one more"),
        ({"joined": 1}, "1 links for one more"),
        ({"moved": 3}, "3 links moved"),
    ],
)
def test_wrong_counts_are_an_error(wrong: dict[str, Any], text: str) -> None:
    mesh_planner.check({"counts": GOOD}, 10)
    with pytest.raises(BenchmarkError, match=text):
        mesh_planner.check({"counts": {**GOOD, **wrong}}, 10)


def test_it_needs_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWARM_NODE_LAB", raising=False)
    monkeypatch.setattr(mesh_planner, "benchmark", lambda *_: ([], {"mesh of 10": GOOD}))
    rows, facts = command.measure(True, ["mesh_planner"])
    assert rows == []
    assert facts["mesh of 10"] == GOOD
    with pytest.raises(BenchmarkError, match="names no lab"):
        command.measure(True, ["mesh_planner", "merge"])


def test_a_plan_that_fails_says_why(tmp_path) -> None:
    home = mesh_planner.collection_home(tmp_path)
    with pytest.raises(BenchmarkError, match=r"(?s)planning 0 members ended with 1: .*Error"):
        mesh_planner._run(home, 0)
