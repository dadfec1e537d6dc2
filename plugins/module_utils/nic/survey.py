# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What buffers depend on and only the node knows: the speed of its way out, its memory. Writes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from ..core import files
from .sysfs import Sysfs

MOST = 10_000_000
"""Mbit/s. What a driver says above that is a way of saying nothing (65535 and 2**32 - 1 have been seen)."""

UNKNOWN = (65535,)
"""The 16-bit form of -1, which some drivers give for "unknown"."""


def survey(root: Path, sysfs: Sysfs, devices: Iterable[str], beneath: str) -> dict[str, Any]:
    """{devices: name → Mbit/s or None, beneath, memory: bytes, page_size: bytes}.

    devices: those beneath the default routes; beneath: why there are none, or ""
    """
    return {
        "devices": {name: speed(sysfs, name) for name in devices},
        "beneath": beneath,
        "memory": memory(root),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
    }


def speed(sysfs: Sysfs, name: str) -> Optional[int]:
    """Mbit/s; None for a device that is down or does not tell (virtio, wireless)."""
    try:
        found = int(sysfs.text(sysfs.net / name / "speed") or "")
    except ValueError:
        return None
    return found if 0 < found <= MOST and found not in UNKNOWN else None


def memory(root: Path) -> int:
    """Bytes; 0 where it cannot be told."""
    for line in (files.read_text(root / "proc/meminfo") or "").splitlines():
        words = line.split()
        if words[:1] == ["MemTotal:"] and len(words) > 1 and words[1].isdigit():
            return int(words[1]) * 1024
    return 0
