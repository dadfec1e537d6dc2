# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that a daemon-reload of systemd would take their GPUs from. Reads only.

Where the runtime's old hook gave a container its GPUs, systemd does not know of them: a reload sets the
device rules of the container's scope anew, without them (NVIDIA/nvidia-container-toolkit#48). With CDI, or
with the devices named to the runtime, they stand in the scope's DeviceAllow and stay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

_SCOPE = re.compile(r"/((?:docker|cri-containerd|containerd|crio|libpod|nerdctl)-[^/\n]+\.scope)")
_DEVICE = re.compile(r"/dev/nvidia(?:[0-9]|ctl|-uvm)")
_KNOWN = re.compile(r"nvidia|/dev/char/195:")
"""195 is the major number of /dev/nvidia* in every driver."""


def without_gpus_after_reload(root: Path, allowed_devices: Callable[[str], str]) -> tuple[str, ...]:
    """Names of the scopes that use a GPU systemd does not know of.

    allowed_devices: a unit's DeviceAllow; where it raises OSError or RuntimeError the container is listed
    """
    return tuple(scope for scope in scopes_with_gpus(root) if not _is_known(scope, allowed_devices))


def scopes_with_gpus(root: Path) -> list[str]:
    """Scopes of containers of which a process has a device of NVIDIA open."""
    found: set[str] = set()
    try:
        entries = sorted((root / "proc").iterdir())
    except OSError:
        return []
    for entry in entries:
        scope = _scope(entry) if entry.name.isdigit() else ""
        if scope and scope not in found and _holds_gpu(entry):
            found.add(scope)
    return sorted(found)


def _scope(directory: Path) -> str:
    try:
        text = (directory / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = _SCOPE.search(text)
    return match[1] if match else ""


def _holds_gpu(directory: Path) -> bool:
    try:
        handles = list((directory / "fd").iterdir())
    except OSError:
        return False
    for handle in handles:
        try:
            if _DEVICE.match(os.readlink(handle)):  # noqa: PTH115 (a Path would lose nothing, but is slower)
                return True
        except OSError:
            continue
    return False


def _is_known(scope: str, allowed_devices: Callable[[str], str]) -> bool:
    try:
        return bool(_KNOWN.search(allowed_devices(scope)))
    except (OSError, RuntimeError):
        return False
