# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which transfers run at the same time: never two at one member, nor more than a share of the budget.
Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..mesh.registry import Pair
from .budget import MEGA

AT_ONCE = 0.25
"""Of the total budget goes in one round at most, so that a run is no flood."""


@dataclass(frozen=True)
class Wanted:
    """A transfer that is allowed. regions: of its ends; bytes: at each end"""

    ends: Pair
    regions: tuple[str, str]
    bytes: float


def chosen(
    wanted: Sequence[Wanted],
    used: Mapping[str, float],
    budgets: Mapping[str, float],
    total: float,
    seed: int,
) -> list[Wanted]:
    """Those that the budgets (MB) have room for, members without any first.

    used: member → bytes that its probes take already
    """
    order = sorted(wanted, key=lambda one: one.ends)
    random.Random(f"transfers {seed}").shuffle(order)
    left = {name: budgets[name] * MEGA - amount for name, amount in used.items()}
    rest = total * MEGA - sum(used.values()) / 2
    found: list[Wanted] = []
    served: set[str] = set()
    taken: set[Pair] = set()
    for first in (True, False):
        for one in order:
            if one.ends in taken or (first and served.issuperset(one.ends)):
                continue
            if one.bytes > rest or any(one.bytes > left[end] for end in one.ends):
                continue
            for end in one.ends:
                left[end] -= one.bytes
            rest -= one.bytes
            served.update(one.ends)
            taken.add(one.ends)
            found.append(one)
    return found


@dataclass
class _Round:
    """What goes on at the same time."""

    members: set[str]
    uplinks: set[str]
    bytes: float = 0.0

    def has_room(self, one: Wanted, most: float) -> bool:
        if not self.members:
            return True
        return (
            self.members.isdisjoint(one.ends)
            and self.uplinks.isdisjoint(_uplinks(one))
            and self.bytes + one.bytes <= most
        )

    def take(self, one: Wanted) -> None:
        self.members.update(one.ends)
        self.uplinks |= _uplinks(one)
        self.bytes += one.bytes


def rounds(transfers: Sequence[Wanted], total: float) -> dict[Pair, int]:
    """Pair → its round, from 0. total: budget in MB

    In a round no member has two transfers, and no region two to other regions: they would share its uplink.
    """
    found: dict[Pair, int] = {}
    every: list[_Round] = []
    for one in sorted(transfers, key=lambda item: (-item.bytes, item.ends)):
        at = next(
            (number for number, busy in enumerate(every) if busy.has_room(one, AT_ONCE * total * MEGA)), None
        )
        if at is None:
            at = len(every)
            every.append(_Round(set(), set()))
        every[at].take(one)
        found[one.ends] = at
    return found


def _uplinks(one: Wanted) -> set[str]:
    return set() if one.regions[0] == one.regions[1] else set(one.regions)
