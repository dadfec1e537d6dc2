# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second half of what was begun: old tunnels, links and members go, each by proof. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from ...module_utils.core.errors import BindError, Problem
from .changes import (
    Context,
    Report,
    add_links,
    members_named,
    planned_pairs,
    settled,
    with_links,
    with_member,
)
from .registry import Departed, Identity, Link, Member, Pair, Registry, interface, pair_of
from .rotation import preshared
from .steady import believed
from .switching import asked_next, expendable, is_free, let_go, mended, switched

Proof = tuple[str, str]
"""(member, interface): the member saw a handshake there, so both ends have that tunnel."""


def leave(before: Registry, names: Sequence[str], context: Context) -> tuple[Registry, Report]:
    """The members' links carry no routes from now on; `finish` takes them away. Raises BindError.

    Who has left already may be told so again: a node that was off meanwhile still has its tunnels.
    """
    report = Report()
    for name in dict.fromkeys(names):
        if name in before.departed:
            # A run that was killed may have left tunnels at any of those who were neighbours then.
            report.say(f"{name}: has left already ({before.departed[name].left})", *before.members)
    members = members_named(before, [name for name in names if name not in before.departed])
    registry, neighbours = before, set[str]()
    for member in members:
        if member.leaving:
            continue
        _not_needed(registry, member, {item.name for item in members})
        links = registry.links_of(member.name)
        neighbours |= {link.other(member.name) for link in links}
        registry = with_member(registry, replace(member, leaving=True))
        registry = with_links(
            registry, [replace(link, leaving=True, held=False, next=None) for link in links]
        )
        report.say(f"{member.name}: leaves", member.name, *(link.other(member.name) for link in links))
    if registry == before:
        return settled(before, registry, report)
    registry = _without_relays(registry, {member.name for member in members}, report)
    whole = mended(registry, neighbours, context, report)
    if whole.links.keys() != before.links.keys():
        # What mends the hole has to be there before the old way goes.
        going = {member.name for member in members if not member.leaving}
        old = [link for pair, link in before.links.items() if going & set(pair) and link.carries]
        held = [replace(whole.links[link.ends], held=True) for link in old]
        whole = let_go(with_links(whole, held), report)
    return settled(before, whole, report)


def replan(before: Registry, context: Context) -> tuple[Registry, Report]:
    """The topology anew: what is missing comes, what is not wanted any more leaves. Raises BindError.

    Noise in what was measured changes nothing (`steady`).
    """
    report = Report()
    first = bool(context.latency) and not context.remembered
    context = _believing(before, context)
    if dict(context.latency) != dict(context.remembered):
        report.latency = dict(context.latency)
    # The first plan with measurements is made from nothing: what there is, was chosen blindly.
    present = None if first else [pair for pair, link in before.links.items() if not link.leaving]
    pairs, notes = planned_pairs(before, context, (), None, present)
    registry = _measured(before, context)
    registry = add_links(registry, pairs, context, report)
    waiting = [entry for entry in report.pending if entry["what"] == "slot"]
    going = [pair for pair, link in registry.links.items() if pair not in pairs and not link.leaving]
    if waiting:
        going = expendable(registry, going)
    leaving = []
    for pair in going:
        link = registry.links[pair]
        leaving.append(replace(link, leaving=True, held=link.carries, next=None))
        report.say(f"{link.words}: leaves", *pair)
    registry = let_go(with_links(registry, leaving), report)
    if waiting:
        report.lines.append(f"{len(waiting)} links wait for slots: run finish, then replan again")
    report.lines += notes
    return settled(before, preshared(registry, list(registry.members), report), report)


def finish(
    before: Registry, proofs: Collection[Proof], applied: Collection[str], context: Context
) -> tuple[Registry, Report]:
    """One step further for each link that has the proof for it. Never by time alone.

    - A tunnel beside (`next`) on which a handshake was seen takes over the routes; the other becomes `old`.
    - An `old` tunnel and a link that is leaving go as soon as both ends have applied the present share.
    - After a date that the operator gave (`retire`) the new tunnel takes over without proof.

    applied: members that have the present share. A member that leaves is not waited for. Raises BindError.
    """
    report = Report()
    kept: list[Link] = []
    gone: list[Pair] = []
    needed = _needed(before, applied)
    for pair, link in before.links.items():
        done = _has_applied(before, link, applied)
        if link.leaving:
            if done and not link.held and pair not in needed:
                gone.append(pair)
                report.say(f"{link.words}: is gone", *pair)
            continue
        new = _stepped(before, link, proofs, done, context, report)
        if new != link:
            kept.append(new)
    registry = switched(with_links(before, kept, without=gone), before, applied, report)
    registry = let_go(registry, report)
    registry = _departed(registry, context, report)
    for member in list(registry.members.values()):
        registry = _settled_keys(registry, member, report)
    registry, report = settled(before, registry, report, applied)
    if registry != before:
        report.affected |= asked_next(registry)
    return registry, report


def _needed(registry: Registry, applied: Collection[str]) -> set[Pair]:
    """Links over which packets go that others may still send: they stay, though they are leaving."""
    found = {
        pair_of(way.at, way.by) for way in registry.ways if way.kept and not registry.members[way.at].leaving
    }
    for name, member in registry.members.items():
        if member.leaving and member.forwards and not is_free(registry, member, applied):
            found.update(link.ends for link in registry.links_of(name))
    return found


def _stepped(
    registry: Registry, link: Link, proofs: Collection[Proof], done: bool, context: Context, report: Report
) -> Link:
    if link.old is not None:
        if not done and not _is_overdue(registry, link, link.old, context):
            return link
        report.say(f"{link.words}: the old tunnel is gone", *link.ends)
        return replace(link, old=None)
    if link.fresh and _is_proven(registry, link, proofs, link.side):
        report.say(f"{link.words}: the new link carries routes", *link.ends)
        link = replace(link, fresh=False)
    if link.next is None:
        return link
    proven = _is_proven(registry, link, proofs, 1 - link.side)
    if not proven and not _is_overdue(registry, link, link.current, context):
        return link
    word = "takes over" if proven else "takes over without proof, the date for the old one is past"
    report.say(f"{link.words}: the new tunnel {word}", *link.ends)
    old = link.current if proven else None
    return replace(
        link, current=link.next, side=1 - link.side, next=None, old=old, fresh=link.fresh and not proven
    )


def _is_proven(registry: Registry, link: Link, proofs: Collection[Proof], side: int) -> bool:
    for name in link.ends:
        number = registry.members[link.other(name)].number
        if (name, interface(registry.mesh, number, side)) in proofs:
            return True
    return False


def _is_overdue(registry: Registry, link: Link, identity: Identity, context: Context) -> bool:
    """Whether the tunnel uses a key whose date is past."""
    for name, generation in zip(link.ends, identity.generations):
        date = registry.members[name].retire.get(generation)
        if date is not None and date < context.today:
            return True
    return False


def _has_applied(registry: Registry, link: Link, applied: Collection[str]) -> bool:
    return all(_is_done(registry, name, applied) for name in link.ends)


def _is_done(registry: Registry, name: str, applied: Collection[str]) -> bool:
    return name in applied or registry.members[name].leaving


def _departed(registry: Registry, context: Context, report: Report) -> Registry:
    linked = {name for pair in registry.links for name in pair}
    going = [item for item in registry.members.values() if item.leaving and item.name not in linked]
    if not going:
        return registry
    members = {name: item for name, item in registry.members.items() if item not in going}
    departed = {**registry.departed, **{item.name: Departed(item.number, context.today) for item in going}}
    for item in going:
        report.say(f"{item.name}: has left", item.name)
    return replace(registry, members=members, departed=departed)


def _settled_keys(registry: Registry, member: Member, report: Report) -> Registry:
    """The newest key is in force as soon as no link uses an older one; keys that nothing uses go."""
    if len(member.keys) == 1:
        return registry
    used: set[int] = set()
    for link in registry.links_of(member.name):
        used |= {identity.generations[link.end(member.name)] for identity in link.identities}
    pinned = {
        peer.generations.get(member.name, min(member.keys))
        for peer in registry.foreign.values()
        if member.name in peer.via
    }
    in_force = member.newest if used <= {member.newest} else member.generation
    keys = {
        number: key
        for number, key in member.keys.items()
        if number in used | pinned | {member.newest, in_force}
    }
    retire = {
        number: date for number, date in member.retire.items() if number in keys and number != member.newest
    }
    changed = replace(member, generation=in_force, keys=keys, retire=retire)
    for peer in sorted(name for name, item in registry.foreign.items() if member.name in item.via):
        used_there = registry.foreign[peer].generations.get(member.name, min(member.keys))
        if used_there < member.newest:
            why = (
                f"{peer}: still uses key {used_there} of {member.name}; when it knows key {member.newest}, "
                f"set its `generations: {{{member.name}: {member.newest}}}`"
            )
            report.wait("foreign", why, member=member.name)
    if changed == member:
        return registry
    for number in sorted(set(member.keys) - set(keys)):
        report.say(f"{member.name}: key {number} is gone", member.name)
    if in_force != member.generation:
        report.say(f"{member.name}: key {in_force} is in force", member.name)
    return with_member(registry, changed)


# -- what leaving does to others


def _not_needed(registry: Registry, member: Member, leaving: Collection[str]) -> None:
    peers = [name for name, item in registry.foreign.items() if member.name in item.via]
    problems = [
        Problem(
            "leave",
            member.name,
            f"a member that no foreign peer goes via; {peer} does",
            f"registry of {registry.mesh}",
        )
        for peer in peers
    ]
    for other in registry.members.values():
        if other.leaving or other.name in leaving or member.name not in other.relays:
            continue
        if not set(other.relays) - set(leaving) and other.nat:
            allowed = (
                f"a member that is not the only relay of another: {other.name} needs another in mesh_relays"
            )
            problems.append(Problem("leave", member.name, allowed, f"registry of {registry.mesh}"))
    if problems:
        raise BindError(problems)


def _without_relays(registry: Registry, names: Collection[str], report: Report) -> Registry:
    for member in list(registry.members.values()):
        relays = tuple(relay for relay in member.relays if relay not in names)
        if relays != member.relays:
            registry = with_member(registry, replace(member, relays=relays))
            report.say(f"{member.name}: relays {', '.join(relays) or 'none'}", member.name)
    return registry


def _believing(registry: Registry, context: Context) -> Context:
    """With the round trips that count: what was remembered, unless what was measured differs clearly."""
    known = {link.ends: link.ms for link in registry.links.values() if link.ms is not None}
    known.update(context.remembered)
    measured = {pair_of(*pair): round(float(ms), 2) for pair, ms in context.latency.items()}
    counting = {**known, **believed(known, measured)}
    here = {pair: ms for pair, ms in counting.items() if all(end in registry.members for end in pair)}
    return replace(context, latency=here if measured or context.remembered else {})


def _measured(registry: Registry, context: Context) -> Registry:
    """The links with the round trips as they are now."""
    found = []
    for pair, link in registry.links.items():
        ms = context.latency.get(pair, context.latency.get((pair[1], pair[0])))
        if ms is not None and round(float(ms), 1) != link.ms:
            found.append(replace(link, ms=round(float(ms), 1)))
    return with_links(registry, found)
