# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests: their bytes, and real ones to the loopback interface where this process may send them."""

from __future__ import annotations

import os
import socket
import struct
import time

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh import ping as pinging
from ansible_collections.swarm.node.plugins.module_utils.mesh.ping import Target, parse_reply, ping


def may_send() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        return False
    return True


real = pytest.mark.skipif(not may_send(), reason="echo requests need CAP_NET_RAW")


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert pinging._checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    for size in (0, 1, 56, 1372):
        packet = pinging._request(8, 3, size, checked=True)
        assert len(packet) == 8 + size and pinging._checksum(packet) == 0, "a whole packet sums to nothing"


def test_replies() -> None:
    ours = os.getpid() & 0xFFFF
    reply = struct.pack("!BBHHH", 129, 0, 0, ours, 7) + b"data"
    assert parse_reply(reply, socket.AF_INET6) == 7
    header = bytes([0x46]) + bytes(23)
    four = header + struct.pack("!BBHHH", 0, 0, 0, ours, 9)
    assert parse_reply(four, socket.AF_INET) == 9, "an IPv4 header may have options"
    for packet, family in (
        (reply[:7], socket.AF_INET6),
        (b"", socket.AF_INET6),
        (b"", socket.AF_INET),
        (four[:28], socket.AF_INET),
        (struct.pack("!BBHHH", 128, 0, 0, ours, 7), socket.AF_INET6),
        (struct.pack("!BBHHH", 129, 0, 0, ours ^ 1, 7), socket.AF_INET6),
    ):
        assert parse_reply(packet, family) is None


@real
def test_real_echoes() -> None:
    began = time.monotonic()
    targets = [
        Target("four", "127.0.0.1"),
        Target("big", "127.0.0.1", size=1400),
        Target("from", "127.0.0.1", source="127.0.0.2"),
        Target("on", "127.0.0.1", "lo"),
    ]
    found = ping(targets, 2.0)
    assert set(found) == {"four", "big", "from", "on"} and all(0 < rtt < 1 for rtt in found.values())
    assert time.monotonic() - began < 1, "it ends when all have answered"


@real
def test_what_cannot_be_reached_does_not_answer() -> None:
    targets = [
        Target("no interface", "fe80::2", "nowhere0"),
        Target("no address", "127.0.0.1", source="192.0.2.77"),
        Target("works", "127.0.0.1"),
    ]
    assert set(ping(targets, 0.2)) == {"works"}
    assert ping([], 0.2) == {}


def test_a_process_that_may_not_send(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(pinging, "_opened", refuse)
    with pytest.raises(NodeError, match="CAP_NET_RAW"):
        ping([Target("x", "127.0.0.1")], 0.1)
