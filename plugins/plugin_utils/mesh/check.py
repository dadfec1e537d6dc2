# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a registry contradicts itself, after each value by itself is right. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ...module_utils.core.errors import Problem
from ...module_utils.mesh.share import MIN_MTU
from . import addresses, path
from .registry import BLOCK, Link, Member, Registry, Settings, pair_of

Where = tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """where: keys and list places that lead to the value in the file; a link's place is its ends"""

    where: Where
    value: Any
    allowed: str

    def problem(self, origin: str) -> Problem:
        steps = [" – ".join(step) if isinstance(step, tuple) else str(step) for step in self.where]
        return Problem(" ".join(steps) or "registry", self.value, self.allowed, origin)


def mistakes(registry: Registry) -> list[Mistake]:
    found = list(_settings(registry.settings))
    if found:
        return found
    for look in (_regions, _numbers, _keys, _members, _foreign, _links, _slots, _ways):
        found += look(registry)
    return found


def _settings(settings: Settings) -> Iterator[Mistake]:
    where = ("settings", "prefixes")
    networks = [ipaddress.ip_network(prefix) for prefix in settings.prefixes]
    versions = [network.version for network in networks]
    if not networks or len(set(versions)) < len(versions):
        yield Mistake(where, list(settings.prefixes), "one IPv4 network, one IPv6 network, or one of each")
    for network in networks:
        longest = 30 if network.version == 4 else 126
        if not 1 <= network.prefixlen <= longest:
            yield Mistake(where, str(network), f"a length from 1 to {longest}")
        elif network.is_multicast or network.is_loopback or network.is_link_local:
            yield Mistake(where, str(network), "a network of ordinary addresses")
    last = settings.port + 2 * settings.max_degree - 1
    if last > 65535:
        yield Mistake(("settings", "port"), settings.port, f"at most {65535 - 2 * settings.max_degree + 1}")
    if settings.neighbours > settings.max_degree:
        yield Mistake(
            ("settings", "neighbours"), settings.neighbours, f"at most max_degree {settings.max_degree}"
        )
    if settings.full_mesh_up_to > settings.max_degree + 1:
        allowed = f"at most {settings.max_degree + 1}: max_degree {settings.max_degree} and the member itself"
        yield Mistake(("settings", "full_mesh_up_to"), settings.full_mesh_up_to, allowed)


def _regions(registry: Registry) -> Iterator[Mistake]:
    top = addresses.highest(registry.settings.prefixes)
    owner: dict[int, str] = {}
    for name, blocks in registry.regions.items():
        for block in blocks:
            if block * BLOCK > top:
                yield Mistake(("regions", name), block, f"0 to {top // BLOCK}: the prefixes end there")
            if block in owner:
                yield Mistake(("regions", name), block, f"a block of its own; {owner[block]} has this one")
            owner[block] = name


def _numbers(registry: Registry) -> Iterator[Mistake]:
    top = addresses.highest(registry.settings.prefixes)
    owner: dict[int, str] = {}
    for section in ("members", "foreign", "departed"):
        for name, holder in getattr(registry, section).items():
            where = (section, name, "number")
            if holder.number in owner:
                allowed = (
                    f"a number of its own (its address comes from it); {owner[holder.number]} has this one"
                )
                yield Mistake(where, holder.number, allowed)
            owner[holder.number] = name
            if holder.number > top:
                prefixes = ", ".join(registry.settings.prefixes)
                yield Mistake(where, holder.number, f"1 to {top}, for which {prefixes} have room")
    for name, member in registry.members.items():
        if member.number // BLOCK not in registry.regions.get(member.region, ()):
            blocks = list(registry.regions.get(member.region, ()))
            allowed = f"a number in the blocks of {BLOCK} that region {member.region} has: {blocks}"
            yield Mistake(("members", name, "number"), member.number, allowed)
        if name in registry.departed:
            yield Mistake(("departed", name), name, "a name that is no member's")
        if name in registry.foreign:
            yield Mistake(("foreign", name), name, "a name that is no member's")


def _keys(registry: Registry) -> Iterator[Mistake]:
    owner: dict[str, str] = {}
    for name, member in registry.members.items():
        for generation, key in member.keys.items():
            if key in owner:
                yield Mistake(("members", name, "keys"), key, f"a key of its own; {owner[key]} has this one")
            owner[key] = f"{name} (generation {generation})"
        if member.generation not in member.keys:
            allowed = f"a generation that is in keys: {sorted(member.keys)}"
            yield Mistake(("members", name, "generation"), member.generation, allowed)
        for generation in member.retire:
            if generation not in member.keys:
                yield Mistake(("members", name, "retire"), generation, f"one of {sorted(member.keys)}")
    for name, peer in registry.foreign.items():
        if peer.public_key in owner:
            allowed = f"a key of its own; {owner[peer.public_key]} has this one"
            yield Mistake(("foreign", name, "public_key"), peer.public_key, allowed)
        owner[peer.public_key] = name


def _members(registry: Registry) -> Iterator[Mistake]:
    for name, member in registry.members.items():
        where = ("members", name)
        yield from member_alone(where, member, registry.settings)
        for relay in member.relays:
            found = registry.members.get(relay)
            if relay == name or found is None:
                yield Mistake((*where, "relays"), relay, "another member; this one is not in the registry")
            elif found.nat or not found.to_forward:
                yield Mistake((*where, "relays"), relay, "a member with transit: true that is not behind NAT")


def member_alone(where: Where, member: Member, settings: Settings) -> Iterator[Mistake]:
    """What is wrong with a member whoever the others are."""
    if not member.nat and not member.endpoint:
        yield Mistake((*where, "endpoint"), None, "an address or name where others call it, or nat: true")
    if member.nat and member.endpoint:
        allowed = (
            "none, as it is behind NAT: a forwarded port makes it a member with endpoint and without nat"
        )
        yield Mistake((*where, "endpoint"), member.endpoint, allowed)
    last = member.port + 2 * settings.max_degree - 1
    if last > 65535:
        yield Mistake((*where, "port"), member.port, f"at most {65535 - 2 * settings.max_degree + 1}")
    overhead = path.overhead([member])
    if member.underlay_mtu - overhead < MIN_MTU:
        allowed = (
            f"{MIN_MTU + overhead} or more: a tunnel takes {overhead} off it, and IPv6 needs {MIN_MTU} within"
        )
        yield Mistake((*where, "underlay_mtu"), member.underlay_mtu, allowed)
    for name, needs in (("fresh", True), ("stops", True), ("held", False)):
        if getattr(member, name) and member.transit != needs:
            yield Mistake((*where, name), True, f"only {'with' if needs else 'without'} transit: true")
    for prefix, network in overlaps(settings.prefixes, member.underlay):
        allowed = f"networks outside the mesh's {prefix}: the mesh would capture them"
        yield Mistake((*where, "underlay"), network, allowed)


def overlaps(prefixes: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (prefix, other network) that have addresses in common. A default route is no network."""
    found = []
    for text in others:
        other = ipaddress.ip_network(text, strict=False)
        for prefix in prefixes:
            network = ipaddress.ip_network(prefix)
            if other.prefixlen and network.version == other.version and network.overlaps(other):
                found.append((prefix, text))
    return found


def _foreign(registry: Registry) -> Iterator[Mistake]:
    for name, peer in registry.foreign.items():
        where = ("foreign", name)
        if not peer.via:
            yield Mistake((*where, "via"), [], "one member or more that have a tunnel with it")
        own = set(addresses.addresses(registry.settings.prefixes, peer.number))
        for prefix, network in overlaps(registry.settings.prefixes, set(peer.allowed) - own):
            allowed = f"networks outside the mesh's {prefix}, or its own {', '.join(sorted(own))}"
            yield Mistake((*where, "allowed"), network, allowed)
        for via in peer.via:
            member = registry.members.get(via)
            if member is None:
                yield Mistake((*where, "via"), via, "a member; this one is not in the registry")
                continue
            if via not in peer.slots:
                yield Mistake(
                    (*where, "slots"), dict(peer.slots), f"a slot of each member of via, also of {via}"
                )
            for network, lan in overlaps(peer.allowed, member.underlay):
                yield Mistake(
                    (*where, "allowed"), network, f"networks outside {lan}, in which {via} is itself"
                )
            used = peer.generations.get(via)
            if used is not None and used not in member.keys:
                allowed = f"a generation of {via}: {sorted(member.keys)}"
                yield Mistake((*where, "generations"), used, allowed)
        for section in ("slots", "generations"):
            for via in set(getattr(peer, section)) - set(peer.via):
                yield Mistake((*where, section), via, "only members of via")


def _links(registry: Registry) -> Iterator[Mistake]:
    for pair, link in registry.links.items():
        where: Where = ("links", pair)
        unlisted = [name for name in pair if name not in registry.members]
        for name in unlisted:
            yield Mistake((*where, "ends"), name, "a member; this one is not in the registry")
        if not unlisted:
            yield from _link(where, registry, link)


def _link(where: Where, registry: Registry, link: Link) -> Iterator[Mistake]:
    ends = [registry.members[name] for name in link.ends]
    for identity in link.identities:
        for member, generation in zip(ends, identity.generations):
            if generation not in member.keys:
                allowed = f"a generation of which {member.name} has a key: {sorted(member.keys)}"
                yield Mistake((*where, "generations"), generation, allowed)
    if link.next is not None and link.old is not None:
        yield Mistake((*where, "old"), "next and old", "only one of both: there are two sides")
    if link.held and not link.leaving:
        yield Mistake((*where, "held"), True, "only with leaving: true")
    if link.leaving:
        return
    if not path.possible(ends[0], ends[1]):
        allowed = "one end with an endpoint, or two local endpoints in one region: both are behind NAT"
        yield Mistake((*where, "ends"), list(link.ends), allowed)
    elif path.tunnel_mtu(registry.settings, ends[0], ends[1]) < MIN_MTU:
        small = min(ends, key=lambda member: member.underlay_mtu)
        need = MIN_MTU + path.overhead(ends)
        allowed = f"underlay_mtu {need} or more at both ends: IPv6 needs {MIN_MTU} within the tunnel"
        yield Mistake((*where, "ends"), f"{small.name}: {small.underlay_mtu}", allowed)


def _slots(registry: Registry) -> Iterator[Mistake]:
    last = registry.settings.max_degree - 1
    used: dict[tuple[str, int], str] = {}

    def take(where: Where, name: str, slot: int, words: str) -> Iterator[Mistake]:
        if slot > last:
            yield Mistake(where, slot, f"0 to {last} (max_degree {last + 1})")
        if (name, slot) in used:
            yield Mistake(where, slot, f"a slot of its own; {used[name, slot]} has this one at {name}")
        used[name, slot] = words

    for pair, link in registry.links.items():
        for name, slot in zip(link.ends, link.slots):
            yield from take(("links", pair, "slots"), name, slot, link.words)
    for peer in registry.foreign.values():
        for name, slot in peer.slots.items():
            yield from take(("foreign", peer.name, "slots"), name, slot, peer.name)


def _ways(registry: Registry) -> Iterator[Mistake]:
    numbers = {member.number for member in registry.members.values()}
    numbers |= {peer.number for peer in registry.foreign.values()}
    blocks = {block for found in registry.regions.values() for block in found}
    kept: dict[tuple[str, str, int], str] = {}
    for index, way in enumerate(registry.ways):
        where: Where = ("ways", index)
        member = registry.members.get(way.at)
        if member is None or not member.forwards:
            yield Mistake((*where, "at"), way.at, "a member with transit: true")
        if pair_of(way.at, way.by) not in registry.links:
            yield Mistake((*where, "by"), way.by, f"a member that {way.at} has a link with")
        for section, known, words in (
            ("to", numbers, "member or foreign peer"),
            ("blocks", blocks, "region"),
        ):
            for number in getattr(way, section):
                if number not in known:
                    yield Mistake((*where, section), number, f"numbers of a {words}; nobody has this one")
                other = kept.setdefault((way.at, section, number), way.by) if way.kept else way.by
                if other != way.by:
                    allowed = f"each once where kept: true; {way.at} keeps {other} for it already"
                    yield Mistake((*where, section), number, allowed)
