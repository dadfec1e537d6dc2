# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When what happens: one moment for all nodes, without their wall clocks. Pure.

The controller knows of each node what its monotonic clock said between two moments of its own. What is in
doubt is half of what lies between them: a second or so, and it is known. Round trips are measured by all at
once, so they take no harm from it; transfers come in turns, and the gap between two turns is made longer
than the doubt.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ...module_utils.mesh_measure.model import TRANSFER_OVERHEAD
from ...module_utils.mesh_measure.probing import TAIL
from .plan import PairPlan, VerifyPlan

MOST_DOUBT = 5.0
"""s; a node of which less is known takes part in no transfer."""

MARGIN = 1.0
READING = 300.0
"""s that a slow node may take to read what it measured."""


@dataclass(frozen=True)
class Clock:
    """A node's clock, as the controller saw it.

    before, after: the controller's clock around the call; now, took: the node's at the end of it, and its
    length
    """

    before: float
    after: float
    now: float
    took: float

    @property
    def doubt(self) -> float:
        """s"""
        return max(0.0, self.after - self.before - self.took) / 2

    def at(self, moment: float) -> float:
        """The node's clock at a moment of the controller's."""
        seen = (self.before + min(self.took, self.after - self.before) + self.after) / 2
        return self.now + moment - seen


@dataclass(frozen=True)
class Times:
    """s after the start: of the first transfer, of the end; turn: length of a round; gap: between two"""

    first: float
    turn: float
    gap: float
    end: float


def times(plan: VerifyPlan, doubt: float) -> Times:
    """doubt: the largest that is left of the nodes' clocks, s"""
    gap = 2 * doubt + MARGIN
    first = plan.wide["window"] + TAIL + gap
    turn = 2 * (plan.wide["throughput_seconds"] + TRANSFER_OVERHEAD) + gap
    return Times(first, turn, gap, first + plan.rounds * turn)


def longest(plan: VerifyPlan) -> float:
    """s that the measuring takes at most, whatever the clocks."""
    return times(plan, MOST_DOUBT).end


def patience(hosts: int, forks: int) -> float:
    """s that may pass on a node between the first call and the second: all others have theirs meanwhile."""
    return 300.0 + 15.0 * math.ceil(hosts / max(1, forks))


def lead(clocks: Collection[Clock], forks: int) -> float:
    """s from now on after which all nodes have had their second call, by how long the first one took."""
    took = sorted(clock.after - clock.before for clock in clocks)
    usual = took[len(took) // 2] if took else 1.0
    return 5.0 + 1.5 * usual * math.ceil(len(took) / max(1, forks))


def jobs(
    plan: VerifyPlan, clocks: Mapping[str, Clock], start: float
) -> tuple[dict[str, dict[str, Any]], Times]:
    """Host → its job, for those that serve; and the times.

    clocks: of the hosts that serve; start: on the controller's clock
    """
    steady = {name for name, clock in clocks.items() if clock.doubt <= MOST_DOUBT}
    when = times(plan, max((clocks[name].doubt for name in steady), default=0.0))
    found: dict[str, dict[str, Any]] = {
        name: {
            "start": clock.at(start),
            "window": plan.wide["window"],
            "end": when.end,
            "late": when.gap,
            "probes": [],
            "transfers": [],
        }
        for name, clock in clocks.items()
    }
    for pair in plan.pairs:
        if not found.keys() >= set(pair.ends):
            continue
        other = pair.ends[1 - pair.ends.index(pair.client)]
        node = plan.nodes[other]
        whom = {"name": other, "address": node.address, "port": node.port}
        found[pair.client]["probes"].append({**whom, **_probe(plan, pair)})
        if pair.transfer is not None and steady.issuperset(pair.ends):
            at = when.first + pair.transfer * when.turn
            seconds = plan.wide["throughput_seconds"]
            found[pair.client]["transfers"].append({**whom, "at": at, "mbit": pair.mbit, "seconds": seconds})
    return found, when


def _probe(plan: VerifyPlan, pair: PairPlan) -> dict[str, Any]:
    return {
        "tool": pair.tool,
        "interval_ms": pair.interval_ms,
        "latency_ms": pair.targets["latency_ms"],
        "jitter_ms": pair.targets["jitter_ms"],
        "share": plan.wide["share_percent"] / 100,
    }
