# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic between nodes of a lab while something happens to the mesh: counted probes, and a bulk stream."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.faults import Faults

INTERVAL_MS = 10
LONGEST = 1800
"""s after which whatever runs in a node ends by itself."""

_SUMMARY = re.compile(r"xmt/rcv/%loss = (\d+)/(\d+)/")


@dataclass(frozen=True)
class Count:
    """Probes of one pair."""

    source: str
    target: str
    sent: int
    received: int

    @property
    def lost(self) -> int:
        return self.sent - self.received


class Probes:
    """Probes for each (source node, address), 100 a second: sent and received are counted by fping."""

    def __init__(
        self, faults: Faults, pairs: Iterable[tuple[str, str]], interval_ms: int = INTERVAL_MS
    ) -> None:
        self.pairs = list(pairs)
        times = ("-c", str(LONGEST * 1000 // interval_ms), "-p", str(interval_ms), "-t", "2000")
        self.running = [faults.background(source, "fping", "-q", *times, to) for source, to in self.pairs]
        time.sleep(1.0)

    def stop(self) -> list[Count]:
        time.sleep(0.5)
        counts = []
        for (source, target), background in zip(self.pairs, self.running):
            out = background.stop("INT")
            found = _SUMMARY.search(out)
            assert found, f"{source} -> {target}: {out!r}"
            counts.append(Count(source, target, int(found[1]), int(found[2])))
        return counts


class Bulk:
    """A TCP stream of iperf3 at a bounded rate."""

    def __init__(self, faults: Faults, source: str, target: str, address: str, rate: str = "20M") -> None:
        self.server = faults.background(target, "iperf3", "-s", "-1")
        time.sleep(0.5)
        self.client = faults.background(source, "iperf3", "-J", "-c", address, "-t", str(LONGEST), "-b", rate)

    def stop(self) -> dict[str, Any]:
        """iperf3's own report."""
        out = self.client.stop("INT")
        self.server.stop()
        return dict(json.loads(out[out.index("{") :]))


def stalls(report: dict[str, Any]) -> int:
    """Seconds of a stream in which nothing arrived."""
    return sum(not interval["sum"]["bytes"] for interval in report["intervals"][1:])
