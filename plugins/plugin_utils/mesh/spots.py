# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner of the mesh is told, and what it refuses before it plans."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ...module_utils.core.errors import BindError, Problem


@dataclass(frozen=True)
class Spot:
    """A member as the planner sees it.

    transit: forwards between other members (a hub)
    reachable: others can call it over the internet
    relays: hubs it wants to be linked to before all others
    local: has an address that members of its region can call
    """

    name: str
    region: str
    transit: bool
    reachable: bool
    relays: tuple[str, ...] = ()
    local: bool = False


@dataclass(frozen=True)
class Limits:
    """full_mesh_up_to: members; neighbours: links a member aims at; max_degree: links nobody goes beyond."""

    full_mesh_up_to: int
    neighbours: int
    max_degree: int


@dataclass
class Links:
    """pairs: sorted, the ends of each sorted. notes: what the operator should know, a sentence each.

    dead: those of the pairs of which neither end can be called any more; they should carry no routes
    """

    pairs: list[tuple[str, str]]
    notes: list[str] = field(default_factory=list)
    dead: list[tuple[str, str]] = field(default_factory=list)


def possible(one: Spot, other: Spot) -> bool:
    """Whether either end can call the other."""
    if one.reachable or other.reachable:
        return True
    return one.region == other.region and one.local and other.local


def check(
    spots: Sequence[Spot],
    limits: Limits,
    latency: Mapping[tuple[str, str], float],
    kept: Collection[tuple[str, str]],
    only_for: Collection[str],
) -> dict[str, Spot]:
    """The members by name, sorted. Raises BindError that names everything that is wrong."""
    members = {spot.name: spot for spot in sorted(spots, key=lambda spot: spot.name)}
    problems = _limits(limits)
    names = [spot.name for spot in spots]
    problems += (
        [Problem("members", name, "each name once") for name in members if names.count(name) > 1]
        if len(names) != len(members)
        else []
    )
    for spot in members.values():
        problems += _relays(spot, members)
    for ends in sorted(kept):
        if ends[0] == ends[1] or not all(end in members for end in ends):
            problems.append(Problem("links", list(ends), "two different members of the mesh"))
    problems += [
        Problem("join", name, "a member of the mesh") for name in sorted(only_for) if name not in members
    ]
    problems += [
        Problem("latency", value, "0 or more, in ms", target=" and ".join(ends))
        for ends, value in sorted(latency.items())
        if math.isnan(value) or value < 0
    ]
    if problems:
        raise BindError(problems)
    return members


def _limits(limits: Limits) -> list[Problem]:
    least = {"full_mesh_up_to": 0, "neighbours": 2, "max_degree": 2}
    found = [
        Problem(name, getattr(limits, name), f"{bottom} or more")
        for name, bottom in least.items()
        if getattr(limits, name) < bottom
    ]
    if not found and limits.neighbours > limits.max_degree:
        found.append(Problem("neighbours", limits.neighbours, f"up to max_degree ({limits.max_degree})"))
    return found


def _relays(spot: Spot, members: Mapping[str, Spot]) -> list[Problem]:
    found = []
    for name in spot.relays:
        relay = members.get(name)
        if relay is None:
            allowed = "a member of the mesh"
        elif name == spot.name:
            allowed = "another member"
        elif not relay.transit:
            allowed = "a member with transit: true"
        elif not possible(spot, relay):
            allowed = "a member that this one can call; both are behind NAT or have no endpoint"
        else:
            continue
        found.append(Problem("relays", name, allowed, target=spot.name))
    return found
