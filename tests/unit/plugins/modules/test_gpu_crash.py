# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module killed at each of its writes: what is left, and that the next run mends it."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from gpu_node import GpuNode
from gpu_steps import each_step

ANYTHING = {"max_disruption": "reboot"}
FACTORY = (700, False, None, None, 0, 0, [1, 1])
WISH: dict[str, Any] = {
    "power_limit": 630,
    "graphics_clocks": 1980,
    "memory_clocks": 2619,
    "accounting_mode": True,
    "compute_mode": "prohibited",
    "ecc": False,
    **ANYTHING,
}
TUNED = (630, True, [345, 1980], [1593, 2619], 1, 2, [1, 0])
OTHER: dict[str, Any] = {"power_limit": 600, "graphics_clocks": 1200, "compute_mode": "default", **ANYTHING}
OTHER_VALUES = (600, True, [345, 1200], None, 0, 0, [1, 1])
GONE: dict[str, Any] = {"state": "absent", **ANYTHING}


def everything(node: GpuNode) -> tuple[Any, ...]:
    gpu = node.sim.gpu(0)
    return (*node.values(), gpu["accounting_mode"], gpu["compute_mode"], gpu["ecc"])


def tuned(node: GpuNode) -> None:
    node.apply(**WISH)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_first_run(after: bool) -> None:
    interrupted = 0
    for step, node, _answer in each_step(GpuNode, signal.SIGKILL, after, lambda node: None, WISH):
        power = everything(node)[0]
        assert power in (FACTORY[0], TUNED[0]), step
        mended = node.apply(**WISH)
        assert everything(node) == TUNED, step
        interrupted += bool(mended["interrupted"])
        assert node.apply(**WISH)["writes"] == 0, step
        node.apply(**GONE)
        assert everything(node) == FACTORY, f"step {step}: the first values are lost"
    assert interrupted >= 8


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_change_and_asked_for_the_old_again(after: bool) -> None:
    """The memory of locks must not say what was before a lock that was set and not noted."""
    for step, node, _answer in each_step(GpuNode, signal.SIGKILL, after, tuned, OTHER):
        node.apply(**WISH)
        assert everything(node) == TUNED, step
        assert node.apply(**WISH)["writes"] == 0, step


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_removal(after: bool) -> None:
    for step, node, _answer in each_step(GpuNode, signal.SIGKILL, after, tuned, GONE):
        node.apply(**GONE)
        assert everything(node) == FACTORY, step
        assert node.apply(**GONE)["writes"] == 0, step


def test_killed_at_each_write_of_a_change_and_removed() -> None:
    """What the run cut off had meant to set, and what the run before it had set, are both ours."""
    for step, node, _answer in each_step(GpuNode, signal.SIGKILL, True, tuned, OTHER):
        node.apply(**GONE)
        assert everything(node) == FACTORY and not node.record.exists(), step


def test_told_to_stop_at_each_write() -> None:
    """SIGTERM is a failure like any other: everything is undone, or everything had been done."""
    for step, node, answer in each_step(GpuNode, signal.SIGTERM, True, tuned, OTHER):
        assert answer is not None and "stopped by SIGTERM" in answer["msg"] and not answer["not_undone"], step
        assert everything(node) == TUNED, step
        assert list((node.base / "state" / "journal").glob("*")) == [], step
        node.apply(**OTHER)
        assert everything(node) == OTHER_VALUES, step
