# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which blocks of numbers routing daemons announce to other regions as a whole. Pure; all members alike.

docs/decisions/0022 says why it is so. A block is announced as a whole only where that costs nobody a way; all
others are as in small meshes, a host route for each member.
"""

from __future__ import annotations

from collections import defaultdict

from .graph import articulation_points, components
from .registry import BLOCK, Member, Registry
from .tables import Tables

LEAST_HUBS = 2
"""Of its region, that every member has to be linked to: one may fail, and no other region announces it."""


def aggregated(registry: Registry, tables: Tables) -> dict[int, str]:
    """Block → its region. tables: of this registry

    Of meshes with more than `aggregate_above` members that are not all linked to all, where:
    - two hubs or more of the region stay joined inside of it without any one of them;
    - each of the block's members is a hub, or linked to two hubs of the region;
    - the planned routes, and those that hubs of the region may use still, do not leave the region for it.
    """
    settings = registry.settings
    count = len(registry.members)
    if not settings.aggregate_above or count <= max(settings.aggregate_above, settings.full_mesh_up_to):
        return {}
    if len({member.region for member in registry.members.values()}) < 2:
        return {}
    firm = _firm_regions(registry)
    left_out = _thin_blocks(registry) | _leaving_ways(registry)
    return {
        block: region
        for block, region in sorted(tables.whole_blocks().items())
        if region in firm and block not in left_out
    }


def _hubs(registry: Registry) -> dict[str, Member]:
    """That are to stay hubs: what begins or ends counts when it is done."""
    return {
        name: member
        for name, member in registry.members.items()
        if member.is_hub and member.to_forward and not member.leaving
    }


def _around(registry: Registry) -> dict[str, set[str]]:
    """Member → those of its region that it has a link with that is not on its way out."""
    found: dict[str, set[str]] = defaultdict(set)
    for (one, other), link in registry.links.items():
        same = registry.members[one].region == registry.members[other].region
        if same and (link.held or not link.leaving):
            found[one].add(other)
            found[other].add(one)
    return found


def _firm_regions(registry: Registry) -> set[str]:
    hubs, around = _hubs(registry), _around(registry)
    regions: dict[str, list[str]] = defaultdict(list)
    for name, member in hubs.items():
        regions[member.region].append(name)
    found = set()
    for region, names in regions.items():
        graph = {name: around[name].intersection(names) for name in names}
        if len(names) >= LEAST_HUBS and len(components(graph)) == 1 and not articulation_points(graph):
            found.add(region)
    return found


def _thin_blocks(registry: Registry) -> set[int]:
    """Blocks with a member that one hub of its region could cut off. Who has no links yet does not count."""
    hubs, around = _hubs(registry), _around(registry)
    return {
        member.number // BLOCK
        for name, member in registry.members.items()
        if name not in hubs
        and registry.links_of(name)
        and not member.leaving
        and len(around[name] & hubs.keys()) < LEAST_HUBS
    }


def _leaving_ways(registry: Registry) -> set[int]:
    """Blocks with a member that a hub of its region may send to, while routes move, by another region."""
    members = registry.members
    region_of = {member.number: member.region for member in members.values()}
    return {
        number // BLOCK
        for way in registry.ways
        if way.at in members and way.by in members and members[way.at].region != members[way.by].region
        for number in way.to
        if region_of.get(number) == members[way.at].region
    }
