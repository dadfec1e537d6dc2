# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wished of the routing of one mesh: its port, its timers, what a tunnel costs. Pure.

What a number rests on stands in docs/routing.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import Problem
from ..mesh.share import MESH_NAME, Share
from .paths import PORT, SLOTS, slot

DAEMONS = ("none", "babeld")
COST, RANK_COST, LEAF_METRIC = 850, 300, 4000
PER_MS = 20
"""Units of cost for a millisecond of round trip."""

BURST = 0.524288
"""Mbit: 64 KiB, which a stream sends in one go. A thin link takes that long for it, and no hello sees it."""

LEAST_PENALTY, MOST_PENALTY = 50, 5000


@dataclass(frozen=True)
class Timers:
    """hello, update: s between two of them"""

    hello: float
    update: float

    @property
    def patience(self) -> float:
        """s after which a neighbour that hears nothing has given us up: two of three hellos, and a bit."""
        return 4 * self.hello + 0.5


TIMERS = {"small": Timers(0.15, 1), "large": Timers(0.3, 4), "metered": Timers(4, 40)}


@dataclass(frozen=True)
class Wish:
    """One mesh's routing. timers: a name of TIMERS"""

    share: Share
    port: int = PORT
    timers: str = "small"


@dataclass(frozen=True)
class Peer:
    """A neighbour, with the interfaces of both sides of its tunnel.

    own: its host routes; near: it is in this node's region
    """

    name: str
    number: int
    interfaces: tuple[str, str]
    own: tuple[str, ...]
    transit: bool
    capacity: int
    near: bool = False


def peers(share: Share) -> list[Peer]:
    """Neighbours that are members, by number. A foreign peer has no routing daemon of ours."""
    found: dict[int, Peer] = {}
    for tunnel in share.tunnels:
        if tunnel.foreign or tunnel.peer_number in found:
            continue
        name = f"{share.mesh}-{tunnel.peer_number}"
        found[tunnel.peer_number] = Peer(
            tunnel.peer,
            tunnel.peer_number,
            (name, f"{name}b"),
            host_routes(share, tunnel.peer_number),
            tunnel.transit,
            tunnel.capacity,
            tunnel.near,
        )
    return [found[number] for number in sorted(found)]


def host_routes(share: Share, number: int) -> tuple[str, ...]:
    """The addresses of a member, with their prefix length."""
    found = []
    for prefix in share.prefixes:
        network = ipaddress.ip_network(prefix)
        found.append(f"{network.network_address + number}/{network.max_prefixlen}")
    return tuple(found)


def member_of(share: Share, prefix: str) -> int:
    """The number of the member whose host route it is; 0 for none."""
    try:
        network = ipaddress.ip_network(prefix)
    except ValueError:
        return 0
    for own in map(ipaddress.ip_network, share.prefixes):
        same = own.version == network.version and network.prefixlen == network.max_prefixlen
        if same and network.network_address in own:
            return int(network.network_address) - int(own.network_address)
    return 0


def cost(share: Share) -> int:
    """What others pay on the way to this node, but for thin links."""
    return COST + RANK_COST * share.rank if share.transit else COST


def penalty(capacity: int) -> int:
    """capacity: Mbit/s, 0 for not known"""
    if not capacity:
        return 0
    found = round(PER_MS * 1000 * BURST / capacity)
    return 0 if found < LEAST_PENALTY else min(found, MOST_PENALTY)


def wishes_from(
    shares: Mapping[str, Share],
    meshes: Iterable[Any],
    ports: Mapping[Any, Any],
    timers: str,
    origins: Mapping[str, str],
) -> tuple[dict[str, Wish], list[Problem]]:
    """Mesh → wish, of those that are on the node, and everything that is wrong with what is asked for.

    meshes: empty for all; ports: mesh → UDP port, of those that have another than PORT
    """
    problems: list[Problem] = []
    chosen = list(meshes)

    def refuse(key: str, value: Any, allowed: str) -> None:
        problems.append(Problem(f"routing_{key}", value, allowed, origins.get(key, "")))

    for name in [*chosen, *ports]:
        if not isinstance(name, str) or not MESH_NAME.fullmatch(name):
            refuse(
                "ports" if name in ports else "meshes", name, "names of meshes: a letter, then up to 7 more"
            )
    for name, port in ports.items():
        if not isinstance(port, int) or isinstance(port, bool) or not 1024 <= port <= 65535:
            refuse("ports", f"{name}: {port}", "a UDP port from 1024 to 65535, the same on all members")
    if timers not in TIMERS:
        refuse("timers", timers, f"one of {', '.join(TIMERS)}")
    if problems:
        return {}, problems
    found = {
        mesh: Wish(share, ports.get(mesh, PORT), timers)
        for mesh, share in sorted(shares.items())
        if not chosen or mesh in chosen
    }
    for mesh, wish in found.items():
        others = [other for other, one in found.items() if other != mesh and one.port == wish.port]
        if others:
            refuse(
                "ports", f"{mesh}: {wish.port}", f"a port of its own; {', '.join(others)} has that one, too"
            )
        same = [other for other in _with_tables(found, mesh) if slot(found[other].port) == slot(wish.port)]
        if same and not others:
            allowed = f"a port that is not a multiple of {SLOTS} away from that of {', '.join(same)}"
            refuse("ports", f"{mesh}: {wish.port}", f"{allowed}: the kernel's tables of routes come from it")
        tunnels = [name for name, share in shares.items() if share.ports[0] <= wish.port <= share.ports[1]]
        if tunnels:
            refuse("ports", f"{mesh}: {wish.port}", f"a port that no tunnel of {tunnels[0]} listens on")
    return found, problems


def _with_tables(wishes: Mapping[str, Wish], mesh: str) -> list[str]:
    """Other meshes of the node that need tables of the kernel; none where this one does not."""

    def needs(name: str) -> bool:
        return bool(wishes[name].share.own_blocks or wishes[name].share.other_blocks)

    return [name for name in wishes if name != mesh and needs(name) and needs(mesh)]
