# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA GPUs as the PCI bus shows them, and which load of the driver this is. Reads files only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NVIDIA = "0x10de"
DISPLAY_CLASS = "0x03"
OTHER_DRIVERS = ("vfio-pci", "pci-stub", "pciback")
"""Drivers that take a GPU away from this node on purpose (given to a virtual machine)."""


@dataclass(frozen=True)
class DriverLoad:
    """What volatile settings last with. Equal only within one boot and one load of the module.

    module: inode of /sys/module/nvidia, new with each load; None if there is no such module
    """

    boot_id: str
    module: int | None


def gpus_on_pci(root: Path) -> tuple[str, ...]:
    """Addresses (`0000:5d:00.0`) of display and 3D controllers of NVIDIA that are this node's own."""
    devices = root / "sys/bus/pci/devices"
    try:
        found = sorted(devices.iterdir())
    except OSError:
        return ()
    return tuple(device.name for device in found if _is_gpu(device))


def driver_load(root: Path) -> DriverLoad:
    try:
        module: int | None = (root / "sys/module/nvidia").stat().st_ino
    except OSError:
        module = None
    return DriverLoad(_read(root / "proc/sys/kernel/random/boot_id"), module)


def bus_address(bus_id: str) -> str:
    """NVML's `00000000:5D:00.0` as sysfs writes it: `0000:5d:00.0`."""
    domain, colon, rest = bus_id.lower().partition(":")
    # Not the last four digits: bridges such as VMD have domains from 10000 on.
    return f"{domain.lstrip('0').rjust(4, '0')}:{rest}" if colon else bus_id.lower()


def _is_gpu(device: Path) -> bool:
    if _read(device / "vendor") != NVIDIA or not _read(device / "class").startswith(DISPLAY_CLASS):
        return False
    try:
        return (device / "driver").resolve(strict=True).name not in OTHER_DRIVERS
    except OSError:
        return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
