# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `wg show all dump` says, without its secrets: of a preshared key there is a mark to compare it by."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

DUMP = ("wg", "show", "all", "dump")
"""Its output holds private and preshared keys: it goes into `parse_dump` and nowhere else."""


_OF_THIS_PROCESS = secrets.token_bytes(32)


def mark_of(secret: str) -> str:
    """What equal secrets have in common: a digest whose key is this process's own, so it says nothing
    elsewhere or later. It is compared, and stands in no result, file or message."""
    return hmac.new(_OF_THIS_PROCESS, secret.strip().encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Peer:
    """handshake: Unix time in s of the last one, 0 for none; keepalive: s, 0 for none

    psk_mark: `mark_of` its preshared key, "" for none
    """

    public_key: str
    has_psk: bool = False
    endpoint: str = ""
    allowed_ips: tuple[str, ...] = ()
    handshake: int = 0
    received: int = 0
    sent: int = 0
    keepalive: int = 0
    psk_mark: str = field(default="", repr=False)


@dataclass(frozen=True)
class Device:
    """public_key: "" where the interface has no private key yet"""

    name: str
    public_key: str = ""
    listen_port: int = 0
    peers: Mapping[str, Peer] = field(default_factory=dict)


def parse_dump(text: str) -> dict[str, Device]:
    """Interface → device; a line of a form that is not known is passed over."""
    heads: dict[str, tuple[str, int]] = {}
    peers: dict[str, dict[str, Peer]] = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 5:
            heads[fields[0]] = ("" if fields[2] == "(none)" else fields[2], int(fields[3]))
        elif len(fields) == 9:
            peer = _peer(fields[1:])
            peers.setdefault(fields[0], {})[peer.public_key] = peer
    return {name: Device(name, key, port, peers.get(name, {})) for name, (key, port) in heads.items()}


def _peer(fields: list[str]) -> Peer:
    return Peer(
        public_key=fields[0],
        has_psk=fields[1] != "(none)",
        psk_mark="" if fields[1] == "(none)" else mark_of(fields[1]),
        endpoint="" if fields[2] == "(none)" else fields[2],
        allowed_ips=() if fields[3] == "(none)" else tuple(sorted(fields[3].split(","))),
        handshake=int(fields[4]),
        received=int(fields[5]),
        sent=int(fields[6]),
        keepalive=0 if fields[7] == "off" else int(fields[7]),
    )
