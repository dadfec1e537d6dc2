# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all operations on a registry share: what they know, what they say, how links come. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from . import passage
from .check import mistakes
from .pending import unfinished
from .readiness import is_ready, maker, receiver
from .registry import Identity, Link, LinkPsk, Member, Pair, Registry, pair_of
from .shares import Shares
from .steady import steady
from .tables import Tables
from .topology import Limits, Spot, plan_links

Resolver = Callable[[str], list[str]]
"""A name's addresses; empty where it has none."""


@dataclass(frozen=True)
class Context:
    """What an operation knows beside the registry.

    now, since: Unix time in s, and when the members were asked for their clocks at the earliest
    others: registries of other meshes; latency: round trips in ms, ends in any order
    remembered: the same, those of which the last plan was made
    """

    now: float
    resolver: Resolver
    since: float | None = None
    others: tuple[Registry, ...] = ()
    latency: Mapping[Pair, float] = field(default_factory=dict)
    remembered: Mapping[Pair, float] = field(default_factory=dict)

    @property
    def today(self) -> str:
        return datetime.datetime.fromtimestamp(self.now, datetime.timezone.utc).date().isoformat()


@dataclass
class Report:
    """lines: what changed, in words; affected: members whose share changed, and the ends of links that did

    pending: what is still to be done, entries with `what` (psk, proof, applied, slot, key, foreign), `why`,
    and `ends` or `member`; entries `psk` also have what mesh_keys needs: `member` makes and seals `name` for
    `peer`, whose key is `public_key`
    latency: round trips to be remembered, None for no others than before
    """

    lines: list[str] = field(default_factory=list)
    affected: set[str] = field(default_factory=set)
    pending: list[dict[str, Any]] = field(default_factory=list)
    latency: dict[Pair, float] | None = None

    def say(self, line: str, *affected: str) -> None:
        self.lines.append(line)
        self.affected.update(affected)

    def wait(self, what: str, why: str, **more: Any) -> None:
        self.pending.append({"what": what, "why": why, **more})


def settled(
    before: Registry, registry: Registry, report: Report, applied: Collection[str] = ()
) -> tuple[Registry, Report]:
    """The end of every operation: what came out has to be valid, and routes move in safe steps.

    applied: members that are known to have their present share
    What was wrong before is found when the file is read, so this is about the operation's own values.
    Raises BindError.
    """
    if registry != before:
        found = mistakes(replace(registry, ways=()))
        if found:
            raise BindError(
                [mistake.problem(f"the mesh {registry.mesh} after this change") for mistake in found]
            )
    if registry != before or (before.ways and applied):
        old = Tables(before)
        new = Tables(replace(registry, ways=())).like(old)
        registry = replace(registry, ways=passage.ways(old, new, applied))
        if registry != before:
            report.affected |= other_shares(Shares(before, old), Shares(registry, new.again(registry)))
    report.pending += psk_needs(registry) + unfinished(registry)
    return registry, report


def other_shares(before: Shares, after: Shares) -> set[str]:
    """Members whose share is another: in a sparse mesh routes change far from a link."""
    old = {share.member: share for share in before.all()}
    new = {share.member: share for share in after.all()}
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def with_member(registry: Registry, member: Member) -> Registry:
    return replace(registry, members={**registry.members, member.name: member})


def with_links(registry: Registry, links: Iterable[Link], without: Collection[Pair] = ()) -> Registry:
    found = {pair: link for pair, link in registry.links.items() if pair not in without}
    found.update({link.ends: link for link in links})
    return replace(registry, links=found)


def members_named(registry: Registry, names: Iterable[str], option: str = "members") -> list[Member]:
    """Raises BindError for names that are no members'."""
    wanted = list(dict.fromkeys(names))
    allowed = (
        f"a member of the mesh {registry.mesh}; it is not in its registry (playbook swarm.node.mesh_join)"
    )
    wrong = [Problem(option, name, allowed, "task") for name in wanted if name not in registry.members]
    if wrong:
        raise BindError(wrong)
    return [registry.members[name] for name in wanted]


# -- which links there are to be


def planned_pairs(
    registry: Registry,
    context: Context,
    kept: Collection[Pair],
    only_for: Collection[str] | None,
    present: Collection[Pair] | None = None,
) -> tuple[set[Pair], list[str]]:
    """What the planner wants, and its notes. Members that leave are out of it. Raises BindError.

    present: links that go only for clearly better ones; None: what is not in `kept` is not looked at
    """
    staying = {name: member for name, member in registry.members.items() if not member.leaving}
    spots = [
        Spot(
            member.name,
            member.region,
            member.to_forward,
            reachable=bool(member.endpoint),
            relays=tuple(relay for relay in member.relays if relay in staying),
            local=bool(member.local_endpoint),
        )
        for member in staying.values()
    ]
    settings = registry.settings
    limits = Limits(settings.full_mesh_up_to, settings.neighbours, settings.max_degree)
    latency = {link.ends: link.ms for link in registry.links.values() if link.ms is not None}
    latency.update({pair_of(*pair): ms for pair, ms in context.latency.items()})
    latency = {pair: ms for pair, ms in latency.items() if set(pair) <= staying.keys()}
    kept = [pair for pair in kept if set(pair) <= staying.keys()]
    only = None if only_for is None else [name for name in only_for if name in staying]
    try:
        links = plan_links(spots, limits, latency, kept, only)
    except BindError as error:
        origin = f"the plan of the mesh {registry.mesh}"
        raise BindError([replace(item, origin=item.origin or origin) for item in error.problems]) from None
    pairs = {pair_of(*pair) for pair in links.pairs}
    if present is not None:
        pairs = steady(pairs, present, spots, limits, latency)
    return pairs, links.notes


def add_links(registry: Registry, pairs: Iterable[Pair], context: Context, report: Report) -> Registry:
    """New links, and links that were leaving and are wanted again. A link without a free slot waits."""
    used = _used_slots(registry)
    linked = {name for pair, link in registry.links.items() if not link.leaving for name in pair}
    found: list[Link] = []
    for pair in sorted(pairs):
        link = registry.links.get(pair)
        if link is not None and not link.leaving:
            continue
        if link is not None:
            found.append(replace(link, leaving=False, held=False))
            report.say(f"{link.words}: stays after all", *pair)
            continue
        slots = [_free_slot(registry, used[name]) for name in pair]
        full = [name for name, slot in zip(pair, slots) if slot is None]
        if full:
            why = f"{', '.join(full)}: all {registry.settings.max_degree} slots are used (max_degree)"
            report.wait("slot", why, ends=list(pair))
            continue
        for name, slot in zip(pair, slots):
            used[name].add(slot or 0)
        fresh = not _carries_at_once(registry, pair, linked)
        found.append(_new_link(registry, pair, (slots[0] or 0, slots[1] or 0), context, fresh))
        report.say(f"{found[-1].words}: new link", *pair)
    return with_links(registry, found)


def _carries_at_once(registry: Registry, pair: Pair, linked: Collection[str]) -> bool:
    """Whether routes over it move nobody else's packets: both ends are new, or one is new and a leaf."""
    new = [registry.members[name] for name in pair if name not in linked]
    return len(new) == len(pair) or any(not member.to_forward for member in new)


def _new_link(registry: Registry, pair: Pair, slots: tuple[int, int], context: Context, fresh: bool) -> Link:
    ends = [registry.members[name] for name in pair]
    measured = context.latency.get(pair, context.latency.get((pair[1], pair[0])))
    ms = None if measured is None else round(float(measured), 1)
    link = Link(pair, slots, Identity((ends[0].newest, ends[1].newest)), fresh=fresh, ms=ms)
    if registry.settings.preshared_keys:
        link = replace(link, current=replace(link.current, psk=fresh_psk(registry, link)))
    return link


def _used_slots(registry: Registry) -> dict[str, set[int]]:
    used: dict[str, set[int]] = {name: set() for name in registry.members}
    for link in registry.links.values():
        for name, slot in zip(link.ends, link.slots):
            used[name].add(slot)
    for peer in registry.foreign.values():
        for name, slot in peer.slots.items():
            used[name].add(slot)
    return used


def _free_slot(registry: Registry, used: Collection[int]) -> int | None:
    return next((slot for slot in range(registry.settings.max_degree) if slot not in used), None)


# -- preshared keys


def fresh_psk(registry: Registry, link: Link) -> LinkPsk:
    """One with a name that the link has not had: `<lower number>-<higher number>-<serial>`."""
    numbers = sorted(registry.members[name].number for name in link.ends)
    stem = f"{numbers[0]}-{numbers[1]}-"
    had = [identity.psk.name for identity in link.identities if identity.psk is not None]
    serials = [
        int(name[len(stem) :]) for name in had if name.startswith(stem) and name[len(stem) :].isdigit()
    ]
    return LinkPsk(f"{stem}{max(serials, default=0) + 1}")


def psk_needs(registry: Registry) -> list[dict[str, Any]]:
    """The preshared keys that are to be made and sealed, as entries of a report's `pending`."""
    found = []
    for link in registry.links.values():
        for identity in () if link.leaving else (link.current, link.next):
            if identity is None or identity.psk is None or is_ready(registry, link, identity):
                continue
            peer = receiver(registry, link)
            generation = identity.generations[link.end(peer)]
            found.append(
                {
                    "what": "psk",
                    "why": f"{link.words}: its preshared key is to be made by {maker(registry, link)}",
                    "ends": list(link.ends),
                    "member": maker(registry, link),
                    "peer": peer,
                    "name": identity.psk.name,
                    "public_key": registry.members[peer].keys[generation],
                }
            )
    return found
