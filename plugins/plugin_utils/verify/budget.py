# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run sends, and how often it may ask so that the budgets hold. Pure.

Counted is what goes over the wire below the mesh, at both ends: a member's traffic is what it sends and
receives. Members that only forward it are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...module_utils.core.errors import BindError, Problem
from ...module_utils.mesh_measure.model import ECHO_EVERY, IRTT
from ..mesh.registry import Pair

TUNNEL = 80
"""Bytes that WireGuard adds to a packet, over IPv6."""

IRTT_PACKET = 44 + 8 + 40 + TUNNEL
"""Bytes of a request or an answer of irtt: its own, UDP, IPv6, the tunnel."""

ECHO_PACKET = 56 + 8 + 40 + TUNNEL
"""The same of an echo."""

TCP_SHARE = 1.12
"""Packets of a transfer, headers and the other direction's acknowledgements included, by what it carries."""

HEADROOM = 1.2
"""A transfer is held to so many times its target: more is not needed to show it."""

SLOWEST_MS = 1000.0
MEGA = 1e6


@dataclass(frozen=True)
class Rate:
    """A pair's probes. interval_ms: between two; tool: irtt or fping"""

    ends: Pair
    tool: str
    interval_ms: float

    def probes(self, window: float) -> float:
        """Bytes in both directions together, in so many seconds."""
        size = IRTT_PACKET if self.tool == IRTT else ECHO_PACKET
        return 2 * size * window * 1000 / self.interval_ms

    def echoes(self, window: float) -> float:
        """Bytes of what goes beside irtt."""
        return 2 * ECHO_PACKET * window * 1000 / ECHO_EVERY if self.tool == IRTT else 0.0


def slowed(rates: Sequence[Rate], window: float, budgets: Mapping[str, float], total: float) -> list[Rate]:
    """The same with longer intervals where the budgets (in MB) are too small for those.

    Raises BindError where they are too small even for the slowest.
    """
    probes: dict[str, float] = {}
    echoes: dict[str, float] = {}
    for rate in rates:
        for end in rate.ends:
            probes[end] = probes.get(end, 0.0) + rate.probes(window)
            echoes[end] = echoes.get(end, 0.0) + rate.echoes(window)
    whole = _factor(sum(probes.values()) / 2, sum(echoes.values()) / 2, total)
    factors = {end: max(whole, _factor(probes[end], echoes[end], budgets[end])) for end in probes}
    found = [
        replace(rate, interval_ms=rate.interval_ms * max(factors[end] for end in rate.ends)) for rate in rates
    ]
    slow = [rate for rate in found if rate.interval_ms > SLOWEST_MS]
    if slow:
        raise BindError(_too_small(slow, rates, window, budgets, total))
    return found


def _factor(probes: float, echoes: float, budget: float) -> float:
    left = budget * MEGA - echoes
    return max(1.0, probes / left) if left > 0 else math.inf


def _too_small(
    slow: Sequence[Rate], rates: Sequence[Rate], window: float, budgets: Mapping[str, float], total: float
) -> list[Problem]:
    """What the slowest probes would take, by member and altogether."""
    least: dict[str, float] = {}
    for rate in rates:
        slowest = replace(rate, interval_ms=max(rate.interval_ms, SLOWEST_MS))
        for end in rate.ends:
            least[end] = least.get(end, 0.0) + slowest.probes(window) + slowest.echoes(window)
    problems = [
        Problem("verify_budget_mbytes", budgets[end], _room(least[end]), target=end)
        for end in sorted({end for rate in slow for end in rate.ends})
        if least[end] > budgets[end] * MEGA
    ]
    every = sum(least.values()) / 2
    if every > total * MEGA:
        problems.append(Problem("verify_budget_total_mbytes", total, _room(every)))
    fastest = min(rate.interval_ms for rate in rates)
    allowed = f"closer to the slowest, {SLOWEST_MS:g}: the budgets have no room for so many probes"
    return problems or [Problem("verify_interval_ms", fastest, allowed)]


def _room(amount: float) -> str:
    return f"{amount / MEGA:.1f} MB or more, which one probe a second takes; or a shorter verify_window"


def transfer_bytes(mbit: float, seconds: int) -> float:
    """Of a transfer there and back, its first second that does not count included."""
    return 2 * mbit * MEGA / 8 * (seconds + 1) * TCP_SHARE
