# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every touch of the machine by the routing module fails once: the old state, or all of the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from routing_cases import region, share
from routing_node import RoutingNode
from routing_steps import MORE, at_step, fresh, steps_of
from stepping import fail


def running(base: Path) -> RoutingNode:
    node = fresh(base)
    node.good()
    return node


def grown(base: Path) -> RoutingNode:
    """Another tunnel is to come in, and the daemon's file was edited while it ran with the good one."""
    node = running(base)
    node.store(MORE)
    node.text("etc/swarm_node/routing/wan.conf", "no such word\n")
    return node


def larger(base: Path) -> RoutingNode:
    """The mesh has grown so much that regions are announced as a whole."""
    node = running(base)
    node.store(region(transit=True))
    return node


def smaller(base: Path) -> RoutingNode:
    node = larger(base)
    node.good()
    node.store(share())
    return node


CASES: dict[str, Any] = {
    "first": (fresh, {}),
    "changed": (grown, {}),
    "larger": (larger, {}),
    "smaller": (smaller, {}),
    "removal": (running, {"state": "absent"}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_step_fails(tmp_path: Path, case: str) -> None:
    make, options = CASES[case]
    clean = make(tmp_path / "clean")
    steps = steps_of(clean, **options)
    assert steps > 15
    failed = 0
    for step in range(1, steps + 1):
        node = make(tmp_path / str(step))
        was, files, record = node.live(), node.installed(), node.record()
        made = node.apply(at_step(step, fail), **options)
        if made.get("failed"):
            failed += 1
            assert not made.get("not_undone"), (case, step, made)
            assert node.live() == was, (case, step, made["msg"])
            assert node.installed() == files and node.record() == record, (case, step)
        node.good(**options)
        assert not node.good(**options)["changed"], (case, step)
        assert node.live() == clean.live() and node.installed() == clean.installed(), (case, step)
        assert node.record() == clean.record(), (case, step)
    assert failed > steps / 2


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("broken", ["start", "babeld", "nft"])
def test_a_program_that_always_fails(tmp_path: Path, case: str, broken: str) -> None:
    """Where the daemon does not start, the one that ran cannot be started again either: that is said."""
    make, options = CASES[case]
    node = make(tmp_path / "node")
    was, files, record = node.live(), node.installed(), node.record()
    node.set(broken=[broken])
    made = node.apply(**options)
    if case == "removal" and broken != "nft":
        assert not made.get("failed")
        return
    assert made["failure_kind"] == "rolled_back", made
    if case in ("changed", "larger", "smaller") and broken == "start":
        assert [item["key"] for item in made["not_undone"]] == ["routing.daemon"]
    elif broken != "nft" or case == "first":
        assert not made["not_undone"]
        assert node.live() == was and node.installed() == files and node.record() == record
    node.set(broken=[])
    node.good(**options)
    assert not node.good(**options)["changed"]
