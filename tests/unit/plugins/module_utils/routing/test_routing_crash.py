# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing module stopped at each of its touches of the machine, by SIGKILL and by SIGTERM."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from module_runner import Killed
from routing_cases import region
from routing_node import RoutingNode
from routing_steps import MORE, at_step, fresh, steps_of
from stepping import kill


def installed(node: RoutingNode) -> dict[str, str]:
    """Without what a killed write has left beside its file: nobody reads it, and the next write takes it."""
    return {path: text for path, text in node.installed().items() if not Path(path).name.startswith(".")}


def grown(base: Path) -> RoutingNode:
    node = fresh(base)
    node.good()
    node.store(MORE)
    return node


def regional(base: Path) -> RoutingNode:
    """The mesh has grown so much that regions are announced as a whole."""
    node = fresh(base)
    node.good()
    node.store(region(transit=True))
    return node


@pytest.mark.parametrize("make", [fresh, grown, regional])
@pytest.mark.parametrize("ending", ["present", "absent"])
def test_killed_at_each_step(tmp_path: Path, make, ending: str) -> None:
    untouched = fresh(tmp_path / "untouched")
    clean = make(tmp_path / "clean")
    steps = steps_of(clean)
    for step in range(1, steps + 1):
        node = make(tmp_path / str(step))
        with pytest.raises(Killed):
            node.apply(at_step(step, kill(signal.SIGKILL)))
        if ending == "present":
            node.good()
            assert node.live() == clean.live() and installed(node) == installed(clean), step
            assert node.record() == clean.record() and not node.good()["changed"], step
        node.good(state="absent")
        assert node.live() == untouched.live(), step
        assert installed(node) == installed(untouched) and node.record() is None, step


def taken_in(base: Path) -> RoutingNode:
    node = regional(base)
    node.good()
    return node


@pytest.mark.parametrize("make", [grown, taken_in])
def test_killed_while_it_is_taken_away(tmp_path: Path, make) -> None:
    untouched = fresh(tmp_path / "untouched")
    steps = steps_of(make(tmp_path / "clean"), state="absent")
    for step in range(1, steps + 1):
        node = make(tmp_path / str(step))
        with pytest.raises(Killed):
            node.apply(at_step(step, kill(signal.SIGKILL)), state="absent")
        node.good(state="absent")
        assert node.live() == untouched.live(), step
        assert installed(node) == installed(untouched) and node.record() is None, step


def test_told_to_stop_at_each_step(tmp_path: Path) -> None:
    clean = grown(tmp_path / "clean")
    steps = steps_of(clean)
    stopped = 0
    for step in range(1, steps + 1):
        node = grown(tmp_path / str(step))
        was, files, record = node.live(), installed(node), node.record()
        made = node.apply(at_step(step, kill(signal.SIGTERM)))
        if made.get("failed"):
            stopped += 1
            assert node.live() == was and installed(node) == files and node.record() == record, step
        else:
            assert node.live() == clean.live(), step
        node.good()
        assert node.live() == clean.live(), step
    assert stopped > steps / 2
