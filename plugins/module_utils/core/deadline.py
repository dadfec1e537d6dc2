# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines on a node: two clocks, when something is due, and a spread over a fleet. Pure but for the clock.

Within one boot only the kernel's own clock counts (CLOCK_BOOTTIME), which nobody sets. For what outlasts a
boot the wall clock counts after it, and can be wrong: a board without a battery begins in 1970. So what is
left is then never more than the whole length, counted from the first look after the boot.
"""

from __future__ import annotations

import hashlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from . import files

JITTER = 0.2
"""A deadline is up to this part longer: a cancelled job does not turn a fleet over at one instant."""


@dataclass(frozen=True)
class Clock:
    """Now. wall: Unix time; boottime: s since the kernel started; boot_id: of this boot."""

    wall: float
    boottime: float
    boot_id: str


def read_clock(root: Path = Path("/")) -> Clock:
    """The node's clocks now."""
    boot_id = files.read_text(root / "proc/sys/kernel/random/boot_id") or ""
    return Clock(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot_id.strip())


def left(begun: Clock, length: float, now: Clock, seen: Optional[float] = None) -> float:
    """Seconds of `length` that are left since `begun`; 0 when it is over.

    seen: the boottime of the first look in this boot, for what outlasts a boot; None: a boot ends it
    """
    since = now.boottime - begun.boottime
    if now.boot_id == begun.boot_id and since >= 0:
        return max(0.0, length - since)
    if seen is None:
        return 0.0
    bound = length - max(0.0, now.boottime - seen)
    return max(0.0, min(begun.wall + length - now.wall, bound))


def identity(root: Path = Path("/")) -> str:
    """What a node is told from others by, for `jittered`: clones of one image share their machine id."""
    return f"{files.read_text(root / 'etc/machine-id') or ''}{socket.gethostname()}"


def jittered(seconds: float, identity: str, token: str) -> float:
    """`seconds` × 1 to 1.2: the same every time for one node and run."""
    found = hashlib.sha256(f"{identity}\n{token}".encode("utf-8", "surrogateescape")).digest()
    return seconds * (1 + JITTER * int.from_bytes(found[:4], "big") / 2**32)


def moment(unix: float) -> str:
    """UTC, to the second, for people."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix))
    except (OverflowError, ValueError, OSError):
        return f"Unix time {unix:.0f}"
