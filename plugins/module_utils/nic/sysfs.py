# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network devices below /sys/class/net: their queues, interrupts and CPUs. Reads and writes files only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Optional

from . import cpus
from .settings import IRQ, RPS, SYSFS, XPS

IFF_UP = 1
LACP_IN_USE = 0x30
"""Bits of a port's state: it takes packets, and it gives them (collecting, distributing)."""

LINKED = ("lower_", "upper_")


class Sysfs:
    """Below `root` ("/" but in tests). `writes` counts files written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.net = root / "sys/class/net"
        self.writes = 0

    # -- devices

    def names(self) -> list[str]:
        """Interfaces of this network namespace. /sys shows those of the one it was mounted in."""
        try:
            return sorted(path.name for path in self.net.iterdir() if path.is_dir())
        except OSError:
            return []

    def exists(self, name: str) -> bool:
        return (self.net / name).exists()

    def is_physical(self, name: str) -> bool:
        return (self.net / name / "device").exists() and not (self.net / name / "tun_flags").exists()

    def driver(self, name: str) -> str:
        try:
            return (self.net / name / "device/driver").resolve(strict=True).name
        except OSError:
            return ""

    def in_use(self, name: str) -> bool:
        """Up and with a carrier."""
        return self.is_up(name) and self.carrier(name)

    def is_up(self, name: str) -> bool:
        """Opened: the driver has made its queues and asked for its interrupts."""
        try:
            return bool(int(self.text(self.net / name / "flags") or "0", 16) & IFF_UP)
        except ValueError:
            return False

    def carrier(self, name: str) -> bool:
        """Reading it fails where the interface is down."""
        return self.text(self.net / name / "carrier") == "1"

    def carries(self, name: str) -> bool:
        """Has a carrier and, as a leg of a bond, its part in it: it is up, and both ends of LACP use it."""
        leg = self.net / name / "bonding_slave"
        if not self.carrier(name) or self.text(leg / "mii_status") not in (None, "up"):
            return False
        ends = [self.text(leg / f"ad_{end}_oper_port_state") or "" for end in ("actor", "partner")]
        return all(int(state) & LACP_IN_USE == LACP_IN_USE for state in ends if state.isdigit())

    def linked(self, name: str, side: str) -> list[str]:
        """What lies below (`lower_`) or on top (`upper_`)."""
        try:
            found = sorted(path.name for path in (self.net / name).iterdir())
        except OSError:
            return []
        return [item[len(side) :] for item in found if item.startswith(side)]

    def above(self, name: str) -> list[str]:
        """The interface and all on top of it: its bond, VLANs, bridges."""
        found = [name]
        for one in found:
            found += [upper for upper in self.linked(one, "upper_") if upper not in found]
        return found

    def near_cpus(self, name: str) -> tuple[int, ...]:
        """Those of the device's NUMA node; () where it does not say."""
        with contextlib.suppress(OSError, ValueError):
            device = (self.net / name / "device").resolve(strict=True)
            for place in (device, *device.parents):
                if (place / "local_cpulist").is_file():
                    return cpus.parse(self.text(place / "local_cpulist") or "")
        return ()

    def online(self) -> tuple[int, ...]:
        with contextlib.suppress(ValueError):
            found = cpus.parse(self.text(self.root / "sys/devices/system/cpu/online") or "")
            if found:
                return found
        return tuple(sorted(os.sched_getaffinity(0)))

    # -- values

    def number(self, name: str, setting: str) -> Optional[int]:
        try:
            return int(self.text(self.net / name / SYSFS[setting]) or "")
        except ValueError:
            return None

    def queues(self, name: str, side: str) -> list[Path]:
        """side: rx or tx; in order."""
        try:
            found = [
                path for path in (self.net / name / "queues").iterdir() if path.name.startswith(f"{side}-")
            ]
        except OSError:
            return []
        return sorted(found, key=lambda path: int(path.name.partition("-")[2] or "0"))

    def irqs(self, name: str) -> list[int]:
        """Message-signalled interrupts of the device, or of the bus device it sits on (virtio); by number.

        Those that no driver has asked for have no affinity, and are left out.
        """
        with contextlib.suppress(OSError):
            device = (self.net / name / "device").resolve(strict=True)
            for place in (device, device.parent):
                if (place / "msi_irqs").is_dir():
                    found = [int(path.name) for path in (place / "msi_irqs").iterdir() if path.name.isdigit()]
                    return sorted(number for number in found if self._affinity(number).exists())
        return []

    def _affinity(self, number: int) -> Path:
        return self.root / f"proc/irq/{number}/smp_affinity_list"

    def files(self, name: str, setting: str) -> list[Path]:
        """The files that a setting per queue stands in, in order."""
        if setting == IRQ:
            return [self._affinity(number) for number in self.irqs(name)]
        side, file = ("rx", "rps_cpus") if setting == RPS else ("tx", "xps_cpus")
        return [path / file for path in self.queues(name, side)]

    def parts(self, name: str, setting: str) -> Optional[list[str]]:
        """CPUs per queue or interrupt; None where there is none, or one of them cannot be read."""
        found = []
        for path in self.files(name, setting):
            text = self.text(path)
            try:
                if text is None:
                    return None
                found.append(cpus.text(cpus.parse(text) if setting == IRQ else cpus.from_mask(text)))
            except ValueError:
                return None
        return found or None

    def paths(self, name: str, setting: str) -> list[Path]:
        """The files of any setting that has some."""
        if setting in SYSFS:
            return [self.net / name / SYSFS[setting]]
        return self.files(name, setting) if setting in (RPS, XPS, IRQ) else []

    def locked(self, path: Path) -> bool:
        """Whether root could not write here; a check that runs without root must not take that for it."""
        if os.access(path, os.W_OK):
            return False
        if os.geteuid() == 0:
            return True
        try:
            return not path.stat().st_mode & 0o200 or bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError:
            return True

    # -- writing

    def put(self, path: Path, text: str) -> None:
        """One write(2) to a file of the kernel; it never creates one. Raises OSError."""
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(handle, f"{text}\n".encode())
        finally:
            os.close(handle)
        self.writes += 1

    def text(self, path: Path) -> Optional[str]:
        """Without its line end; None where it cannot be read."""
        try:
            return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
        except OSError:
            return None
