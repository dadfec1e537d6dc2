# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what NVML and the node say of the NVLink fabric. Writes nothing."""

from __future__ import annotations

import ctypes
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

from ..gpu.processes import running
from . import sysfs
from .ask import Asker
from .fabric import STATES, SUMMARIES, GpuFabric, Manager, health_of

PROCESS = "nv-fabricmanage"
"""nv-fabricmanager, as the kernel cuts it."""

PROGRAM = "usr/bin/nv-fabricmanager"
UNIT = "nvidia-fabricmanager.service"
UNIT_DIRECTORIES = ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
PACKAGES = re.compile(r"nvidia-fabricmanager(-\d+)?|nvidia-fabric-manager")
VERSION = re.compile(r"\d{3,}\.\d+(\.\d+)?")
SECONDS = 5


class _Info(ctypes.Structure):
    """nvmlGpuFabricInfo_v2_t and _v3_t, which begin alike. The binding's own classes come and go."""

    _fields_ = [
        ("version", ctypes.c_uint),
        ("cluster", ctypes.c_uint8 * 16),
        ("status", ctypes.c_uint),
        ("clique", ctypes.c_uint32),
        ("state", ctypes.c_uint8),
        ("health_mask", ctypes.c_uint32),
        ("summary", ctypes.c_uint8),
    ]


class _OldInfo(ctypes.Structure):
    """nvmlGpuFabricInfo_t, of drivers before 550."""

    _fields_ = [
        ("cluster", ctypes.c_uint8 * 16),
        ("status", ctypes.c_uint),
        ("clique", ctypes.c_uint32),
        ("state", ctypes.c_uint8),
    ]


VERSIONS = (0x3000028, 0x2000024)
"""Newest first; a driver refuses the versions it does not know."""


def read_gpu(ask: Asker, index: int) -> GpuFabric:
    """Raises LayerUnavailable."""
    for version in VERSIONS:
        info = _Info(version=version)
        if ask("nvmlDeviceGetGpuFabricInfoV", ctypes.byref(info)) is not None:
            return _gpu(index, info, info.health_mask, info.summary if version == VERSIONS[0] else 0)
    old = _OldInfo()
    if not ask.lost and ask("nvmlDeviceGetGpuFabricInfo", ctypes.byref(old)) is not None:
        return _gpu(index, old, None, 0)
    return GpuFabric(index, lost=ask.lost)


def _gpu(index: int, info: Any, mask: int | None, summary: int) -> GpuFabric:
    cluster = bytes(info.cluster)
    state = STATES.get(info.state)
    return GpuFabric(
        index,
        state,
        info.status if state == "completed" else None,
        info.clique,
        str(uuid.UUID(bytes=cluster)) if any(cluster) else None,
        SUMMARIES.get(summary),
        {} if mask is None else health_of(mask),
    )


def read_manager(root: Path, needed: bool) -> Manager:
    """needed: whether it matters; the version takes reading the list of packages or starting the program."""
    units = any((root / directory / UNIT).exists() for directory in UNIT_DIRECTORIES)
    installed = units or (root / PROGRAM).exists()
    runs = any(name == PROCESS for _pid, name, _directory in running(root))
    return Manager(installed or runs, runs, _version(root) if needed and (installed or runs) else "")


def _version(root: Path) -> str:
    return _packaged(root) or _said(root / PROGRAM)


def _packaged(root: Path) -> str:
    """The version of the installed Debian package, "" if there is none."""
    for entry in sysfs.text(root / "var/lib/dpkg/status").split("\n\n"):
        if not entry.startswith("Package: nvidia-fabric"):
            continue
        values = dict(line.split(": ", 1) for line in entry.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
        if PACKAGES.fullmatch(values["Package"]) and values.get("Status", "").endswith(" installed"):
            return values.get("Version", "")
    return ""


def _said(program: Path) -> str:
    """What the program says of itself; `--version` prints and does nothing else."""
    if not program.is_file():
        return ""
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = VERSION.search(done.stdout)
    return found[0] if found else ""
