# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host may be what it wants to be in a mesh: looked at before anything is planned. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from ...module_utils.core.errors import Problem
from .addresses import addresses
from .candidates import KEYS, Candidate
from .changes import Context
from .check import Mistake, member_alone
from .places import clashes
from .registry import Member, Registry, ports
from .wishes import split_endpoint

CLOCK = 60.0
"""s that a node's clock may be off: WireGuard refuses handshakes that are older than ones it has seen."""

DEFAULT_MTU = 1500
"""bytes, of an underlay that nobody says anything of"""

REASONS = {
    "endpoint": "mesh_endpoint",
    "underlay_mtu": "mesh_underlay_mtu",
    "port": "mesh_port",
    "underlay": "underlay",
}


def member_of(candidate: Candidate, registry: Registry, number: int, present: Member | None) -> Member:
    """The candidate as a member; what an operation must not change is as in `present`."""
    own = set(addresses(registry.settings.prefixes, number))
    wished = Member(
        name=candidate.name,
        number=number,
        region=candidate.region,
        endpoint=candidate.endpoint,
        local_endpoint=candidate.local_endpoint,
        port=candidate.port or registry.settings.port,
        nat=candidate.nat,
        transit=candidate.transit,
        relays=candidate.relays,
        underlay_mtu=candidate.underlay_mtu or DEFAULT_MTU,
        underlay=tuple(network for network in candidate.underlay if network not in own),
        capacity=candidate.capacity,
        generation=candidate.generation,
        keys={candidate.generation: candidate.public_key},
    )
    if present is None:
        return wished
    member = replace(
        wished,
        region=present.region,
        port=present.port,
        generation=present.generation,
        keys=present.keys,
        retire=present.retire,
        leaving=present.leaving,
    )
    return _switched(member, present, candidate.transit)


def _switched(member: Member, present: Member, wished: bool) -> Member:
    """In steps: first it forwards, then others send over it; the other way round to its end."""
    if wished and not present.transit:
        return replace(member, transit=True, fresh=True)
    if not wished and present.fresh:  # nobody sends over it, but some may have done before
        return replace(member, transit=False, held=True)
    return replace(
        member,
        transit=present.transit,
        fresh=present.fresh,
        stops=present.transit and not wished,
        held=present.held,
    )


def problems_of(candidate: Candidate, member: Member, registry: Registry, context: Context) -> list[Problem]:
    """Everything that speaks against it, with the inventory's names and origins."""
    found = [_worded(candidate, mistake) for mistake in member_alone((), member, registry.settings)]
    found += _clock(candidate, context)
    found += _names(candidate, context)
    found += clashes(registry, member.name, member.port, context.others, candidate.origin("port"))
    return found


def unchangeable(candidate: Candidate, present: Member, registry: Registry) -> list[Problem]:
    """What a member wants otherwise than when it joined, and cannot have."""
    found = []
    if candidate.region != present.region:
        allowed = (
            f"{present.region}: its addresses come from it; for another one leave (mesh_leave), then join"
        )
        found.append(
            Problem("mesh_region", candidate.region, allowed, candidate.origin("region"), candidate.name)
        )
    port = candidate.port or registry.settings.port
    if candidate.port and port != present.port:
        allowed = f"{present.port}: its peers know it; for another one leave (mesh_leave), then join"
        found.append(Problem("mesh_port", port, allowed, candidate.origin("port"), candidate.name))
    known = present.keys.get(candidate.generation)
    if candidate.public_key and known != candidate.public_key:
        allowed = (
            f"{known or f'a key of the generations {sorted(present.keys)}'}, as in the registry: "
            "for a node that was installed again run the playbook swarm.node.mesh_rekey"
        )
        found.append(Problem("public_key", candidate.public_key, allowed, KEYS, candidate.name))
    return found


def _worded(candidate: Candidate, mistake: Mistake) -> Problem:
    """As the operator knows it: the variable, and where it was set."""
    option = str(mistake.where[-1])
    allowed = mistake.allowed
    if option == "endpoint" and mistake.value is None:
        seen = f" (the node's own address is {candidate.address})" if candidate.address else ""
        allowed = f"an address or a name where others call it{seen}, or mesh_behind_nat: true"
    origin = KEYS if option == "underlay" else candidate.origin(option)
    return Problem(REASONS.get(option, option), mistake.value, allowed, origin, candidate.name)


def _clock(candidate: Candidate, context: Context) -> Iterator[Problem]:
    if candidate.time is None:
        return
    earliest = context.now if context.since is None else min(context.since, context.now)
    early, late = earliest - candidate.time, candidate.time - context.now
    off = max(early, late)
    if off > CLOCK:
        words = f"{off:.0f} s {'behind' if early > late else 'ahead'}"
        allowed = f"a clock within {CLOCK:.0f} s of the controller's"
        yield Problem("clock", words, allowed, KEYS, candidate.name)


def _names(candidate: Candidate, context: Context) -> Iterator[Problem]:
    """A name has to stand for one address of a family: WireGuard takes any one of them and stays with it."""
    for option in ("endpoint", "local_endpoint"):
        endpoint = getattr(candidate, option)
        if not endpoint:
            continue
        host, _port = split_endpoint(endpoint)
        if _is_address(host):
            continue
        found = sorted(set(context.resolver(host)))
        if any(_is_nobodys(item) for item in found):
            allowed = f"an address that other members can reach; it stands for {', '.join(found)} here"
            yield Problem(f"mesh_{option}", endpoint, allowed, candidate.origin(option), candidate.name)
            continue
        versions = [ipaddress.ip_address(item).version for item in found]
        several = len(set(versions)) < len(versions)
        if several or not found:
            seen = f"it stands for {', '.join(found)}" if found else "it stands for none"
            allowed = f"an address, or a name of one address (or one IPv4 and one IPv6); {seen}"
            yield Problem(f"mesh_{option}", endpoint, allowed, candidate.origin(option), candidate.name)


def taken_ports(candidate: Candidate, member: Member, registry: Registry) -> list[Problem]:
    """Ports that a new member's tunnels would get, and that another program on its node has."""
    first, last = ports(registry.settings, member.port)
    taken = [str(port) for port in candidate.udp_ports if first <= port <= last]
    if not taken:
        return []
    allowed = (
        f"a port from which on {last - first + 1} ports are free: of {first} to {last} "
        f"{', '.join(taken)} is taken by another program on the node"
    )
    return [Problem("mesh_port", member.port, allowed, candidate.origin("port"), candidate.name)]


def _is_nobodys(text: str) -> bool:
    """Of these a host of the same name means itself, or all; `/etc/hosts` often says so of the own name."""
    address = ipaddress.ip_address(text)
    return address.is_loopback or address.is_unspecified or address.is_multicast


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
