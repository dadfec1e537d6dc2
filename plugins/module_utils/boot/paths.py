# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the boot unit has its files on a node."""

from __future__ import annotations

import os
from pathlib import Path

PROGRAM = "/usr/local/lib/swarm_node/swarm_node.pyz"
OWNERS = "/etc/swarm_node/boot.d"
"""One file per owner whose record is re-applied: <owner>.conf."""

SERVICE = "swarm-node-gpu.service"
WATCH = "swarm-node-gpu-watch.service"
TIMER = "swarm-node-gpu.timer"
UNITS = (SERVICE, WATCH, TIMER)
SYSTEMD = "/etc/systemd/system"
UDEV_RULE = "/etc/udev/rules.d/90-swarm-node-gpu.rules"

WANTED_BY = {
    SERVICE: ("multi-user.target", "nvidia-persistenced.service"),
    TIMER: ("timers.target",),
}
"""Unit → units that pull it in. A start of nvidia-persistenced takes volatile values away."""

STATUS = "gpu_boot.json"
"""In the run directory: what the last run did."""


def unit_path(unit: str) -> str:
    return f"{SYSTEMD}/{unit}"


def links(unit: str) -> list[str]:
    """The links by which a unit is enabled."""
    return [f"{SYSTEMD}/{other}.wants/{unit}" for other in WANTED_BY.get(unit, ())]


def owner_path(owner: str) -> str:
    return f"{OWNERS}/{owner}.conf"


def is_masked(root: Path, path: str) -> bool:
    """Whether a unit's file is a link to /dev/null. `root`: "/" but in tests."""
    try:
        return os.readlink(root / path.lstrip("/")) == "/dev/null"  # noqa: PTH115
    except OSError:
        return False
