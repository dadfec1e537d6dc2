# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading of small files in /sys and /proc; what cannot be read is nothing. Writes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from . import cpus

ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
HOST_BRIDGE = re.compile(r"pci[0-9a-f]{4,}:[0-9a-f]{2}")


def text(path: Path) -> str:
    """ "" if there is no such file, or it refuses (the speed of a link that is down)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """Decimal, or hexadecimal with 0x."""
    found = text(path)
    try:
        return int(found, 0)
    except ValueError:
        return None


def names(directory: Path) -> list[str]:
    """What is in a directory, sorted."""
    try:
        return sorted(entry.name for entry in directory.iterdir())
    except OSError:
        return []


def link_name(path: Path) -> str:
    """The last part of what a link points to, or ""."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def pci_path(path: Path) -> tuple[str, ...]:
    """The PCI devices from the host bridge down to the one `path` is or belongs to; () if it is on no bus.

    A device that /sys shows without its place in the tree is a path of one.
    """
    parts = Path(os.path.realpath(path)).parts
    start = max((at for at, part in enumerate(parts) if HOST_BRIDGE.fullmatch(part)), default=-1)
    devices = tuple(part for part in parts[start + 1 :] if ADDRESS.fullmatch(part))
    return (parts[start], *devices) if start >= 0 and devices else devices


def node_of(device: Path) -> int | None:
    """The NUMA node of a device; the kernel's -1 is none."""
    found = number(device / "numa_node")
    return found if found is not None and found >= 0 else None


def cpus_of(device: Path) -> tuple[int, ...]:
    return cpus.parse(text(device / "local_cpulist"))


def numa_nodes(root: Path) -> dict[int, tuple[int, ...]]:
    """NUMA node → its CPUs; a kernel without NUMA has one node with all CPUs. Empty if /sys says nothing."""
    base = root / "sys/devices/system"
    nodes = {
        int(name[4:]): cpus.parse(text(base / "node" / name / "cpulist"))
        for name in names(base / "node")
        if re.fullmatch(r"node\d+", name)
    }
    online = cpus.parse(text(base / "cpu/online"))
    return nodes or ({0: online} if online else {})


def siblings(root: Path, online: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    """CPU → the CPUs that share its core."""
    base = root / "sys/devices/system/cpu"
    found = {cpu: cpus.parse(text(base / f"cpu{cpu}/topology/thread_siblings_list")) for cpu in online}
    return {cpu: threads for cpu, threads in found.items() if threads}


def pci_devices(root: Path, wanted: Callable[[Path], bool]) -> list[str]:
    """Addresses of the PCI devices a test is true of."""
    base = root / "sys/bus/pci/devices"
    return [name for name in names(base) if wanted(base / name)]
