# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene in network namespaces: daemons of any release, links as wires."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.routing.candidates import Candidate
from benchmarks.routing.daemons import KINDS, Daemon
from benchmarks.routing.network import Network
from benchmarks.routing.probes import Prober
from benchmarks.routing.programs import provide
from benchmarks.routing.scene import LINKS, A, B, C, D, Scene
from benchmarks.routing.watch import RouteWatch


class Stage(Scene):
    """One pass of one candidate. Close it."""

    network: Network
    daemons: dict[int, Daemon]
    watches: list[RouteWatch]
    prober: Prober

    def __init__(
        self, candidate: Candidate, work: Path, seed: int, planned: bool = True, wireguard: bool = False
    ) -> None:
        self.network = Network(LINKS, (C, D), seed, planned, wireguard)
        self.daemons = {}
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

    def close(self) -> None:
        for one in self._open:
            one.close()
        for daemon in self.daemons.values():
            daemon.kill()
        self.network.close()
