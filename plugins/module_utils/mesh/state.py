# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mesh layer knows of a node. Plain data."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

from .paths import METRIC, PROTOCOL, UNREACHABLE_METRIC
from .share import Share
from .wg import Device


@dataclass(frozen=True)
class Link:
    """A network device.

    kind: `wireguard`, `tun` (wireguard-go), `bridge` …, "" for hardware
    addresses: with prefix length, as ipaddress writes them; mtu: bytes
    """

    name: str
    kind: str = ""
    mtu: int = 1500
    up: bool = True
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """A route of the tables that forward packets (not of the local one).

    destination: a network (`10.99.0.2/32`); a default route is `0.0.0.0/0` or `::/0`
    kind: `unicast`, `unreachable`, `blackhole`, …; device: "" where it has none or several
    """

    destination: str
    device: str = ""
    protocol: int = 0
    metric: int = 0
    source: str = ""
    kind: str = "unicast"

    @property
    def ours(self) -> bool:
        return self.protocol == PROTOCOL

    @property
    def is_aggregate(self) -> bool:
        """A last resort of ours, in the form in which we make it."""
        return self.ours and self.kind == "unreachable" and self.metric == UNREACHABLE_METRIC

    def is_planned(self, source: str) -> bool:
        """A planned route of ours, in the form in which we make it now."""
        return self.ours and self.kind == "unicast" and self.metric == METRIC and self.source == source


@dataclass(frozen=True)
class MeshState:
    """How the node is.

    stored: mesh → the share that was applied last
    files: path → text, None where there is no file; links_on: unit → whether every link enables it
    active: unit → ActiveState of systemd; none where systemd does not answer
    ports: UDP ports somebody listens on
    public_keys: (mesh, generation) → of the node's own private key; generations: of which there are files
    psks: (mesh, name) → whether the file is there and holds what the share sealed
    psk_marks: (mesh, name) → `wg.mark_of` the key that the tunnel is to have, as far as it is known
    sysctls: path below /proc/sys → value
    ipv6: whether the node has it switched on
    missing: programs that are not there; time: the node's Unix time
    armed: the token of a change nobody has confirmed, ""
    holders: UDP port → who has it, as far as it is known
    named: endpoint that is a name → what it means now, of those that the plan has to compare
    """

    stored: Mapping[str, Share] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    devices: Mapping[str, Device] = field(default_factory=dict)
    files: Mapping[str, Optional[str]] = field(default_factory=dict)
    links_on: Mapping[str, bool] = field(default_factory=dict)
    active: Mapping[str, str] = field(default_factory=dict)
    ports: frozenset[int] = frozenset()
    holders: Mapping[int, str] = field(default_factory=dict)
    public_keys: Mapping[tuple[str, int], str] = field(default_factory=dict)
    generations: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    psks: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    psk_marks: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ipv6: bool = True
    missing: tuple[str, ...] = ()
    time: float = 0.0
    armed: str = ""
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def via(self, interface: str) -> list[Route]:
        """Our own routes through it, whatever their form."""
        return [route for route in self.routes if route.ours and route.device == interface]

    def carries(self, interface: str) -> bool:
        """Whether packets of others than its two ends may come through the tunnel now."""
        return bool(self.via(interface))


def is_v6(address: str) -> bool:
    """Of an address or network as text."""
    return ":" in address


def source_for(share: Share, destination: str) -> str:
    """The node's own address of the destination's family, without prefix length; "" if it has none."""
    for address in share.addresses:
        if is_v6(address) == is_v6(destination):
            return str(ipaddress.ip_interface(address).ip)
    return ""


def wanted_addresses(share: Share, ipv6: bool) -> list[str]:
    """What every tunnel of the mesh has, as ipaddress writes it, sorted."""
    every = [*share.addresses, share.link_local]
    return sorted(str(ipaddress.ip_interface(one)) for one in every if ipv6 or not is_v6(one))


def wanted_routes(share: Share, interface: str, ipv6: bool) -> list[str]:
    """Destinations through a tunnel that this node can have, sorted."""
    found = [str(ipaddress.ip_network(one)) for one in share.routes.get(interface, ())]
    return sorted(one for one in found if (ipv6 or not is_v6(one)) and source_for(share, one))


def wanted_aggregates(share: Share, ipv6: bool) -> list[str]:
    return sorted(str(ipaddress.ip_network(one)) for one in share.prefixes if ipv6 or not is_v6(one))


def inside(address: str, prefixes: Iterable[str]) -> bool:
    """Whether an address (with or without prefix length) is one of these networks'."""
    found = ipaddress.ip_interface(address).ip
    return any(found in ipaddress.ip_network(prefix) for prefix in prefixes)
