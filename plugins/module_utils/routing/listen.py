# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hears for a while what neighbours announce by Babel, without taking a packet from the daemon.

A packet socket sees what comes by a tunnel beside whoever else gets it, also what a filter drops.
"""

from __future__ import annotations

import ctypes
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from ..mesh.share import Share
from .blocks import is_foreign
from .filter import LINK_LOCAL
from .packets import INFINITY, announced
from .settings import Peer, peers

ETH_P_IPV6 = 0x86DD
OUTGOING = 4
_LINK_LOCAL = ipaddress.IPv6Network(LINK_LOCAL)
SO_ATTACH_FILTER = 26
HEADERS = 48
"""Bytes of IPv6 and UDP before Babel begins."""

MOST = 20000
"""Packets that are looked at in one go."""


def foreign_in(share: Share, peer: Peer, packet: bytes) -> list[str]:
    """What a neighbour's packet announces and must not; this node's filters do not accept it from it."""
    return [
        item.prefix
        for item in announced(packet)
        if item.metric != INFINITY and is_foreign(share, peer, item.prefix)
    ]


def by_interface(share: Share) -> dict[str, Peer]:
    """Neighbours by the names of their tunnels. It takes long: once for a share, not for each packet."""
    return {name: peer for peer in peers(share) for name in peer.interfaces}


def heard(share: Share, near: Mapping[str, Peer], interface: str, data: bytes) -> list[tuple[str, str]]:
    """(peer, prefix) of each network that the IPv6 packet `data` announces and must not.

    near: as `by_interface` has it
    """
    peer = near.get(interface)
    if peer is None or len(data) < HEADERS:
        return []
    if ipaddress.IPv6Address(data[8:24]) not in _LINK_LOCAL:
        return []  # The table drops it, and counts it as spoofed.
    return [(peer.name, prefix) for prefix in foreign_in(share, peer, data[HEADERS:])]


def listen(wanted: Mapping[int, Share], seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Mesh → {peer, prefix, at} of what must not be announced, each once. Raises OSError.

    wanted: UDP port → share of the mesh that has it
    """
    found: dict[tuple[str, str, str], float] = {}
    near = {share.mesh: by_interface(share) for share in wanted.values()}
    sockets = {_socket(port): share for port, share in wanted.items()}
    end, seen = time.monotonic() + seconds, 0
    try:
        while sockets and seen < MOST and time.monotonic() < end:
            for ready in select.select(list(sockets), [], [], max(0.0, end - time.monotonic()))[0]:
                data, (interface, _protocol, kind, *_rest) = ready.recvfrom(65535)
                seen += 1
                if kind == OUTGOING:
                    continue
                share = sockets[ready]
                for peer, prefix in heard(share, near[share.mesh], interface, data):
                    found.setdefault((share.mesh, peer, prefix), time.time())
    finally:
        for one in sockets:
            one.close()
    told: dict[str, list[dict[str, Any]]] = {share.mesh: [] for share in wanted.values()}
    for (mesh, peer, prefix), at in sorted(found.items()):
        told[mesh].append({"peer": peer, "prefix": prefix, "at": at})
    return told


def _socket(port: int) -> socket.socket:
    """Gets the node's IPv6 packets with UDP to this port, and no other: the kernel looks."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6))
    program = [
        (0x30, 0, 0, 6),
        (0x15, 0, 3, 17),
        (0x28, 0, 0, 42),
        (0x15, 0, 1, port),
        (6, 0, 0, 65535),
        (6, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    try:
        made.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code))
        )
        # What came before the filter was there.
        while select.select([made], [], [], 0)[0]:
            made.recv(1)
    except OSError:
        made.close()
        raise
    return made
