# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is held until something else is there: links, and members that begin or cease to forward. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from .changes import Context, Report, add_links, planned_pairs, with_links, with_member
from .registry import Member, Pair, Registry


def switched(registry: Registry, before: Registry, applied: Collection[str], report: Report) -> Registry:
    """One step further for members that are to forward, or no more. applied: have the share of `before`"""
    for name, member in before.members.items():
        if name not in registry.members:
            continue
        if member.fresh and name in applied and not member.leaving and _is_linked(before, name):
            registry = with_member(registry, replace(registry.members[name], fresh=False))
            report.say(f"{name}: others send over it", name)
        if member.held and is_free(before, member, applied):
            registry = with_member(registry, replace(registry.members[name], held=False))
            report.say(f"{name}: forwards no more", name)
    return registry


def _is_linked(registry: Registry, name: str, only_now: bool = True) -> bool:
    """Whether it has ways to others: a link with one that forwards carries routes, or is to carry them."""
    links = [link for link in registry.links_of(name) if registry.members[link.other(name)].is_hub]
    return any(link.carries if only_now else not link.leaving for link in links)


def is_free(registry: Registry, member: Member, applied: Collection[str]) -> bool:
    """Whether nobody sends over a member any more that goes, or is to forward no more.

    All its neighbours have said so. One that leaves is not waited for, but those who may send over it are.
    """
    todo, seen = [member.name], {member.name}
    while todo:
        name = todo.pop()
        if any(way.kept and way.by == name and not registry.members[way.at].leaving for way in registry.ways):
            return False
        for link in registry.links_of(name):
            end = registry.members[link.other(name)]
            if not end.leaving and end.name != member.name and end.name not in applied:
                return False
            if end.leaving and end.forwards and end.name not in seen:
                seen.add(end.name)
                todo.append(end.name)
    return True


def let_go(registry: Registry, report: Report) -> Registry:
    """What is held carries no routes any more, where nothing is fresh that is to carry them."""
    if any(link.fresh and not link.leaving for link in registry.links.values()):
        return registry
    coming = [member.name for member in registry.members.values() if member.fresh and not member.leaving]
    if any(_is_linked(registry, name, only_now=False) for name in coming):
        return registry
    held = [link for link in registry.links.values() if link.held]
    for link in held:
        report.affected.update(link.ends)
    for member in [member for member in registry.members.values() if member.stops]:
        registry = with_member(registry, replace(member, transit=False, stops=False, held=True))
        report.say(f"{member.name}: others send over it no more", member.name)
    return with_links(registry, [replace(link, held=False) for link in held])


def asked_next(registry: Registry) -> set[str]:
    """Of whom the next `finish` is to know whether they have their present share, be it as before."""
    found = {name for name, member in registry.members.items() if member.fresh}
    for link in registry.links.values():
        if (link.leaving and not link.held) or any(registry.members[name].held for name in link.ends):
            found.update(link.ends)
    return found


def mended(registry: Registry, neighbours: set[str], context: Context, report: Report) -> Registry:
    """Links between those who stay, where one that goes, or forwards no more, tore a hole."""
    staying = {name for name in neighbours if not registry.members[name].leaving}
    kept = [pair for pair, link in registry.links.items() if not link.leaving]
    if not staying or _is_connected(registry, kept):
        return registry
    pairs, notes = planned_pairs(registry, context, kept, staying)
    report.lines += notes
    return add_links(registry, pairs, context, report)


def expendable(registry: Registry, going: Sequence[Pair]) -> list[Pair]:
    """Of these links, those without which all still reach each other; the first are given up first.

    For where new ones wait for slots. One pass from the end finds those that are needed: the first that leads
    to a member that does not forward, or that joins two groups of members that do.
    """
    forwards = {name: item.to_forward for name, item in registry.members.items() if not item.leaving}
    groups = {name: name for name in forwards}
    asked = set(going)
    others = [link.ends for link in registry.links.values() if not link.leaving and link.ends not in asked]
    needed = set()
    for pair in [*others, *reversed(going)]:
        hubs = [name for name in pair if forwards[name]]
        leaves = [name for name in pair if not forwards[name]]
        if len(hubs) == 2 and _group(groups, hubs[0]) != _group(groups, hubs[1]):
            groups[_group(groups, hubs[0])] = _group(groups, hubs[1])
            needed.add(pair)
        elif len(hubs) == 1 and groups[leaves[0]] == leaves[0]:
            groups[leaves[0]] = hubs[0]
            needed.add(pair)
    is_whole = len(needed) == len(forwards) - 1
    return [pair for pair in going if pair not in needed] if is_whole else []


def _group(groups: dict[str, str], name: str) -> str:
    """Whose group a member is in; what was walked is shortened."""
    while groups[name] != name:
        groups[name] = name = groups[groups[name]]
    return name


def _is_connected(registry: Registry, pairs: Collection[Pair]) -> bool:
    """Whether all who stay reach each other over members that are to forward."""
    names = [name for name, member in registry.members.items() if not member.leaving]
    around: dict[str, set[str]] = {name: set() for name in names}
    for one, other in pairs:
        around[one].add(other)
        around[other].add(one)
    full = len(names) - 1
    hubs = [name for name in names if registry.members[name].to_forward]
    if all(len(around[name]) == full for name in names):
        return True
    seen, queue = set(hubs[:1]), list(hubs[:1])
    while queue:
        for name in around[queue.pop()]:
            if name not in seen:
                seen.add(name)
                queue += [name] if registry.members[name].to_forward else []
    return len(seen) == len(names)
