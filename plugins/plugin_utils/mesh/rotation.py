# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New keys for members: beside the old ones (rotate), or instead of lost ones (rekey). Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...module_utils.core.errors import BindError, Problem
from .admission import problems_of
from .candidates import KEYS, Candidate
from .changes import Context, Report, fresh_psk, members_named, settled, with_links, with_member
from .readiness import maker, receiver
from .registry import Identity, Link, LinkPsk, Member, Pair, Registry


def rotate(
    before: Registry, candidates: Sequence[Candidate], context: Context, keep_until: str | None = None
) -> tuple[Registry, Report]:
    """The members' new keys go into a tunnel beside each of theirs; `finish` takes the old ones away.

    keep_until: ISO date after which `finish` takes them away without proof, for members that are offline.
    Raises BindError.
    """
    report = Report()
    members_named(before, [candidate.name for candidate in candidates])
    problems = _date(keep_until, context)
    registry = before
    for candidate in sorted(candidates, key=lambda item: item.name):
        member = registry.members[candidate.name]
        if not candidate.public_key:
            report.wait("key", f"{member.name}: makes its key {member.newest + 1} first", member=member.name)
            continue
        problems += _rotatable(before, member, candidate)
        if not problems:
            # Which links a member has is not changed here: so that it is found once, for a large mesh.
            pairs = [link.ends for link in before.links_of(member.name)]
            registry = _rotated(registry, member, pairs, candidate, keep_until, report)
    if problems:
        raise BindError(problems)
    registry = preshared(registry, [candidate.name for candidate in candidates], report)
    return settled(before, sealed_into(registry, candidates, report), report)


def rekey(before: Registry, candidates: Sequence[Candidate], context: Context) -> tuple[Registry, Report]:
    """Members that were installed again and lost their keys: the new key is in force at once, as no tunnel
    with the old one can work any more. Raises BindError."""
    report = Report()
    members_named(before, [candidate.name for candidate in candidates])
    problems: list[Problem] = []
    registry = before
    for candidate in sorted(candidates, key=lambda item: item.name):
        member = registry.members[candidate.name]
        if not candidate.public_key:
            report.wait("key", f"{member.name}: makes its key {member.newest + 1} first", member=member.name)
            continue
        if member.keys.get(candidate.generation) == candidate.public_key:
            if len(member.keys) > 1:
                problems.append(_still_there(member, candidate))
            continue
        if candidate.generation <= member.newest:
            allowed = f"{member.newest + 1} or more, as the others were keys of their own"
            problems.append(Problem("generation", candidate.generation, allowed, KEYS, member.name))
            continue
        problems += problems_of(candidate, member, registry, context)
        registry = _rekeyed(registry, member, candidate, report)
    if problems:
        raise BindError(problems)
    return settled(before, sealed_into(registry, candidates, report), report)


def seal(before: Registry, candidates: Sequence[Candidate]) -> tuple[Registry, Report]:
    """Only puts in the preshared keys that members made and sealed. Raises BindError."""
    report = Report()
    members_named(before, [candidate.name for candidate in candidates])
    return settled(before, sealed_into(before, candidates, report), report)


def preshared(registry: Registry, names: Sequence[str], report: Report) -> Registry:
    """Links of these members get or lose preshared keys, as the settings say now, by a tunnel beside."""
    found = []
    asked, wished = set(names), registry.settings.preshared_keys
    for link in registry.links.values():
        target = link.next or link.current
        if link.leaving or link.old is not None or not asked & set(link.ends):
            continue
        if wished == (target.psk is not None):
            continue
        psk = fresh_psk(registry, link) if wished else None
        found.append(replace(link, next=Identity(target.generations, psk)))
        report.say(f"{link.words}: {'gets a' if wished else 'goes without'} preshared key", *link.ends)
    return with_links(registry, found)


def sealed_into(registry: Registry, candidates: Sequence[Candidate], report: Report) -> Registry:
    """Puts the preshared keys that these members made into their links; one that is there stays."""
    made = {candidate.name: candidate.sealed for candidate in candidates if candidate.sealed}
    found = []
    for link in registry.links.values():
        copies = made.get(maker(registry, link), {}) if made else {}
        if not copies:
            continue
        new = replace(
            link,
            current=_with_copy(link.current, receiver(registry, link), copies),
            next=link.next and _with_copy(link.next, receiver(registry, link), copies),
        )
        if new != link:
            found.append(new)
            report.say(f"{link.words}: has its preshared key", *link.ends)
    return with_links(registry, found)


def _with_copy(identity: Identity, peer: str, copies: Mapping[str, object]) -> Identity:
    psk = identity.psk
    if psk is None or peer in psk.sealed or psk.name not in copies:
        return identity
    return replace(identity, psk=LinkPsk(psk.name, {peer: copies[psk.name]}))  # type: ignore[dict-item]


def _rotatable(registry: Registry, member: Member, candidate: Candidate) -> list[Problem]:
    known = member.keys.get(candidate.generation)
    if known is not None and known != candidate.public_key:
        allowed = (
            f"{known}, as in the registry: for a node that was installed again "
            "run the playbook swarm.node.mesh_rekey"
        )
        return [Problem("public_key", candidate.public_key, allowed, KEYS, member.name)]
    if candidate.generation < member.newest:
        allowed = f"{member.newest} or more"
        return [Problem("generation", candidate.generation, allowed, KEYS, member.name)]
    if candidate.generation == member.newest:
        return []
    busy = [link.words for link in registry.links_of(member.name) if link.old is not None]
    if busy:
        allowed = f"a member whose last rotation is done; wait for {', '.join(busy)} (operation finish)"
        return [Problem("rotate", member.name, allowed, f"registry of {registry.mesh}")]
    return []


def _rotated(
    registry: Registry,
    member: Member,
    pairs: Sequence[Pair],
    candidate: Candidate,
    keep_until: str | None,
    report: Report,
) -> Registry:
    newest = candidate.generation
    retire = dict(member.retire)
    if keep_until is not None and newest > member.generation:
        retire.update({old: keep_until for old in member.keys if old < newest})
    keys = {**member.keys, newest: candidate.public_key}
    changed = replace(member, keys=keys, retire=retire)
    if changed == member:
        return registry
    links = []
    if newest > member.newest:
        for link in [registry.links[pair] for pair in pairs]:
            if not link.leaving:
                links.append(_beside(registry, link, member.name, newest))
                report.affected.add(link.other(member.name))
        report.say(f"{member.name}: key {newest} beside key {member.newest}", member.name)
    else:
        report.say(f"{member.name}: its old keys may go after {keep_until}", member.name)
    return with_links(with_member(registry, changed), links)


def _beside(registry: Registry, link: Link, name: str, generation: int) -> Link:
    """The link with a tunnel beside it that has the new key; what the other end has new there stays."""
    first, second = (link.next or link.current).generations
    generations = (generation, second) if link.end(name) == 0 else (first, generation)
    psk = (link.next or link.current).psk
    return replace(link, next=Identity(generations, fresh_psk(registry, link) if psk is not None else None))


def _rekeyed(registry: Registry, member: Member, candidate: Candidate, report: Report) -> Registry:
    links = []
    for link in registry.links_of(member.name):
        new = replace(link, old=None, current=_replaced(registry, link, link.current, member.name, candidate))
        if link.next is not None:
            new = replace(new, next=_replaced(registry, new, link.next, member.name, candidate))
            if new.next == new.current or new.next.generations == new.current.generations:  # type: ignore[union-attr]
                new = replace(new, next=None)
        links.append(new)
        report.affected.add(link.other(member.name))
    report.say(
        f"{member.name}: key {candidate.generation} instead of key {member.newest}, which is lost",
        member.name,
    )
    changed = replace(
        member, generation=candidate.generation, keys={candidate.generation: candidate.public_key}, retire={}
    )
    return with_links(with_member(registry, changed), links)


def _replaced(
    registry: Registry, link: Link, identity: Identity, name: str, candidate: Candidate
) -> Identity:
    first, second = identity.generations
    end = link.end(name)
    generations = (candidate.generation, second) if end == 0 else (first, candidate.generation)
    return Identity(generations, fresh_psk(registry, link) if identity.psk is not None else None)


def _still_there(member: Member, candidate: Candidate) -> Problem:
    allowed = f"a node that lost its keys; this one has key {candidate.generation} of {sorted(member.keys)}"
    return Problem("rekey", member.name, allowed, KEYS, member.name)


def _date(keep_until: str | None, context: Context) -> list[Problem]:
    if keep_until is None:
        return []
    try:
        day = datetime.date.fromisoformat(keep_until)
    except ValueError:
        return [Problem("keep_until", keep_until, "a date such as 2026-12-31", "task")]
    if day.isoformat() < context.today:
        return [Problem("keep_until", keep_until, f"today ({context.today}) or later", "task")]
    return []
