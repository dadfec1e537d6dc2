# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node's tunnels are right now, as results say it. Live values: never part of a plan or its digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional, Protocol

from .share import Share, Tunnel
from .wg import Device, Peer

FRESH = 180
"""Seconds: WireGuard makes a new handshake every 120 s while packets flow, and gives a key up after 180."""

STATES = ("up", "stale", "never", "down")
"""up: handshake younger than FRESH; stale: older; never: none yet; down: no interface, peer or link."""

DAY = 86400.0


class LinkLike(Protocol):
    """What is needed of an interface."""

    @property
    def mtu(self) -> int: ...

    @property
    def up(self) -> bool: ...


def describe(
    share: Share,
    devices: Mapping[str, Device],
    links: Mapping[str, LinkLike],
    now: float,
    key_created: Mapping[int, float],
    armed: Optional[Mapping[str, Any]] = None,
    routes: Optional[int] = None,
) -> dict[str, Any]:
    """One mesh of a node.

    devices: interface → what WireGuard has; links: interface → the device of that name
    now: Unix time in s; key_created: generation → Unix time in s
    armed: {token, deadline} of a change that nobody has confirmed yet
    routes: how many there are in the kernel; None: as many as the share has
    """
    return {
        "member": share.member,
        "number": share.number,
        "addresses": list(share.addresses),
        "transit": share.transit,
        "armed": dict(armed) if armed else None,
        "withheld": list(share.withheld),
        "tunnels": [
            _tunnel(tunnel, devices.get(tunnel.interface), links.get(tunnel.interface), now, key_created)
            for tunnel in share.tunnels
        ],
        "routes": sum(map(len, share.routes.values())) if routes is None else routes,
    }


def count_states(tunnels: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """State → how many tunnels, every state named."""
    found = [str(tunnel.get("state")) for tunnel in tunnels]
    return {state: found.count(state) for state in STATES}


def _tunnel(
    tunnel: Tunnel,
    device: Optional[Device],
    link: Optional[LinkLike],
    now: float,
    key_created: Mapping[int, float],
) -> dict[str, Any]:
    peer = device.peers.get(tunnel.public_key) if device else None
    age = None
    if peer and peer.handshake:
        # A clock that was set back must not make a handshake of the future.
        age = max(0, int(now - peer.handshake))
    return {
        "interface": tunnel.interface,
        "peer": tunnel.peer,
        "peer_number": tunnel.peer_number,
        "foreign": tunnel.foreign,
        "endpoint": (peer.endpoint if peer else "") or tunnel.endpoint,
        "handshake_age_s": age,
        "received_bytes": peer.received if peer else 0,
        "sent_bytes": peer.sent if peer else 0,
        "mtu": link.mtu if link else None,
        "state": _state(peer, link, age),
        "key_age_days": _key_age(tunnel.generation, now, key_created),
        "psk": bool(peer and peer.has_psk),
    }


def _state(peer: Optional[Peer], link: Optional[LinkLike], age: Optional[int]) -> str:
    if peer is None or link is None or not link.up:
        return "down"
    if age is None:
        return "never"
    return "up" if age < FRESH else "stale"


def _key_age(generation: int, now: float, key_created: Mapping[int, float]) -> Optional[int]:
    """Whole days since this node's key of that generation was made, None where it is missing."""
    created = key_created.get(generation)
    return None if created is None else max(0, int((now - created) // DAY))
