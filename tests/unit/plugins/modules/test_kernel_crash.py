# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel module stopped at each of its writes, by SIGKILL and by SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.kernel.port import KernelPort
from kernel_node import KernelNode
from module_runner import Killed
from stepping import Steps, kill

FIRST: dict[str, Any] = {"sysctl": {"vm.swappiness": 10, "vm.dirty_bytes": 1048576}, "thp": "never"}
SECOND: dict[str, Any] = {"sysctl": {"vm.swappiness": 1, "vm.dirty_ratio": 10, "net.core.rmem_max": 1000000}}
MAX_STEPS = 150
"""More steps than any run below takes."""


def stop_at(step: int, number: int) -> Callable[[], None]:
    """Sends signal `number` to the module before its step-th touch of the machine (from 1)."""

    def patch() -> None:
        steps = Steps(step, kill(number))
        steps.watch(KernelPort, "_put")
        steps.watch_files()

    return patch


def whole(node: KernelNode, allowed: list[dict[str, bytes]]) -> None:
    """Each file of the tree is as in one of the `allowed` trees; none is left half."""
    for name, content in node.tree().items():
        if "/." in name:
            continue  # A temporary file, which no reader of .conf files looks at.
        assert content in [tree.get(name) for tree in allowed], name
    for tree in allowed:
        for name in tree:
            if "proc/" in name or "sys/kernel" in name:
                assert (node.root / name).exists()


def trees(base: Path, *wishes: dict[str, Any]) -> list[dict[str, bytes]]:
    """The node's trees at first and after each of the wishes, undisturbed."""
    node = KernelNode(base)
    found = [node.tree()]
    for wish in wishes:
        node.apply(**wish)
        found.append(node.tree())
    return found


@pytest.mark.parametrize("ending", ["present", "absent"])
def test_killed_at_each_step(tmp_path, ending):
    """`present`: the same run again, then removal. `absent`: removal at once."""
    clean = trees(tmp_path / "clean", FIRST, SECOND)
    for step in range(1, MAX_STEPS):
        node = KernelNode(tmp_path / str(step))
        node.apply(**FIRST)
        try:
            node.run(before=stop_at(step, signal.SIGKILL), **SECOND)
            break
        except Killed as killed:
            assert killed.args[0] == signal.SIGKILL
        # On the way from one of the pair to the other, the kernel itself is at 0 and 0 for no moment.
        whole(node, clean)
        begun = "journal/t.json" in node.kept()
        if ending == "present":
            result = node.apply(**SECOND)
            assert bool(result["interrupted"]) is begun
            assert node.tree() == clean[2], step
            again = node.apply(**SECOND)
            assert (again["changed"], again["writes"], again["interrupted"]) == (False, 0, None)
        node.apply(state="absent")
        left = {name: text for name, text in node.tree().items() if "/." not in name}
        assert left == clean[0], step
        assert node.claims() == {}
    else:
        pytest.fail("the run never came to its end")
    assert step > 15


def test_killed_at_each_step_of_the_first_run(tmp_path):
    clean = trees(tmp_path / "clean", FIRST)
    for step in range(1, MAX_STEPS):
        node = KernelNode(tmp_path / str(step))
        try:
            node.run(before=stop_at(step, signal.SIGKILL), **FIRST)
            break
        except Killed:
            whole(node, clean)
        node.apply(**FIRST)
        assert node.tree() == clean[1], step
        node.apply(state="absent")
        assert node.tree() == clean[0], step
    else:
        pytest.fail("the run never came to its end")
    assert step > 15


def test_told_to_stop_at_each_step(tmp_path):
    clean = trees(tmp_path / "clean", FIRST, SECOND)
    kept = None
    for step in range(1, MAX_STEPS):
        node = KernelNode(tmp_path / str(step))
        node.apply(**FIRST)
        kept = node.kept()
        result = node.run(before=stop_at(step, signal.SIGTERM), **SECOND)
        if not result.get("failed"):
            break
        assert "stopped by SIGTERM" in result["msg"]
        assert result["not_undone"] == []
        assert node.tree() == clean[1], step
        assert node.kept() == kept, step
    else:
        pytest.fail("the run never came to its end")
    assert node.tree() == clean[2]
    assert step > 15
