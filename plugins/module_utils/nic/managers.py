# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else sets network devices on this node: irqbalance, tuned. Reads files only."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from ..core import files
from .rivals import PLACES, Rival, rivals
from .tuned import Tuned, read_tuned

ENABLED = "etc/systemd/system/multi-user.target.wants/irqbalance.service"


def irqbalance(root: Path) -> str:
    """How it is known to run, or that it will at boot; "" where neither."""
    for path in sorted((root / "proc").glob("[0-9]*/comm")):
        if _text(path) == "irqbalance":
            return f"process {path.parent.name}"
    return "enabled at boot" if (root / ENABLED).is_symlink() else ""


def read_tuned_of(root: Path) -> Tuned:
    def read(path: str) -> Optional[str]:
        place = root / path.lstrip("/")
        # What enables a unit is a link, which below another root leads nowhere.
        return "" if place.is_symlink() and not place.exists() else _text(place)

    return read_tuned(read)


def manager(root: Path) -> str:
    """Who would undo, device by device and all the time, what this layer does; or ""."""
    tuned = read_tuned_of(root)
    if not tuned.slows_down:
        return ""
    return (
        f"tuned (profile {tuned.profile}: [net] with dynamic tuning, which sets devices that are idle to "
        "100 Mbit/s)"
    )


def read_rivals(root: Path) -> tuple[Rival, ...]:
    """Files that set devices when the network comes up; one that cannot be read says nothing."""
    texts = {}
    for place in PLACES:
        for path in sorted(root.glob(place)):
            text = _text(path) if path.is_file() else None
            if text is not None:
                texts[f"/{path.relative_to(root)}"] = text
    return tuple(rivals(texts))


def _text(path: Path) -> Optional[str]:
    try:
        text = files.read_text(path)
    except OSError:
        return None
    return None if text is None else text.strip("\n") if path.name == "comm" else text
