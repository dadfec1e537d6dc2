# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members that are no neighbours: which are tried before a change, and have to answer after it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from ..core.errors import BindError, Problem
from .ping import Target
from .share import Share
from .state import source_for

SAMPLE = 8
"""Addresses behind other members that are tried at most, of all meshes of a node."""

WITNESSES = 4
"""Addresses that the controller names, at most of each mesh."""

DISTANT, WITNESS = "distant", "witness"
"""What a target's name says of where it comes from: a host route of ours, or the controller."""


def sample(shares: Mapping[str, Share], witnesses: Mapping[str, Sequence[str]]) -> list[Target]:
    """What to try before a change: evenly out of all host routes over others, and the witnesses."""
    behind = [(mesh, address) for mesh, share in sorted(shares.items()) for address in _behind_others(share)]
    chosen = spread(behind, SAMPLE)
    found = [_target(shares[mesh], DISTANT, address) for mesh, address in chosen]
    for mesh, addresses in sorted(witnesses.items()):
        for one in list(addresses)[:WITNESSES] if mesh in shares else ():
            if (mesh, one) not in chosen and _is_routed(shares[mesh], one):
                found.append(_target(shares[mesh], WITNESS, one))
    return found


def still_there(worked: Iterable[str], shares: Mapping[str, Share]) -> list[Target]:
    """Those that answered before, by `Target.name`, and that this node still has a route to.

    The others have left, and nobody is to be reached there. A host route that is gone says so, also where the
    network of a region has the address in it; the controller names members alone.
    """
    found = []
    for name in sorted(worked):
        mesh, _space, rest = name.partition(" ")
        kind, _space, address = rest.partition(" ")
        known = kind in (DISTANT, WITNESS) and mesh in shares
        if known and _is_routed(shares[mesh], address, single=kind == DISTANT):
            found.append(_target(shares[mesh], kind, address))
    return found


def address_of(target: Target) -> tuple[str, str]:
    """(mesh, address)"""
    mesh, _kind, address = target.name.split(" ", 2)
    return mesh, address


def spread(items: Sequence[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """At most so many of them, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[number * (len(items) - 1) // (most - 1)] for number in range(most)]


def check_witnesses(witnesses: Mapping[str, object]) -> None:
    """Raises BindError."""
    problems = []
    for mesh, addresses in witnesses.items():
        listed = addresses if isinstance(addresses, list) else [None]
        if len(listed) > WITNESSES or not all(map(_is_address, listed)):
            allowed = f"a list of at most {WITNESSES} addresses"
            problems.append(Problem(f"witnesses {mesh}", addresses, allowed))
    if problems:
        raise BindError(problems)


# -- inside


def _is_address(text: object) -> bool:
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return "%" not in str(text)


def _behind_others(share: Share) -> list[str]:
    """Addresses of host routes that are not the neighbour's own, in order, those of IPv4 first."""
    foreign = {tunnel.interface for tunnel in share.tunnels if tunnel.foreign}
    neighbours = {tunnel.peer_number for tunnel in share.tunnels}
    prefixes = [ipaddress.ip_network(prefix) for prefix in share.prefixes]
    found = set()
    for interface, destinations in share.routes.items():
        for network in map(ipaddress.ip_network, destinations):
            single = network.prefixlen == network.max_prefixlen and interface not in foreign
            prefix = next((one for one in prefixes if _within(network, one)), None)
            if single and prefix and int(network[0]) - int(prefix[0]) not in neighbours:
                found.add(network[0])
    return [str(one) for one in sorted(found, key=lambda one: (one.version, int(one)))]


def _within(network: ipaddress.IPv4Network | ipaddress.IPv6Network, prefix: object) -> bool:
    other = ipaddress.ip_network(str(prefix))
    return network.version == other.version and network[0] in other


def _is_routed(share: Share, address: str, single: bool = False) -> bool:
    """Whether one of our routes leads to it; single: one to it alone."""
    found = ipaddress.ip_address(address)
    networks = [ipaddress.ip_network(one) for many in share.routes.values() for one in many]
    return any(
        found in network and (not single or network.prefixlen == network.max_prefixlen)
        for network in networks
        if network.version == found.version
    )


def _target(share: Share, kind: str, address: str) -> Target:
    return Target(f"{share.mesh} {kind} {address}", address, source=source_for(share, address))
