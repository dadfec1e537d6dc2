# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the node can still be reached: carrier, addresses, routes, and who answered before a change.

Nothing of it costs anything in a run that changes no device.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ..core.commands import Runner
from ..core.errors import NodeError
from . import answers
from .answers import Hop
from .sysfs import Sysfs

ADDRESSES = ["ip", "-j", "addr", "show"]
ROUTES = (
    ["ip", "-j", "-4", "route", "show", "table", "all"],
    ["ip", "-j", "-6", "route", "show", "table", "all"],
)
NEIGHBOURS = ["ip", "-j", "neigh", "show"]
LINK_TIMEOUT = 30.0
"""Seconds a link may take to come back: autonegotiation takes up to some ten of them."""

PROBE_TIMEOUT = 4.0
"""Seconds a neighbour may take to answer: the kernel asks three times, a second apart."""

PAUSE = 0.1
DISCARD = 9
"""A port nobody listens on: a packet to it makes the kernel look for the neighbour."""

MOST_PARENTS = 32


@dataclass(frozen=True)
class View:
    """What hangs on some interfaces. addresses: `eth0 10.0.0.1/24`; routes: `main default via … dev eth0`"""

    addresses: frozenset[str]
    routes: frozenset[str]


class LinkWatch:
    """Looks at each device before it is first changed, and at all of them afterwards.

    clock, sleep: others in tests; peer: where this session of ssh comes from, "" for none
    """

    def __init__(
        self,
        root: Path,
        sysfs: Sysfs,
        runner: Runner,
        timeout: float = LINK_TIMEOUT,
        peer: Optional[Callable[[], str]] = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sysfs = sysfs
        self.runner = runner
        self.timeout = timeout
        self.peer = peer or (lambda: ssh_peer(root, os.environ, os.getpid()))
        self.sleep = sleep
        self.clock = clock
        self._views: dict[str, View] = {}
        self._carried: set[str] = set()
        self._hops: dict[str, list[Hop]] = {}

    # -- before

    def before(self, device: str) -> None:
        """Raises NodeError where it cannot be seen how things are."""
        if device in self._views or not self.sysfs.in_use(device):
            return
        group = self.sysfs.above(device)
        self._views[device] = self._view(group)
        if self.sysfs.carries(device):
            self._carried.add(device)
        hops = [hop for hop in self._next_hops(group) if self._answers(hop)]
        self._hops[device] = hops

    # -- after

    def back(self, device: str) -> bool:
        """Waits until the device has its carrier and its part in a bond again; True where it had none."""
        if device not in self._views:
            return True
        there = self.sysfs.carries if device in self._carried else self.sysfs.carrier
        return self._wait(lambda: there(device), self.timeout)

    def check(self) -> None:
        """Raises NodeError with what is missing of what was there before; a device that is gone is not."""
        for device, view in sorted(self._views.items()):
            if not self.sysfs.exists(device):
                continue
            if not self.back(device):
                raise NodeError(f"{device}: the link did not come back within {self.timeout:g} s")
            group = self.sysfs.above(device)
            missing = self._missing(view, group)
            if missing:
                raise NodeError(
                    f"{device}: lost {', '.join(missing)}, and not back within {self.timeout:g} s"
                )
            mute = self._mute(self._hops[device])
            if mute:
                said = ", ".join(f"{hop.address} ({hop.why})" for hop in mute)
                raise NodeError(f"{device}: answered before and does not now: {said}")

    def forget(self) -> None:
        self._views.clear()
        self._carried.clear()
        self._hops.clear()

    # -- inside

    def _missing(self, view: View, group: Sequence[str]) -> list[str]:
        """What was there and is not, once it has had its time to come back."""
        found: list[str] = []

        def complete() -> bool:
            now = self._view(group)
            found[:] = sorted([*(view.addresses - now.addresses), *(view.routes - now.routes)])
            return not found

        self._wait(complete, self.timeout)
        return found

    def _mute(self, hops: Sequence[Hop]) -> list[Hop]:
        """Who does not answer within the time a link has: a port of a switch learns for up to 30 s (STP)."""
        found = list(hops)

        def complete() -> bool:
            found[:] = [hop for hop in found if not self._answers(hop)]
            return not found

        self._wait(complete, self.timeout)
        return found

    def _view(self, group: Sequence[str]) -> View:
        addresses = answers.addresses(self._asked(ADDRESSES), group)
        routes = [route for argv in ROUTES for route in answers.routes(self._asked(argv), group)]
        return View(frozenset(addresses), frozenset(routes))

    def _next_hops(self, group: Sequence[str]) -> list[Hop]:
        """The gateways of default routes through `group`, and the way to whoever is logged in."""
        found = [hop for argv in ROUTES for hop in answers.gateways(self._asked(argv), group)]
        peer = self.peer()
        if peer:
            done = self.runner(["ip", "-j", "route", "get", peer])
            hop = answers.hop_to(done.out, peer, group) if done.good else None
            if hop is not None and all(other.address != hop.address for other in found):
                found.append(hop)
        return found

    def _answers(self, hop: Hop) -> bool:
        """Whether a neighbour answers now; the kernel is made to ask it anew."""
        self._poke(hop)
        entry = self._entry(hop)
        if entry.get("state") in answers.FIXED:
            return True
        if entry.get("lladdr"):
            argv = ["ip", "neigh", "replace", hop.address, "lladdr", entry["lladdr"]]
            self.runner([*argv, "dev", hop.device, "nud", "probe"])
        return self._wait(lambda: self._entry(hop).get("state") == answers.REACHABLE, PROBE_TIMEOUT)

    def _entry(self, hop: Hop) -> Mapping[str, str]:
        done = self.runner([*NEIGHBOURS, hop.address, "dev", hop.device])
        return answers.neighbour(done.out) if done.good else {}

    def _poke(self, hop: Hop) -> None:
        family = socket.AF_INET6 if ":" in hop.address else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, hop.device.encode())
            channel.sendto(b"", (hop.address, DISCARD))

    def _asked(self, argv: Sequence[str]) -> str:
        done = self.runner(list(argv))
        if not done.good:
            raise NodeError(
                f"{' '.join(argv)}: {done.reason}; without it nobody sees whether a link came back"
            )
        return done.out

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = self.clock() + seconds
        while not condition():
            if self.clock() >= end:
                return False
            self.sleep(PAUSE)
        return True


def ssh_peer(root: Path, environment: Mapping[str, str], pid: int) -> str:
    """The address this session of ssh comes from, "" where it is none.

    sudo takes SSH_CONNECTION away; the shell of the login, a few processes up, still has it.
    """
    found = environment.get("SSH_CONNECTION", "")
    for _step in range(MOST_PARENTS):
        if found or pid <= 1:
            break
        try:
            raw = (root / f"proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
            stat = (root / f"proc/{pid}/stat").read_text()
            pid = int(stat.rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        lines = (item.partition("=") for item in raw.split("\0"))
        found = next((value for name, _equals, value in lines if name == "SSH_CONNECTION"), "")
    return found.split()[0].partition("%")[0] if found.strip() else ""
