# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value out of many: which wish wins, which lose, and what contradicts. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ...module_utils.core.errors import BindError, Problem

Rank = tuple[int, ...]
"""Compares as Ansible's precedence does."""

PROFILE_RANK: Rank = (0,)
PLAY_RANK: Rank = (3,)
EXTRA_RANK: Rank = (4,)


def group_rank(stage: int, source: int, depth: int, priority: int) -> Rank:
    """Where Ansible puts a group's variables.

    stage: which of the places of `VARIABLE_PRECEDENCE` (inline, group_vars/ …); source: which inventory.
    Within one place deeper beats shallower, then `ansible_group_priority` decides.
    """
    return (1, stage, source, depth, priority)


def host_rank(place: int, source: int) -> Rank:
    """Where Ansible puts a host's own variables: inline, then host_vars/ beside inventory and playbook."""
    return (2, place, source)


@dataclass(frozen=True)
class Level:
    """One place a variable can be set in.

    rank: equal ranks are ordered by nothing but the alphabet, which is no decision of the operator's
    name, ancestors: of a group, and of the groups it lies in, whose values it refines
    """

    origin: str
    rank: Rank
    variables: dict[str, Any]
    name: str = ""
    ancestors: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Candidate:
    """A value one level asks for. `source` is where a profile took it from (a map has one per key)."""

    value: Any
    origin: str
    rank: Rank
    name: str = ""
    ancestors: frozenset[str] = frozenset()
    source: Any = ""


@dataclass(frozen=True)
class Unrendered:
    """A value whose template does not render for this host."""

    text: str
    error: str


@dataclass
class Resolved:
    """The winner of one key and everyone it beat, lowest precedence first."""

    key: str
    value: Any
    origin: str
    source: Any = ""
    losers: list[dict[str, Any]] = field(default_factory=list)

    def as_explained(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "value": self.value,
            "origin": self.origin,
            "source": self.source,
            "losers": self.losers,
        }


def candidates(levels: list[Level], variable: str) -> list[Candidate]:
    """What each level asks for, lowest precedence first."""
    found = [
        Candidate(level.variables[variable], level.origin, level.rank, level.name, level.ancestors)
        for level in levels
        if variable in level.variables
    ]
    return sorted(found, key=_order)


def resolve(
    key: str, found: list[Candidate], meaning: Callable[[Any], Any] = lambda value: value
) -> Resolved | None:
    """The winner. Raises BindError if only the alphabet would decide between two different values.

    meaning: brings different spellings of one value together, so that they do not contradict
    """
    if not found:
        return None
    ordered = sorted(found, key=_order)
    winner = ordered[-1]
    for rival in ordered[:-1]:
        if _rivals(rival, winner) and meaning(rival.value) != meaning(winner.value):
            allowed = (
                f"one value; {rival.origin} asks for {rival.value!r}, and nothing but the alphabet "
                "decides between the two: set it for the host, in a common child group, or give one "
                "group a higher ansible_group_priority"
            )
            raise BindError([Problem(key, winner.value, allowed, winner.origin)])
    losers = [{"value": item.value, "origin": item.origin} for item in ordered[:-1]]
    return Resolved(key, winner.value, winner.origin, winner.source, losers)


def outranked(item: Candidate, found: list[Candidate]) -> bool:
    """Whether somebody decides over this candidate, so that its value does not matter."""
    winner = max(found, key=_order)
    return item.rank < winner.rank and not _rivals(item, winner)


def split_map(
    found: list[Candidate], spell: Callable[[str], str], meaning: Callable[[Any], Any] = lambda value: value
) -> dict[str, list[Candidate]]:
    """Candidates of a map variable → candidates per key, so that keys are resolved one by one.

    found: values are dictionaries, or None, which leaves every key alone that another level names.
    spell: brings different spellings of a key into one. Raises BindError for a map that names one key
    twice with different values.
    """
    spelt = [(item, _spelt(item, spell, meaning)) for item in found]
    names = [name for _item, values in spelt for name in values or {}]
    keys: dict[str, list[Candidate]] = {name: [] for name in names}
    for item, values in spelt:
        for name, value in dict.fromkeys(keys).items() if values is None else values.items():
            keys[name].append(replace(item, value=value))
    return keys


def _spelt(
    item: Candidate, spell: Callable[[str], str], meaning: Callable[[Any], Any]
) -> dict[str, Any] | None:
    if item.value is None:
        return None
    values: dict[str, Any] = {}
    for name, value in item.value.items():
        key = spell(str(name))
        if key in values and meaning(values[key]) != meaning(value):
            allowed = f"one value; the same map also says {values[key]!r}"
            raise BindError([Problem(key, value, allowed, item.origin)])
        values[key] = value
    return values


def _order(item: Candidate) -> tuple[Rank, str]:
    return item.rank, item.name


def _rivals(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates are different groups that no decision of the operator puts in order.

    That one group's value stands inline and the other's in a file is not such a decision.
    """
    both_groups = one.rank[0] == other.rank[0] == group_rank(0, 0, 0, 0)[0]
    if not both_groups or one.rank[3:] != other.rank[3:] or one.name == other.name:
        return False
    return one.name not in other.ancestors and other.name not in one.ancestors
