# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner record back to wishes: after a reboot the same plan brings back what was applied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.gpu.plan import plan_gpus
from ansible_collections.swarm.node.plugins.module_utils.gpu.recorded import wishes_from_claims
from ansible_collections.swarm.node.plugins.module_utils.gpu.state import Gpu, NodeState
from gpu_cases import H100, OFF, plan, steps

OTHER = replace(OFF, index=1, uuid="GPU-bb", power_min=38_280)
WISH: dict[str, Any] = {
    "power_limit": {"0": "90%default", "1": "min"},
    "graphics_clocks": "80%max",
    "memory_clocks": "max",
    "accounting_mode": True,
    "compute_mode": "exclusive_process",
    "ecc": False,
}


def again(claims: dict[str, Claim], *gpus: Gpu) -> Plan:
    wishes = wishes_from_claims(claims)
    return plan_gpus(wishes, None, NodeState(gpus), Record("gpu", claims), {})


def test_a_boot_brings_back_what_was_applied_and_keeps_the_record() -> None:
    first = plan(OFF, OTHER, **WISH)
    booted = [replace(gpu, ecc_current=False, ecc_pending=False) for gpu in (OFF, OTHER)]
    found = again(first.claims, *booted)
    expected = [
        (change.key, change.target, change.after) for change in first.changes if change.key != "gpu.ecc"
    ]
    assert [(change.key, change.target, change.after) for change in found.changes] == expected
    assert ("gpu.power_limit", "GPU-bb", 38.28) in expected and (
        "gpu.memory_clocks",
        "GPU-aa",
        [2619, 2619],
    ) in expected
    assert found.claims == first.claims and found.unapplied == []


def test_ecc_that_still_waits_is_said() -> None:
    claims = {"gpu.ecc GPU-aa": Claim(True, False)}
    assert [item["key"] for item in again(claims, replace(H100, ecc_pending=False)).pending] == ["gpu.ecc"]


def test_persistence_held_by_nobodys_claim_comes_along() -> None:
    claims = {"gpu.power_limit GPU-aa": Claim(630, 630)}
    assert steps(again(claims, OFF)) == [("gpu.persistence_mode", False, True), ("gpu.power_limit", 700, 630)]


def test_a_gpu_that_is_away_keeps_its_claims_and_stops_nobody() -> None:
    claims = {"gpu.power_limit GPU-ff": Claim(700, 650), "gpu.power_limit GPU-aa": Claim(700, 630)}
    found = again(claims, H100)
    assert steps(found) == [("gpu.power_limit", 700, 630)] and found.claims == claims


def test_claims_of_others_are_passed_over() -> None:
    assert (
        wishes_from_claims({"gpu_mig.mode GPU-aa": Claim(False, True), "vm.swappiness": Claim(60, 10)}) == {}
    )


@pytest.mark.parametrize(
    ("key", "applied"),
    [
        ("gpu.power_limit", "630 W"), ("gpu.power_limit", True), ("gpu.graphics_clocks", [345]),
        ("gpu.graphics_clocks", ["a", "b"]), ("gpu.graphics_clocks", 5), ("gpu.compute_mode", 3),
        ("gpu.ecc", "on"), ("gpu.persistence_mode", 1),
    ],
)  # fmt: skip
def test_values_that_were_never_applied_are_refused(key: str, applied: Any) -> None:
    with pytest.raises(BindError, match="record of owner gpu"):
        wishes_from_claims({f"{key} GPU-aa": Claim(None, applied)})
