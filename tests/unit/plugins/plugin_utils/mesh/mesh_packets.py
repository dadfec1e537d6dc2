# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets over members of which some have applied a registry's shares and others still those before."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares

_network: Any = lru_cache(maxsize=None)(ipaddress.ip_network)


class Node:
    """A member that has applied this share. Routes are looked at in IPv4."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self.tunnels = {tunnel.interface: tunnel for tunnel in share.tunnels}
        self._routes = {
            (int(_network(text).network_address), _network(text).prefixlen): interface
            for interface, destinations in share.routes.items()
            for text in destinations
            if _network(text).version == 4
        }
        self._lengths = sorted({length for _address, length in self._routes}, reverse=True)

    @property
    def address(self) -> int:
        return int(ipaddress.ip_interface(self.share.addresses[0]).ip)

    def route(self, address: int) -> str:
        for length in self._lengths:
            found = self._routes.get((address >> 32 - length << 32 - length, length))
            if found:
                return found
        return ""


Nodes = Mapping[str, Node]


def nodes(registry: Registry) -> dict[str, Node]:
    return {share.member: Node(share) for share in Shares(registry).all()}


def calls(tunnel: Tunnel, other: Tunnel) -> bool:
    return bool(tunnel.endpoint) and int(tunnel.endpoint.rsplit(":", 1)[1]) == other.listen_port


def next_member(members: Nodes, name: str, interface: str) -> str:
    """Who has the other end of the tunnel, with keys and ports that fit; "" for nobody."""
    tunnel = members[name].tunnels[interface]
    peer = members.get(tunnel.peer)
    if peer is None:
        return ""
    for other in peer.share.tunnels:
        keys = (members[name].share.keys[tunnel.generation], peer.share.keys[other.generation])
        psks = [item.psk.name if item.psk else "" for item in (tunnel, other)]
        fits = other.peer == name and keys == (other.public_key, tunnel.public_key) and psks[0] == psks[1]
        if fits and (calls(tunnel, other) or calls(other, tunnel)):
            return tunnel.peer
    return ""


def lost(members: Nodes, one: str, other: str, address: int) -> str:
    """Where a packet is lost, "" where it arrives."""
    way = [one]
    while way[-1] != other:
        here = members[way[-1]]
        if len(way) > 1 and not here.share.transit:
            return f"{' '.join(way)} does not forward"
        interface = here.route(address)
        if not interface:
            return f"{' '.join(way)} has no route"
        after = next_member(members, way[-1], interface)
        if not after:
            return f"{' '.join(way)}: {interface} is dead"
        if after in way:
            return f"{' '.join(way)} loop"
        way.append(after)
    return ""


def half_way(
    before: Registry, after: Registry, rng: random.Random
) -> Iterator[tuple[list[str], dict[str, Node]]]:
    """Who has applied `after`, and all members as they are then: single ones, all but one, some."""
    old, new = nodes(before), nodes(after)
    names = sorted(old.keys() | new.keys())
    changed = [
        name for name in names if name not in old or name not in new or old[name].share != new[name].share
    ]
    subsets = [{name} for name in changed] + [set(changed) - {name} for name in changed]
    subsets += [set(rng.sample(changed, rng.randint(0, len(changed)))) for _ in range(8)]
    for subset in subsets:
        mixed = {name: new[name] for name in subset if name in new}
        mixed.update({name: old[name] for name in old if name not in subset})
        yield sorted(subset), mixed


def all_lost(before: Registry, after: Registry, rng: random.Random, apart: Collection[str] = ()) -> list[str]:
    """Every way that worked before and works after, and does not in between. apart: whom it is about"""
    ends = [nodes(before), nodes(after)]
    names = sorted((ends[0].keys() & ends[1].keys()) - set(apart))
    address = {name: ends[0][name].address for name in names}
    pairs = [
        (one, other)
        for one in names
        for other in names
        if one != other and not any(lost(end, one, other, address[other]) for end in ends)
    ]
    found = []
    for subset, members in half_way(before, after, rng):
        for one, other in pairs:
            why = lost(members, one, other, address[other])
            if why:
                found.append(f"{one} to {other}, applied by {', '.join(subset)}: {why}")
    return found
