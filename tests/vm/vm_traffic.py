# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic between guests while something happens.

They may be slow: late is not lost, and to start a program takes a while.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.faults import Background, Faults

INTERVAL_MS = 10
LATE_MS = 10_000
LONGEST = 3600
"""s after which whatever runs in a guest ends by itself."""

START_SECONDS = 120

_SUMMARY = re.compile(r"xmt/rcv/%loss = (\d+)/(\d+)/")


@dataclass(frozen=True)
class Count:
    """Probes of one pair; one that is answered within LATE_MS is not lost."""

    source: str
    target: str
    sent: int
    received: int

    @property
    def lost(self) -> int:
        return self.sent - self.received


class Probes:
    """100 probes a second for each (source node, address), counted by fping."""

    def __init__(self, faults: Faults, pairs: Iterable[tuple[str, str]]) -> None:
        words = ("fping", "-q", "-c", str(LONGEST * 1000 // INTERVAL_MS), "-p", str(INTERVAL_MS))
        self.pairs = list(pairs)
        self.running = [
            faults.background(source, *words, "-t", str(LATE_MS), target) for source, target in self.pairs
        ]
        for (source, _target), background in zip(self.pairs, self.running):
            started(faults, source, "pgrep -x fping", background)

    def stop(self) -> list[Count]:
        counts = []
        for (source, target), background in zip(self.pairs, self.running):
            out = background.stop("INT")
            found = _SUMMARY.search(out)
            assert found, f"{source} -> {target}: {out!r}"
            counts.append(Count(source, target, int(found[1]), int(found[2])))
        return counts


class Stream:
    """A TCP stream of iperf3 at a bounded rate."""

    def __init__(self, faults: Faults, source: str, target: str, address: str, rate: str = "5M") -> None:
        self.server = faults.background(target, "iperf3", "-s", "-1")
        started(faults, target, "ss -Hltn sport = :5201 | grep .", self.server)
        words = ("iperf3", "-J", "-c", address, "-t", str(LONGEST), "-b", rate)
        self.client = faults.background(source, *words)
        started(faults, source, "ss -Htn state established dport = :5201 | grep .", self.client)
        self.report: dict[str, Any] = {}

    def stop(self) -> None:
        out = self.client.stop("INT")
        self.server.stop()
        self.report = dict(json.loads(out[out.index("{") :]))

    @property
    def sent(self) -> list[int]:
        """Bytes of each second."""
        return [interval["sum"]["bytes"] for interval in self.report["intervals"]]

    @property
    def went_on(self) -> bool:
        """Whether it carried data to the end."""
        return len(self.sent) > 5 and any(self.sent[-5:])

    @property
    def summary(self) -> str:
        empty = sum(not each for each in self.sent)
        return f"{sum(self.sent)} bytes in {len(self.sent)} s, {empty} s without any"


def started(faults: Faults, node: str, script: str, background: Background) -> None:
    """Waits until a shell script succeeds in the node, which says that the program is at work."""
    deadline = time.monotonic() + START_SECONDS
    while not faults.execute(node, "sh", "-c", f"{script} || true").strip():
        assert background.running, background.output()
        assert time.monotonic() < deadline, f"{node}: {script}: {background.output()}"
        time.sleep(0.5)
