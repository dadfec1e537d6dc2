# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four nodes with their daemons, probes from A to B and back, and eyes on the routes of both.

A --10 ms-- B        C and D are linked with both: 20 ms by way of C, 40 ms by way of D
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.routing.candidates import Candidate
from benchmarks.routing.daemons import KINDS, Daemon
from benchmarks.routing.network import Network
from benchmarks.routing.probes import Prober
from benchmarks.routing.programs import provide
from benchmarks.routing.watch import RouteWatch

A, B, C, D = 1, 2, 3, 4
DIRECT = (A, B)
BY_C, BY_D = ((A, C), (B, C)), ((A, D), (B, D))
LINKS: dict[tuple[int, int], float] = {DIRECT: 10, **dict.fromkeys(BY_C, 10), **dict.fromkeys(BY_D, 20)}


class Stage:
    """One pass of one candidate. Close it."""

    def __init__(
        self, candidate: Candidate, work: Path, seed: int, planned: bool = True, wireguard: bool = False
    ) -> None:
        self.network = Network(LINKS, (C, D), seed, planned, wireguard)
        self.daemons: dict[int, Daemon] = {}
        self._open: list[Prober | RouteWatch] = []
        try:
            kind = KINDS[candidate.daemon]
            for place, number in enumerate(self.network.numbers):
                programs = provide(candidate.releases[place % len(candidate.releases)])
                self.daemons[number] = kind(programs, candidate, self.network, number, work)
            address, spaces = self.network.address, self.network.spaces
            self.watches = [RouteWatch(spaces[A], address(B)), RouteWatch(spaces[B], address(A))]
            self._open += self.watches
            self.prober = Prober(spaces[A], address(A), spaces[B], address(B))
            self._open.append(self.prober)
        except BaseException:
            self.close()
            raise

    def start(self, cold: bool = False) -> None:
        """All daemons; `cold`: a second before the first packet can pass, so that tunnels are not up yet."""
        if cold:
            self.network.shape(LINKS, up=0)
        elif self.network.wireguard:
            self.network.shake_hands()
        for daemon in self.daemons.values():
            daemon.start()
        if cold:
            time.sleep(1)
            self.network.shape(LINKS, up=1)

    def via(self, hop: int) -> bool:
        """A sends to B, and B to A, by this neighbour (B or A itself: directly)."""
        wanted = [
            self.network.device(here, there if hop in (A, B) else hop)
            for here, there in (DIRECT, DIRECT[::-1])
        ]
        return [watch.device for watch in self.watches] == wanted

    def wait_via(self, hop: int, patience: float, steady: float = 0.0) -> float | None:
        """Seconds until that is so, and stays so for `steady` s; None: not within `patience`."""
        start = time.monotonic()
        since: float | None = None
        while time.monotonic() < start + patience + steady:
            now = time.monotonic()
            since = (since or now) if self.via(hop) else None
            if since is not None and now - since >= steady:
                return since - start
            time.sleep(0.005)
        return None

    def wait_not_direct(self, patience: float) -> float | None:
        """Seconds until neither A nor B sends directly."""
        direct = [self.network.device(*pair) for pair in (DIRECT, DIRECT[::-1])]
        return self._wait(
            lambda: all(
                watch.device not in (None, one) for watch, one in zip(self.watches, direct, strict=True)
            ),
            patience,
        )

    @staticmethod
    def _wait(met: Callable[[], bool], patience: float) -> float | None:
        start = time.monotonic()
        while not met():
            if time.monotonic() > start + patience:
                return None
            time.sleep(0.005)
        return time.monotonic() - start

    def moves(self, start: float, end: float | None = None) -> int:
        """The more of A's and B's changes of route."""
        return max(len(watch.moves(start, end)) for watch in self.watches)

    def close(self) -> None:
        for one in self._open:
            one.close()
        for daemon in self.daemons.values():
            daemon.kill()
        self.network.close()
