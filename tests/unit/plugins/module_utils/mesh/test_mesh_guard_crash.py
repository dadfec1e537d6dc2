# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arming, confirming and undoing, killed at each step: a change is armed as a whole, or it is not armed.

The process under test is a fork. The guard is started by systemd, so it outlives that process: here a file
says that it runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core import files
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.marking import is_untouched
from ansible_collections.swarm.node.plugins.module_utils.mesh import watch
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import GUARD, PROGRAM
from ansible_collections.swarm.node.plugins.module_utils.mesh.undoing import revert as undo_now
from ansible_collections.swarm.node.plugins.module_utils.mesh.units import link_path, unit_path
from guard_node import Node, share, use_small_layer
from stepping import Steps, kill

OLD, NEW = {"wan": share(number=1)}, {"wan": share(number=2)}
MAX_STEPS = 60


class Systemd:
    """`systemctl` for the guard, of which only a file remembers that it runs."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.mark = node.base / "active"

    @property
    def active(self) -> bool:
        return self.mark.exists()

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60) -> Done:
        if argv[0] != "systemctl":
            return Done(127, "", "")
        if argv[1] == "is-active":
            return Done(0 if self.active else 3, "", "")
        if argv[1] == "start":
            self._start()
        elif argv[1] == "stop":
            self.mark.unlink(missing_ok=True)
        return Done(0, "", "")

    def _start(self) -> None:
        """The guard takes over in a process of its own."""
        pid = os.fork()
        if pid == 0:
            assert (self.node.root / unit_path(GUARD).lstrip("/")).is_file()
            if self.node.guard().take():
                self.mark.touch()
            os._exit(0)
        os.waitpid(pid, 0)


def killed(node: Node, action: Callable[[], Any], step: int, after: bool) -> bool:
    """Whether the fork was killed at its step-th write, link, or start and stop of the unit."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            steps = Steps(step, kill(signal.SIGKILL), after)
            steps.watch(files, "write_whole", "remove")
            steps.watch(Path, "symlink_to")
            systemd = node.systemd
            changes = steps.watched(systemd)
            node.systemd = lambda argv, *more, **options: (
                changes if argv[1] in ("start", "stop") else systemd
            )(argv, *more, **options)
            action()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Node]:
    use_small_layer(monkeypatch)

    def new(name: str) -> Node:
        node = Node(tmp_path / name)
        node.systemd = Systemd(node)
        node.apply(OLD, seconds=0)
        return node

    return new


def whole(node: Node) -> bool:
    """Whether something is armed; then all that the undo takes is there, and otherwise no guard runs."""
    armed = node.guard().armed()
    if armed is None:
        return False
    assert armed.token == "t1" and armed.snapshot
    text = (node.root / PROGRAM.lstrip("/")).read_bytes().decode("utf-8", "surrogateescape")
    assert is_untouched(text), "the whole program"
    assert (node.root / unit_path(GUARD).lstrip("/")).is_file()
    assert (node.root / link_path(GUARD).lstrip("/")).is_symlink()
    assert node.systemd.active
    return True


def deadline(node: Node) -> None:
    """What the guard that runs does at the deadline."""
    work = watch.Watch(node.guard(), sleep=lambda seconds: pytest.fail("it waits"))
    work._left = lambda armed: 0.0
    assert work.run() == 0
    (node.base / "active").unlink(missing_ok=True)


def confirm(node: Node) -> bool:
    return node.guard().confirm("t1")


def revert(node: Node) -> None:
    undo_now(node.guard(), "test")


@pytest.mark.parametrize("after", [False, True])
def test_killed_while_it_is_armed_and_made(make: Callable[[str], Node], after: bool) -> None:
    seen = set()
    for step in range(1, MAX_STEPS):
        node = make(f"{step}")
        dead = killed(node, partial(node.apply, NEW), step, after)
        armed = whole(node)
        seen.add((armed, node.live()["wan"]))
        if armed:
            deadline(node)
            assert node.residue() == [], step
        else:
            assert node.live() == {"wan": 1}, "nothing is changed before it is armed"
            assert not node.systemd.active
        assert node.live() == {"wan": 1}, step
        node.apply(NEW, token="t2")
        assert node.guard().confirm("t2") and node.live() == {"wan": 2} and node.residue() == [], step
        if not dead:
            assert seen == {(False, 1), (True, 1), (True, 2)} and step > 8
            return
    pytest.fail("still writing")


@pytest.mark.parametrize("after", [False, True])
def test_killed_while_it_is_confirmed(make: Callable[[str], Node], after: bool) -> None:
    seen = set()
    for step in range(1, MAX_STEPS):
        node = make(f"{step}")
        node.apply(NEW)
        dead = killed(node, partial(confirm, node), step, after)
        armed = node.guard().armed() is not None
        seen.add(armed)
        if armed:
            whole(node)
        assert node.live() == {"wan": 2}
        node.guard().confirm("t1")
        assert node.residue() == [] and node.live() == {"wan": 2} and not node.systemd.active, step
        if not dead:
            assert seen == ({False} if after else {True, False}) and step > 3
            return
    pytest.fail("still writing")


@pytest.mark.parametrize("after", [False, True])
def test_killed_while_it_is_undone(make: Callable[[str], Node], after: bool) -> None:
    seen = set()
    for step in range(1, MAX_STEPS):
        node = make(f"{step}")
        node.apply(NEW)
        dead = killed(node, partial(revert, node), step, after)
        armed = node.guard().armed() is not None
        seen.add((armed, node.live()["wan"]))
        if armed:
            whole(node)
        deadline(node)  # A guard that runs ends by itself where nothing is armed any more.
        assert node.live() == {"wan": 1}, step
        undo_now(node.guard(), "again")
        assert node.residue() == [] and not node.systemd.active, step
        assert node.guard().notes(), "what was undone is said"
        if not dead:
            assert seen == {(True, 2), (True, 1), (False, 1)} and step > 5
            return
    pytest.fail("still writing")


@pytest.mark.parametrize("after", [False, True])
def test_killed_while_a_second_change_of_the_run_is_made(make: Callable[[str], Node], after: bool) -> None:
    for step in range(1, MAX_STEPS):
        node = make(f"{step}")
        node.apply(NEW)
        dead = killed(node, partial(node.apply, {"wan": share(number=3)}), step, after)
        assert whole(node), step
        deadline(node)
        assert node.live() == {"wan": 1} and node.residue() == [], step
        if not dead:
            assert step > 3
            return
    pytest.fail("still writing")
