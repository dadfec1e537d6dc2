# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests between all nodes of a mesh, each of them accounted for, by one thread."""

from __future__ import annotations

import errno
import select
import struct
import threading
import time
from array import array
from collections.abc import Iterator
from itertools import combinations
from socket import AF_INET, IP_TTL, IPPROTO_IP, SOCK_DGRAM, socket

from benchmarks.routing.network import Network

INTERVAL = 0.05
"""Seconds between two probes of a pair."""
PATIENCE = 2.0
"""Seconds after which a probe counts as lost."""
LATE = 0.1
"""A probe sent so many seconds too late says that the machine stood still."""
_PORT = 2112
_FORM = struct.Struct("!BHI")
_REQUEST, _REPLY = 0, 1
_PADDING = b"\0" * 93


class MeshProber:
    """Probes from the lower to the higher number of each pair, and back. Close it.

    Their time to live is the number of nodes: no way without a loop uses that up.
    late: (when, s) of probes that were sent too late. refused: {name of the error: probes not sent at all}.
    """

    def __init__(self, network: Network) -> None:
        self.pairs = list(combinations(network.numbers, 2))
        self._address = {number: (network.address(number), _PORT) for number in network.numbers}
        self._sockets: dict[int, socket] = {}
        self._sent = [array("d") for _ in self.pairs]
        self._trips = [array("d") for _ in self.pairs]
        self.late: list[tuple[float, float]] = []
        self.refused: dict[str, int] = {}
        for number, address in self._address.items():
            made = network.spaces[number].socket(AF_INET, SOCK_DGRAM)
            made.setsockopt(IPPROTO_IP, IP_TTL, len(network.numbers))
            made.bind(address)
            made.setblocking(False)
            self._sockets[number] = made
        self._poll = select.epoll()
        self._by_descriptor = {one.fileno(): one for one in self._sockets.values()}
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.EPOLLIN)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        step = INTERVAL / len(self.pairs)
        due, place = time.monotonic(), 0
        while not self._end.is_set():
            now = time.monotonic()
            if now >= due:
                if now - due > LATE:
                    self.late.append((now, now - due))
                    # What a busy machine kept us from sending is not made up for in a burst.
                    due = now
                self._send(place, now)
                place, due = (place + 1) % len(self.pairs), due + step
                continue
            for descriptor, _ in self._poll.poll(due - now):
                self._receive(self._by_descriptor[descriptor])

    def _send(self, place: int, now: float) -> None:
        here, there = self.pairs[place]
        self._sent[place].append(now)
        self._trips[place].append(-1.0)
        data = _FORM.pack(_REQUEST, place, len(self._sent[place]) - 1) + _PADDING
        self._put(self._sockets[here], data, self._address[there])

    def _put(self, made: socket, data: bytes, to: tuple[str, int]) -> None:
        # No route at all is a lost probe like any other.
        try:
            made.sendto(data, to)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, str(error))
            self.refused[name] = self.refused.get(name, 0) + 1

    def _receive(self, made: socket) -> None:
        try:
            data, sender = made.recvfrom(2048)
        except OSError:
            return
        kind, place, number = _FORM.unpack_from(data)
        if kind == _REQUEST:
            self._put(made, _FORM.pack(_REPLY, place, number) + _PADDING, sender)
        else:
            self._trips[place][number] = time.monotonic() - self._sent[place][number]

    def results(self) -> Iterator[tuple[tuple[int, int], list[tuple[float, float | None]]]]:
        """(pair, its probes: when it was sent, and its round trip in ms, None for lost)."""
        for pair, sent, trips in zip(self.pairs, self._sent, self._trips, strict=True):
            yield (
                pair,
                [
                    (at, None if trip < 0 or trip > PATIENCE else trip * 1000)
                    for at, trip in zip(sent, trips, strict=False)
                ],
            )

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._poll.close()
        for made in self._sockets.values():
            made.close()
