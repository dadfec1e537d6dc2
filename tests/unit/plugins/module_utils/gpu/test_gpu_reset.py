# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back to the board's defaults, and what a driver refused: what is planned."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from gpu_cases import H100, OFF, plan, steps

COMPUTE, ACCOUNTING, ECC = "gpu.compute_mode", "gpu.accounting_mode", "gpu.ecc"
PERSISTENCE, POWER, GRAPHICS = "gpu.persistence_mode", "gpu.power_limit", "gpu.graphics_clocks"

ODD = replace(
    H100,
    power_limit=500_000,
    compute_mode="prohibited",
    accounting=True,
    ecc_current=False,
    ecc_pending=False,
)


def test_a_reset_is_the_default_of_every_key() -> None:
    assert steps(plan(ODD, reset=True)) == [
        (POWER, 500, 700), (GRAPHICS, None, "unlocked"), ("gpu.memory_clocks", None, "unlocked"),
        (ACCOUNTING, True, False), (COMPUTE, "prohibited", "default"), (ECC, False, True),
        (PERSISTENCE, True, False),
    ]  # fmt: skip
    (change,) = plan(replace(H100, power_limit=500_000, persistence=False, locks={GRAPHICS: "unlocked",
                             "gpu.memory_clocks": "unlocked"}), reset=True).changes  # fmt: skip
    assert (change.key, change.origin) == (POWER, "group g") and "gpu_reset" in change.why


def test_a_reset_gives_way_to_every_wish_and_to_null() -> None:
    found = plan(ODD, reset=["0"], power_limit={"0": 600}, compute_mode={"GPU-aa": None}, ecc=False)
    keys = [change.key for change in found.changes]
    assert COMPUTE not in keys and ECC not in keys and PERSISTENCE not in keys
    assert (POWER, 500, 600) in steps(found)


def test_a_reset_leaves_other_gpus_and_other_owners_alone() -> None:
    assert plan(ODD, replace(ODD, index=1, uuid="GPU-bb"), reset=[1]).changes[0].target == "GPU-bb"
    others = {f"{POWER} GPU-aa": "batch", f"{COMPUTE} GPU-aa": "batch"}
    keys = [change.key for change in plan(ODD, reset=True, others=others).changes]
    assert not {POWER, COMPUTE, PERSISTENCE} & set(keys) and ACCOUNTING in keys


def test_a_reset_of_a_gpu_that_has_nothing_to_reset() -> None:
    clean = replace(OFF, locks={GRAPHICS: "unlocked", "gpu.memory_clocks": "unlocked"})
    found = plan(clean, reset="all")
    assert (found.changes, found.claims, found.unapplied) == ([], {}, [])
    guest = plan(replace(clean, virtual_guest=True), reset="all")
    assert (guest.changes, guest.unapplied) == ([], [])


def test_a_reset_names_no_models_in_notes() -> None:
    assert plan(OFF, reset=["L40S"]).notes == []


def test_what_the_driver_refused_is_not_tried_again() -> None:
    gpu = replace(H100, refusals={POWER: "nvmlDeviceSetPowerManagementLimit: Not Supported"})
    found = plan(gpu, power_limit=630, compute_mode="prohibited", required=(POWER,))
    assert [change.key for change in found.changes] == [COMPUTE]
    (wish,) = found.unapplied
    assert wish.required and wish.detail.startswith("the driver refused it (this load of the driver): nvml")
    assert plan(gpu, power_limit="default").unapplied == []
    (other,) = plan(replace(gpu, power_limit=500_000), power_limit="default").unapplied
    assert other.live == 500, "it is not at its default, and that is said"


def test_one_compute_mode_may_be_refused_and_another_not() -> None:
    gpu = replace(H100, refusals={f"{COMPUTE}=exclusive_process": "no"})
    assert plan(gpu, compute_mode="exclusive_process").unapplied[0].reason == "unsupported"
    assert steps(plan(gpu, compute_mode="prohibited")) == [(COMPUTE, "default", "prohibited")]
    back = replace(H100, compute_mode="prohibited", refusals={f"{COMPUTE}=default": "no"})
    found = plan(back, claims={f"{COMPUTE} GPU-aa": Claim("default", "prohibited")})
    assert found.changes == [] and found.unapplied[0].wanted == "default" and found.claims


def test_persistence_stays_where_it_was_turned_on_for_what_was_refused() -> None:
    gpu = replace(H100, refusals={POWER: "no"})
    claims = {f"{PERSISTENCE} GPU-aa": Claim(False, True)}
    for options in ({"power_limit": 630}, {"power_limit": 630, "persistence_mode": "default"}):
        found = plan(gpu, claims=claims, **options)
        assert (found.changes, found.claims) == ([], claims)
    assert steps(plan(gpu, claims=claims)) == [(PERSISTENCE, True, False)]
