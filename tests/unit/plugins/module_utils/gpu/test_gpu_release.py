# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of keys that are no longer asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from gpu_cases import H100, plan

POWER, GRAPHICS, PERSISTENCE = "gpu.power_limit", "gpu.graphics_clocks", "gpu.persistence_mode"
COMPUTE, ACCOUNTING = "gpu.compute_mode", "gpu.accounting_mode"


def steps(found: Plan) -> list[tuple[str, str, Any, Any]]:
    return [(change.key, change.target, change.before, change.after) for change in found.changes]


@pytest.mark.parametrize(
    ("live", "claim", "expected"),
    [
        (630_000, Claim(700, 630), [(POWER, "GPU-aa", 630, 700)]),
        (630_000, Claim(None, 630), [(POWER, "GPU-aa", 630, 700)]),
        (630_000, Claim(650, 630), [(POWER, "GPU-aa", 630, 650)]),
        (630_000, Claim(900, 630), [(POWER, "GPU-aa", 630, 700)]),
    ],
)
def test_a_limit_no_longer_asked_for_goes_back(live: int, claim: Claim, expected: list[Any]) -> None:
    gpu = replace(H100, power_limit=live)
    found = plan(gpu, claims={f"{POWER} GPU-aa": claim})
    assert steps(found) == expected
    assert found.claims == {}


@pytest.mark.parametrize(("live", "noted"), [(500_000, True), (700_000, False)])
def test_a_limit_that_is_not_ours_any_more_stays(live: int, noted: bool) -> None:
    found = plan(replace(H100, power_limit=live), claims={f"{POWER} GPU-aa": Claim(700, 630)})
    assert [(change.key, change.after) for change in found.changes] == [("record", "released")]
    assert any("stays as it is" in note for note in found.notes) is noted


def test_everything_goes_back_in_order_persistence_last() -> None:
    claims = {
        f"{PERSISTENCE} GPU-aa": Claim(False, True),
        f"{POWER} GPU-aa": Claim(700, 630),
        f"{GRAPHICS} GPU-aa": Claim(None, [345, 1980]),
    }
    gpu = replace(H100, power_limit=630_000, locks={GRAPHICS: [345, 1980]})
    found = plan(gpu, claims=claims, absent=True)
    assert [(change.key, change.after) for change in found.changes] == [
        (POWER, 700), (GRAPHICS, "unlocked"), (PERSISTENCE, False),
    ]  # fmt: skip
    assert found.claims == {}


def test_a_limit_that_cannot_last_is_not_verified() -> None:
    claims = {f"{PERSISTENCE} GPU-aa": Claim(False, True), f"{POWER} GPU-aa": Claim(650, 630)}
    (change, _persistence) = plan(replace(H100, power_limit=630_000), claims=claims).changes
    assert (change.after, change.verify) == (650, "accepted")


def test_persistence_others_rely_on_stays_on() -> None:
    found = plan(
        H100, claims={f"{PERSISTENCE} GPU-aa": Claim(False, True)}, others={f"{POWER} GPU-aa": "batch"}
    )
    assert [change.key for change in found.changes] == ["record"]
    assert "owner 'batch' relies on it" in found.notes[0]


@pytest.mark.parametrize(
    ("key", "fields", "claim", "after"),
    [
        (COMPUTE, {"compute_mode": "prohibited"}, Claim("default", "prohibited"), "default"),
        (COMPUTE, {"compute_mode": "prohibited"}, Claim(None, "prohibited"), "default"),
        (COMPUTE, {"compute_mode": "default"}, Claim("prohibited", "default"), "prohibited"),
        (ACCOUNTING, {"accounting": True}, Claim(False, True), False),
    ],
)
def test_a_mode_no_longer_asked_for_goes_back(
    key: str, fields: dict[str, Any], claim: Claim, after: Any
) -> None:
    (change,) = plan(replace(H100, **fields), claims={f"{key} GPU-aa": claim}).changes
    assert (change.key, change.after, change.verify) == (key, after, "readback")


def test_what_was_so_before_stays_when_nobody_asks_any_more() -> None:
    claims = {f"{POWER} GPU-aa": Claim(630, 630), f"{PERSISTENCE} GPU-aa": Claim(True, True)}
    found = plan(replace(H100, power_limit=630_000), claims=claims, absent=True)
    assert [change.key for change in found.changes] == ["record"] and found.claims == {}
