# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links between namespaces: what is asked for is what packets meet."""

from __future__ import annotations

import os
import select
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.wires import BACK, FORTH, Space, Wires

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
]
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
HEADERS = 28
"""Bytes of IPv4 and UDP in front of what a test sends."""


@dataclass
class Pair:
    wires: Wires
    left: socket.socket
    right: socket.socket

    def send(self, count: int, size: int = 100, pause: float = 0.0) -> None:
        """Numbered packets with the time they were sent, from left to right."""
        for number in range(count):
            head = struct.pack("!Id", number, time.time())
            self.left.send(head + b"\0" * (size - len(head) - HEADERS))
            time.sleep(pause)

    def receive(self, quiet: float = 0.2) -> list[tuple[int, float, float]]:
        """(number, ms under way, when it came) of all that come until nothing does for `quiet` s."""
        found = []
        while select.select([self.right], [], [], quiet)[0]:
            data, extras, _, _ = self.right.recvmsg(2048, 64)
            # The kernel's word, as we may read it much later.
            seconds, nanoseconds = struct.unpack("@qq", extras[0][2])
            now = seconds + nanoseconds / 1e9
            number, sent = struct.unpack_from("!Id", data)
            found.append((number, 1000 * (now - sent), now))
        return found

    def counters(self, direction: str = FORTH) -> dict[str, int]:
        return self.wires.counters()[("wire", direction)]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two namespaces with a wire between them, and a socket in each that sends to the other."""
    wires, left, right = Wires(seed=7), Space("left"), Space("right")
    try:
        wires.add("wire", (left, "one"), (right, "two"))
        for space, device, address in ((left, "one", "10.9.0.1/30"), (right, "two", "10.9.0.2/30")):
            # No packets but ours.
            space.set("net/ipv6/conf/default/disable_ipv6", 1)
            space.set(f"net/ipv6/conf/{device}/disable_ipv6", 1)
            space.run(["ip", "address", "add", address, "dev", device])
            space.run(["ip", "link", "set", device, "up"])
        sockets = [space.socket(socket.AF_INET, socket.SOCK_DGRAM) for space in (left, right)]
        for one, address in zip(sockets, ("10.9.0.1", "10.9.0.2"), strict=True):
            one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
            one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            one.bind((address, 4000))
        sockets[0].connect(("10.9.0.2", 4000))
        yield Pair(wires, *sockets)
        for one in sockets:
            one.close()
    finally:
        wires.close()
        left.close()
        right.close()


def test_without_a_wish_all_comes_at_once_and_in_order(pair: Pair) -> None:
    pair.send(50, pause=0.001)
    found = pair.receive()
    assert [number for number, _, _ in found] == list(range(50))
    assert statistics.median(ms for _, ms, _ in found) < 1


@pytest.mark.parametrize("delay", [5, 40])
def test_delay(pair: Pair, delay: int) -> None:
    pair.wires.set("wire", FORTH, delay=delay)
    pair.send(60, pause=0.002)
    times = [ms for _, ms, _ in pair.receive()]
    assert len(times) == 60
    assert min(times) >= delay
    # The middle, as a busy machine may hold up any single packet.
    assert statistics.median(times) < delay + 1


def test_delay_changes_while_packets_are_under_way(pair: Pair) -> None:
    pair.wires.set("wire", delay=30)
    pair.send(5)
    pair.wires.set("wire", delay=1)
    pair.send(5)
    found = pair.receive()
    # In order: the second five wait behind the first.
    assert [number for number, _, _ in found] == [0, 1, 2, 3, 4] * 2
    assert found[-1][2] >= found[4][2]
    pair.send(20, pause=0.001)
    assert statistics.median(ms for _, ms, _ in pair.receive()) < 3


def test_jitter_keeps_order_unless_told_not_to(pair: Pair) -> None:
    pair.wires.set("wire", delay=10, jitter=5)
    pair.send(200, pause=0.001)
    found = pair.receive()
    assert [number for number, _, _ in found] == list(range(200))
    pair.wires.set("wire", order=0)
    pair.send(200, pause=0.001)
    found = pair.receive()
    numbers = [number for number, _, _ in found]
    assert sorted(numbers) == list(range(200))
    assert numbers != sorted(numbers)
    times = [ms for _, ms, _ in found]
    assert min(times) >= 5
    assert statistics.quantiles(times, n=10)[0] < 8 < 12 < statistics.quantiles(times, n=10)[8]


def test_loss(pair: Pair) -> None:
    pair.wires.set("wire", FORTH, loss=30)
    pair.send(3000)
    came = len(pair.receive())
    # Four standard deviations of a binomial: 100.
    assert abs(came - 2100) < 101
    assert pair.counters()["lost"] == 3000 - came
    assert pair.counters()["left"] == came


def test_rate(pair: Pair) -> None:
    pair.wires.set("wire", FORTH, rate=8, queue=10000)
    pair.send(400, size=1000)
    found = pair.receive(1)
    assert len(found) == 400
    # A byte takes a microsecond.
    seconds = found[-1][2] - found[0][2]
    assert seconds == pytest.approx(0.399, rel=0.05)


def test_a_full_queue_drops_and_counts(pair: Pair) -> None:
    pair.wires.set("wire", FORTH, rate=8, queue=50)
    pair.send(400, size=1000)
    found = pair.receive(0.5)
    counters = pair.counters()
    assert counters["overflowed"] == 400 - len(found) > 200
    # Nobody waits much longer than the queue.
    assert max(ms for _, ms, _ in found) < 50 + 20
    assert len(found) > 40


def test_a_wire_that_is_down_drops_all_and_its_ends_do_not_notice(pair: Pair) -> None:
    pair.wires.set("wire", up=0)
    pair.send(10)
    assert pair.receive() == []
    assert pair.counters()["down"] == 10
    pair.wires.set("wire", up=1)
    pair.send(10)
    assert len(pair.receive()) == 10


def test_directions_are_their_own(pair: Pair) -> None:
    pair.wires.set("wire", BACK, loss=100)
    pair.send(20)
    assert len(pair.receive()) == 20
    assert pair.counters(BACK)["came"] == 0


def test_what_is_not_understood_changes_nothing(pair: Pair) -> None:
    for key, value in (("jitter", -1.0), ("loss", 101.0), ("speed", 3.0), ("up", 2.0)):
        with pytest.raises(LabError, match=key):
            pair.wires.set("wire", **{"delay": 500.0, key: value})
    pair.send(10)
    assert statistics.median(ms for _, ms, _ in pair.receive()) < 10


def test_unknown_wires_and_devices_are_refused(pair: Pair) -> None:
    with pytest.raises(LabError, match="of a wire that was added"):
        pair.wires.set("other", delay=1)
    space = Space("gone")
    space.close()
    with pytest.raises(LabError, match="No such file"):
        pair.wires.add("more", (space, "one"), (space, "two"))


def test_devices_go_with_the_program() -> None:
    wires, space = Wires(), Space("alone")
    try:
        wires.add("loop", (space, "one"), (space, "two"))
        assert "one" in space.run(["ip", "-oneline", "link"])
        wires.close()
        assert "one" not in space.run(["ip", "-oneline", "link"])
    finally:
        space.close()


def test_a_space_ends_what_was_started_in_it() -> None:
    space = Space("short")
    child = space.start(["sleep", "100"])
    until = time.monotonic() + 10
    while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n" and time.monotonic() < until:
        time.sleep(0.01)
    assert Path(f"/proc/{child.pid}/ns/net").readlink() == Path(space.path).readlink()
    space.close()
    assert child.returncode is not None
    assert not Path(f"/proc/{child.pid}").exists()
