# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is linked to whom: the one planner of the mesh. Pure; equal input gives equal output on every Python.

Up to a size everybody is linked to everybody. Beyond it members with transit (hubs) carry the mesh: they are
linked among each other (backbone), every other member (leaf) to two of them and to near leaves (leaves). Only
hubs forward, so that is what "can reach each other" means here. Links that exist are never taken away.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Optional

from ...module_utils.core.errors import BindError, Problem
from .backbone import plan_backbone, shorten_backbone
from .draft import Draft, some
from .graph import Delays, components
from .leaves import link_to_hubs, link_to_near
from .spots import Limits, Links, Spot, check, possible

__all__ = ["Limits", "Links", "Spot", "plan_links", "possible"]

NAMED = 10
"""Pairs named in an error; of more, only how many."""


def plan_links(
    spots: Sequence[Spot],
    limits: Limits,
    latency: Mapping[tuple[str, str], float],
    kept: Collection[tuple[str, str]],
    only_for: Optional[Collection[str]] = None,
) -> Links:
    """All links of the mesh, those of `kept` included.

    latency: round trips in ms, ends in any order, where measured
    kept: links that stay whatever a plan from nothing would choose
    only_for: every new link touches one of these (a join); None: wherever one is missing
    Raises BindError: wrong input, members that could not reach each other, no places at hubs.
    """
    members = check(spots, limits, latency, kept, only_for or ())
    delays = Delays({name: spot.region for name, spot in members.items()}, latency)
    draft = Draft(members, limits, delays, kept, only_for)
    if len(members) <= limits.full_mesh_up_to:
        _link_all(draft)
    else:
        _require_hubs(draft)
        plan_backbone(draft)
        link_to_hubs(draft)
        shorten_backbone(draft)
        link_to_near(draft)
    _require_reach(draft)
    _say(draft)
    return Links(draft.pairs(), draft.notes, sorted(draft.dead))


def _link_all(draft: Draft) -> None:
    """The full mesh, as far as members can call each other."""
    count, limits = len(draft.members), draft.limits
    if count - 1 > limits.max_degree:
        allowed = f"up to {limits.max_degree + 1}, or a max_degree of {count - 1}: there are {count} members"
        raise BindError([Problem("full_mesh_up_to", limits.full_mesh_up_to, allowed)])
    for one, other in itertools.combinations(draft.members, 2):
        draft.try_add(one, other)


def _require_hubs(draft: Draft) -> None:
    if not draft.hubs:
        count = len(draft.members)
        allowed = f"{count} or more, or members with transit: true; none of the {count} members has it"
        raise BindError([Problem("full_mesh_up_to", draft.limits.full_mesh_up_to, allowed)])


def _require_reach(draft: Draft) -> None:
    """Raises BindError for members that are neither linked nor have hubs that reach each other.

    Only for those that were planned for (`only_for`); what others lack was so before and becomes a note.
    """
    part_of = {hub: number for number, part in enumerate(components(draft.hub_graph())) for hub in part}
    groups: dict[frozenset[int], list[str]] = {}
    for name, spot in draft.members.items():
        own = [part_of[name]] if spot.transit else []
        parts = frozenset([*own, *(part_of[hub] for hub in draft.hubs_at(name))])
        groups.setdefault(parts, []).append(name)
    apart, main = _apart(draft, groups), _main(draft, groups)
    wrong = [ends for ends in apart if all(end in main or draft.is_free(end) for end in ends)]
    wrong = [ends for ends in wrong if any(draft.is_free(end) for end in ends)]
    if wrong:
        problems = [_no_way(draft, *ends) for ends in wrong[:NAMED]]
        if len(wrong) > NAMED:
            rest = f"{len(wrong) - NAMED} more pairs that cannot reach each other"
            problems.append(Problem("mesh", rest, "transit members that both can call"))
        raise BindError(problems)
    if apart:
        pairs = some(f"{one} and {other}" for one, other in apart)
        draft.notes.append(f"Cannot reach each other: {pairs}. Plan the mesh again.")


def _main(draft: Draft, groups: Mapping[frozenset[int], Sequence[str]]) -> set[str]:
    """Members of the part of the mesh that most of those have that were there before; without hubs, all.

    Those linked to each of them belong to it, too.
    """
    count = Counter(
        part for parts, names in groups.items() for part in parts for name in names if not draft.is_free(name)
    )
    if not draft.hubs or not count:
        return set(draft.members)
    main = min(count, key=lambda part: (-count[part], part))
    found = {name for parts, names in groups.items() if main in parts for name in names}
    before = {name for name in found if not draft.is_free(name)}
    return found | {name for name, links in draft.links.items() if before <= links}


def _apart(draft: Draft, groups: Mapping[frozenset[int], Sequence[str]]) -> list[tuple[str, str]]:
    """Pairs without a way, of groups that share no part of the hubs' graph. Stops after a thousand."""
    found = []
    for (first, these), (second, those) in itertools.combinations_with_replacement(list(groups.items()), 2):
        if first & second:
            continue
        pairs = itertools.combinations(these, 2) if these is those else itertools.product(these, those)
        fresh = (tuple(sorted(ends)) for ends in pairs if ends[1] not in draft.links[ends[0]])
        found += list(itertools.islice(fresh, 1000))
    return sorted((one, other) for one, other in found)


def _no_way(draft: Draft, one: str, other: str) -> Problem:
    behind = [name for name in (one, other) if not draft.members[name].reachable]
    if len(behind) == 2:
        allowed = "a transit member that both can call: both are behind NAT or have no endpoint"
    else:
        allowed = "transit members between them, or places for a link (max_degree)"
    return Problem("mesh", f"{one} and {other} cannot reach each other", allowed)


def _say(draft: Draft) -> None:
    """What is allowed and still worth knowing."""
    if draft.dead:
        pairs = some(f"{one} and {other}" for one, other in sorted(draft.dead))
        draft.notes.append(f"Kept links of which neither end can be called any more: {pairs}.")
    over = [name for name in draft.members if draft.degree(name) > draft.limits.max_degree]
    if over:
        draft.notes.append(f"More kept links than max_degree ({draft.limits.max_degree}): {some(over)}.")
