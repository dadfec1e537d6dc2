# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that fill a mesh a little: bounded TCP and UDP between pairs of nodes."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass

from benchmarks.routing.network import Network

TCP, UDP = 3, 2
TCP_MBIT, UDP_MBIT = 4, 1
LINK_MBIT, QUEUE_MS = 20.0, 50.0
_FIRST_PORT = 5201


@dataclass(frozen=True)
class Stream:
    kind: str
    here: int
    there: int
    port: int


def choose(seed: int, nodes: list[int]) -> list[Stream]:
    """Pairs that are not alike, drawn by the seed."""
    dice = random.Random(f"load {seed}")
    pairs = dice.sample([(a, b) for a in nodes for b in nodes if a != b], TCP + UDP)
    kinds = ["tcp"] * TCP + ["udp"] * UDP
    return [
        Stream(kind, here, there, _FIRST_PORT + place)
        for place, (kind, (here, there)) in enumerate(zip(kinds, pairs, strict=True))
    ]


class Load:
    """iperf3 for each stream. It gives up when it has no route; then `tend` starts it again.

    restarts: how often that was.
    """

    def __init__(self, network: Network, streams: list[Stream], seconds: float) -> None:
        self._network, self._seconds, self.streams = network, seconds, streams
        self._running: dict[Stream, tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]] = {}
        self.restarts = -len(streams)

    def tend(self, now: float) -> None:
        """`now`: seconds of the trial so far."""
        for stream in self.streams:
            ends = self._running.get(stream)
            if ends is not None and all(end.poll() is None for end in ends):
                continue
            self._stop(stream)
            left = self._seconds - now
            if left > 5:
                self._running[stream] = self._start(stream, left)
                self.restarts += 1

    def _start(
        self, stream: Stream, seconds: float
    ) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
        spaces, address = self._network.spaces, self._network.address
        port = ["--port", str(stream.port)]
        there = address(stream.there)
        server = spaces[stream.there].start(["iperf3", "--server", "--one-off", "--bind", there, *port])
        # The kernel keeps the rate, so that nothing is made up for after an outage.
        rate = ["--fq-rate", f"{TCP_MBIT}M"]
        if stream.kind == "udp":
            rate = ["--udp", "--length", "1200", "--bitrate", f"{UDP_MBIT}M"]
        words = ["iperf3", "--client", there, "--bind", address(stream.here), *port, *rate]
        # The server needs a moment, and the client tries once only.
        waiting = ["sh", "-c", 'sleep 0.5; exec "$@"', "sh", *words, "--time", f"{seconds:.0f}"]
        return server, spaces[stream.here].start(waiting)

    def _stop(self, stream: Stream) -> None:
        for end in self._running.pop(stream, ()):
            if end.poll() is None:
                end.kill()
            end.wait()

    def close(self) -> None:
        for stream in list(self._running):
            self._stop(stream)
