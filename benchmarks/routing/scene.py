# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of a pass work with, whether its nodes are network namespaces or virtual machines.

A --10 ms-- B        C and D are linked with both: 20 ms by way of C, 40 ms by way of D
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from benchmarks.routing.netlink import Change

A, B, C, D = 1, 2, 3, 4
DIRECT = (A, B)
BY_C, BY_D = ((A, C), (B, C)), ((A, D), (B, D))
LINKS: dict[tuple[int, int], float] = {DIRECT: 10, **dict.fromkeys(BY_C, 10), **dict.fromkeys(BY_D, 20)}
_LOOK = 0.005
"""Seconds between two looks at the routes; when they changed is known better."""


class Lossy(Protocol):
    """A probe that was sent at that time, and whether it was lost."""

    sent: float

    @property
    def lost(self) -> bool: ...


class Running(Protocol):
    def wait(self, timeout: float | None = None) -> int: ...


class Place(Protocol):
    """Where programs of a node run."""

    def run(self, command: Sequence[str], *, timeout: float = ...) -> str: ...

    def start(self, command: Sequence[str]) -> Running: ...


class Links(Protocol):
    """Nodes by their numbers, and the links between them; see network.Network."""

    @property
    def spaces(self) -> Mapping[int, Place]: ...

    def address(self, number: int) -> str: ...

    def device(self, here: int, there: int) -> str: ...

    def shape(self, pairs: Iterable[tuple[int, int]], **values: float) -> None: ...

    def round_trip(self, pair: tuple[int, int], rtt: float) -> None: ...

    def of(self, number: int) -> list[tuple[int, int]]: ...

    def sent(self, number: int) -> tuple[int, int]: ...


class Life(Protocol):
    """The daemon of a node; see daemons.Daemon."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def drain(self) -> None: ...

    def undrain(self) -> None: ...

    def seconds(self) -> float: ...

    def round_trips(self) -> dict[str, float]: ...


class Probing(Protocol):
    """Probes from A to B and back; see probes.Prober. interval: s from one to the next."""

    latest: float

    @property
    def interval(self) -> float: ...

    def between(self, start: float, end: float) -> Sequence[Lossy]: ...

    def lost(self, start: float, end: float) -> int: ...


class Watching(Protocol):
    """The daemon's route to one address; see watch.RouteWatch."""

    @property
    def changes(self) -> Sequence[Change]: ...

    @property
    def device(self) -> str | None: ...

    def moves(self, start: float, end: float | None = None) -> list[Change]: ...


class Scene:
    """Four nodes with their daemons, probes from A to B and back, and eyes on the routes of both. Close it.

    watches: that of A to B, and that of B to A. Times are those of the monotonic clock here.
    """

    network: Links
    daemons: Mapping[int, Life]
    watches: Sequence[Watching]
    prober: Probing

    def start(self, cold: bool = False) -> None:
        """All daemons; `cold`: before the first packet can pass."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def via(self, hop: int) -> bool:
        """A sends to B, and B to A, by this neighbour (B or A itself: directly)."""
        wanted = [
            self.network.device(here, there if hop in (A, B) else hop)
            for here, there in (DIRECT, DIRECT[::-1])
        ]
        return [watch.device for watch in self.watches] == wanted

    def wait_via(
        self, hop: int, patience: float, steady: float = 0.0, since: float | None = None
    ) -> float | None:
        """Seconds from `since` (or now) until that is so, and stays so for `steady` s.

        None: not within `patience`.
        """
        return self._wait(lambda: self.via(hop), patience, steady, since)

    def wait_not_direct(self, patience: float, since: float | None = None) -> float | None:
        """Seconds from `since` (or now) until neither A nor B sends directly."""
        direct = [self.network.device(*pair) for pair in (DIRECT, DIRECT[::-1])]

        def left() -> bool:
            devices = [watch.device for watch in self.watches]
            return all(device not in (None, one) for device, one in zip(devices, direct, strict=True))

        return self._wait(left, patience, 0.0, since)

    def _wait(
        self, met: Callable[[], bool], patience: float, steady: float, since: float | None
    ) -> float | None:
        start = time.monotonic()
        first = start if since is None else since
        reached: float | None = None
        while time.monotonic() < start + patience + steady:
            if not met():
                reached = None
            else:
                # It was not met before the last change of a route, nor before the time that counts.
                if reached is None:
                    reached = max(first, *(watch.changes[-1].time for watch in self.watches))
                if time.monotonic() - max(reached, start) >= steady:
                    return reached - first
            time.sleep(_LOOK)
        return None

    def moves(self, start: float, end: float | None = None) -> int:
        """The more of A's and B's changes of route."""
        return max(len(watch.moves(start, end)) for watch in self.watches)
