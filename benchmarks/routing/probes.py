# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred echo requests a second between two namespaces, each of them accounted for."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

from lab.wires import Space

INTERVAL = 0.01
PATIENCE = 2.0
"""Seconds after which a probe counts as lost."""
_PORT = 2112
_FORM = struct.Struct("!I")
_PADDING = b"\0" * 96


@dataclass
class Probe:
    """Times are seconds of the monotonic clock; None: not seen."""

    sent: float
    arrived: float | None = None
    returned: float | None = None

    @property
    def lost(self) -> bool:
        return self.returned is None or self.returned - self.sent > PATIENCE


class Prober:
    """Probes from one address to another, from a thread of its own until it is closed.

    latest: s that a probe was sent too late at most, since somebody last set it to 0.
    """

    interval = INTERVAL

    def __init__(self, here: Space, address: str, there: Space, target: str) -> None:
        self._client = here.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server = there.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._client.bind((address, _PORT))
        self._server.bind((target, _PORT))
        for one in (self._client, self._server):
            one.setblocking(False)
        self._target = (target, _PORT)
        self._probes: list[Probe] = []
        self.latest = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            now = time.monotonic()
            if now >= due:
                self.latest = max(self.latest, now - due)
                self._send(now)
                # What a busy machine kept us from sending is not made up for in a burst.
                due = max(due + INTERVAL, now - INTERVAL)
                continue
            ready, _, _ = select.select([self._client, self._server], [], [], due - now)
            for one in ready:
                self._receive(one)

    def _send(self, now: float) -> None:
        self._probes.append(Probe(now))
        # No route at all is a lost probe like any other.
        try:
            self._client.sendto(_FORM.pack(len(self._probes) - 1) + _PADDING, self._target)
        except OSError:
            return

    def _receive(self, one: socket.socket) -> None:
        try:
            data, sender = one.recvfrom(2048)
        except OSError:
            return
        probe = self._probes[_FORM.unpack_from(data)[0]]
        if one is self._client:
            probe.returned = time.monotonic()
            return
        probe.arrived = time.monotonic()
        try:
            one.sendto(data, sender)
        except OSError:
            return

    def between(self, start: float, end: float) -> list[Probe]:
        """Those that were sent in this time; waits until they are decided."""
        time.sleep(max(0.0, end + PATIENCE - time.monotonic()))
        return [probe for probe in list(self._probes) if start <= probe.sent < end]

    def lost(self, start: float, end: float) -> int:
        """How many of those were lost."""
        return sum(probe.lost for probe in self.between(start, end))

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._client.close()
        self._server.close()
