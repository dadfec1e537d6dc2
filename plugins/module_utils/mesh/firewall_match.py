# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of nftables as `nft -j` lists them: what they do to a packet that opens a tunnel. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

YES, NO, MAYBE, BENIGN = "yes", "no", "maybe", "benign"
"""BENIGN: holds for some packets only, by the address they are from or by their number (a list of
banned addresses, a limit): a drop that is so limited is not one of everything."""


@dataclass(frozen=True)
class Packet:
    """The first packet of a tunnel: UDP, from a new connection. sources: none for anywhere."""

    version: int
    ports: tuple[int, int]
    sources: tuple[str, ...] = ()


def certainty(conditions: Iterable[str]) -> str:
    """All conditions as one: NO if one does not hold, the worst else."""
    found = set(conditions)
    for answer in (NO, MAYBE, BENIGN):
        if answer in found:
            return answer
    return YES


def holds(match: Mapping[str, Any], packet: Packet, sets: Mapping[str, Any]) -> str:
    """Whether a match holds for every packet (YES), for none (NO), or for some (MAYBE, BENIGN)."""
    answer = _equal(match["left"], match["right"], packet, sets)
    if match.get("op", "==") in ("==", "in"):
        return answer
    if match["op"] == "!=":
        # Everything but a few addresses is not a few addresses.
        return {YES: NO, NO: YES}.get(answer, MAYBE)
    return MAYBE


def _equal(left: Any, right: Any, packet: Packet, sets: Mapping[str, Any]) -> str:
    if not isinstance(left, Mapping) or len(left) != 1:
        return MAYBE
    kind, body = next(iter(left.items()))
    values = _values(right, sets)
    if kind == "meta":
        return _meta(body.get("key", ""), values, packet)
    if kind == "payload":
        return _payload(body, values, packet, isinstance(right, str) and right.startswith("@"))
    if kind == "ct":
        return _connection(body.get("key", ""), values)
    if kind == "fib":
        return _among("local", values) if body.get("result") == "type" else MAYBE
    return MAYBE


def _meta(key: str, values: Optional[list[Any]], packet: Packet) -> str:
    if key == "l4proto":
        return _among("udp", values, 17)
    if key == "nfproto":
        return _among("ipv4" if packet.version == 4 else "ipv6", values)
    if key == "protocol":
        return _among("ip" if packet.version == 4 else "ip6", values)
    if key in ("iif", "iifname"):
        # Tunnels do not come in by the loopback device; by which else is not known.
        return NO if values is not None and set(map(str, values)) == {"lo"} else MAYBE
    if key == "pkttype":
        return _among("host", values)
    return MAYBE


def _connection(key: str, values: Optional[list[Any]]) -> str:
    if key == "state":
        return _among("new", values)
    if key == "status":
        return NO if values is not None and set(map(str, values)) <= {"dnat", "snat", "assured"} else MAYBE
    return MAYBE


def _payload(body: Mapping[str, Any], values: Optional[list[Any]], packet: Packet, named: bool) -> str:
    protocol, where = body.get("protocol", ""), body.get("field", "")
    if protocol in ("ip", "ip6"):
        if (protocol == "ip") != (packet.version == 4):
            return NO
        if where in ("protocol", "nexthdr"):
            return _among("udp", values, 17)
        return _from(values, packet, named) if where == "saddr" else MAYBE
    if protocol in ("tcp", "icmp", "icmpv6", "sctp", "dccp", "esp", "ah", "igmp"):
        return NO
    if protocol in ("udp", "th") and where == "dport":
        return _ports(values, packet.ports)
    return MAYBE


def _ports(values: Optional[list[Any]], wanted: tuple[int, int]) -> str:
    if values is None:
        return MAYBE
    spans = []
    for value in values:
        span = value.get("range") if isinstance(value, Mapping) else [value, value]
        if not span or not all(isinstance(port, int) for port in span):
            return MAYBE
        spans.append((span[0], span[1]))
    covered = sum(1 for port in range(wanted[0], wanted[1] + 1) if any(a <= port <= b for a, b in spans))
    return NO if covered == 0 else YES if covered == wanted[1] - wanted[0] + 1 else MAYBE


def _from(values: Optional[list[Any]], packet: Packet, named: bool) -> str:
    """By where it is from. A named set may change at any time: it is never a YES."""
    networks = [network_of(value) for value in values or ()]
    known = values is not None and None not in networks
    if known and not networks and not named:
        return NO
    ours = [ipaddress.ip_network(source) for source in packet.sources]
    if not known or named or not ours:
        everywhere = known and any(network.prefixlen == 0 for network in networks if network)
        return YES if everywhere and not named else BENIGN
    inside = [any(_within(one, network) for network in networks) for one in ours]
    if all(inside):
        return YES
    return MAYBE if any(_touch(one, network) for one in ours for network in networks) else NO


def _within(one: Any, other: Any) -> bool:
    return bool(one.version == other.version and one.subnet_of(other))


def _touch(one: Any, other: Any) -> bool:
    return bool(one.version == other.version and one.overlaps(other))


def network_of(value: Any) -> Any:
    """An address, a prefix or None for something else (a range, a name)."""
    if isinstance(value, Mapping) and set(value) == {"prefix"}:
        value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
    try:
        return ipaddress.ip_network(value)
    except (TypeError, ValueError):
        return None


def _among(word: str, values: Optional[list[Any]], number: Optional[int] = None) -> str:
    if values is None:
        return MAYBE
    if word not in values and (number is None or number not in values):
        return NO
    return YES


def _values(right: Any, sets: Mapping[str, Any]) -> Optional[list[Any]]:
    """The values of a match's right side; None where they are not known."""
    if isinstance(right, str) and right.startswith("@"):
        named = sets.get(right[1:])
        return None if named is None else [plain_element(value) for value in named]
    if isinstance(right, Mapping) and "set" in right:
        right = right["set"]
    if isinstance(right, str) and right.startswith("$"):
        return None
    return [plain_element(value) for value in right] if isinstance(right, list) else [right]


def plain_element(value: Any) -> Any:
    """An element without its timeout, counter and comment."""
    return value["elem"].get("val") if isinstance(value, Mapping) and "elem" in value else value
