# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nic module stopped at each of its touches of the machine, by SIGKILL and by SIGTERM."""

from __future__ import annotations

import signal

import pytest
from module_runner import Killed
from nic_node import NicNode
from nic_steps import FIRST, SECOND, at_step, steps_of
from stepping import kill


def settings_of(live):
    """Setting → value: what a crash must leave old or new, one by one."""
    found: dict[tuple[str, ...], object] = {}
    for name, body in live.items():
        for group in ("rings", "channels"):
            found.update({(name, group, key): value for key, value in body[group]["now"].items()})
        for group in ("coalesce", "features"):
            found.update({(name, group, key): value for key, value in body[group].items()})
        found[(name, "qdisc")] = tuple(body["qdisc"])
        found.update({(name, key): value for key, value in body["files"].items() if "queues" not in key})
    return found


def each_old_or_new(now, old, new):
    for key, value in now.items():
        allowed = [side[key] for side in (old, new)]
        if key[-1] == "qdisc":
            allowed += [("mq", True, "fq_codel")]  # Between the root and what is put below it.
        assert value in allowed, (key, value, allowed)


@pytest.mark.parametrize("ending", ["present", "absent"])
def test_killed_at_each_step(tmp_path, ending):
    clean = NicNode(tmp_path / "clean")
    untouched = clean.live()
    clean.apply(interfaces=FIRST)
    old = settings_of(clean.live())
    steps = steps_of(clean, interfaces=SECOND)
    new, record, files = clean.live(), clean.record(), clean.installed()
    assert steps > 20
    for step in range(1, steps + 1):
        node = NicNode(tmp_path / str(step))
        node.apply(interfaces=FIRST)
        with pytest.raises(Killed):
            node.apply(at_step(step, kill(signal.SIGKILL)), interfaces=SECOND)
        each_old_or_new(settings_of(node.live()), old, settings_of(new))
        if ending == "present":
            made = node.apply(interfaces=SECOND)
            assert not made.get("failed"), (step, made.get("msg"))
            assert node.live() == new and node.record() == record and node.installed() == files, step
            assert not node.apply(interfaces=SECOND)["changed"], step
        node.apply(state="absent")
        assert node.live() == untouched, step
        assert node.record() is None and node.installed() == [], step


def test_a_boot_after_a_kill_brings_back_what_held_before(tmp_path):
    """Nobody has seen the new values hold; what the run that came to its end had set comes back."""
    clean = NicNode(tmp_path / "clean")
    clean.apply(interfaces=FIRST)
    old = clean.live()
    steps = steps_of(clean, interfaces=SECOND)
    new = clean.live()
    for step in range(1, steps + 1, 3):
        node = NicNode(tmp_path / str(step))
        node.apply(interfaces=FIRST)
        with pytest.raises(Killed):
            node.apply(at_step(step, kill(signal.SIGKILL)), interfaces=SECOND)
        unfinished = (node.base / "state/journal/nic.json").exists()
        node.reboot()
        done = node.boot()
        assert all(item.good for item in done), (step, [item.failed for item in done])
        live, kept = settings_of(node.live()), settings_of(old)
        shared = [key for key in kept if kept[key] == settings_of(new)[key] or key[1:] == ("rings", "rx")]
        if unfinished:
            assert {key: live[key] for key in shared} == {key: kept[key] for key in shared}, step
        else:
            assert live in (kept, settings_of(new)), step
        assert not node.apply(interfaces=SECOND).get("failed"), step
        assert node.live() == new, step


def test_told_to_stop_at_each_step(tmp_path):
    clean = NicNode(tmp_path / "clean")
    clean.apply(interfaces=FIRST)
    steps = steps_of(clean, interfaces=SECOND)
    stopped = 0
    for step in range(1, steps + 1):
        node = NicNode(tmp_path / str(step))
        node.apply(interfaces=FIRST)
        was, record = node.live(), node.record()
        made = node.apply(at_step(step, kill(signal.SIGTERM)), interfaces=SECOND)
        if made.get("failed"):
            stopped += 1
            assert node.live() == was and node.record() == record, (step, made["msg"])
        else:
            assert node.live() == clean.live(), step
        assert not node.apply(interfaces=SECOND).get("failed")
    assert stopped > steps / 2


def test_killed_while_armed_at_each_step(tmp_path):
    """Nothing of it is made without a guard, and the guard puts back whatever was."""
    clean = NicNode(tmp_path / "clean")
    clean.apply(interfaces=FIRST)
    steps = steps_of(clean, interfaces=SECOND, confirm_seconds=600)
    clean.layer().guard.lift()
    armed = 0
    for step in range(1, steps + 1):
        node = NicNode(tmp_path / str(step))
        node.apply(interfaces=FIRST)
        was, record, files = node.live(), node.record(), node.installed()
        with pytest.raises(Killed):
            node.apply(at_step(step, kill(signal.SIGKILL)), interfaces=SECOND, confirm_seconds=600)
        # A guard that was started just then takes over what was put down for it.
        node.wait(lambda node=node: node.armed() or not node.layer().guard.process.is_running())
        if not node.armed():
            assert node.live() == was, step
            continue
        armed += 1
        undone = node.apply(state="reverted")
        assert not undone.get("failed"), (step, undone.get("msg"))
        assert node.live() == was and node.record() == record and node.installed() == files, step
        assert not node.apply(interfaces=FIRST)["changed"], step
    assert armed > steps / 3
