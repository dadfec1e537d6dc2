# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What babeld says on its socket, what Babel packets announce: both from anybody, so nothing may break us."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share
from ansible_collections.swarm.node.plugins.module_utils.routing import listen as listening
from ansible_collections.swarm.node.plugins.module_utils.routing.babel_socket import (
    Neighbour,
    Route,
    Tables,
    answers,
    read_tables,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.listen import (
    HEADERS,
    by_interface,
    foreign_in,
    heard,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.packets import Announced, announced
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import Peer, peers
from hypothesis import given
from hypothesis import strategies as st
from routing_cases import share, tunnel

LINES = """\
BABEL 1.0
version babeld-1.12.1
host node
my-id d0:a6:3c:09:ce:e8:cc:ba
add interface wan-65 up true ipv6 fe80::40 ipv4 10.99.0.64
add neighbour 55e1b50 address fe80::41 if wan-65 reach ffff ureach 0000 rxcost 850 txcost 1150 rtt 10.336 rttcost 186 cost 1336
add neighbour 55e19c0 address fe80::42 if wan-66 reach 8000 ureach 0000 rxcost 65535 txcost 65535 cost 65535
add xroute 10.99.0.64/32-::/0 prefix 10.99.0.64/32 from 0.0.0.0/0 metric 0
add route 55e1d70 prefix 10.99.0.65/32 from 0.0.0.0/0 installed yes id d0:a6:3c:09:ce:e8:cc:ba metric 5336 refmetric 0 via fe80::41 if wan-65
"""  # noqa: E501 (as babeld writes it)


def test_a_dump() -> None:
    found = Tables()
    taken = [found.take(line) for line in LINES.splitlines()]
    assert taken == [False, True, False, False, True, True, True, True, True]
    assert found.version == "babeld-1.12.1" and found.own == {"10.99.0.64/32"}
    assert found.neighbours["55e1b50"] == Neighbour(
        "55e1b50", "fe80::41", "wan-65", 0xFFFF, 850, 1150, 1336, 10.336, 186
    )
    assert found.neighbours["55e19c0"].rtt is None
    assert found.routes == {
        "55e1d70": Route(
            "55e1d70", "10.99.0.65/32", True, 5336, 0, "fe80::41", "wan-65", "d0:a6:3c:09:ce:e8:cc:ba"
        )
    }
    assert found.take(
        "change route 55e1d70 prefix 10.99.0.65/32 from 0.0.0.0/0 installed no id x metric 65535 "
        "refmetric 65535 via fe80::41 if wan-65"
    )
    assert not found.routes["55e1d70"].installed
    assert found.take("flush route 55e1d70 prefix x") and found.routes == {}
    assert found.take("flush route 55e1d70 prefix x")
    assert found.take("flush interface wan-65") and found.interfaces == {}


WORDS = st.sampled_from(
    ["add", "change", "flush", "route", "neighbour", "interface", "xroute", "prefix", "if", "via", "metric"]
    + [
        "refmetric",
        "installed",
        "yes",
        "no",
        "reach",
        "ffff",
        "rtt",
        "cost",
        "txcost",
        "rxcost",
        "up",
        "true",
    ]
    + ["10.99.0.1/32", "fe80::1", "65535", "version", "ok"]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=30).map(" ".join))
def test_no_line_breaks_it(line: str) -> None:
    found = Tables()
    found.take(line)
    assert all(isinstance(one.metric, int) for one in found.routes.values())


class Server:
    """Says what it is told to whoever connects."""

    def __init__(self, path: Path, greeting: bytes, answer: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        self.socket.listen(1)
        self.said = greeting, answer
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        client, _address = self.socket.accept()
        with client:
            client.sendall(self.said[0])
            if client.recv(100) and self.said[1]:
                client.sendall(self.said[1])
                client.recv(100)


GREETING = b"BABEL 1.0\nversion babeld-1.13.1\nhost x\nmy-id y\nok\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "sock"


def test_a_daemon_that_answers(place: Path) -> None:
    Server(place, GREETING, LINES.partition("add")[1].encode() + LINES.partition("add")[2].encode() + b"ok\n")
    found = read_tables(str(place))
    assert found.version == "babeld-1.13.1" and len(found.neighbours) == 2 and len(found.routes) == 1


@pytest.mark.parametrize(
    ("greeting", "answer", "words"),
    [
        (b"", b"", "does not answer"),
        (GREETING[:-3], b"", "does not answer"),
        (GREETING, b"add neighbour", "does not answer"),
        (GREETING, b"bad\n", "it said 'bad'"),
        (GREETING, b"no not allowed\n", "it said 'no not allowed'"),
        (b"220 mail ready\nok\n", b"ok\n", "no babeld"),
    ],
)
def test_one_that_does_not_is_said(place: Path, greeting: bytes, answer: bytes, words: str) -> None:
    Server(place, greeting, answer)
    with pytest.raises(NodeError, match=words):
        read_tables(str(place), 0.3)


def test_none_at_all(place: Path) -> None:
    with pytest.raises(NodeError, match="No such file"):
        read_tables(str(place))
    place.write_text("")
    assert not answers(str(place))


# -- packets


def tlv(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


def update(encoding: int, flags: int, bits: int, omitted: int, prefix: bytes, metric: int = 96) -> bytes:
    return tlv(8, bytes([encoding, flags, bits, omitted, 0, 100, 0, 1]) + metric.to_bytes(2, "big") + prefix)


def packet(*values: bytes) -> bytes:
    body = b"".join(values)
    return bytes([42, 2]) + len(body).to_bytes(2, "big") + body


V4, V6 = bytes([10, 99, 0, 65]), ipaddress.IPv6Address("fd5e:7a11:9c3d::41").packed


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([update(1, 0, 32, 0, V4)], ["10.99.0.65/32"]),
        ([update(2, 0, 128, 0, V6)], ["fd5e:7a11:9c3d::41/128"]),
        ([update(4, 0, 32, 0, V4)], ["10.99.0.65/32"]),
        ([update(1, 0, 0, 0, b"")], ["0.0.0.0/0"]),
        ([update(2, 0, 0, 0, b"")], ["::/0"]),
        ([update(1, 0, 8, 0, b"\x0a")], ["10.0.0.0/8"]),
        ([update(1, 0x80, 32, 0, V4), update(1, 0, 32, 3, b"\x42")], ["10.99.0.65/32", "10.99.0.66/32"]),
        ([update(1, 0x80, 32, 0, V4), update(4, 0, 32, 3, b"\x42")], ["10.99.0.65/32", "10.99.0.66/32"]),
        ([update(2, 0x80, 128, 0, V6), update(2, 0, 128, 15, b"\x42")], None),
        ([update(1, 0, 32, 3, b"\x42")], []),
        ([update(3, 0, 64, 0, b"")], ["fe80::/64"]),
        ([b"\0\0", tlv(4, b"\0\0\0\1\0\1"), update(1, 0, 32, 0, V4)], ["10.99.0.65/32"]),
        ([update(1, 0, 33, 0, V4 + b"\0")], []),
        ([update(0, 0, 0, 0, b"", 0xFFFF)], []),
        ([update(1, 0, 32, 0, V4)[:-1]], []),
        ([tlv(8, b"\1\0\x20")], []),
    ],
)
def test_what_a_packet_announces(values: list[bytes], expected: list[str] | None) -> None:
    found = [one.prefix for one in announced(packet(*values))]
    assert found == (
        expected if expected is not None else ["fd5e:7a11:9c3d::41/128", "fd5e:7a11:9c3d::42/128"]
    )


@pytest.mark.parametrize(
    "data", [b"", b"*", b"*\2", b"*\3\0\0", b"+\2\0\0", b"*\2\xff\xff", b"*\2\0\2\x08\xff"]
)
def test_what_is_no_packet_announces_nothing(data: bytes) -> None:
    assert announced(data) == []


@given(st.binary(max_size=200))
def test_no_packet_breaks_it(data: bytes) -> None:
    for one in announced(b"*\2" + len(data).to_bytes(2, "big") + data):
        ipaddress.ip_network(one.prefix)
        assert 0 <= one.metric <= 0xFFFF


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.booleans(), st.integers(0, 4))
def test_networks_survive_compression(number: int, bits: int, kept: bool, omitted: int) -> None:
    network = ipaddress.ip_network((number, bits), strict=False)
    raw = network.network_address.packed
    first = update(1, 0x80 if kept else 0, 32, 0, raw)
    second = update(1, 0, bits, omitted, raw[omitted : (bits + 7) // 8])
    found = announced(packet(first, second))
    if kept or omitted == 0:
        assert found[1] == Announced(str(network), 96)
    else:
        assert len(found) == 1


def test_what_must_not_be_announced() -> None:
    mine = share(tunnel(65, transit=True), tunnel(67))
    relay, leaf = peers(mine)
    good = [update(1, 0, 32, 0, V4), update(2, 0, 128, 0, V6)]
    bad = [update(1, 0, 0, 0, b""), update(1, 0, 24, 0, V4[:3]), update(1, 0, 32, 0, bytes([192, 0, 2, 1]))]
    other = update(1, 0, 32, 0, bytes([10, 99, 0, 99]))
    assert foreign_in(mine, relay, packet(*good, other)) == []
    assert foreign_in(mine, relay, packet(*bad)) == ["0.0.0.0/0", "10.99.0.0/24", "192.0.2.1/32"]
    assert foreign_in(mine, leaf, packet(*good)) == ["10.99.0.65/32", "fd5e:7a11:9c3d::41/128"]
    assert foreign_in(mine, leaf, packet(update(1, 0, 0, 0, b"", 0xFFFF))) == []
    # Only from a link-local address, and by the neighbour's tunnel.
    near = by_interface(mine)
    head = b"\x60" + bytes(7) + ipaddress.IPv6Address("fe80::41").packed + bytes(HEADERS - 24)
    assert heard(mine, near, "wan-65", head + packet(bad[0])) == [("node-65", "0.0.0.0/0")]
    assert heard(mine, near, "wan-65b", head + packet(bad[0])) == [("node-65", "0.0.0.0/0")]
    assert heard(mine, near, "wan-67", head + packet(bad[0])) == [("node-67", "0.0.0.0/0")]
    assert heard(mine, near, "eth0", head + packet(bad[0])) == []
    assert heard(mine, near, "wan-65", head[:20]) == []
    assert heard(mine, near, "wan-65", head.replace(b"\xfe\x80", b"\xfd\x5e") + packet(bad[0])) == []


def test_a_thousand_packets_are_looked_at_without_reckoning_the_neighbours_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A relay with hundreds of neighbours hears hundreds of packets a second."""
    mine = share(*(tunnel(number) for number in range(65, 365)))
    head = b"\x60" + bytes(7) + ipaddress.IPv6Address("fe80::41").packed + bytes(HEADERS - 24)
    data = head + packet(update(1, 0, 0, 0, b""))
    counts = {"peers": 0, "packets": 0}
    ready, _end = os.pipe()
    os.write(_end, b"x")

    class Full:
        """There is always a packet."""

        def fileno(self) -> int:
            return ready

        def recvfrom(self, _size: int) -> tuple[bytes, tuple[Any, ...]]:
            counts["packets"] += 1
            return data, ("wan-300", 0, 0, 0, b"")

        def close(self) -> None:
            os.close(ready)
            os.close(_end)

    def counted(share: Share) -> list[Peer]:
        counts["peers"] += 1
        return peers(share)

    monkeypatch.setattr(listening, "_socket", lambda _port: Full())
    monkeypatch.setattr(listening, "peers", counted)
    monkeypatch.setattr(listening, "MOST", 1000)
    (found,) = listening.listen({6696: mine}, 60)["wan"]
    assert (found["peer"], found["prefix"]) == ("node-300", "0.0.0.0/0")
    assert counts == {"peers": 1, "packets": 1000}
