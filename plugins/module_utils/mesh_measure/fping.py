# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fping: how it is called, and what it says, read strictly (5.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .irtt import BrokenOutput
from .model import FPING, Probe
from .stats import summary

TIMEOUT_MS = 2000
"""An answer that takes longer counts as none."""

MOST_GAP_MS = 1.0
"""ms between requests to two members; less where so many would not fit into the interval."""

_LINE = re.compile(r"(?P<host>\S+)\s+:(?P<values>(?: (?:-|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?))+)")


def command(addresses: Sequence[str], source: str, interval_ms: float, window: float) -> list[str]:
    """All of them at once; what each request took is printed at the end, on the error output."""
    return [
        FPING,
        "-q",
        "-C",
        str(count(interval_ms, window)),
        "-p",
        f"{interval_ms:g}",
        "-i",
        f"{min(MOST_GAP_MS, interval_ms / (2 * len(addresses))):.3g}",
        "-t",
        str(TIMEOUT_MS),
        "-S",
        source,
        *addresses,
    ]


def count(interval_ms: float, window: float) -> int:
    return max(1, round(window * 1000 / interval_ms))


def parse(text: str, probes: Sequence[Probe], expected: int) -> dict[str, dict[str, Any]]:
    """Address → `{tool, sent, received, rtt, jitter: {both}, loss: {both}}`, which is there and back.

    Raises BrokenOutput where a member is missing, or has another count.
    """
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        matched = _LINE.fullmatch(line.rstrip())
        if matched:
            found[matched["host"]] = matched["values"].split()
    answer = {}
    for probe in probes:
        values = found.get(probe.address)
        if values is None:
            raise BrokenOutput(f"fping: it says nothing of {probe.address}: {' '.join(text.split())[-200:]}")
        if len(values) != expected:
            raise BrokenOutput(f"fping: {len(values)} requests to {probe.address}, asked were {expected}")
        answer[probe.address] = _measured(values, probe)
    return answer


def _measured(values: Sequence[str], probe: Probe) -> dict[str, Any]:
    took = [None if value == "-" else float(value) for value in values]
    answered = [value for value in took if value is not None]
    steps = [
        abs(value - before)
        for before, value in zip(took, took[1:])
        if value is not None and before is not None
    ]
    return {
        "tool": FPING,
        "sent": len(took),
        "received": len(answered),
        "loss": {"both": {"sent": len(took), "lost": len(took) - len(answered)}},
        "rtt": summary(answered, probe.latency_ms, probe.share),
        "jitter": {"both": summary(steps, probe.jitter_ms, probe.share)},
    }
