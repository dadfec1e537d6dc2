# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers out of round trips. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional


def summary(values: Sequence[float], limit: float, share: float) -> Optional[dict[str, Any]]:
    """`{n, over, value, mean, p50, p95, p99, max}`, all but the counts in ms; None without values.

    over: how many are above `limit`, which is what a verdict with a stated confidence rests on
    value: what this share of them (0 to 1) does not exceed
    """
    if not values:
        return None
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "over": sum(value > limit for value in ordered),
        "value": round(quantile(ordered, share), 4),
        "mean": round(math.fsum(ordered) / len(ordered), 4),
        "p50": round(quantile(ordered, 0.5), 4),
        "p95": round(quantile(ordered, 0.95), 4),
        "p99": round(quantile(ordered, 0.99), 4),
        "max": round(ordered[-1], 4),
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
