# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value out of many: which wish wins, which lose, and what contradicts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...module_utils.core.errors import BindError, Problem


@dataclass(frozen=True)
class Level:
    """One place a variable can be set in, as Ansible orders them.

    rank: compares as Ansible's precedence does; equal ranks are ordered by nothing but the
    alphabet, which is no decision of the operator's.
    ancestors: names of the groups this one lies in, whose values it refines
    """

    origin: str
    rank: tuple[int, int, int]
    variables: dict[str, Any]
    name: str = ""
    ancestors: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Candidate:
    """A value one level asks for."""

    value: Any
    origin: str
    rank: tuple[int, int, int]
    name: str = ""
    ancestors: frozenset[str] = frozenset()
    source: str = ""


@dataclass
class Resolved:
    """The winner of one key and everyone it beat, lowest precedence first."""

    key: str
    value: Any
    origin: str
    source: str = ""
    losers: list[dict[str, Any]] = field(default_factory=list)

    def as_explained(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "value": self.value,
            "origin": self.origin,
            "source": self.source,
            "losers": self.losers,
        }


PROFILE_RANK = (0, 0, 0)
HOST_RANK = (2, 0, 0)
PLAY_RANK = (3, 0, 0)
EXTRA_RANK = (4, 0, 0)


def group_rank(depth: int, priority: int) -> tuple[int, int, int]:
    """Where Ansible puts a group: deeper beats shallower, then `ansible_group_priority`."""
    return (1, depth, priority)


def candidates(levels: list[Level], variable: str) -> list[Candidate]:
    """What each level asks for, lowest precedence first."""
    found = [
        Candidate(level.variables[variable], level.origin, level.rank, level.name, level.ancestors)
        for level in levels
        if variable in level.variables
    ]
    return sorted(found, key=lambda item: (item.rank, item.name))


def resolve(key: str, found: list[Candidate]) -> Resolved | None:
    """The winner. Raises BindError if only the alphabet would decide between two different values."""
    if not found:
        return None
    ordered = sorted(found, key=lambda item: (item.rank, item.name))
    winner = ordered[-1]
    for rival in ordered[:-1]:
        if rival.rank == winner.rank and rival.value != winner.value and not _related(rival, winner):
            raise BindError(
                [
                    Problem(
                        key,
                        winner.value,
                        f"one value; {rival.origin} asks for {rival.value!r}, and nothing but the alphabet "
                        "decides between the two: set it for the host, in a common child group, or give one "
                        "group a higher ansible_group_priority",
                        winner.origin,
                    )
                ]
            )
    losers = [{"value": item.value, "origin": item.origin} for item in ordered[:-1]]
    return Resolved(key, winner.value, winner.origin, winner.source, losers)


def _related(one: Candidate, other: Candidate) -> bool:
    return one.name in other.ancestors or other.name in one.ancestors


def split_map(found: list[Candidate], spell: Any) -> dict[str, list[Candidate]]:
    """Candidates of a map variable → candidates per key, so that keys are resolved one by one.

    `spell` brings different spellings of a key into one. Raises BindError for a value that is no map,
    and for a map that names one key twice with different values.
    """
    keys: dict[str, list[Candidate]] = {}
    for item in found:
        if item.value is None:
            continue
        if not isinstance(item.value, dict):
            raise BindError([Problem("map", item.value, "a dictionary of key: value", item.origin)])
        seen: dict[str, Any] = {}
        for name, value in item.value.items():
            key = spell(str(name))
            if key in seen and seen[key] != value:
                raise BindError([Problem(key, value, f"one value; the same map also says {seen[key]!r}", item.origin)])
            seen[key] = value
            keys.setdefault(key, []).append(
                Candidate(value, item.origin, item.rank, item.name, item.ancestors, item.source)
            )
    return keys
