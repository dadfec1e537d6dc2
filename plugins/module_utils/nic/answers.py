# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ip -j` says of addresses, routes and neighbours. Pure; raises NodeError for what makes no sense."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..core.errors import NodeError

REACHABLE = "REACHABLE"
FIXED = ("PERMANENT", "NOARP")
"""States of a neighbour that nobody asks."""

PASSING = ("redirect", "ra_cache")
"""Protocols of routes that come and go by themselves."""

DAEMONS = {
    "zebra": 11, "bird": 12, "babel": 42, "openr": 99, "bgp": 186, "isis": 187, "ospf": 188, "rip": 189,
    "eigrp": 192,
}  # fmt: skip
"""Protocols of routing daemons: their routes tell how other nodes are. Without a name ip says the number."""

LEARNT = frozenset([*DAEMONS, *map(str, DAEMONS.values())])


@dataclass(frozen=True)
class Hop:
    """A neighbour that has to answer. why: what it is needed for"""

    address: str
    device: str
    why: str


def addresses(text: str, group: Collection[str]) -> list[str]:
    """`eth0 10.0.0.1/24` of the interfaces of `group`; temporary ones of IPv6 come and go."""
    return [
        f"{link['ifname']} {item['local']}/{item.get('prefixlen')}"
        for link in _items(text)
        if link.get("ifname") in group
        for item in _dicts(link.get("addr_info"))
        if item.get("local") and not item.get("temporary")
    ]


def routes(text: str, group: Collection[str]) -> list[str]:
    """`main default via 10.0.0.254 dev eth0` of the interfaces of `group`; none that is dead.

    Of routes that a daemon has learnt only default ones: others go when some other node goes, which in a
    fleet under change is any time.
    """
    found = []
    for route in _items(text):
        protocol = str(route.get("protocol"))
        if protocol in PASSING or (protocol in LEARNT and route.get("dst") != "default"):
            continue
        for way in _dicts(route.get("nexthops")) or [route]:
            flags = way.get("flags")
            dead = isinstance(flags, list) and ("dead" in flags or "linkdown" in flags)
            if way.get("dev") in group and not dead:
                via = f" via {_gateway(way)}" if _gateway(way) else ""
                metric = f" metric {route['metric']}" if "metric" in route else ""
                kind = f"{route['type']} " if route.get("type") not in (None, "unicast") else ""
                table = route.get("table", "main")
                found.append(f"{table} {kind}{route.get('dst')}{via} dev {way['dev']}{metric}")
    return found


def gateways(text: str, group: Collection[str]) -> list[Hop]:
    """Of the main table's default routes through `group`."""
    found = []
    for route in _items(text):
        if route.get("dst") != "default" or route.get("table", "main") != "main":
            continue
        for way in _dicts(route.get("nexthops")) or [route]:
            if way.get("dev") in group and _gateway(way):
                hop = Hop(_gateway(way), way["dev"], "a default gateway")
                if hop not in found:
                    found.append(hop)
    return found


def hop_to(text: str, peer: str, group: Collection[str]) -> Optional[Hop]:
    """The neighbour on the way to `peer`, from `ip -j route get`; None where it leads elsewhere."""
    for route in _items(text):
        if route.get("dev") in group and route.get("type", "unicast") == "unicast":
            return Hop(_gateway(route) or peer, route["dev"], f"on the way to {peer}, who is logged in")
    return None


def neighbour(text: str) -> dict[str, str]:
    """{lladdr, state}; empty where the kernel knows nothing of it."""
    for item in _items(text):
        state = item.get("state")
        word = str(state[0]) if isinstance(state, list) and state else ""
        return {"lladdr": str(item.get("lladdr") or ""), "state": word}
    return {}


def _gateway(way: Mapping[str, Any]) -> str:
    via = way.get("via")
    return str(way.get("gateway") or (via.get("host") if isinstance(via, dict) else "") or "")


def _items(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text or "[]")
    except ValueError as error:
        raise NodeError(f"ip -j: {error}") from error
    if not isinstance(found, list):
        raise NodeError("ip -j: no list")
    return _dicts(found)


def _dicts(found: Any) -> list[dict[str, Any]]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
