# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is wanted of one device to changes, with what the port needs for each. Pure.

`data` of a change:
  name         the setting (`rings.rx`)
  together     setting → [before, after] of all that the driver is told by the same call
  carry        channels only: setting → [before, after] of what a driver may forget along with its queues
  resets       the link may go down for it
  risky        the driver has a part in it, and the device is in use: somebody has to watch
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ..core.model import Change
from ..core.store import Record
from .bind import live_of
from .model import Nic, Wish
from .settings import (
    DEFAULT,
    PER_QUEUE,
    PREFIX,
    QDISC,
    RSS,
    disruption,
    group_of,
    place,
    resets,
    risky,
)

TOGETHER = ("rings", "channels", "coalesce", "features")
UNITS = {"gro_flush_timeout": "ns", "txqueuelen": "packets"}
CARRIED = ("rings", "coalesce", RSS, *PER_QUEUE, QDISC)

Wanted = Mapping[str, tuple[Any, str, Optional[Wish]]]


def changes_of(nic: Nic, wanted: Wanted, asked: Mapping[str, Wish], record: Record) -> list[Change]:
    """In order. wanted: setting → (value, why, wish or None where it is given back)"""
    shrinks = any(
        group_of(name) == "channels" and value[0] < nic.values[name] for name, value in wanted.items()
    )
    found = []
    for name in sorted(wanted, key=lambda item: place(item, shrinks)):
        value, why, wish = wanted[name]
        before = live_of(nic, name, value)
        if before is None:
            continue
        data: dict[str, Any] = {
            "name": name,
            "together": _together(nic, name, wanted),
            "resets": resets(name) and nic.in_use,
            "risky": risky(name) and nic.in_use,
            "default_before": name == QDISC and nic.default_qdisc,
        }
        if group_of(name) == "channels":
            data["carry"] = _carried(nic, wanted, asked, record, shrinks)
        found.append(
            Change(
                PREFIX + name,
                before,
                value,
                target=nic.name,
                unit="us" if name.startswith("coalesce.") and "usecs" in name else UNITS.get(name, ""),
                disruption=disruption(name, nic.driver, nic.in_use),
                undo="to_default" if name == QDISC and not nic.default_qdisc else "exact",
                origin=wish.origin if wish else "",
                why=why,
                # Also of what is given back: where that may not be done now, it stays on record.
                claim=f"{PREFIX}{name} {nic.name}",
                required=wish.required if wish else False,
                data=data,
            )
        )
    return found


def _together(nic: Nic, name: str, wanted: Wanted) -> dict[str, list[Any]]:
    """What goes with it in one call: of its group, and no more disruptive than it."""
    group = group_of(name)
    if group not in TOGETHER:
        return {}
    level = disruption(name, nic.driver, nic.in_use)
    return {
        other: [nic.values[other], value[0]]
        for other, value in sorted(wanted.items())
        if group_of(other) == group and disruption(other, nic.driver, nic.in_use) == level
    }


def _carried(
    nic: Nic, wanted: Wanted, asked: Mapping[str, Wish], record: Record, shrinks: bool
) -> dict[str, list[Any]]:
    """Settings that are right, or will be set later, and may be lost when queues are made anew."""
    held = {
        key.partition(" ")[0][len(PREFIX) :] for key in record.claims if key.partition(" ")[2] == nic.name
    }
    found: dict[str, list[Any]] = {}
    for name in sorted({*asked, *held, *wanted}):
        if (group_of(name) in CARRIED or name in CARRIED) and name in nic.values:
            live = DEFAULT if name == QDISC and nic.default_qdisc else nic.values[name]
            # RSS is set before there are fewer queues, all else afterwards.
            later = wanted[name][0] if name == RSS and shrinks and name in wanted else None
            found[name] = [live, later if name in wanted else live]
    return found
