# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What so many of so many show of a share, with a stated confidence: exact and one-sided. Pure.

The bounds are those of Clopper and Pearson. They hold for trials that do not depend on each other. Lost
packets come in bursts, so a bound out of one short window promises more than it can keep: docs/verify.md
says so.
"""

from __future__ import annotations

import math
from functools import lru_cache

MET, MISSED, NOT_SHOWN = "met", "missed", "not_shown"
VERDICTS = (MISSED, NOT_SHOWN, MET)
"""Worst first."""

_STEPS = 200
"""Of the bisection; it ends when doubles can tell no more."""

_TERMS = 100_000
"""Of the continued fraction; it takes some square root of the count."""


def verdict(bad: int, total: int, target: float, confidence: float) -> str:
    """Whether a share of at most `target` is shown (met), its contrary is (missed), or neither.

    bad of total; target and confidence from 0 to 1. Raises ValueError.
    """
    if total == 0:
        return NOT_SHOWN
    if upper_bound(bad, total, confidence) <= target:
        return MET
    return MISSED if lower_bound(bad, total, confidence) > target else NOT_SHOWN


def needed(target: float, confidence: float) -> int:
    """How many trials without a bad one show a share of at most `target`."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-target))


@lru_cache(maxsize=65536)
def upper_bound(bad: int, total: int, confidence: float) -> float:
    """The share that is not exceeded, with this confidence. Raises ValueError."""
    _check(bad, total, confidence)
    if bad == total:
        return 1.0
    if bad == 0:
        return -math.expm1(math.log1p(-confidence) / total)
    return _inverse(confidence, bad + 1, total - bad)


@lru_cache(maxsize=65536)
def lower_bound(bad: int, total: int, confidence: float) -> float:
    """The share that is reached at least, with this confidence. Raises ValueError."""
    _check(bad, total, confidence)
    if bad == 0:
        return 0.0
    if bad == total:
        return math.exp(math.log1p(-confidence) / total)
    return _inverse(1 - confidence, bad, total - bad + 1)


def _check(bad: int, total: int, confidence: float) -> None:
    if not 0 <= bad <= total or total < 1 or not 0 < confidence < 1:
        raise ValueError(f"{bad} of {total} with a confidence of {confidence}")


def _inverse(wanted: float, a: float, b: float) -> float:
    """The x at which the beta distribution with a, b has reached `wanted`."""
    low, high = 0.0, 1.0
    for _step in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if beta(middle, a, b) < wanted:
            low = middle
        else:
            high = middle
    return high


def beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, for 0 < x < 1."""
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Its continued fraction, by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / _not_zero(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, _TERMS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + step * d, tiny)
            c = _not_zero(1 + step / c, tiny)
            value *= d * c
        if abs(d * c - 1) < 1e-15:
            return value
    raise ArithmeticError(f"no value for {x}, {a}, {b}")


def _not_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
