# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A driver that does not answer, and a GPU that did not: what the runs after it make of that."""

from __future__ import annotations

import time

from ansible_collections.swarm.node.plugins.module_utils.boot.status import LONGEST_RUN, due, read_stamp
from gpu_boot_node import BootNode

HANGS = """\
import signal, time

def nvmlInit():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

nvmlInitWithFlags = lambda flags: nvmlInit()

def __getattr__(name):
    return type(name, (Exception,), {}) if "Error" in name else 0
"""


def test_a_run_that_is_killed_is_not_repeated_every_minute() -> None:
    node = BootNode("h100:1")
    node.apply(power_limit=630)
    node.reboot()
    (node.bindings / "pynvml.py").unlink()
    (node.bindings / "pynvml.py").write_text(HANGS)
    for attempt in (1, 2):
        process = node.start()
        status = node.base / "run/gpu_boot.json"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if status.exists() and node.status()["attempts"] == attempt:
                break
            time.sleep(0.05)
        process.kill()
        out, err = process.communicate()
        found = node.status()
        assert (found["outcome"], found["attempts"]) == ("running", attempt), out + err
        stamp, began = read_stamp(node.root), found["clock"]
        assert due(found, stamp, False, began + LONGEST_RUN - 1) == ""
        assert due(found, stamp, False, began + LONGEST_RUN) == f"attempt {attempt + 1}"
    code, said = node.program("status")
    assert code == 1 and "has not come to its end" in said


def test_a_gpu_that_was_lost_during_a_run_gets_its_locks_back_at_boot() -> None:
    """The playbook's run without it must not leave its entries without a value."""
    node = BootNode("h100:2")
    wish = {"power_limit": 630, "graphics_clocks": 1980, "memory_clocks": 2619}
    node.apply(**wish)
    tuned = node.values(1)
    node.sim.lose(1)
    assert node.run(**wish)["degraded"]
    node.sim.find(1)
    node.reboot()
    assert node.values(1) != tuned
    code, said = node.program()
    assert code == 0, said
    assert node.values(0) == node.values(1) == tuned
