# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts come into a mesh, or are called at another place than before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from ...module_utils.core.errors import BindError, Problem
from . import path
from .addresses import next_number, used_numbers
from .admission import member_of, problems_of, taken_ports, unchangeable
from .candidates import Candidate
from .changes import Context, Report, add_links, planned_pairs, settled, with_links, with_member
from .parse import parse_settings
from .registry import BLOCK, Link, Member, Registry
from .rotation import sealed_into
from .switching import let_go, mended

HEADER = """\
# Members and links of the mesh {mesh}. No secret is in it: keep it in version control.
# The playbooks swarm.node.mesh_* keep it; comments up here stay, others are lost.
"""

NO_SETTINGS = "settings with prefixes, such as {prefixes: [10.99.0.0/16]}: the mesh has no registry yet"


def new_registry(mesh: str, candidates: Sequence[Candidate]) -> Registry:
    """An empty registry with the settings that the hosts wish. Raises BindError."""
    chosen: Candidate | None = None
    for candidate in candidates:
        if not candidate.settings:
            continue
        if chosen is not None and candidate.settings != chosen.settings:
            allowed = (
                f"the same settings for all members of a mesh; {chosen.name} has {dict(chosen.settings)}"
            )
            origin = candidate.origin("settings")
            raise BindError(
                [Problem("mesh_settings", dict(candidate.settings), allowed, origin, candidate.name)]
            )
        chosen = candidate
    if chosen is None:
        raise BindError([Problem("mesh_settings", None, NO_SETTINGS, f"inventory, mesh {mesh}")])
    settings = parse_settings(chosen.settings, chosen.origin("settings"))
    return Registry(mesh, settings, header=HEADER.format(mesh=mesh))


def join(registry: Registry, candidates: Sequence[Candidate], context: Context) -> tuple[Registry, Report]:
    """New members, with their links; members that are there are brought to their wishes. Raises BindError."""
    return _brought(registry, candidates, context, Report())


def change_endpoint(
    registry: Registry, candidates: Sequence[Candidate], context: Context
) -> tuple[Registry, Report]:
    """The same for members only. Raises BindError."""
    allowed = (
        f"a member of the mesh {registry.mesh}; it is not in its registry (playbook swarm.node.mesh_join)"
    )
    strangers = [item.name for item in candidates if item.name not in registry.members]
    if strangers:
        raise BindError([Problem("members", name, allowed, "task") for name in strangers])
    return _brought(registry, candidates, context, Report())


def _brought(
    before: Registry, candidates: Sequence[Candidate], context: Context, report: Report
) -> tuple[Registry, Report]:
    registry, problems = before, list[Problem]()
    used = used_numbers(registry)
    changed: list[str] = []
    for candidate in sorted(candidates, key=lambda item: item.name):
        present = registry.members.get(candidate.name)
        if present is None and not candidate.public_key:
            report.wait("key", f"{candidate.name}: makes its key first", member=candidate.name)
            continue
        if present is None:
            registry, number = _numbered(registry, candidate, used)
        else:
            number = present.number
            problems += unchangeable(candidate, present, registry)
        member = member_of(candidate, registry, number, present)
        member = replace(member, leaving=False)
        if present is None and member.transit and any(item.is_hub for item in before.members.values()):
            member = replace(member, fresh=True)
        problems += problems_of(candidate, member, registry, context)
        if present is None:
            problems += taken_ports(candidate, member, registry)
        if member != present:
            changed.append(member.name)
            registry = with_member(registry, member)
            _say(report, registry, member, present)
    if problems:
        raise BindError(problems)
    registry = sealed_into(registry, candidates, report)
    if changed:
        registry = let_go(_linked(registry, before, changed, context, report), report)
    return settled(before, registry, report)


def _numbered(registry: Registry, candidate: Candidate, used: set[int]) -> tuple[Registry, int]:
    """Its number, the one it had before where it has been a member already. Raises BindError."""
    gone = registry.departed.get(candidate.name)
    if gone is not None:
        if gone.number // BLOCK not in registry.regions.get(candidate.region, ()):
            allowed = (
                f"the region it had ({gone.number} is its number); "
                "for a new number take its line out of `departed`"
            )
            origin = candidate.origin("region")
            raise BindError([Problem("mesh_region", candidate.region, allowed, origin, candidate.name)])
        departed = {name: item for name, item in registry.departed.items() if name != candidate.name}
        return replace(registry, departed=departed), gone.number
    number, regions = next_number(registry, candidate.region, used, registry.regions)
    used.add(number)
    return replace(registry, regions=regions), number


def _say(report: Report, registry: Registry, member: Member, present: Member | None) -> None:
    if present is None:
        report.say(f"{member.name}: joins as number {member.number} of region {member.region}", member.name)
        return
    for item in fields(Member):
        old, new = getattr(present, item.name), getattr(member, item.name)
        if old != new:
            report.say(f"{member.name}: {item.name} {_shown(old)} -> {_shown(new)}", member.name)


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value or "none")


def _linked(
    registry: Registry, before: Registry, changed: Sequence[str], context: Context, report: Report
) -> Registry:
    """Links of the changed members: those that cannot be any more leave, and what is missing comes."""
    lost = [link for link in registry.links.values() if not link.leaving and not _can_be(registry, link)]
    for link in lost:
        report.say(f"{link.words}: leaves, neither end can call the other any more", *link.ends)
    registry = with_links(registry, [replace(link, leaving=True, next=None) for link in lost])
    wants = [name for name in changed if _plans(before.members.get(name), registry.members[name])]
    if not wants:
        return registry
    kept = [pair for pair, link in registry.links.items() if not link.leaving]
    pairs, notes = planned_pairs(registry, context, kept, wants)
    registry = add_links(registry, pairs, context, report)
    report.lines += notes
    _require_links(registry, wants)
    # Who forwards no more has been the only way to some, perhaps.
    stop = {name for name in wants if name in before.members and before.members[name].to_forward}
    stop -= {name for name in stop if registry.members[name].to_forward}
    around = {link.other(name) for name in stop for link in registry.links_of(name)}
    return mended(registry, around, context, report)


def _can_be(registry: Registry, link: Link) -> bool:
    return path.possible(registry.members[link.ends[0]], registry.members[link.ends[1]])


def _plans(present: Member | None, member: Member) -> bool:
    """Whether the change has to do with which links it needs; a new address alone moves none."""
    if present is None or present.leaving:
        return True
    ways = ("nat", "to_forward", "relays")
    return any(getattr(present, name) != getattr(member, name) for name in ways) or (
        bool(present.local_endpoint) != bool(member.local_endpoint)
    )


def _require_links(registry: Registry, names: Sequence[str]) -> None:
    linked = {name for pair, link in registry.links.items() if not link.leaving for name in pair}
    staying = [member for member in registry.members.values() if not member.leaving]
    alone = [name for name in names if name not in linked] if len(staying) > 1 else []
    if alone:
        allowed = f"a free slot at a member it can reach (max_degree is {registry.settings.max_degree})"
        raise BindError([Problem("links", name, allowed, f"registry of {registry.mesh}") for name in alone])
