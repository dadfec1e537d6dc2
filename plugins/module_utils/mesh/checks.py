# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node must not have: said before anything changes. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from itertools import combinations

from ..core.errors import Problem
from .paths import conf_path, key_path, psk_path
from .render import is_ours
from .share import Share
from .state import MeshState, Route

CLOCK = 300.0
"""Seconds that the node's clock may be off: handshakes carry the time, and deadlines are told by it."""

OVERHEAD = {4: 60, 6: 80}
"""Bytes that WireGuard adds to a packet, by the IP version below it."""

TUNNEL_KINDS = ("wireguard", "tun", "")
"""Kinds of devices that wg-quick makes; an old `ip` names none for wireguard-go."""


def refusals(
    shares: Mapping[str, Share],
    state: MeshState,
    now: float | None,
    keys: bool = True,
    undoing: bool = False,
) -> list[Problem]:
    """now: the controller's Unix time, None where it did not say; keys: False before the tools are there
    undoing: back to what was good before; what came to the node meanwhile must not keep it from that
    """
    problems: list[Problem] = []
    if shares and now is not None and abs(now - state.time) > CLOCK:
        problems.append(
            Problem(
                "mesh clock",
                f"{state.time - now:+.0f} s against the controller's",
                f"at most {CLOCK:.0f} s: set the node's clock (timedatectl)",
            )
        )
    problems += _shared_ports(shares.values())
    for share in shares.values():
        problems += [] if undoing else _overlaps(share, shares, state)
        problems += _foreign_interfaces(share, state)
        problems += [] if undoing else _mistakable_interfaces(share, shares, state)
        problems += _taken_ports(share, shares, state)
        if keys:
            problems += _wrong_keys(share, state) + _missing_psks(share, state)
    return problems


def mtu_notes(shares: Mapping[str, Share], state: MeshState) -> list[str]:
    """Tunnels whose packets are longer than the device below them takes. They still work, in fragments."""
    notes = []
    for share in shares.values():
        for tunnel in share.tunnels:
            address = _address_of(tunnel.endpoint)
            route = _route_to(address, state) if address else None
            link = state.links.get(route.device) if route else None
            if address and link and link.mtu and tunnel.mtu + OVERHEAD[address.version] > link.mtu:
                whole = tunnel.mtu + OVERHEAD[address.version]
                notes.append(
                    f"{tunnel.interface}: its MTU of {tunnel.mtu} makes packets of {whole} bytes, more than "
                    f"the {link.mtu} of {link.name}, which leads to {tunnel.endpoint}: they are cut into "
                    "fragments (mesh_underlay_mtu)"
                )
    return notes


def is_ours_here(interface: str, state: MeshState) -> bool:
    """Whether a tunnel of that name is one of this layer."""
    stored = any(tunnel.interface == interface for share in state.stored.values() for tunnel in share.tunnels)
    text = state.files.get(conf_path(interface))
    return is_ours(text) or (stored and text is None)


# -- inside


def _shared_ports(shares: Iterable[Share]) -> list[Problem]:
    return [
        Problem(
            f"mesh {two.mesh} ports",
            f"{two.ports[0]}-{two.ports[1]}",
            f"ports that mesh {one.mesh} ({one.ports[0]}-{one.ports[1]}) does not have: give this member "
            "another mesh_port in one of them",
        )
        for one, two in combinations(sorted(shares, key=lambda share: share.mesh), 2)
        if one.ports[0] <= two.ports[1] and two.ports[0] <= one.ports[1]
    ]


def _overlaps(share: Share, shares: Mapping[str, Share], state: MeshState) -> list[Problem]:
    """Routes and addresses of others within the mesh's prefixes, or around them."""
    ours = _own_interfaces(shares, state)
    found: dict[tuple[str, str], str] = {}
    for route in state.routes:
        if route.ours or route.kind != "unicast" or route.device in ours:
            continue
        for prefix in share.prefixes:
            if _overlap(prefix, route.destination):
                found.setdefault((prefix, route.destination), f"a route through {route.device or 'several'}")
    for link in state.links.values():
        for address in link.addresses if link.name not in ours else ():
            network = str(ipaddress.ip_interface(address).network)
            for prefix in share.prefixes:
                if _overlap(prefix, network):
                    found[prefix, network] = f"the address {address} of {link.name}"
    return [
        Problem(
            f"mesh {share.mesh} prefix",
            prefix,
            f"a prefix that this node does not use: it overlaps {network}, {what}",
        )
        for (prefix, network), what in sorted(found.items())
    ]


def _own_interfaces(shares: Mapping[str, Share], state: MeshState) -> set[str]:
    wanted = {tunnel.interface for share in shares.values() for tunnel in share.tunnels}
    return {name for name in state.links if name in wanted or is_ours_here(name, state)}


def _overlap(one: str, other: str) -> bool:
    """A default route overlaps nothing: the mesh is to be carved out of it."""
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return first.version == second.version and second.prefixlen > 1 and first.overlaps(second)


def _foreign_interfaces(share: Share, state: MeshState) -> list[Problem]:
    problems = []
    for tunnel in share.tunnels:
        name, path = tunnel.interface, conf_path(tunnel.interface)
        text, link = state.files.get(path), state.links.get(tunnel.interface)
        if text is not None and not is_ours(text):
            allowed = f"{path} is somebody else's: remove it, or give the mesh another name"
            problems.append(Problem("mesh interface", name, allowed))
        elif link is not None and not is_ours_here(name, state):
            allowed = f"there is a {link.kind or 'network'} device of that name that is not this collection's"
            problems.append(Problem("mesh interface", name, f"another name, as {allowed}"))
        elif link is not None and link.kind not in TUNNEL_KINDS:
            problems.append(Problem("mesh interface", name, f"a tunnel; it is a {link.kind} device now"))
    return problems


def _mistakable_interfaces(share: Share, shares: Mapping[str, Share], state: MeshState) -> list[Problem]:
    """The mesh's filter knows its tunnels by the beginning of their names: it would cut these off."""
    ours = _own_interfaces(shares, state)
    return [
        Problem(
            "mesh name",
            share.mesh,
            f"a name that no other interface begins with: this node has {name}, and the mesh's filter takes "
            f"all that begin with {share.mesh}- for tunnels",
        )
        for name in sorted(state.links)
        if name.startswith(f"{share.mesh}-") and name not in ours
    ]


def _taken_ports(share: Share, shares: Mapping[str, Share], state: MeshState) -> list[Problem]:
    """Ports that others listen on. Those of tunnels of ours become free or are right already."""
    ours = {
        device.listen_port for name, device in state.devices.items() if name in _own_interfaces(shares, state)
    }
    problems = []
    for tunnel in share.tunnels:
        port = tunnel.listen_port
        foreign = [
            name
            for name, device in state.devices.items()
            if device.listen_port == port and name not in _own_interfaces(shares, state)
        ]
        if foreign or (port in state.ports and port not in ours):
            holder = f"WireGuard interface {foreign[0]}" if foreign else state.holders.get(port, "somebody")
            problems.append(
                Problem(
                    f"mesh {share.mesh} port",
                    port,
                    f"a UDP port nobody else has ({holder} has it, {tunnel.interface} needs it): "
                    "give this member another mesh_port",
                    target=tunnel.interface,
                )
            )
    return problems


def _wrong_keys(share: Share, state: MeshState) -> list[Problem]:
    problems = []
    used = {tunnel.generation for tunnel in share.tunnels}
    for generation, wanted in sorted(share.keys.items()):
        live = state.public_keys.get((share.mesh, generation))
        if live == wanted or (live is None and generation not in used):
            continue
        found = f"has {live}" if live else f"is not there ({key_path(share.mesh, generation)})"
        problems.append(
            Problem(
                f"mesh {share.mesh} key {generation}",
                f"the node's {found}",
                f"the key that the registry has, {wanted}; was the node reinstalled? Then give it a new key "
                "with the playbook mesh_rekey",
            )
        )
    return problems


def _missing_psks(share: Share, state: MeshState) -> list[Problem]:
    """A preshared key that was made here and is not here any more cannot be had from anywhere."""
    return [
        Problem(
            f"mesh {share.mesh} preshared key",
            tunnel.psk.name,
            f"a key that is there ({psk_path(share.mesh, tunnel.psk.name)}): this node made it; was it "
            "reinstalled? Then give it new keys with the playbook mesh_rekey",
            target=tunnel.interface,
        )
        for tunnel in share.tunnels
        if tunnel.psk and not tunnel.psk.sealed and not state.psks.get((share.mesh, tunnel.psk.name))
    ]


def _address_of(endpoint: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(endpoint.rpartition(":")[0].strip("[]").partition("%")[0])
    except ValueError:
        return None


def _route_to(address: ipaddress.IPv4Address | ipaddress.IPv6Address, state: MeshState) -> Route | None:
    fitting = [
        route
        for route in state.routes
        if route.kind == "unicast" and address in ipaddress.ip_network(route.destination)
    ]
    return max(
        fitting,
        key=lambda route: (ipaddress.ip_network(route.destination).prefixlen, -route.metric),
        default=None,
    )
