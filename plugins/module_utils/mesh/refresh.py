# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints that are names, looked up again: WireGuard does that once, when a peer is set."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Optional

from ..core.commands import Runner, must
from .share import Share, Tunnel
from .wg import DUMP, Device, parse_dump

SILENT = 135.0
"""Seconds without a handshake after which a session is dead, as wireguard-tools' reresolve-dns has it."""

THREADS = 8

Resolver = Callable[[str], Sequence[str]]
"""Name → its addresses, the best first; empty where it has none now."""


@dataclass(frozen=True)
class Moved:
    """A tunnel whose peer has a new address."""

    interface: str
    public_key: str
    name: str
    endpoint: str


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`. Raises ValueError."""
    host, _colon, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)


def has_name(endpoint: str) -> bool:
    """Whether an endpoint names a host rather than giving its address."""
    if not endpoint:
        return False
    try:
        ipaddress.ip_address(split_endpoint(endpoint)[0].partition("%")[0])
    except ValueError:
        return True
    return False


def silent(shares: Iterable[Share], devices: Mapping[str, Device], now: float) -> list[Tunnel]:
    """Tunnels with a named endpoint from which nothing has come for SILENT seconds. `now`: Unix time."""
    found = []
    for share in shares:
        for tunnel in share.tunnels:
            device = devices.get(tunnel.interface)
            peer = device.peers.get(tunnel.public_key) if device else None
            if peer is not None and has_name(tunnel.endpoint) and now - peer.handshake > SILENT:
                found.append(tunnel)
    return found


def resolve(name: str) -> Sequence[str]:
    """The system's resolver."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(item[4][0]) for item in found))


def meanings(endpoint: str, resolver: Resolver = resolve) -> tuple[str, ...]:
    """What WireGuard may say instead of an endpoint that is a name."""
    name, port = split_endpoint(endpoint)
    return tuple(_endpoint(address, port) for address in resolver(name))


def moved(tunnels: Sequence[Tunnel], devices: Mapping[str, Device], resolver: Resolver) -> list[Moved]:
    """Those whose name does not mean the address any more that WireGuard has."""
    found = []
    with ThreadPoolExecutor(THREADS) as pool:
        answers = pool.map(resolver, [split_endpoint(tunnel.endpoint)[0] for tunnel in tunnels])
        for tunnel, addresses in zip(tunnels, answers):
            name, port = split_endpoint(tunnel.endpoint)
            live = devices[tunnel.interface].peers[tunnel.public_key].endpoint
            possible = [_endpoint(address, port) for address in addresses]
            if possible and live not in possible:
                found.append(Moved(tunnel.interface, tunnel.public_key, name, possible[0]))
    return found


def find_moved(shares: Sequence[Share], runner: Runner, resolver: Resolver = resolve) -> list[Moved]:
    """What has to be set. Raises NodeError. Asks no name where none is needed."""
    if not any(has_name(tunnel.endpoint) for share in shares for tunnel in share.tunnels):
        return []
    devices = parse_dump(must(runner, DUMP))
    return moved(silent(shares, devices, time.time()), devices, resolver)


def set_live(items: Sequence[Moved], runner: Runner) -> list[Moved]:
    """Those that were set. The caller holds the lock: `wg set` would add a peer that has gone meanwhile."""
    devices = parse_dump(must(runner, DUMP)) if items else {}
    done = []
    for item in items:
        device: Optional[Device] = devices.get(item.interface)
        if device is not None and item.public_key in device.peers:
            must(runner, ["wg", "set", item.interface, "peer", item.public_key, "endpoint", item.endpoint])
            done.append(item)
    return done


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
