# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How two members reach each other: who is called where, and what fits into the tunnel. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from .registry import Member, Settings
from .wishes import split_endpoint

_split = lru_cache(maxsize=65536)(split_endpoint)

OVERHEAD_4 = 60
"""Bytes that WireGuard takes off a packet over IPv4."""
OVERHEAD_6 = 80


def local(one: Member, other: Member) -> bool:
    """Whether they talk over their region's own network."""
    return one.region == other.region and bool(one.local_endpoint and other.local_endpoint)


def possible(one: Member, other: Member) -> bool:
    return local(one, other) or bool(one.endpoint) or bool(other.endpoint)


def called(caller: Member, peer: Member) -> str:
    """The endpoint as the registry has it, where `caller` calls `peer`; "" where it cannot."""
    return peer.local_endpoint if local(caller, peer) else peer.endpoint


def with_port(endpoint: str, base: int, port: int) -> str:
    """`host:port` of one tunnel. A port in the endpoint is where the member's first port is seen outside.

    base: the member's first port; port: the tunnel's
    """
    host, outside = _split(endpoint)
    number = (outside or base) + port - base
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def overhead(members: Sequence[Member]) -> int:
    """80 bytes, or 60 where only IPv4 can be used: by the endpoints, or by the networks of who has none."""
    return OVERHEAD_4 if all(_only_4(member) for member in members) else OVERHEAD_6


def tunnel_mtu(settings: Settings, one: Member, other: Member) -> int:
    """The same at both ends."""
    used = [called(other, one), called(one, other)]
    over_4 = all(is_ipv4(endpoint) for endpoint in used if endpoint)
    room = min(one.underlay_mtu, other.underlay_mtu) - (OVERHEAD_4 if over_4 else OVERHEAD_6)
    return min(settings.mtu, room) if settings.mtu else room


def _only_4(member: Member) -> bool:
    endpoints = [item for item in (member.endpoint, member.local_endpoint) if item]
    if endpoints:
        return all(is_ipv4(item) for item in endpoints)
    return bool(member.underlay) and all(":" not in network for network in member.underlay)


@lru_cache(maxsize=65536)
def is_ipv4(endpoint: str) -> bool:
    """Whether it is an IPv4 address; a name may be anything."""
    try:
        return ipaddress.ip_address(split_endpoint(endpoint)[0]).version == 4
    except ValueError:
        return False
