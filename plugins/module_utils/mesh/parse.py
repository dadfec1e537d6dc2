# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ip -j`, /proc/net/udp and systemctl say, as data. Pure."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from ..core.errors import NodeError
from .state import Link, Route

ADDRESSES = ("ip", "-j", "-d", "address", "show")
ROUTES = ("ip", "-N", "-j", "route", "show", "table", "all")
"""Both families in one call; -N: an operator may have given 213 a name."""

LOCAL_TABLE = "255"
KINDS = {"1": "unicast", "6": "blackhole", "7": "unreachable", "8": "prohibit", "9": "throw"}
"""By number, as `ip -N` says them; others (local, broadcast, multicast) forward nothing."""


def parse_links(text: str) -> dict[str, Link]:
    """Name → device. Raises NodeError for what is no answer of `ip -j -d address show`."""
    found = {}
    for item in _items(text, "ip address"):
        name = item.get("ifname", "")
        info = item.get("linkinfo") or {}
        addresses = [
            str(ipaddress.ip_interface(f"{one['local']}/{one['prefixlen']}"))
            for one in item.get("addr_info", [])
            if "local" in one
        ]
        found[name] = Link(
            name,
            str(info.get("info_kind", "")),
            int(item.get("mtu", 0)),
            "UP" in item.get("flags", []),
            tuple(sorted(addresses)),
        )
    return found


def parse_routes(text: str) -> tuple[Route, ...]:
    """Routes that forward or refuse packets. Raises NodeError."""
    found = []
    for item in _items(text, "ip route"):
        kind = KINDS.get(str(item.get("type", "1")), str(item.get("type", "unicast")))
        if str(item.get("table", "main")) in (LOCAL_TABLE, "local") or kind not in KINDS.values():
            continue
        protocol = str(item.get("protocol", "0"))
        found.append(
            Route(
                _destination(item),
                "" if kind != "unicast" else str(item.get("dev", "")),
                int(protocol) if protocol.isdigit() else 0,
                int(item.get("metric", 0)),
                str(item.get("prefsrc", "")),
                kind,
            )
        )
    return tuple(found)


def parse_ports(*tables: str) -> dict[int, set[str]]:
    """UDP port → inodes of the sockets bound to it ("0" for one of the kernel's own), of /proc/net/udp*."""
    found: dict[int, set[str]] = {}
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and ":" in fields[1]:
                found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def parse_active(text: str) -> dict[str, str]:
    """Unit → ActiveState, of `systemctl show --property=Id,ActiveState`."""
    found = {}
    for block in text.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if "Id" in values:
            found[values["Id"]] = values.get("ActiveState", "")
    return found


def _destination(item: dict[str, Any]) -> str:
    text = str(item.get("dst", "default"))
    if text == "default":
        # The gateway's family is the route's, unless IPv4 goes through an IPv6 router ("via").
        v6 = ":" in str(item.get("gateway", "")) or "pref" in item
        return "::/0" if v6 else "0.0.0.0/0"
    return str(ipaddress.ip_network(text, strict=False))


def _items(text: str, what: str) -> list[dict[str, Any]]:
    try:
        items = json.loads(text or "[]")
    except ValueError as error:
        raise NodeError(f"{what}: the answer is no JSON ({error}); is it iproute2?") from error
    return [item for item in items if isinstance(item, dict) and item]
