# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a run of the nic module, and what makes one of them fail or the process die there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nic_node
from ansible_collections.swarm.node.plugins.module_utils.nic.sysfs import Sysfs
from nic_node import NicNode
from stepping import Steps, fail

FIRST: dict[str, Any] = {
    "eth0": {
        "channels": {"combined": 2},
        "rings": {"rx": 1024, "tx": 1024},
        "features": {"gro": False},
        "rps": "local",
        "txqueuelen": 5,
    }
}
SECOND: dict[str, Any] = {
    "eth0": {
        "rings": {"rx": 2048},
        "coalesce": {"rx-usecs": 9},
        "rss": {"equal": 2},
        "irq_affinity": "0-1",
        "qdisc": "mq+fq",
    }
}  # fmt: skip


def steps_of(node: NicNode, devices_only: bool = False, **options: Any) -> int:
    """How many touches a run takes that nothing disturbs."""
    note = node.base / "steps"
    answer = node.apply(at_step(0, fail, devices_only, note), **options)
    assert not answer.get("failed"), answer["msg"]
    return len(note.read_text())


def at_step(
    step: int, what: Callable[[str], None], devices_only: bool = False, note: Path | None = None
) -> Callable[[], None]:
    """`what` happens before the module's step-th touch of the machine (from 1). note: gets a sign for each"""

    def patch() -> None:
        steps = Steps(step, what, note=note)
        steps.watch(nic_node, "touch")
        steps.watch(Sysfs, "put")
        if not devices_only:
            steps.watch_files()

    return patch
