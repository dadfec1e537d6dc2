# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person must look at, from what a GPU says of its health."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu.health import (
    LEFT_OUT,
    RECOVERY_ACTIONS,
    Health,
    attention_of,
    most_links,
    throttle_reasons,
)

FINE: dict[str, Any] = {
    "recovery_action": "none",
    "throttle_reasons": ("gpu_idle",),
    "power_limit": 700_000,
    "power_enforced": 700_000,
    "ecc_uncorrected": 0,
    "ecc_uncorrected_lifetime": 3,
    "remapped_rows": 2,
    "remap_pending": False,
    "remap_failed": False,
    "temperature": 95,
    "slowdown_temperature": 90,
    "pcie_width": 16,
    "pcie_max_width": 16,
    "pcie_generation": 5,
    "pcie_max_generation": 5,
    "nvlinks": 18,
    "nvlinks_active": 18,
    "pcie_replays": 7,
}


def found(**values: Any) -> list[tuple[str, str]]:
    return [
        (entry["severity"], entry["what"]) for entry in attention_of(Health(**values), "GPU-1", "gpu 1", 18)
    ]


@pytest.mark.parametrize("values", [{}, FINE, {**FINE, "throttle_reasons": ("sw_power_cap",)}])
def test_a_gpu_that_is_well_or_says_nothing(values: dict[str, Any]) -> None:
    """A power cap in software is what a power limit does, replays and repaired rows are life."""
    assert found(**values) == []


@pytest.mark.parametrize(
    ("values", "severity", "what"),
    [
        ({"recovery_action": "gpu_reset"}, "critical", "recovery_action"),
        ({"recovery_action": "drain_p2p"}, "critical", "recovery_action"),
        ({"recovery_action": "action 9"}, "critical", "recovery_action"),
        ({"ecc_uncorrected": 1}, "critical", "ecc_uncorrected"),
        ({"remap_failed": True}, "critical", "row_remap_failure"),
        ({"throttle_reasons": ("hw_slowdown", "hw_power_brake_slowdown")}, "warning", "power_brake"),
        ({"throttle_reasons": ("sw_thermal_slowdown",)}, "warning", "thermal_throttle"),
        ({"throttle_reasons": ("hw_slowdown", "hw_thermal_slowdown")}, "warning", "thermal_throttle"),
        ({"throttle_reasons": ("hw_slowdown",)}, "warning", "hw_slowdown"),
        ({"power_enforced": 400_000}, "warning", "power_capped"),
        ({"remap_pending": True}, "warning", "row_remap_pending"),
        ({"retirement_pending": True}, "warning", "retired_pages_pending"),
        ({"pcie_width": 8}, "warning", "pcie_width"),
        ({"pcie_generation": 3}, "warning", "pcie_generation"),
        ({"nvlinks_active": 17}, "warning", "nvlink_down"),
        ({"nvlinks_active": 0}, "warning", "nvlink_down"),
    ],
)
def test_one_thing_is_wrong(values: dict[str, Any], severity: str, what: str) -> None:
    assert found(**{**FINE, **values}) == [(severity, what)]


@pytest.mark.parametrize(
    "values", [{"pcie_width": 0}, {"pcie_max_width": None}, {"power_limit": None}, {"nvlinks_active": None}]
)
def test_what_is_not_known_is_not_wrong(values: dict[str, Any]) -> None:
    assert found(**{**FINE, **values}) == []


def test_the_critical_comes_first() -> None:
    sick = {**FINE, "pcie_width": 4, "remap_failed": True, "recovery_action": "node_reboot"}
    assert found(**sick) == [
        ("critical", "recovery_action"),
        ("critical", "row_remap_failure"),
        ("warning", "pcie_width"),
    ]


def test_an_entry_says_what_it_is_about() -> None:
    health = Health(ecc_uncorrected=2, ecc_uncorrected_lifetime=5)
    assert attention_of(health, "GPU-1", "gpu 1 (H100)") == [
        {
            "target": "GPU-1",
            "target_name": "gpu 1 (H100)",
            "what": "ecc_uncorrected",
            "detail": "2 uncorrectable memory errors since the driver was loaded, 5 ever",
            "severity": "critical",
        }
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"throttle_reasons": ("hw_thermal_slowdown",), "temperature": 91}, ": 91 °C"),
        (
            {"throttle_reasons": ("hw_thermal_slowdown",), "temperature": 91, "slowdown_temperature": 90},
            ": 91 °C, slowdown at 90 °C",
        ),
        ({"power_limit": 700_000, "power_enforced": 399_500}, "399.5 W, the limit is 700 W"),
        ({"ecc_uncorrected": 1}, "1 uncorrectable memory error since the driver was loaded"),
        ({"recovery_action": "drain_and_reset"}, "this GPU to be drained and reset"),
    ],
)
def test_details_have_the_numbers(values: dict[str, Any], words: str) -> None:
    (entry,) = attention_of(Health(**values), "GPU-1", "gpu 1")
    assert words in entry["detail"]


def test_links_count_against_the_best_gpu_of_the_model() -> None:
    """Boards may be built with links that lead nowhere: a bridged A100 has 12, and 4 of them up."""
    healths = [Health(nvlinks=12, nvlinks_active=4), Health(nvlinks=12, nvlinks_active=4), Health()]
    assert most_links(healths) == 4
    assert attention_of(healths[0], "GPU-1", "gpu 1", most_links(healths)) == []
    assert most_links([]) == 0


@pytest.mark.parametrize("action", [*RECOVERY_ACTIONS.values(), "unknown", "action 9"])
def test_which_actions_leave_a_gpu_out(action: str) -> None:
    assert bool(Health(recovery_action=action).left_out) == (action in LEFT_OUT)


def test_gpus_that_still_work_are_not_left_out() -> None:
    assert not {"none", "drain_p2p", "recover_imex_domain", "unknown"} & set(LEFT_OUT)


def test_an_unnamed_throttle_bit_keeps_its_number() -> None:
    assert throttle_reasons(0x1081) == ["gpu_idle", "hw_power_brake_slowdown", "0x1000"]
