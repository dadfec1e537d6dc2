# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard at its deadline: in real time, but short; after reboots, and with a clock that is wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.armed import TooLate
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import Clock, read_clock
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    BindError,
    NodeError,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh import watch
from ansible_collections.swarm.node.plugins.module_utils.mesh.undoing import revert as undo_now
from guard_node import Layer, Node, share, use_small_layer

OLD, NEW = {"wan": share(number=1)}, {"wan": share(number=2)}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    use_small_layer(monkeypatch)
    found = Node(tmp_path)
    found.apply(OLD, seconds=0)
    assert found.residue() == [] and found.live() == {"wan": 1}
    return found


def within(seconds: float, question: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.01)
    return question()


# -- the deadline, in real time


def test_nobody_confirms(node: Node) -> None:
    began = time.monotonic()
    node.apply(NEW, seconds=1)
    assert node.live() == {"wan": 2}
    assert within(5, lambda: not node.systemd.active)
    assert 1.0 <= time.monotonic() - began < 3
    assert node.systemd.code == 0 and node.live() == {"wan": 1} and node.residue() == []
    assert Layer.asked[-1].undoing, "what came to the node meanwhile does not keep it"
    reverted = node.guard().reverted()
    assert reverted and reverted.token == "t1" and "nobody confirmed" in reverted.why
    assert reverted.undone == (f"file ({'/etc/swarm_node/mesh/wan/share.json'})",)
    with pytest.raises(TooLate):
        node.guard().confirm("t1")


def test_a_run_that_holds_the_node_at_the_deadline(node: Node) -> None:
    """The undo waits for it, and does not happen where that run extended the deadline or confirmed."""
    node.apply(NEW, seconds=1)
    with node.store().lock():
        time.sleep(1.4)
        assert node.live() == {"wan": 2} and node.systemd.active
    assert within(5, lambda: not node.systemd.active) and node.live() == {"wan": 1}


def test_extended_while_the_undo_waits(node: Node) -> None:
    node.apply(NEW, seconds=1)
    with node.store().lock():
        time.sleep(1.4)
        armed = node.guard().armed()
        assert armed
        node.armed_file.write_text(replace(armed, length=100.0).to_text())
    time.sleep(0.3)
    assert node.live() == {"wan": 2} and node.systemd.active
    assert node.guard().confirm("t1") and node.live() == {"wan": 2}


def test_confirmed_while_the_undo_waits(node: Node) -> None:
    node.apply(NEW, seconds=1)
    with node.store().lock():
        time.sleep(1.4)
        node.armed_file.unlink()
    assert within(5, lambda: not node.systemd.active)
    assert node.systemd.code == 0 and node.live() == {"wan": 2} and node.guard().notes() == []


def test_an_undo_that_fails_is_tried_again(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.apply(NEW, seconds=1)
    Layer.fault = NodeError("wg: not now")
    assert within(5, lambda: "tried again" in capsys.readouterr().out)
    Layer.fault = None
    assert within(5, lambda: not node.systemd.active)
    assert node.systemd.code == 0 and node.live() == {"wan": 1} and node.residue() == []


def test_an_undo_that_fails_is_never_given_up(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """It is tried for ever, and the journal says so once as long as nothing else is wrong."""
    node.apply(NEW, seconds=1)
    Layer.fault, Layer.asked = NodeError("wg: never"), []
    assert within(10, lambda: len(Layer.asked) > 20), "more often than there are pauses"
    said = capsys.readouterr().out
    assert said.count("the undo failed") == 1 and "for ever" in said and "action: revert" in said
    assert node.systemd.active and node.guard().armed() and node.live() == {"wan": 2}
    with pytest.raises(BindError):
        node.apply({"wan": share(number=3)}, token="t2")
    Layer.fault = NodeError("ip: another reason")
    assert within(5, lambda: "another reason" in capsys.readouterr().out)
    node.systemd.stop()  # a reboot
    assert node.guard().armed()
    node.systemd.boot()
    assert within(5, lambda: "the undo failed" in capsys.readouterr().out), "it goes on after a boot"
    Layer.fault = None
    assert within(5, lambda: not node.systemd.active)
    assert node.systemd.code == 0 and node.live() == {"wan": 1} and node.residue() == []


def test_a_file_that_cannot_be_read_for_a_while_ends_no_guard(node: Node) -> None:
    node.apply(NEW, seconds=1)
    text = node.armed_file.read_text()
    node.armed_file.write_text("{")
    time.sleep(1.2)
    assert node.systemd.active
    node.armed_file.write_text(text)
    assert within(5, lambda: not node.systemd.active)
    assert node.live() == {"wan": 1} and node.residue() == []


def test_the_same_failure_is_said_again_after_an_hour(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = replace(read_clock(), boottime=1000.0)
    monkeypatch.setattr(node, "now", clock)
    pauses: list[float] = []
    work = watch.Watch(node.guard(), pauses.append)
    for passed in (0.0, 10.0, 3599.0, 3601.0, 3700.0):
        node.now = replace(clock, boottime=1000.0 + passed)
        work.guard.clock = lambda: node.now or clock
        work._failed(NodeError("wg: never"))
    said = capsys.readouterr().out
    assert said.count("wg: never") == 2 and "failed 4 times" in said
    assert pauses == list(watch.PAUSES[:5])
    for _more in range(10):
        work._failed(NodeError("wg: never"))
    assert pauses[-5:] == [watch.PAUSES[-1]] * 5 and 180 <= watch.PAUSES[-1] <= 600


def test_the_undo_of_a_run_that_was_cut_off(node: Node) -> None:
    """Its journal is still there; the undo goes by what is live."""
    node.apply(NEW)
    journal = node.base / "state/journal/mesh.json"
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_text(json.dumps({"started": "then", "changes": []}))
    undo_now(node.guard(), "test")
    assert node.live() == {"wan": 1} and not journal.exists()


# -- reboots


def test_a_reboot_before_the_deadline(node: Node) -> None:
    now = time.time()
    node.now = Clock(now, 5000.0, "first")
    node.apply(NEW)
    node.systemd.stop()
    (node.base / "run/mesh-guard.json").unlink()
    node.now = Clock(now + 50, 9.0, "second")
    node.systemd.boot()
    time.sleep(0.1)
    assert node.systemd.active and node.live() == {"wan": 2}, "the deadline still holds"
    node.now = Clock(now + 121, 80.0, "second")
    assert within(5, lambda: not node.systemd.active)
    assert node.live() == {"wan": 1} and node.residue() == []


def test_a_reboot_with_a_wrong_clock(node: Node) -> None:
    node.now = Clock(time.time(), 5000.0, "first")
    node.apply(NEW)
    armed = node.guard().armed()
    assert armed
    node.systemd.stop()
    (node.base / "run/mesh-guard.json").unlink()
    node.now = Clock(100.0, 10.0, "second")
    node.systemd.boot()
    node.now = Clock(100.0 + armed.length - 1, 10.0 + armed.length - 1, "second")
    time.sleep(0.1)
    assert node.systemd.active
    # A guard that is started again in the same boot does not begin to count anew.
    node.systemd.stop()
    node.systemd.boot()
    node.now = Clock(101.0 + armed.length, 11.0 + armed.length, "second")
    assert within(5, lambda: not node.systemd.active) and node.live() == {"wan": 1}


def test_a_boot_with_nothing_armed(node: Node) -> None:
    node.systemd.boot()
    assert not node.systemd.active


def test_stopped_by_a_shutdown(node: Node) -> None:
    node.apply(NEW, seconds=1)
    node.systemd.stop()
    assert node.guard().armed() and node.live() == {"wan": 2}
    node.systemd.boot()
    assert within(5, lambda: not node.systemd.active) and node.live() == {"wan": 1}


def test_a_revert_waits_for_a_run_that_is_about_to_arm(node: Node) -> None:
    """The connection is lost, the module goes on: the controller's revert comes before it has armed."""
    node.apply(NEW)
    text = node.armed_file.read_text()
    node.systemd.stop()
    node.armed_file.unlink()
    with node.store().lock():
        thread = threading.Thread(target=undo_now, args=(node.guard(), "out of reach", "t1"))
        thread.start()
        time.sleep(0.3)
        node.armed_file.write_text(text)
    thread.join(20)
    assert node.live() == {"wan": 1} and node.residue() == []
    with pytest.raises(BindError):
        node.apply(NEW, token="t3")
        undo_now(node.guard(), "somebody else's", "t1")
    assert node.live() == {"wan": 2} and node.guard().armed()


def test_two_that_undo_at_once(node: Node) -> None:
    """The guard's deadline passes while an operator reverts: it is undone once."""
    node.apply(NEW, seconds=1)
    threads = [threading.Thread(target=undo_now, args=(node.guard(), f"operator {n}")) for n in range(3)]
    time.sleep(0.9)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert within(5, lambda: not node.systemd.active)
    assert node.live() == {"wan": 1} and node.residue() == []
    logged = list((node.base / "state/changes").glob("*.json"))
    assert len(logged) == 3, "made, changed, undone"


def test_an_undo_that_fails_in_a_way_nobody_thought_of(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    """The guard lives on: nobody else undoes the change."""
    node.apply(NEW, seconds=1)
    Layer.fault = KeyError("a bug")
    assert within(5, lambda: "tried again" in capsys.readouterr().out)
    Layer.fault = None
    assert within(5, lambda: not node.systemd.active)
    assert node.systemd.code == 0 and node.live() == {"wan": 1} and node.residue() == []


def test_an_undo_that_cannot_even_be_planned(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.apply(NEW, seconds=1)
    usual = Layer.plan

    def plan(*_arguments: object) -> object:
        raise TypeError("a bug")

    monkeypatch.setattr(Layer, "plan", plan)
    assert within(5, lambda: "tried again" in capsys.readouterr().out)
    monkeypatch.setattr(Layer, "plan", usual)
    assert within(5, lambda: not node.systemd.active)
    assert node.systemd.code == 0 and node.live() == {"wan": 1}
