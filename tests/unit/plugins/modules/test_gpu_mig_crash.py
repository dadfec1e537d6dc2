# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu_mig module killed at each of its writes: what is left, and that the next run mends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core import files
from ansible_collections.swarm.node.plugins.module_utils.gpu.nvml import Nvml
from gpu_mig_node import MigNode
from gpu_node import Killed

WRITES = (
    "nvmlDeviceSet",
    "nvmlDeviceCreate",
    "nvmlGpuInstanceCreate",
    "nvmlGpuInstanceDestroy",
    "nvmlComputeInstanceDestroy",
)
HALVES: dict[str, Any] = {"mig": {"3g.40gb": {"compute": ["2c", "1c"]}, "2g.20gb": 1}}
OTHER: dict[str, Any] = {"mig": {"4g.40gb": 1, "1g.10gb": 1, "2g.20gb": 1}}
FIRST_LAYOUT = ["3g.40gb:4 (2c, 1c)", "2g.20gb:2"]
MAX_STEPS = 40
"""More writes than any run below makes."""


def stop_at(step: int, number: int, after: bool) -> Callable[[], None]:
    """Sends signal `number` to the module at its step-th write (from 1), before or after it is made."""

    def patch() -> None:
        count = [0]

        def counted(inner: Callable[..., Any]) -> Callable[..., Any]:
            def write(*arguments: Any, **options: Any) -> Any:
                count[0] += 1
                if count[0] == step and not after:
                    os.kill(os.getpid(), number)
                result = inner(*arguments, **options)
                if count[0] == step and after:
                    os.kill(os.getpid(), number)
                return result

            return write

        def watched(inner: Callable[..., Any], place: int) -> Callable[..., Any]:
            """`place`: which argument names the function."""
            noisy = counted(inner)

            def call(*arguments: Any) -> Any:
                return (noisy if arguments[place].startswith(WRITES) else inner)(*arguments)

            return call

        Nvml.call_gpu = watched(Nvml.call_gpu, 2)
        Nvml.call = watched(Nvml.call, 1)
        files.write_whole = counted(files.write_whole)
        files.remove = counted(files.remove)

    return patch


Step = tuple[int, MigNode, Optional[dict[str, Any]]]


def each_step(
    number: int, after: bool, start: Callable[[MigNode], None], wish: dict[str, Any]
) -> Iterator[Step]:
    """Yields (step, node, answer or None) for every write of a run, until a run makes no more."""
    for step in range(1, MAX_STEPS):
        node = MigNode("h100:1")
        start(node)
        try:
            answer = node.run(before=stop_at(step, number, after), **wish)
        except Killed as death:
            assert death.args == (number,)
            yield step, node, None
            continue
        if not answer.get("failed"):
            assert step > 8, "the run was to be stopped"
            return
        yield step, node, answer
    pytest.fail(f"still writing at step {MAX_STEPS}")


def parted(node: MigNode) -> None:
    """As somebody else had made it before this collection came."""
    node.apply(owner="somebody", mig=["3g.40gb:4 (2c, 1c)", "2g.20gb:2"])
    (node.base / "state/somebody.json").unlink()
    assert sorted(node.layout()) == sorted(FIRST_LAYOUT)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_first_run(after: bool) -> None:
    interrupted = 0
    for step, node, _answer in each_step(signal.SIGKILL, after, lambda node: None, HALVES):
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
    for step, node, _answer in each_step(signal.SIGKILL, after, lambda node: None, HALVES):
        node.apply(state="absent")
        assert node.mode() == (0, 0) and not node.claims(), step


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_change_and_asked_for_the_old_again(after: bool) -> None:
    for step, node, _answer in each_step(
        signal.SIGKILL, after, lambda node: node.apply(**HALVES) and None, OTHER
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

    for step, node, _answer in each_step(signal.SIGKILL, after, start, OTHER):
        node.apply(state="absent")
        assert sorted(node.layout()) == sorted(FIRST_LAYOUT) and not node.claims(), step


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_removal(after: bool) -> None:
    gone = {"state": "absent"}

    def start(node: MigNode) -> None:
        parted(node)
        node.apply(**OTHER)

    for step, node, _answer in each_step(signal.SIGKILL, after, start, gone):
        node.apply(**gone)
        assert sorted(node.layout()) == sorted(FIRST_LAYOUT), step
        assert node.apply(**gone)["writes"] == 0, step


def test_told_to_stop_at_each_write() -> None:
    """SIGTERM is a failure like any other: everything is undone."""
    for step, node, answer in each_step(signal.SIGTERM, True, parted, OTHER):
        assert answer is not None and "stopped by SIGTERM" in answer["msg"] and not answer["not_undone"], step
        assert sorted(node.layout()) == sorted(FIRST_LAYOUT) and node.mode() == (1, 1), step
        assert list((node.base / "state" / "journal").glob("*")) == [], step
        node.apply(**OTHER)
        assert len(node.layout()) == 3, step
