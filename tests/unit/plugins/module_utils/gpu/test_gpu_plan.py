# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned: wishes, state and record in, changes out. No fakes, nothing is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.gpu.plan import plan_pending
from ansible_collections.swarm.node.plugins.module_utils.gpu.settings import Expect, parse_wishes
from ansible_collections.swarm.node.plugins.module_utils.gpu.state import Gpu
from gpu_cases import H100, OFF, plan

POWER, GRAPHICS = "gpu.power_limit", "gpu.graphics_clocks"
MEMORY, PERSISTENCE = "gpu.memory_clocks", "gpu.persistence_mode"
COMPUTE, ACCOUNTING, ECC = "gpu.compute_mode", "gpu.accounting_mode", "gpu.ecc"

T4 = replace(
    H100, index=1, uuid="GPU-bb", name="Tesla T4", bus_id="0000:5d:00.0", architecture=6,
    power_limit=70_000, power_default=70_000, power_min=60_000, power_max=70_000,
    power_enforced=70_000, memory_clocks=(405, 5001),
)  # fmt: skip
LAPTOP = replace(H100, power_limit=None, power_default=None, power_min=None, power_max=None)


def steps(found: Plan) -> list[tuple[str, str, Any, Any]]:
    return [(change.key, change.target, change.before, change.after) for change in found.changes]


def problems(*gpus: Gpu, **given: Any) -> list[Any]:
    with pytest.raises(BindError) as caught:
        plan(*gpus, **given)
    return caught.value.problems


def test_a_power_limit_is_planned_with_everything_a_result_says() -> None:
    found = plan(H100, power_limit="90%default")
    assert [change.as_result() for change in found.changes] == [
        {
            "key": POWER, "target": "GPU-aa", "target_name": "gpu 0 (H100 80GB HBM3)", "before": 700,
            "after": 630, "unit": "W", "when": "now", "disruption": "perf", "verify": "readback",
            "undo": "exact",
            "origin": "group g", "why": "90%default of 200-700 W (board default 700 W)",
        }
    ]  # fmt: skip
    assert found.claims == {f"{POWER} GPU-aa": Claim(700, 630)}
    assert (found.before, found.after) == ({f"{POWER} GPU-aa": 700}, {f"{POWER} GPU-aa": 630})
    assert found.details[0]["after_reboot"] == 700 and found.details[0]["owner"] is None


def test_what_is_so_already_and_after_a_reboot_is_neither_changed_nor_claimed() -> None:
    found = plan(H100, power_limit=700, accounting_mode=False, compute_mode="default")
    assert (found.changes, found.claims) == ([], {})


@pytest.mark.parametrize(
    ("gpu", "options", "claim"),
    [
        (H100, {"persistence_mode": True}, {f"{PERSISTENCE} GPU-aa": Claim(True, True)}),
        (replace(H100, power_limit=630_000), {"power_limit": 630}, {f"{POWER} GPU-aa": Claim(630, 630)}),
        (
            replace(H100, accounting=True),
            {"accounting_mode": True},
            {f"{ACCOUNTING} GPU-aa": Claim(True, True)},
        ),
        (
            replace(H100, compute_mode="prohibited"),
            {"compute_mode": "prohibited"},
            {f"{COMPUTE} GPU-aa": Claim("prohibited", "prohibited")},
        ),
        (
            replace(H100, locks={GRAPHICS: [345, 1980]}),
            {"graphics_clocks": 1980},
            {f"{GRAPHICS} GPU-aa": Claim([345, 1980], [345, 1980])},
        ),
    ],
)
def test_what_is_so_already_but_would_not_survive_a_reboot_is_claimed(
    gpu: Gpu, options: dict[str, Any], claim: dict[str, Claim]
) -> None:
    found = plan(gpu, **options)
    assert found.claims == claim
    assert [(change.key, change.after) for change in found.changes] == [("record", "brought up to date")]
    assert plan(gpu, claims=claim, **options).changes == []


def test_persistence_comes_first_and_says_why() -> None:
    found = plan(OFF, replace(OFF, index=1, uuid="GPU-cc"), power_limit=630, graphics_clocks="80%max")
    assert [(change.key, change.target) for change in found.changes] == [
        (key, uuid) for key in (PERSISTENCE, POWER, GRAPHICS) for uuid in ("GPU-aa", "GPU-cc")
    ]
    assert found.changes[0].why == "needed by gpu_power_limit, gpu_graphics_clocks: volatile without it"
    assert found.changes[0].disruption == "none"


def test_the_board_default_needs_no_persistence() -> None:
    assert steps(
        plan(replace(OFF, power_limit=650_000), power_limit="default", graphics_clocks="unlocked")
    ) == [
        (POWER, "GPU-aa", 650, 700),
        (GRAPHICS, "GPU-aa", None, "unlocked"),
    ]


def test_persistence_that_was_on_is_not_claimed() -> None:
    assert list(plan(H100, power_limit=630).claims) == [f"{POWER} GPU-aa"]


def test_persistence_claimed_for_another_wish_stays_claimed() -> None:
    claims = {f"{PERSISTENCE} GPU-aa": Claim(False, True), f"{POWER} GPU-aa": Claim(700, 630)}
    found = plan(replace(H100, power_limit=630_000), claims=claims, power_limit=600)
    assert steps(found) == [(POWER, "GPU-aa", 630, 600)]
    assert found.claims == {**claims, f"{POWER} GPU-aa": Claim(700, 600)}


def test_persistence_off_contradicts_a_volatile_wish() -> None:
    (problem,) = problems(OFF, power_limit=630, persistence_mode=False)
    assert (problem.key, problem.value, problem.target) == (
        "gpu_persistence_mode",
        False,
        "gpu 0 (H100 80GB HBM3)",
    )
    assert "gpu_power_limit is set" in problem.allowed


def test_a_lock_is_accepted_not_read_back() -> None:
    (change,) = plan(H100, graphics_clocks="1200-1970").changes
    assert (change.before, change.after, change.verify, change.undo) == (
        None,
        [1200, 1965],
        "accepted",
        "to_default",
    )
    assert "1970 to 1965 MHz" in change.why


def test_a_remembered_lock_is_not_set_again_and_undone_exactly() -> None:
    known = replace(H100, locks={GRAPHICS: [345, 1980]})
    claims = {f"{GRAPHICS} GPU-aa": Claim(None, [345, 1980])}
    assert plan(known, claims=claims, graphics_clocks=1980).changes == []
    (change,) = plan(known, graphics_clocks=1200).changes
    assert (change.before, change.undo) == ([345, 1980], "exact")


def test_every_problem_is_found_and_equal_ones_are_one() -> None:
    found = problems(H100, replace(H100, index=1, uuid="GPU-cc"), power_limit=800, graphics_clocks=100)
    assert [(item.key, item.value) for item in found] == [
        ("gpu_power_limit", 800),
        ("gpu_graphics_clocks", 100),
    ]
    assert found[0].target == "gpu 0 (H100 80GB HBM3), gpu 1 (H100 80GB HBM3)"
    assert "200-700 W" in str(found[0]) and "group g" in str(found[0])


def test_index_and_uuid_that_do_not_exist_name_those_that_do() -> None:
    found = problems(H100, T4, power_limit={"7": 60, "GPU-dd": 60, "5e:00.0": 60}, reset=[9])
    assert [(item.key, item.value) for item in found] == [
        ("gpu_reset", "9"), ("gpu_power_limit", "7"), ("gpu_power_limit", "gpu-dd"),
        ("gpu_power_limit", "0000:5e:00.0"),
    ]  # fmt: skip
    assert "0 = GPU-aa (H100 80GB HBM3 at 0000:18:00.0); 1 = GPU-bb (T4 at 0000:5d:00.0)" in found[0].allowed


def test_a_map_for_a_fleet() -> None:
    found = plan(H100, T4, power_limit={"H100 80GB HBM3": 630, "T4": None, "B200": 900, "all": "min"})
    assert steps(found) == [(POWER, "GPU-aa", 700, 630)]


def test_a_map_that_matches_nothing_is_noted() -> None:
    (note,) = plan(T4, power_limit={"H100 80GB HMB3": 630}).notes
    assert note == "gpu_power_limit names only H100 80GB HMB3; this node has T4"


def test_contradicting_selectors() -> None:
    (problem,) = problems(H100, power_limit={"H100 80GB HBM3": 630, "NVIDIA H100 80GB HBM3": 650})
    assert "equally specific (model)" in problem.allowed


@pytest.mark.parametrize(
    ("gpu", "option", "value", "detail"),
    [
        (LAPTOP, "power_limit", 630, "no power limits"),
        (T4, "memory_clocks", 5001, "older than Ampere"),
        (replace(T4, architecture=4), "graphics_clocks", 1980, "older than Volta"),
        (replace(H100, graphics_clocks=()), "graphics_clocks", 1980, "lists no supported graphics clocks"),
        (replace(H100, persistence=None), "persistence_mode", True, "no persistence mode"),
        (replace(H100, virtual_guest=True), "power_limit", 630, "vGPU guest"),
    ],
)
def test_unsupported(gpu: Gpu, option: str, value: Any, detail: str) -> None:
    found = plan(gpu, required=(f"gpu.{option}",), **{option: value})
    assert found.changes == []
    (wish,) = found.unapplied
    assert (wish.reason, wish.required, wish.key) == ("unsupported", True, f"gpu.{option}")
    assert detail in wish.detail


def test_what_cannot_be_set_is_at_its_default() -> None:
    found = plan(T4, memory_clocks="unlocked")
    assert (found.changes, found.unapplied) == ([], [])
    assert plan(LAPTOP, power_limit="default").unapplied == []


def test_an_unsupported_wish_does_not_stop_the_others() -> None:
    found = plan(H100, T4, memory_clocks={"T4": 5001, "H100 80GB HBM3": 2619})
    assert steps(found) == [(MEMORY, "GPU-aa", None, [1593, 2619])]
    assert [wish.target for wish in found.unapplied] == ["GPU-bb"]


def test_a_key_of_another_owner_is_refused() -> None:
    (problem,) = problems(H100, power_limit=630, others={f"{POWER} GPU-aa": "batch"})
    assert "'batch' holds it" in problem.allowed
    (problem,) = problems(H100, persistence_mode=False, others={f"{GRAPHICS} GPU-aa": "batch"})
    assert "owner 'batch' relies on it" in problem.allowed


def test_a_gpu_that_is_away_keeps_its_claims_until_removal() -> None:
    claims = {f"{POWER} GPU-zz": Claim(700, 630)}
    found = plan(H100, claims=claims)
    assert (found.claims, found.changes) == (claims, [])
    assert "stays on record" in found.notes[0]
    gone = plan(H100, claims=claims, absent=True)
    assert gone.claims == {} and [change.key for change in gone.changes] == ["record"]


@pytest.mark.parametrize(
    ("gpus", "expect", "message"),
    [
        (
            (H100,),
            Expect("NVIDIA H100 80GB HBM3", 2, origin="group g"),
            "expected 2 × H100 80GB HBM3 (from group g), found 1 × H100 80GB HBM3 "
            "(0000:5d:00.0 is on the PCI bus, but NVML does not see it)",
        ),
        ((), Expect("L40S"), "expected at least one × L40S, found none (0000:5d:00.0 is on"),
        ((H100,), Expect("L40S", 1), "expected 1 × L40S, found 1 × H100 80GB HBM3"),
        ((H100, T4), Expect("T4", 1), "expected 1 × T4, found 1 × H100 80GB HBM3, 1 × T4"),
        ((H100, T4), Expect(uniform=True), "expected GPUs of one model (uniform), found 1 × H100"),
    ],
)
def test_an_expectation_that_is_not_met(gpus: tuple[Gpu, ...], expect: Expect, message: str) -> None:
    (problem,) = problems(*gpus, expect=expect, pci=("0000:5d:00.0",), power_limit="default")
    assert str(problem).startswith(message.replace("NVIDIA ", "")) and problem.key == "node_expect"


def test_an_expectation_that_is_met() -> None:
    assert plan(H100, expect=Expect("NVIDIA H100 80GB HBM3", 1, True)).notes == []
    assert plan(H100, expect=Expect(count=0)).notes == ["expected 0 × GPU, found more: 1"]


@pytest.mark.parametrize(
    ("gpu", "options", "words"),
    [
        (
            replace(H100, power_enforced=500_000),
            {"power_limit": 630},
            "another hand caps it: enforced are 500 W",
        ),
        (replace(H100, architecture=10), {"memory_clocks": 2619}, "up to 16 %"),
        (replace(H100, architecture=10), {"graphics_clocks": 1980}, "Blackwell may override"),
        (replace(OFF, held_by_daemon=True), {"power_limit": 630}, "nvidia-persistenced holds"),
    ],
)
def test_what_an_operator_should_know(gpu: Gpu, options: dict[str, Any], words: str) -> None:
    found = plan(gpu, **options)
    assert any(words in note for note in found.notes)
    assert len(found.changes) == 1


def test_a_lowered_limit_is_no_cap() -> None:
    assert plan(replace(H100, power_limit=500_000, power_enforced=500_000), power_limit=630).notes == []


def test_gpus_on_pci_that_nvml_does_not_see_are_noted() -> None:
    assert "0000:5d:00.0" in plan(H100, pci=("0000:18:00.0", "0000:5d:00.0"), power_limit=630).notes[0]


def test_no_gpu_nothing_to_do() -> None:
    found = plan(power_limit={"0": 630, "GPU-aa": 600})
    assert (found.changes, found.unapplied) == ([], [])


def test_before_the_binding_is_installed_every_wish_is_listed() -> None:
    wishes = parse_wishes({"power_limit": 630, "persistence_mode": True}, {}, [])
    claims = {f"{POWER} GPU-aa": Claim(700, 630)}
    found = plan_pending(wishes, Record("gpu", claims), "later")
    assert [(wish.key, wish.reason) for wish in found.unapplied] == [
        (PERSISTENCE, "not_installed"), (POWER, "not_installed"),
    ]  # fmt: skip
    assert found.claims == claims


def test_a_claim_brought_up_to_date_is_a_change_of_the_record() -> None:
    found = plan(
        replace(H100, power_limit=600_000), claims={f"{POWER} GPU-aa": Claim(700, 630)}, power_limit=600
    )
    assert [(change.key, change.after) for change in found.changes] == [("record", "brought up to date")]
    assert found.claims == {f"{POWER} GPU-aa": Claim(700, 600)}
