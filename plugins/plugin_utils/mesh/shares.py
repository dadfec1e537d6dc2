# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each member's share of the mesh: a pure function of the registry, so that a run on few hosts is safe."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from ...module_utils.mesh.share import RANKS, Psk, Share, Tunnel
from . import path
from .addresses import addresses, block_networks
from .aggregates import aggregated
from .readiness import is_ready
from .registry import Foreign, Identity, Link, LinkPsk, Member, Registry, interface, listen_port, ports
from .routes import Destination
from .tables import Tables
from .wishes import split_endpoint

FOREIGN_PORT = 51820


def sides(link: Link) -> Iterator[tuple[int, Identity]]:
    """(side, identity) of each tunnel of the link."""
    yield link.side, link.current
    for identity in (link.next, link.old):
        if identity is not None:
            yield 1 - link.side, identity


def digest(share: Mapping[str, Any]) -> str:
    """Of a share's data. Equal shares have equal digests: by this a node shows which share it has."""
    text = json.dumps(share, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Shares:
    """The shares of one registry; what all of them need is worked out once."""

    def __init__(self, registry: Registry, tables: Tables | None = None) -> None:
        """tables: of this registry, where they are there already"""
        self.registry = registry
        self._tables = tables or Tables(registry)
        self._links: dict[str, list[Link]] = {name: [] for name in registry.members}
        for pair, link in registry.links.items():
            for name in pair:
                self._links[name].append(link)
        self._via: dict[str, list[Foreign]] = {}
        for peer in registry.foreign.values():
            for name in peer.via:
                self._via.setdefault(name, []).append(peer)
        self._allowed = {peer.number: peer.allowed for peer in registry.foreign.values()}
        self._ranks = ranks(registry)
        self._aggregated = aggregated(registry, self._tables)

    def of(self, name: str) -> Share:
        """Raises BindError for a name that is no member's."""
        member = self.registry.members.get(name)
        if member is None:
            raise BindError([unlisted(self.registry.mesh, name)])
        prefixes = self.registry.settings.prefixes
        tunnels = [tunnel for link in self._links[name] for tunnel in self._tunnels(member, link)]
        tunnels += [self._foreign_tunnel(member, peer) for peer in self._via.get(name, ())]
        return Share(
            mesh=self.registry.mesh,
            member=name,
            number=member.number,
            addresses=addresses(prefixes, member.number),
            prefixes=prefixes,
            ports=ports(self.registry.settings, member.port),
            transit=member.forwards,
            keys=dict(member.keys),
            tunnels=tuple(sorted(tunnels, key=lambda tunnel: tunnel.interface)),
            routes=self._routes(member),
            endpoints=self._endpoints(member),
            rank=self._ranks.get(name, 0),
            own_blocks=self._blocks(member, own=True),
            other_blocks=self._blocks(member, own=False),
        )

    def all(self) -> Iterator[Share]:
        return (self.of(name) for name in self.registry.members)

    def _blocks(self, member: Member, own: bool) -> tuple[int, ...]:
        return tuple(block for block, region in self._aggregated.items() if (region == member.region) == own)

    # -- tunnels

    def _tunnels(self, member: Member, link: Link) -> Iterator[Tunnel]:
        mine = link.end(member.name)
        peer = self.registry.members[link.other(member.name)]
        endpoint = path.called(member, peer)
        for side, identity in sides(link):
            if not is_ready(self.registry, link, identity):
                continue
            theirs = listen_port(peer.port, link.slots[1 - mine], side)
            yield Tunnel(
                interface=interface(self.registry.mesh, peer.number, side),
                peer=peer.name,
                peer_number=peer.number,
                generation=identity.generations[mine],
                listen_port=listen_port(member.port, link.slots[mine], side),
                public_key=peer.keys[identity.generations[1 - mine]],
                endpoint=path.with_port(endpoint, peer.port, theirs) if endpoint else "",
                keepalive=self.registry.settings.keepalive if member.nat and endpoint else 0,
                mtu=path.tunnel_mtu(self.registry.settings, member, peer),
                psk=_psk(member, identity.psk),
                # Nobody is to send over one that is about to end it, though it still forwards.
                transit=peer.transit and not peer.leaving,
                capacity=min(filter(None, (member.capacity, peer.capacity)), default=0),
                near=bool(self._aggregated) and member.region == peer.region,
            )

    def _foreign_tunnel(self, member: Member, peer: Foreign) -> Tunnel:
        settings = self.registry.settings
        over = path.OVERHEAD_4 if path.is_ipv4(peer.endpoint) else path.OVERHEAD_6
        room = member.underlay_mtu - over
        return Tunnel(
            interface=interface(self.registry.mesh, peer.number, 0),
            peer=peer.name,
            peer_number=peer.number,
            generation=peer.generations.get(member.name, min(member.keys)),
            listen_port=listen_port(member.port, peer.slots[member.name], 0),
            public_key=peer.public_key,
            endpoint=path.with_port(peer.endpoint, FOREIGN_PORT, FOREIGN_PORT) if peer.endpoint else "",
            keepalive=settings.keepalive if member.nat and peer.endpoint else 0,
            mtu=min(settings.mtu, room) if settings.mtu else room,
            allowed_ips=peer.allowed,
            foreign=True,
        )

    # -- routes

    def _routes(self, member: Member) -> dict[str, tuple[str, ...]]:
        """Interface → destinations. Routes are on the tunnel in force; what is beside it carries none."""
        found = {
            self._interface(member.name, neighbour): self._networks(destinations)
            for neighbour, destinations in self._tables.hops(member.name).items()
        }
        for peer in self._via.get(member.name, ()):
            found[interface(self.registry.mesh, peer.number, 0)] = _sorted(peer.allowed)
        return {name: found[name] for name in sorted(found) if found[name]}

    def _interface(self, name: str, neighbour: str) -> str:
        link = next(link for link in self._links[name] if neighbour in link.ends)
        return interface(self.registry.mesh, self.registry.members[neighbour].number, link.side)

    def _networks(self, destinations: Iterable[Destination]) -> tuple[str, ...]:
        prefixes = self.registry.settings.prefixes
        found: set[str] = set()
        for destination in destinations:
            if destination.kind == "member":
                found.update(addresses(prefixes, destination.value))
            elif destination.kind == "block":
                found.update(block_networks(prefixes, destination.value))
            elif destination.kind == "foreign":
                found.update(self._allowed[destination.value])
            else:
                found.update(prefixes)
        return _sorted(found)

    # -- for the node's filter

    def _endpoints(self, member: Member) -> tuple[str, ...]:
        """Where tunnels come from; empty where one peer may call from anywhere."""
        calls: list[str] = []
        for link in self._links[member.name]:
            peer = self.registry.members[link.other(member.name)]
            own = [item for item in (peer.endpoint, peer.local_endpoint) if item]
            calls += [""] if peer.nat and not path.local(member, peer) else own
        calls += [peer.endpoint for peer in self._via.get(member.name, ())]
        hosts = set()
        for endpoint in calls:
            host = split_endpoint(endpoint)[0] if endpoint else ""
            if not _is_address(host):
                return ()
            hosts.add(host)
        return _sorted(hosts)


def ranks(registry: Registry) -> dict[str, int]:
    """Of members that forward: by number within their region, the fifth like the first."""
    regions: dict[str, list[Member]] = {}
    for member in registry.members.values():
        if member.forwards:
            regions.setdefault(member.region, []).append(member)
    return {
        member.name: place % RANKS
        for members in regions.values()
        for place, member in enumerate(sorted(members, key=lambda member: member.number))
    }


def without_unready(registry: Registry) -> list[str]:
    """Links that have no tunnel yet: their preshared key is to be made first."""
    return [link.words for link in registry.links.values() if not is_ready(registry, link, link.current)]


def unlisted(mesh: str, name: str) -> Problem:
    allowed = (
        f"a member of the mesh {mesh}; {name} is not in its registry: "
        "run the playbook swarm.node.mesh_join for it first"
    )
    return Problem("mesh_name", mesh, allowed, f"registry of {mesh}")


def _psk(member: Member, psk: LinkPsk | None) -> Psk | None:
    if psk is None:
        return None
    copy = psk.sealed.get(member.name)
    return Psk(psk.name, copy.sealed, copy.sender) if copy else Psk(psk.name)


def _sorted(networks: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(networks, key=_order))


@lru_cache(maxsize=262144)
def _order(text: str) -> tuple[int, int, int]:
    network = ipaddress.ip_network(text)
    return network.version, int(network.network_address), network.prefixlen


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
