# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of settings on record whose device is not in the node. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.model import Plan
from ..core.store import Record
from .model import NicState, Wish
from .select import could_name


def give_back(
    plan: Plan, record: Record, state: NicState, wishes: Sequence[Wish], absent: Sequence[str]
) -> None:
    """Keeps what may be asked of a device that comes back; forgets the rest, as it went with the device.

    absent: claim names of devices that are not in the node
    """
    selectors = {wish.selector for wish in wishes}
    kept: set[str] = set()
    for key in absent:
        device = key.partition(" ")[2]
        if any(could_name(selector, device) for selector in selectors):
            plan.claims[key] = record.claims[key]
            kept.add(device)
        else:
            plan.notes.append(f"{key} is no longer asked for, and {device} is not in this node: forgotten")
    for device in sorted(kept):
        plan.notes.append(f"{device} is on record and not in this node; its settings wait for it")
