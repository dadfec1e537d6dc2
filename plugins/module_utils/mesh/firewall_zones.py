# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's zones as `firewall-cmd` lists them, and which of them a packet comes to. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .firewall_ranges import Opening, Range
from .share import INTERFACE

_RICH = re.compile(
    r'rule family="ipv[46]" source address="([^"]+)" port port="(\d+)(?:-(\d+))?" protocol="udp" accept'
)
_PORT = re.compile(r"(\d+)(?:-(\d+))?/udp")


@dataclass
class Zone:
    """target: `default`, `ACCEPT`, `DROP` or `%%REJECT%%`; forward: between its own devices and sources

    entries: (source or "", ports) that are let in; pings: something in it names ICMP
    """

    target: str = "default"
    forward: bool = False
    interfaces: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    entries: list[tuple[str, Range]] = field(default_factory=list)
    pings: bool = False

    @property
    def closed(self) -> bool:
        """Whether echo requests stay out: only the target `default` lets ICMP in by itself."""
        return self.target in ("DROP", "%%REJECT%%", "REJECT") and not self.pings


Zones = Mapping[str, Zone]


@dataclass(frozen=True)
class Routes:
    """main: (destination, its devices) of the main tables"""

    main: tuple[tuple[Any, tuple[str, ...]], ...] = ()

    def devices(self, opening: Opening) -> set[str]:
        """Devices that tunnels may come by: those that lead to their ends."""
        found: set[str] = set()
        for text in (*opening.sources, *opening.peers):
            found |= self._to(ipaddress.ip_network(text))
        if not opening.sources:
            found |= self._anywhere()
        return found

    def _to(self, network: Any) -> set[str]:
        """The longest prefix wins; what is inside of a network may go by other devices."""
        inside: set[str] = set()
        best: set[str] = set()
        length = -1
        for other, devices in self.main:
            if other.version != network.version:
                continue
            if network.subnet_of(other):
                if other.prefixlen >= length:
                    best = {*devices, *(best if other.prefixlen == length else ())}
                    length = other.prefixlen
            elif other.subnet_of(network):
                inside.update(devices)
        return best | inside

    def _anywhere(self) -> set[str]:
        """By default routes; without any, nobody calls but from where the other routes lead to."""
        default = {device for network, devices in self.main if not network.prefixlen for device in devices}
        every = {device for _network, devices in self.main for device in devices}
        return default or {device for device in every if not INTERFACE.fullmatch(device)}


def parse_routes(*listed: Any) -> Routes:
    """Of answers of `ip -j route show`."""
    found = []
    for number, routes in enumerate(listed):
        for route in routes if isinstance(routes, list) else ():
            hops = [route, *route.get("nexthops", ())] if isinstance(route, dict) else []
            devices = tuple(hop["dev"] for hop in hops if "dev" in hop)
            text = "::/0" if number else "0.0.0.0/0"
            if devices and "type" not in route:
                text = text if route.get("dst", "default") == "default" else route["dst"]
                found.append((ipaddress.ip_network(text), devices))
    return Routes(tuple(found))


def parse_zones(listed: str) -> dict[str, Zone]:
    """Of `firewall-cmd --list-all-zones`."""
    zones: dict[str, Zone] = {}
    for name, line in _lines(listed):
        _note(zones.setdefault(name, Zone()), line)
    return zones


def zones_of(
    opening: Opening, source: str, routes: Routes, zones: Zones, usual: Mapping[str, str]
) -> set[str]:
    """Zones that packets from there come to; source "": from anywhere.

    usual: device → its zone in the running configuration, under "" the default zone
    """
    known = [source] if source else list(opening.peers)
    networks = [ipaddress.ip_network(text) for text in known]
    found = {name for name, zone in zones.items() for one in networks if _touched(one, zone.sources)}
    # The zone of a source comes before that of a device.
    if source and any(_covered(networks[0], zone.sources) for zone in zones.values()):
        return found
    asked = opening if not source else Opening(opening.mesh, 0, 0, (source,))
    devices = routes.devices(asked)
    return found | ({zone_of(device, zones, usual) for device in devices} or {usual[""]})


def zone_of(device: str, zones: Zones, usual: Optional[Mapping[str, str]] = None) -> str:
    """The zone of a device; usual: for one that none of these names. firewalld writes `wan-+` for `wan-*`."""
    places = {one: name for name, zone in zones.items() for one in zone.interfaces}
    if device in places:
        return places[device]
    patterns = [one for one in places if one.endswith("+") and device.startswith(one[:-1])]
    if patterns:
        return places[max(patterns, key=len)]
    return (usual or {}).get(device, (usual or {}).get("", ""))


def by_source(zones: Zones, prefixes: Collection[str]) -> bool:
    """Whether all these prefixes are sources of zones."""
    return bool(prefixes) and all(
        any(_covered(ipaddress.ip_network(prefix), zone.sources) for zone in zones.values())
        for prefix in prefixes
    )


# -- inside


def _lines(listed: str) -> Iterable[tuple[str, str]]:
    """(zone, line of it): a zone's name stands at the margin, ` (active)` or so behind it."""
    zone = ""
    for line in listed.splitlines():
        if line and not line[0].isspace():
            zone = line.split()[0]
        elif line.strip():
            yield zone, line.strip()


def _note(zone: Zone, line: str) -> None:
    word, _colon, rest = line.partition(":")
    rich = _RICH.fullmatch(line)
    if rich:
        zone.entries.append((rich[1], _range(rich[2], rich[3])))
    elif word == "ports":
        matches = [_PORT.fullmatch(port) for port in rest.split()]
        zone.entries += [("", _range(match[1], match[2])) for match in matches if match]
    elif word == "interfaces":
        zone.interfaces += rest.split()
    elif word == "sources":
        zone.sources += rest.split()
    elif word == "target":
        zone.target = rest.strip()
    elif word == "forward":
        zone.forward = rest.strip() == "yes"
    elif (word == "protocols" or line.startswith("rule ")) and "icmp" in line:
        zone.pings = True


def _networks(sources: Iterable[str]) -> list[Any]:
    """Without sets of addresses (`ipset:…`) and MAC addresses: whom they mean is not known here."""
    found = []
    for text in sources:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return found


def _touched(network: Any, sources: Iterable[str]) -> bool:
    return any(one.version == network.version and one.overlaps(network) for one in _networks(sources))


def _covered(network: Any, sources: Iterable[str]) -> bool:
    return any(one.version == network.version and network.subnet_of(one) for one in _networks(sources))


def _range(first: str, last: Optional[str]) -> Range:
    return int(first), int(last or first)
