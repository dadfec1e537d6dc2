# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu_mig module killed at each of its writes: what is left, and that the next run mends it."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from gpu_mig_node import MigNode
from gpu_steps import each_step

HALVES: dict[str, Any] = {"mig": {"3g.40gb": {"compute": ["2c", "1c"]}, "2g.20gb": 1}}
OTHER: dict[str, Any] = {"mig": {"4g.40gb": 1, "1g.10gb": 1, "2g.20gb": 1}}
FIRST_LAYOUT = ["3g.40gb:4 (2c, 1c)", "2g.20gb:2"]


def parted(node: MigNode) -> None:
    """As somebody else had made it before this collection came."""
    node.apply(owner="somebody", mig=["3g.40gb:4 (2c, 1c)", "2g.20gb:2"])
    (node.base / "state/somebody.json").unlink()
    assert sorted(node.layout()) == sorted(FIRST_LAYOUT)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_first_run(after: bool) -> None:
    interrupted = 0
    for step, node, _answer in each_step(MigNode, signal.SIGKILL, after, lambda node: None, HALVES):
        mended = node.apply(**HALVES)
        assert sorted(node.layout()) == ["2g.20gb:2", "3g.40gb:4 (2c, 1c)"], step
        interrupted += bool(mended["interrupted"])
        assert node.apply(**HALVES)["writes"] == 0, step
        node.apply(state="absent")
        assert node.mode() == (0, 0) and not node.claims(), f"step {step}: the first values are lost"
    assert interrupted >= 8


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_first_run_and_removed(after: bool) -> None:
    """Half-made instances are ours, too."""
    for step, node, _answer in each_step(MigNode, signal.SIGKILL, after, lambda node: None, HALVES):
        node.apply(state="absent")
        assert node.mode() == (0, 0) and not node.claims(), step


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_change_and_asked_for_the_old_again(after: bool) -> None:
    for step, node, _answer in each_step(
        MigNode, signal.SIGKILL, after, lambda node: node.apply(**HALVES) and None, OTHER
    ):
        node.apply(**HALVES)
        halves = sorted(text.replace(":0", "").replace(":4", "").replace(":2", "") for text in node.layout())
        assert halves == ["2g.20gb", "3g.40gb (2c, 1c)"], step
        assert node.apply(**HALVES)["writes"] == 0, step


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_change_and_removed(after: bool) -> None:
    """What was there first comes back, whatever there is of the two layouts made since."""

    def start(node: MigNode) -> None:
        parted(node)
        node.apply(mig="all-1g.10gb")

    for step, node, _answer in each_step(MigNode, signal.SIGKILL, after, start, OTHER):
        node.apply(state="absent")
        assert sorted(node.layout()) == sorted(FIRST_LAYOUT) and not node.claims(), step


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_removal(after: bool) -> None:
    gone = {"state": "absent"}

    def start(node: MigNode) -> None:
        parted(node)
        node.apply(**OTHER)

    for step, node, _answer in each_step(MigNode, signal.SIGKILL, after, start, gone):
        node.apply(**gone)
        assert sorted(node.layout()) == sorted(FIRST_LAYOUT), step
        assert node.apply(**gone)["writes"] == 0, step


def test_told_to_stop_at_each_write() -> None:
    """SIGTERM is a failure like any other: everything is undone."""
    for step, node, answer in each_step(MigNode, signal.SIGTERM, True, parted, OTHER):
        assert answer is not None and "stopped by SIGTERM" in answer["msg"] and not answer["not_undone"], step
        assert sorted(node.layout()) == sorted(FIRST_LAYOUT) and node.mode() == (1, 1), step
        assert list((node.base / "state" / "journal").glob("*")) == [], step
        node.apply(**OTHER)
        assert len(node.layout()) == 3, step
