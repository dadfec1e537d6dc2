# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GPUs that do not work mean for wishes, claims and locks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.gpu.health import Health
from ansible_collections.swarm.node.plugins.module_utils.gpu.lost import (
    attention,
    leave_out,
    with_addresses,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu.plan import plan_gpus
from ansible_collections.swarm.node.plugins.module_utils.gpu.settings import Expect, parse_wishes
from ansible_collections.swarm.node.plugins.module_utils.gpu.state import LostGpu, NodeState
from gpu_cases import H100

WORKS = replace(H100, locks={"gpu.graphics_clocks": [345, 1200], "gpu.memory_clocks": "unlocked"})
MUTE = LostGpu(1, "no longer answers", bus_id="0000:2a:00.0")
RESET = LostGpu(1, "wants a reset", False, "GPU-bb", WORKS.name, "0000:2a:00.0", Health("gpu_reset"))
PCI = (WORKS.bus_id, MUTE.bus_id)
POWER = "gpu.power_limit"


def plan(*lost: LostGpu, claims: dict[str, Claim] | None = None, **given: Any) -> Plan:
    """Given: absent, pci, expect, locked, and the module's options."""
    absent, pci, expect = given.pop("absent", False), given.pop("pci", PCI), given.pop("expect", None)
    locked = given.pop("locked", ())
    wishes = parse_wishes(given, {}, given.pop("required", ()))
    state = NodeState((WORKS,), pci, lost=lost, locked=locked)
    record = Record("gpu", claims)
    found = plan_gpus(wishes, expect, state, record, {}, absent)
    leave_out(found, wishes, state, absent)
    return found


def left(found: Plan) -> list[tuple[str, str, Any]]:
    assert {wish.reason for wish in found.unapplied} <= {"lost"}
    return [(wish.key, wish.target, wish.wanted) for wish in found.unapplied]


@pytest.mark.parametrize(("lost", "target"), [(MUTE, "0000:2a:00.0"), (RESET, "GPU-bb")])
def test_the_others_get_their_new_state_and_the_host_fails(lost: LostGpu, target: str) -> None:
    found = plan(lost, power_limit=630)
    assert [(change.target, change.after) for change in found.changes] == [("GPU-aa", 630)]
    assert left(found) == [(POWER, target, 630)]
    assert found.unapplied[0].detail == lost.why and not found.unapplied[0].required
    assert found.degraded == [lost.label]
    assert found.before[f"{POWER} {target}"] is None


def test_a_required_wish_does_not_keep_the_others_from_theirs() -> None:
    found = plan(RESET, power_limit=630, required=[POWER])
    assert not any(wish.required for wish in found.unapplied) and found.changes


@pytest.mark.parametrize(
    ("lost", "limits", "wanted"),
    [
        (RESET, {"GPU-bb": 500, "all": 630}, [500]),
        (RESET, {"1": 500, "all": 630}, [500]),
        (RESET, {"H100 80GB HBM3": 500}, [500]),
        (RESET, {"0000:2a:00.0": 500, "all": 630}, [500]),
        (RESET, {"L40S": 200}, []),
        (RESET, {"0": 500}, []),
        (RESET, {"1": None, "all": 630}, []),
        (MUTE, {"1": 500, "all": 630}, [500]),
        (MUTE, {"1": None, "all": 630}, []),
        (MUTE, {"GPU-bb": 500, "all": 630}, [500]),
        (MUTE, {"GPU-bb": None, "all": 630}, []),
        (MUTE, {"GPU-aa": 500}, []),
        (MUTE, {"L40S": 200, "all": 630}, [{"L40S": 200, "all": 630}]),
        (MUTE, {"L40S": None}, []),
    ],
)
def test_what_is_asked_of_a_gpu_that_may_not_tell_its_name(
    lost: LostGpu, limits: dict[str, Any], wanted: list[Any]
) -> None:
    """Where it is not certain what is meant, the whole wish is named; a `null` asks for nothing."""
    found = plan(lost, power_limit=limits)
    assert [wish.wanted for wish in found.unapplied] == wanted
    assert found.degraded == ([lost.label] if wanted else [])


def test_two_that_cannot_be_told_apart() -> None:
    limits = {"GPU-bb": 500, "all": 630}
    found = plan(MUTE, LostGpu(2, "no longer answers"), power_limit=limits)
    assert [wish.wanted for wish in found.unapplied] == [limits, limits] and len(found.degraded) == 2


@pytest.mark.parametrize("selector", ["5", "GPU-cc", "0000:99:00.0"])
def test_a_selector_of_no_gpu_is_refused_as_ever(selector: str) -> None:
    with pytest.raises(BindError, match="a GPU this node has"):
        plan(RESET, power_limit={selector: 500})


@pytest.mark.parametrize(
    ("selector", "target"),
    [("1", "gpu 1"), ("GPU-bb", "GPU-bb"), ("0000:2a:00.0", "0000:2a:00.0")],
)
def test_a_selector_of_a_gpu_that_only_the_bus_shows(selector: str, target: str) -> None:
    """NVML no longer counts it: the operator's word is no mistake, the GPU is away."""
    found = plan(power_limit={selector: 500})
    assert left(found) == [(POWER, target, 500)] and found.degraded == [target]
    assert "0000:2a:00.0" in found.unapplied[0].detail


def test_indexes_beside_a_gpu_that_is_not_counted() -> None:
    notes = plan(power_limit={"0": 500}).notes
    assert "gpu_power_limit: indexes count the GPUs that NVML sees, without 0000:2a:00.0" in notes


def test_a_lost_gpu_is_missing_from_what_is_expected() -> None:
    with pytest.raises(BindError) as caught:
        plan(MUTE, power_limit=630, expect=Expect("H100 80GB HBM3", 2, origin="group train"))
    assert str(caught.value) == (
        "expected 2 × H100 80GB HBM3 (from group train), found 1 × H100 80GB HBM3 "
        "(gpu 1 (0000:2a:00.0): no longer answers)"
    )
    with pytest.raises(BindError, match=r"gpu 1 \(H100 80GB HBM3\) at 0000:2a:00.0: wants a reset"):
        plan(RESET, expect=Expect(count=2))
    assert plan(MUTE, power_limit=630, expect=Expect(count=1)).changes


CLAIMS = {
    f"{POWER} GPU-bb": Claim(700, 630),
    "gpu.graphics_clocks GPU-bb": Claim("unlocked", [345, 1200]),
}


def test_claims_stay_and_locks_are_not_relied_on() -> None:
    found = plan(RESET, claims=CLAIMS, locked=("GPU-aa", "GPU-bb"))
    assert found.claims == CLAIMS
    (change,) = found.changes
    assert (change.key, change.target, change.target_name) == ("gpu.lock_memory", "GPU-bb", RESET.label)
    assert not plan(RESET, claims=CLAIMS).changes, "once"


def test_a_lost_gpu_without_a_name_is_known_by_what_is_remembered() -> None:
    (change,) = plan(MUTE, locked=("GPU-aa", "GPU-bb")).changes
    assert (change.target, change.target_name) == ("GPU-bb", "GPU-bb")
    assert not plan(locked=("GPU-bb",)).changes, "no GPU is lost"


def test_a_gpu_that_is_asked_for_nothing_any_more_waits_for_its_return() -> None:
    found = plan(RESET, claims={f"{POWER} GPU-bb": Claim(700, 630)})
    assert found.claims and not found.degraded
    assert found.notes == ["gpu 1 (H100 80GB HBM3) keeps what was set on it: wants a reset"]


def test_removal_forgets_what_is_gone_and_not_what_only_wants_a_reset() -> None:
    gone = plan(replace(RESET, gone=True), claims=CLAIMS, absent=True)
    assert not gone.claims and not gone.degraded
    kept = plan(RESET, claims={f"{POWER} GPU-bb": Claim(700, 630)}, absent=True)
    assert kept.claims and kept.degraded == [RESET.label]


@pytest.mark.parametrize(
    ("indexes", "pci", "found"),
    [
        ([1], ("0000:18:00.0", "0000:2a:00.0"), ["0000:2a:00.0"]),
        ([1, 2], ("0000:18:00.0", "0000:2a:00.0", "0000:3b:00.0"), ["0000:2a:00.0", "0000:3b:00.0"]),
        ([1], ("0000:18:00.0", "0000:2a:00.0", "0000:3b:00.0"), [""]),
        ([1], (), [""]),
    ],
)
def test_addresses_of_gpus_that_cannot_tell_theirs(
    indexes: list[int], pci: tuple[str, ...], found: list[str]
) -> None:
    lost = tuple(LostGpu(index, "gone") for index in indexes)
    state = NodeState((WORKS,), pci, lost=lost)
    assert [gpu.bus_id for gpu in with_addresses(lost, state)] == found


def test_attention_of_a_node() -> None:
    one, two = Health(nvlinks=18, nvlinks_active=18), Health(nvlinks=18, nvlinks_active=17)
    state = NodeState(
        (
            replace(WORKS, health=two),
            replace(WORKS, index=3, uuid="GPU-dd", bus_id="0000:99:00.0", health=one),
        ),
        (*PCI, "0000:5d:00.0", "0000:99:00.0"),
        lost=(MUTE, replace(RESET, index=2, bus_id="0000:5d:00.0")),
    )
    assert [(entry["target_name"], entry["what"], entry["severity"]) for entry in attention(state)] == [
        ("gpu 1 (0000:2a:00.0)", "lost", "critical"),
        ("gpu 2 (H100 80GB HBM3)", "recovery_action", "critical"),
        ("gpu 0 (H100 80GB HBM3)", "nvlink_down", "warning"),
    ]


def test_a_gpu_that_only_the_bus_shows() -> None:
    (entry,) = attention(NodeState((WORKS,), PCI))
    assert (entry["what"], entry["target"], entry["severity"]) == ("unseen", "0000:2a:00.0", "warning")
