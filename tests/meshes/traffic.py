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

from lab.faults import Background, Faults

INTERVAL_MS = 10
LATE_MS = 2000
"""After this a probe counts as lost."""

LONGEST = 3600
"""s after which whatever runs in a node ends by itself."""

START_SECONDS = 120

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
        self,
        faults: Faults,
        pairs: Iterable[tuple[str, str]],
        interval_ms: int = INTERVAL_MS,
        late_ms: int = LATE_MS,
    ) -> None:
        self.pairs = list(pairs)
        times = ("-c", str(LONGEST * 1000 // interval_ms), "-p", str(interval_ms), "-t", str(late_ms))
        self.running = [faults.background(source, "fping", "-q", *times, to) for source, to in self.pairs]
        for (source, to), background in zip(self.pairs, self.running):
            started(faults, source, f"pgrep -fx '[^ ]*fping -q .* {to}'", background)

    def stop(self) -> list[Count]:
        # What was sent last is to be answered yet.
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
        started(faults, target, "ss -Hltn sport = :5201 | grep .", self.server)
        words = ("iperf3", "-J", "-c", address, "-t", str(LONGEST), "-b", rate)
        self.client = faults.background(source, *words)
        started(faults, source, "ss -Htn state established dport = :5201 | grep .", self.client)

    def stop(self) -> dict[str, Any]:
        """iperf3's own report."""
        out = self.client.stop("INT")
        self.server.stop()
        return dict(json.loads(out[out.index("{") :]))


def seconds(report: dict[str, Any]) -> list[int]:
    """Bytes of each second of a stream."""
    return [interval["sum"]["bytes"] for interval in report["intervals"]]


def stalls(report: dict[str, Any]) -> int:
    """Seconds of a stream in which nothing arrived."""
    return sum(not sent for sent in seconds(report)[1:])


def started(faults: Faults, node: str, script: str, background: Background) -> None:
    """Waits until a shell script succeeds in the node, which says that the program is at work."""
    deadline = time.monotonic() + START_SECONDS
    while not faults.execute(node, "sh", "-c", f"{script} || true").strip():
        assert background.running, background.output()
        assert time.monotonic() < deadline, f"{node}: {script}: {background.output()}"
        time.sleep(0.3)
