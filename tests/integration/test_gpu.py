# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs over boots, with a broken one among them, and on a node that is to stay as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import H100, MIXED, Lab

UNIT = "/etc/systemd/system/swarm-node-gpu.service"
LESS = {"gpu_power_limit": {"H100 80GB HBM3": "80%default", "L40S": "80%default"}}
WISHES = {"gpu_power_limit": {"L40S": 300}, "gpu_graphics_clocks": {"T4": "80%max"}}


def limits(lab: Lab, node: str) -> set[int]:
    """Power limits in W of the GPUs that answer."""
    return {gpu["power_limit_mw"] // 1000 for gpu in lab.gpus(node) if not gpu["lost"]}


@pytest.fixture(autouse=True, scope="module")
def optimized(lab: Lab) -> None:
    lab.forget()
    assert lab.optimize(node_batches=["100%"]).code == 0


@pytest.fixture
def lost(lab: Lab) -> Iterator[int]:
    """Index of a GPU that fell off the bus of the H100 node, which comes back in the end."""
    lab.run(H100, "nvml-sim", "lose", "3")
    yield 3
    lab.run(H100, "nvml-sim", "find", "3")
    assert lab.optimize("--limit", H100).code == 0


def test_a_boot_brings_back_what_it_took_away_without_a_run(lab: Lab) -> None:
    assert lab.optimize("--limit", MIXED, **WISHES).code == 0
    lab.reboot(MIXED)
    assert limits(lab, MIXED) == {300, 70}
    assert {str(gpu["lock_graphics_mhz"]) for gpu in lab.gpus(MIXED)} == {"None", "[300, 1260]"}
    again = lab.optimize("--limit", MIXED, **WISHES)
    assert again.host(MIXED)["state"] == "unchanged", again.output


def test_without_the_unit_a_boot_takes_it_away(lab: Lab) -> None:
    assert lab.optimize("--limit", MIXED, gpu_boot=False, **WISHES).code == 0
    assert lab.sh(MIXED, f"ls {UNIT}", check=False) == ""
    lab.reboot(MIXED)
    assert limits(lab, MIXED) == {350, 70}
    assert lab.optimize("--limit", MIXED, **WISHES).code == 0
    assert limits(lab, MIXED) == {300, 70} and lab.sh(MIXED, f"ls {UNIT}").strip() == UNIT


def test_a_broken_gpu_fails_its_node_and_nobody_else(lab: Lab, lost: int) -> None:
    run = lab.optimize(node_expect={}, **LESS)
    assert run.code != 0
    assert "degraded: gpu 3" in run.failure(H100)
    assert limits(lab, H100) == {560} and limits(lab, MIXED) == {280, 70}
    assert run.host(MIXED)["state"] == "changed"
    shown = lab.optimize("--check", "--limit", H100, node_expect={}, **LESS)
    assert shown.code != 0 and "degraded: gpu 3" in shown.failure(H100)


def test_where_all_gpus_are_expected_a_broken_one_stops_its_node(lab: Lab, lost: int) -> None:
    before = limits(lab, H100)
    run = lab.optimize("--limit", H100, gpu_power_limit="70%default")
    assert run.code != 0 and "expected 8" in run.failure(H100) and "found 7" in run.failure(H100)
    assert limits(lab, H100) == before


def test_a_frozen_node_stays_as_it_is_also_over_a_boot(lab: Lab) -> None:
    assert lab.optimize("--limit", MIXED, **WISHES).code == 0
    frozen = lab.play("swarm.node.freeze", "--limit", MIXED, node_freeze="a trial runs")
    assert frozen.code == 0, frozen.output
    run = lab.optimize("--limit", MIXED, gpu_power_limit={"L40S": 200})
    assert run.code == 0 and run.host(MIXED)["state"] == "unchanged", run.output
    reasons = {
        (wish["reason"], "a trial runs" in wish["detail"]) for wish in run.layer(MIXED, "gpu")["unapplied"]
    }
    assert reasons == {("frozen", True)}
    lab.reboot(MIXED)
    assert limits(lab, MIXED) == {350, 70}
    assert lab.play("swarm.node.freeze", "--limit", MIXED, node_freeze=False).code == 0
    lab.run(MIXED, "systemctl", "start", "swarm-node-gpu.service")
    assert limits(lab, MIXED) == {300, 70}
