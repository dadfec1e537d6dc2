# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Babel packet announces (RFC 8966). Pure, for packets that anybody may have made."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC, VERSION = 42, 2
PAD1, UPDATE = 0, 8
INFINITY = 0xFFFF
_LENGTH = {1: 4, 2: 16, 3: 16, 4: 4}
"""Bytes of an address by its encoding: IPv4, IPv6, link-local, IPv4 by way of IPv6."""
_DEFAULT_PREFIX = 0x80
_LINK_LOCAL = bytes.fromhex("fe80000000000000")


@dataclass(frozen=True)
class Announced:
    """A network with its metric; INFINITY takes it back"""

    prefix: str
    metric: int


def announced(packet: bytes) -> list[Announced]:
    """Of a packet that is cut off or makes no sense what comes before that; never raises."""
    found: list[Announced] = []
    known: dict[int, bytes] = {}
    for kind, body in _values(packet):
        if kind != UPDATE:
            continue
        entry = _update(body, known)
        if entry is not None:
            found.append(entry)
    return found


def _values(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each TLV."""
    if len(packet) < 4 or packet[0] != MAGIC or packet[1] != VERSION:
        return
    end = min(len(packet), 4 + int.from_bytes(packet[2:4], "big"))
    at = 4
    while at < end:
        if packet[at] == PAD1:
            at += 1
            continue
        if at + 2 > end or at + 2 + packet[at + 1] > end:
            return
        yield packet[at], packet[at + 2 : at + 2 + packet[at + 1]]
        at += 2 + packet[at + 1]


def _update(body: bytes, known: dict[int, bytes]) -> Announced | None:
    """known: encoding → the address that later ones of the packet leave bytes of out"""
    if len(body) < 10:
        return None
    encoding, flags, bits, omitted = body[:4]
    length = _LENGTH.get(encoding)
    metric = int.from_bytes(body[8:10], "big")
    if length is None or bits > 8 * length:
        return None
    compressed = encoding != 3
    # IPv4 and IPv4 by way of IPv6 have one default prefix.
    key = 1 if encoding == 4 else encoding
    size = (bits + 7) // 8
    before = known.get(key, b"") if compressed else _LINK_LOCAL
    head = before[:omitted] if compressed else _LINK_LOCAL
    own = max(0, size - len(head))
    if len(head) < (omitted if compressed else 8) or len(body) < 10 + own:
        return None
    address = (head + body[10 : 10 + own])[:size].ljust(length, b"\0")
    if flags & _DEFAULT_PREFIX:
        known[key] = address
    network = ipaddress.ip_network((address, bits), strict=False)
    return Announced(str(network), metric)
