# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the tunnels of this node work, neighbour by neighbour."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner
from ..core.errors import NodeError
from .distant import address_of, sample, still_there
from .ping import Ping, Target, ping
from .probe_checks import PENDING, Check, Seen, check_expected, checks_of, is_fresh, required, verdict
from .share import Share, Tunnel
from .stored import stored_shares
from .wg import DUMP, Device, parse_dump

QUICK = 0.45
"""Seconds of the look before a change is armed: every change waits for it."""

FAR = 1.0
"""The same where members that are no neighbours are tried, too: their answers take longer."""

AGAIN = 1.0
"""Seconds of a second look, where a tunnel whose session lives has not answered: busy nodes, lost packets."""

ROUND = 1.0
"""Seconds that an echo request may take."""

GAP = 0.2
"""Seconds between two requests to one neighbour, at least."""

PATIENCE = 3.0
"""Seconds that tunnels are given which need not work yet, once all others do."""


class Probe:
    """One look at all tunnels of some meshes.

    worked: what passed before the change; armed_at: Unix time of the change, None for no change
    expect: mesh → peers that have to answer
    """

    def __init__(
        self,
        shares: Mapping[str, Share],
        runner: Runner,
        worked: Collection[str] = (),
        armed_at: Optional[float] = None,
        expect: Optional[Mapping[str, Sequence[str]]] = None,
        pinger: Ping = ping,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.expect = expect or {}
        check_expected(self.expect, shares)
        self.runner = runner
        self.worked = frozenset(worked)
        self.armed_at = armed_at
        self.pinger = pinger
        self.sleep = sleep
        self.tunnels = [(share, tunnel) for share in shares.values() for tunnel in share.tunnels]
        self.seen = {tunnel.interface: Seen(set()) for _share, tunnel in self.tunnels}
        self.distant: list[Target] = still_there(worked, shares)
        """Members that are no neighbours; what answered before the change has to."""
        self.far: dict[str, float] = {}
        """Name of such a target → round trip in s, of those that have answered."""

    def run(self, timeout: float) -> list[dict[str, Any]]:
        """What came of each tunnel; ends as soon as all that have to work do. Raises NodeError."""
        began = time.monotonic()
        while self.tunnels or self.distant:
            start = time.monotonic()
            self.look(max(0.05, min(ROUND, began + timeout - start)))
            passed = time.monotonic() - began
            found = self.verdicts()
            waiting = any(item["state"] == PENDING for item in found)
            if passed >= timeout:
                break
            good = all(item["ok"] for item in found) and not self.missing()
            if good and (not waiting or passed >= PATIENCE):
                break
            self.sleep(max(0.0, GAP - (time.monotonic() - start)))
        return self.verdicts()

    def look(self, timeout: float) -> None:
        """One round: what has not passed yet, and every link once more."""
        targets: list[Target] = []
        for check in self._checks():
            seen = self.seen[check.interface]
            if check.target is not None and (check.kind == "link" or check.name not in seen.passed):
                targets.append(check.target)
                seen.sent += check.kind == "link"
        targets += [target for target in self.distant if target.name not in self.far]
        answers = self.pinger(targets, timeout)
        self.far.update({one.name: answers[one.name] for one in self.distant if one.name in answers})
        devices = self._devices()
        now = time.time()
        for check in self._checks():
            self._note(check, answers, devices, now)

    def verdicts(self) -> list[dict[str, Any]]:
        now = time.time()
        found = []
        for share, tunnel in self.tunnels:
            seen = self.seen[tunnel.interface]
            needed = required(share, tunnel, self.worked, self.expect.get(share.mesh, ()), seen)
            found.append(verdict(share, tunnel, needed, self.worked, seen, now))
        return found

    def passed(self) -> list[str]:
        """Names of all checks that passed."""
        return sorted([*self.far, *(name for seen in self.seen.values() for name in seen.passed)])

    def is_doubtful(self) -> bool:
        """Whether a tunnel has shaken hands lately and something of it does not answer."""
        return any(
            check.name not in self.seen[check.interface].passed
            for check in self._checks()
            if f"{check.interface} handshake" in self.seen[check.interface].passed
        )

    def missing(self) -> list[Target]:
        """Members that are no neighbours, and do not answer any more."""
        return [target for target in self.distant if target.name not in self.far]

    def witnessed(self) -> list[dict[str, Any]]:
        """What came of members that are no neighbours, as the module mesh_confirm returns it."""
        found = []
        for target in self.distant:
            rtt = self.far.get(target.name)
            mesh, address = address_of(target)
            ms = None if rtt is None else round(rtt * 1000, 2)
            found.append({"mesh": mesh, "address": address, "rtt_ms": ms, "ok": rtt is not None})
        return found

    # -- inside

    def _checks(self) -> list[Check]:
        return [check for share, tunnel in self.tunnels for check in checks_of(share, tunnel)]

    def _note(
        self, check: Check, answers: Mapping[str, float], devices: Mapping[str, Device], now: float
    ) -> None:
        seen = self.seen[check.interface]
        if check.kind == "handshake":
            seen.handshake = _handshake(devices, self._tunnel(check.interface))
            if is_fresh(seen.handshake, self.armed_at, now):
                seen.passed.add(check.name)
            return
        rtt = answers.get(check.name)
        if rtt is None:
            return
        seen.passed.add(check.name)
        if check.kind == "link":
            seen.answered += 1
            seen.rtt = rtt if seen.rtt is None else min(seen.rtt, rtt)

    def _tunnel(self, interface: str) -> Tunnel:
        return next(tunnel for _share, tunnel in self.tunnels if tunnel.interface == interface)

    def _devices(self) -> dict[str, Device]:
        done = self.runner(DUMP)
        return parse_dump(done.out) if done.good else {}


def quick_look(
    root: Path, runner: Runner, pinger: Ping = ping, witnesses: Optional[Mapping[str, Sequence[str]]] = None
) -> list[str]:
    """Names of the checks that pass right now, within about half a second, or one where there are members
    that are no neighbours; one more where a tunnel is in doubt. What is missed here may break unseen.

    witnesses: mesh → addresses of such members that the controller asks for

    Where this process may not send echo requests only handshakes count: no change fails for that.
    """
    shares = stored_shares(root)
    if not any(share.tunnels for share in shares.values()):
        return []
    probe = Probe(shares, runner, pinger=pinger)
    probe.distant = sample(shares, witnesses or {})
    try:
        probe.look(FAR if probe.distant else QUICK)
        if probe.is_doubtful():
            probe.look(AGAIN)
    except NodeError:
        probe.pinger = lambda targets, timeout: {}
        probe.look(0.0)
    return probe.passed()


def _handshake(devices: Mapping[str, Device], tunnel: Tunnel) -> int:
    device = devices.get(tunnel.interface)
    peer = device.peers.get(tunnel.public_key) if device else None
    return peer.handshake if peer else 0
