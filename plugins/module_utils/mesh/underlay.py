# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is below the mesh on this node: networks in use, the way out, which WireGuard there is.

Everything here is read; nothing on the node changes.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ..core import files
from ..core.commands import Runner, must
from ..core.errors import NodeError
from .paths import PROTOCOL
from .share import INTERFACE

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

MOST_NETWORKS = 500
"""A router may have the whole internet's routes; a registry line must stay readable. The widest are kept."""

TUNNEL_KINDS = ("wireguard", "tun")
"""What kernel WireGuard and wireguard-go call their interfaces; a bridge `br-100` is none of ours."""

OURS = (str(PROTOCOL),)


@dataclass(frozen=True)
class Way:
    """The default route of one family. mtu: bytes, the route's own or the device's"""

    device: str
    address: str
    mtu: int

    def as_data(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Underlay:
    """networks: of both families, sorted, none in another; left_out: how many more there are"""

    networks: tuple[str, ...]
    left_out: int = 0
    ipv4: Optional[Way] = None
    ipv6: Optional[Way] = None

    def as_data(self) -> dict[str, Any]:
        """As it stands in results. `mtu` is the smallest of the ways out, null where there is none."""
        ways = [way for way in (self.ipv4, self.ipv6) if way]
        return {
            "networks": list(self.networks),
            "networks_left_out": self.left_out,
            "mtu": min((way.mtu for way in ways if way.mtu), default=None),
            "address": next((way.address for way in ways if way.address), None),
            "ipv4": self.ipv4.as_data() if self.ipv4 else None,
            "ipv6": self.ipv6.as_data() if self.ipv6 else None,
        }


def read_underlay(runner: Runner) -> Underlay:
    """Raises NodeError where `ip -j` cannot be asked (iproute2 4.16 or newer)."""
    links = ip_json(runner, "-d", "address", "show")
    routes = {
        "ipv4": ip_json(runner, "-4", "route", "show", "table", "main"),
        # A kernel that has no IPv6 says so with an error.
        "ipv6": ip_json(runner, "-6", "route", "show", "table", "main", optional=True),
    }
    return describe_underlay(links, routes["ipv4"], routes["ipv6"])


def describe_underlay(
    links: list[dict[str, Any]], ipv4: list[dict[str, Any]], ipv6: list[dict[str, Any]]
) -> Underlay:
    """From what `ip -j -d address show` and `ip -j route show table main` print."""
    known = {str(link["ifname"]): link for link in links if link.get("ifname")}
    tunnels = {name for name, link in known.items() if is_tunnel(name, link)}
    aside = tunnels | {"lo"}
    found = [*_connected(known, aside), *_routed(ipv4, aside, 4), *_routed(ipv6, aside, 6)]
    networks = _distinct(found)
    kept = sorted(networks, key=lambda network: network.prefixlen)[:MOST_NETWORKS]
    return Underlay(
        tuple(str(network) for network in sorted(kept, key=_order)),
        len(networks) - len(kept),
        _way_out(ipv4, known, aside, "inet"),
        _way_out(ipv6, known, aside, "inet6"),
    )


def is_tunnel(name: str, link: Mapping[str, Any]) -> bool:
    """Whether the interface is one of a mesh: by name and by kind."""
    if not INTERFACE.fullmatch(name):
        return False
    kind = (link.get("linkinfo") or {}).get("info_kind")
    return kind in TUNNEL_KINDS or (kind is None and link.get("link_type") == "none")


def ip_json(runner: Runner, *arguments: str, optional: bool = False) -> list[dict[str, Any]]:
    """What `ip -j <arguments>` prints. Raises NodeError."""
    argv = ["ip", "-j", *arguments]
    if optional:
        done = runner(argv)
        text = done.out if done.good else ""
    else:
        text = must(runner, argv)
    try:
        found = json.loads(text or "[]")
    except ValueError as error:
        raise NodeError(f"{' '.join(argv)} printed no JSON; iproute2 4.16 or newer is needed") from error
    return [item for item in found if isinstance(item, dict)]


def which_wireguard(runner: Runner, root: Path) -> str:
    """kernel, userspace (wireguard-go) or none. A container without the kernel's module has `userspace`."""
    if (root / "sys/module/wireguard").exists() or runner(["modprobe", "-n", "-q", "wireguard"]).good:
        return "kernel"
    # The kernel may have it where no modules can be seen, as in a container. The namespace ends with the
    # command, and the interface with it.
    if runner(["unshare", "-n", "ip", "link", "add", "wg-probe", "type", "wireguard"]).good:
        return "kernel"
    return "userspace" if runner(["wireguard-go", "--version"]).code != 127 else "none"


def read_udp_ports(runner: Runner, root: Path) -> list[int]:
    """UDP ports on which something waits, apart from a mesh's own tunnels.

    A socket with another end has a port for a while only; the next one has another.
    """
    # Without WireGuard's tools there are no tunnels either.
    shown = runner(["wg", "show", "all", "listen-port"]).out.splitlines()
    ours = {words[1] for words in map(str.split, shown) if len(words) == 2 and INTERFACE.fullmatch(words[0])}
    found = set()
    for table in ("udp", "udp6"):
        for line in (files.read_text(root / "proc/net" / table) or "").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 2 and fields[2].endswith(":0000"):
                found.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(port for port in found if str(port) not in ours)


def has_ipv6(root: Path) -> bool:
    """Whether interfaces of this node get IPv6 addresses."""
    try:
        text = (root / "proc/sys/net/ipv6/conf/all/disable_ipv6").read_text(encoding="ascii")
    except OSError:
        return False
    return text.strip() == "0"


def _connected(links: Mapping[str, Mapping[str, Any]], aside: Collection[str]) -> Iterable[Network]:
    for name, link in links.items():
        if name in aside:
            continue
        for entry in link.get("addr_info", ()):
            if entry.get("scope") not in ("link", "host") and "local" in entry:
                network = _network(f"{entry['local']}/{entry.get('prefixlen', '')}")
                if network:
                    yield network
                # Of a point-to-point link, the other end is in use, too.
                peer = (
                    _network(f"{entry['address']}/{entry.get('prefixlen', '')}")
                    if "address" in entry
                    else None
                )
                if peer:
                    yield peer


def _routed(routes: Iterable[Mapping[str, Any]], aside: Collection[str], version: int) -> Iterable[Network]:
    for route in routes:
        devices = _devices(route)
        if str(route.get("protocol")) in OURS or (devices and all(name in aside for name in devices)):
            continue
        network = _network(str(route.get("dst", "")))
        if network and network.version == version:
            yield network


def _devices(route: Mapping[str, Any]) -> list[str]:
    hops = route.get("nexthops") or ()
    return [str(hop["dev"]) for hop in (route, *hops) if hop.get("dev")]


def _network(text: str) -> Optional[Network]:
    """None for the default route, link-local, multicast and loopback, which a mesh never has."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if network.prefixlen == 0 or network.is_link_local or network.is_multicast or network.is_loopback:
        return None
    return network


def _distinct(networks: Iterable[Network]) -> list[Network]:
    """The same addresses in as few networks as it takes."""
    found = list(networks)
    four = [network for network in found if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in found if isinstance(network, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six)]


def _order(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _way_out(
    routes: Iterable[Mapping[str, Any]],
    links: Mapping[str, Mapping[str, Any]],
    aside: Collection[str],
    family: str,
) -> Optional[Way]:
    """The default route that counts: the lowest metric, the first of several."""
    usable = [
        (int(route.get("metric", 0)), devices[0], route)
        for route in routes
        if route.get("dst") == "default" and (devices := [d for d in _devices(route) if d not in aside])
    ]
    if not usable:
        return None
    _metric, device, route = min(usable, key=lambda item: item[0])
    link = links.get(device, {})
    mtus = [metric["mtu"] for metric in route.get("metrics", ()) if "mtu" in metric]
    address = route.get("prefsrc") or _first_address(link, family)
    return Way(device, str(address or ""), int(mtus[0] if mtus else link.get("mtu", 0)))


def _first_address(link: Mapping[str, Any], family: str) -> Optional[str]:
    """Temporary and deprecated addresses are passed over: nobody shall call them."""
    for entry in link.get("addr_info", ()):
        lasting = not entry.get("temporary") and not entry.get("deprecated")
        if entry.get("family") == family and entry.get("scope") == "global" and lasting:
            return str(entry.get("local", ""))
    return None
