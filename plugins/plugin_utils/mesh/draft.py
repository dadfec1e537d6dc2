# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A topology while it is being planned: links so far, and whether one more may be added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Optional

from .graph import Delays, pair
from .spots import Limits, Spot, possible

HUB_LINKS = 2
"""Links to hubs that every leaf gets: one may fail."""


class Draft:
    """links: member → its neighbours. Links are only ever added.

    only_for: every new link touches one of these; None: no restriction
    """

    def __init__(
        self,
        members: Mapping[str, Spot],
        limits: Limits,
        delays: Delays,
        kept: Collection[tuple[str, str]],
        only_for: Optional[Collection[str]],
    ) -> None:
        self.members, self.limits, self.delays = members, limits, delays
        self.only_for = None if only_for is None else frozenset(only_for)
        self.links: dict[str, set[str]] = {name: set() for name in members}
        self.hubs = [name for name, spot in members.items() if spot.transit]
        self.leaves = [name for name, spot in members.items() if not spot.transit]
        self.hubs_of: dict[str, list[str]] = defaultdict(list)
        for name in self.hubs:
            self.hubs_of[members[name].region].append(name)
        self.notes: list[str] = []
        self.dead: set[tuple[str, str]] = set()
        for one, other in sorted(kept):
            self.add(one, other)
            if not possible(members[one], members[other]):
                self.dead.add(pair(one, other))

    def region(self, name: str) -> str:
        return self.members[name].region

    def degree(self, name: str) -> int:
        return len(self.links[name])

    def places(self, name: str) -> int:
        """How many links a member can still take."""
        return max(0, self.limits.max_degree - self.degree(name))

    def is_free(self, name: str) -> bool:
        """Whether links of this member may be added whatever the other end."""
        return self.only_for is None or name in self.only_for

    def may(self, one: str, other: str) -> bool:
        """Whether this link can be added."""
        if one == other or other in self.links[one] or not (self.is_free(one) or self.is_free(other)):
            return False
        if not self.places(one) or not self.places(other):
            return False
        return possible(self.members[one], self.members[other])

    def add(self, one: str, other: str) -> None:
        self.links[one].add(other)
        self.links[other].add(one)

    def try_add(self, one: str, other: str) -> bool:
        """Whether it was added."""
        if not self.may(one, other):
            return False
        self.add(one, other)
        return True

    def hubs_at(self, name: str) -> list[str]:
        """The hubs a member is linked to by links that can work."""
        return [
            other
            for other in self.links[name]
            if self.members[other].transit and pair(name, other) not in self.dead
        ]

    def hub_graph(self) -> dict[str, list[str]]:
        return {name: self.hubs_at(name) for name in self.hubs}

    def pairs(self) -> list[tuple[str, str]]:
        return sorted((one, other) for one, others in self.links.items() for other in others if one < other)


def some(names: Iterable[str], most: int = 5) -> str:
    """Names for a sentence; of many, the first and how many more."""
    listed = list(names)
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")
