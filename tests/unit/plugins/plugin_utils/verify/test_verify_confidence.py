# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts with a stated confidence."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.verify.confidence import (
    MET,
    MISSED,
    NOT_SHOWN,
    beta,
    lower_bound,
    needed,
    upper_bound,
    verdict,
)
from hypothesis import given, settings
from hypothesis import strategies as st

counts = st.integers(1, 60).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def at_most(bad: int, total: int, share: float) -> float:
    """P(X <= bad) of the binomial distribution, added up exactly."""
    p = Fraction(share)
    return float(sum(math.comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(bad + 1)))


@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@settings(max_examples=100, deadline=None)
def test_the_bounds_are_those_of_clopper_and_pearson(count, confidence):
    bad, total = count
    high, low = upper_bound(bad, total, confidence), lower_bound(bad, total, confidence)
    assert 0 <= low <= bad / total <= high <= 1
    if bad < total:
        # So few would come so seldom, were the share that high.
        assert at_most(bad, total, high) == pytest.approx(1 - confidence, abs=1e-9)
    if bad > 0:
        assert 1 - at_most(bad - 1, total, low) == pytest.approx(1 - confidence, abs=1e-9)


@given(counts, st.floats(0.5, 0.999))
@settings(max_examples=100, deadline=None)
def test_the_bounds_are_monotone(count, confidence):
    bad, total = count
    assert upper_bound(bad, total + 1, confidence) <= upper_bound(bad, total, confidence) + 1e-12
    assert lower_bound(bad, total + 1, confidence) <= lower_bound(bad, total, confidence) + 1e-12
    if bad < total:
        assert upper_bound(bad + 1, total, confidence) >= upper_bound(bad, total, confidence) - 1e-12
        assert lower_bound(bad + 1, total, confidence) >= lower_bound(bad, total, confidence) - 1e-12


@given(counts, st.floats(0.001, 0.999), st.floats(0.5, 0.999), st.floats(0.5, 0.999))
@settings(max_examples=100, deadline=None)
def test_more_confidence_never_turns_met_into_missed(count, target, one, other):
    found = {verdict(*count, target, confidence) for confidence in (one, other)}
    assert found != {MET, MISSED}
    assert {verdict(*count, target, max(one, other))} <= {NOT_SHOWN, verdict(*count, target, min(one, other))}


def test_how_long_a_loss_of_a_ten_thousandth_takes():
    assert needed(0.0001, 0.95) == 29956
    assert verdict(0, 29956, 0.0001, 0.95) == MET
    assert verdict(0, 29955, 0.0001, 0.95) == NOT_SHOWN
    # The rule of three says 30000.
    assert upper_bound(0, 30000, 0.95) == pytest.approx(3 / 30000, rel=0.002)


@pytest.mark.parametrize(
    ("bad", "total", "target", "expected"),
    [
        (0, 0, 0.01, NOT_SHOWN),
        (0, 10, 0.01, NOT_SHOWN),
        (10, 10, 0.01, MISSED),
        (1, 30000, 0.0001, NOT_SHOWN),
        (1, 47436, 0.0001, NOT_SHOWN),
        (1, 47437, 0.0001, MET),
        (6, 30000, 0.0001, NOT_SHOWN),
        (7, 30000, 0.0001, MISSED),
        (330, 330, 0.0001, MISSED),
        (0, 59, 0.05, MET),
        (0, 58, 0.05, NOT_SHOWN),
    ],
)
def test_verdicts(bad, total, target, expected):
    assert verdict(bad, total, target, 0.95) == expected


def test_large_counts_are_no_matter():
    assert upper_bound(50000, 10**6, 0.95) == pytest.approx(0.05036, abs=2e-5)
    assert lower_bound(50000, 10**6, 0.95) == pytest.approx(0.04964, abs=2e-5)
    assert beta(0.5, 1000, 1000) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("bad", "total", "confidence"), [(-1, 5, 0.9), (6, 5, 0.9), (0, 0, 0.9), (0, 5, 1.0)]
)
def test_what_is_no_count_is_refused(bad, total, confidence):
    for bound in (upper_bound, lower_bound):
        with pytest.raises(ValueError, match="confidence"):
            bound(bad, total, confidence)
