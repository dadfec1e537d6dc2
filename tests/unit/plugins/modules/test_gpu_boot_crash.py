# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that were cut off: the playbook's before a boot, and the boot's own at each of its writes."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from gpu_boot_node import BootNode
from gpu_steps import stop_at
from module_runner import Killed

FACTORY = (700, False, None, None)
WISH: dict[str, Any] = {"power_limit": 630, "graphics_clocks": 1980, "memory_clocks": 2619}
TUNED = (630, True, [345, 1980], [1593, 2619])
OTHER: dict[str, Any] = {"power_limit": 500, "graphics_clocks": 1200, "memory_clocks": 2619}
OTHER_VALUES = (500, True, [345, 1200], [1593, 2619])


def cut_off(node: BootNode, wish: dict[str, Any], step: int) -> bool:
    try:
        node.run(before=stop_at(step, signal.SIGKILL, True), **wish)
    except Killed:
        return True
    return False


def test_a_playbook_run_cut_off_at_each_write_before_the_boot() -> None:
    """What the last whole run set comes back; the journal stays for the playbook, which says so."""
    journals = 0
    for step in range(1, 40):
        node = BootNode("h100:1")
        node.apply(**WISH)
        if not cut_off(node, OTHER, step):
            assert journals >= 4
            return
        node.reboot()
        before = node.kept()
        code, said = node.program()
        assert code == 0 and node.kept() == before, step
        unfinished = "journal/gpu.json" in before
        journals += unfinished
        assert node.values() == (TUNED if unfinished else OTHER_VALUES), step
        assert ("was cut off" in said) == unfinished
        done = node.apply(**OTHER)
        assert bool(done["interrupted"]) == unfinished and node.values() == OTHER_VALUES
        node.apply(state="absent")
        assert node.values() == FACTORY, f"step {step}: the first values are lost"
    pytest.fail("still writing")


def test_a_first_run_cut_off_leaves_the_gpus_to_the_playbook() -> None:
    for step in (2, 4, 6):
        node = BootNode("h100:1")
        assert cut_off(node, WISH, step)
        node.reboot()
        before = node.kept()
        assert node.program()[0] == 0 and node.values() == FACTORY and node.kept() == before, step
        assert node.apply(**WISH)["interrupted"] and node.values() == TUNED


KILLER = """\
import os, signal
from swarm_node.core import files
from swarm_node.gpu.nvml import Nvml
count = [0]
def counted(inner):
    def write(*arguments, **options):
        count[0] += 1
        if count[0] == {step}:
            os.kill(os.getpid(), signal.{name})
        return inner(*arguments, **options)
    return write
ask = Nvml.call_gpu
sets = counted(ask)
Nvml.call_gpu = lambda self, uuid, function, *a: (
    sets if function.startswith(("nvmlDeviceSet", "nvmlDeviceReset")) else ask)(self, uuid, function, *a)
files.write_whole = counted(files.write_whole)
files.remove = counted(files.remove)
"""


def rigged(node: BootNode, step: int, name: str) -> int:
    """The return code of a run that gets a signal at its step-th write."""
    import zipfile

    whole = node.pyz.read_bytes()
    with zipfile.ZipFile(node.pyz) as archive:
        main = archive.read("__main__.py").decode()
    place = node.base / f"rigged{step}.pyz"
    with zipfile.ZipFile(node.pyz) as archive, zipfile.ZipFile(place, "w") as copy:
        for entry in archive.infolist():
            if entry.filename != "__main__.py":
                copy.writestr(entry, archive.read(entry))
        copy.writestr("__main__.py", KILLER.format(step=step, name=name) + main)
    node.pyz.write_bytes(place.read_bytes())
    try:
        process = node.start()
        _out, err = process.communicate(timeout=60)
        assert "Traceback" not in err, err
    finally:
        node.pyz.write_bytes(whole)
    return process.returncode


def test_killed_at_each_write() -> None:
    for step in range(1, 40):
        node = BootNode("h100:1")
        node.apply(**WISH)
        record = node.record.read_bytes()
        node.reboot()
        if rigged(node, step, "SIGKILL") == 0:
            assert step > 8
            return
        assert node.record.read_bytes() == record, step
        assert node.program()[0] == 0 and node.values() == TUNED, step
        assert node.record.read_bytes() == record and "journal/boot/gpu.json" not in node.kept(), step
        assert not node.apply(**WISH)["interrupted"], "the boot's journal is none of the playbook's"
    pytest.fail("still writing")


def test_told_to_stop_at_each_write() -> None:
    """What was under way is undone, and the next run does all of it."""
    for step in range(1, 40):
        node = BootNode("h100:2")
        node.apply(**WISH)
        record = node.record.read_bytes()
        node.reboot()
        code = rigged(node, step, "SIGTERM")
        if code == 0:
            assert step > 8
            return
        assert code == 1 and node.record.read_bytes() == record, step
        assert node.values(0) in (FACTORY, TUNED) and node.values(1) == node.values(0), step
        assert "journal/boot/gpu.json" not in node.kept(), step
        assert node.program()[0] == 0 and node.values(0) == node.values(1) == TUNED, step
    pytest.fail("still writing")
