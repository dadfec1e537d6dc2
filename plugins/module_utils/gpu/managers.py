# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else looks after the GPUs of this node. Reads files only."""

from __future__ import annotations

from pathlib import Path

from .processes import arguments, running

OPERATOR_PATHS = ("run/nvidia/validations", "run/nvidia/driver")
PROCESSES = {
    "nv-hostengine": "DCGM (nv-hostengine)",
    "dcgm": "DCGM",
    "mig-manager": "mig-manager",
    "nvidia-mig-mana": "mig-manager",
}
"""Process name → manager. nvidia-persistenced is none: it only holds the driver."""

DAEMON = "nvidia-persiste"
"""nvidia-persistenced, as the kernel cuts it."""


def find_manager(root: Path) -> str:
    """The manager's name, or ""."""
    if any((root / path).exists() for path in OPERATOR_PATHS):
        return "GPU Operator"
    for pid, name, _directory in running(root):
        manager = PROCESSES.get(name, "")
        if manager:
            return f"{manager}, process {pid}"
    return ""


def persistence_daemon_holds(root: Path) -> bool:
    """Whether nvidia-persistenced runs and was not told to leave the GPUs alone."""
    return any(
        name == DAEMON and "--no-persistence-mode" not in arguments(directory)
        for _pid, name, directory in running(root)
    )
