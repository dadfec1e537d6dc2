# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes, resets and what outlives what, with the gpu module on simulated boards."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.store import parse_record
from ansible_collections.swarm.node.plugins.module_utils.gpu.nvml import Nvml
from ansible_collections.swarm.node.plugins.module_utils.gpu.recorded import wishes_from_claims
from gpu_node import GpuNode

MODES: dict[str, Any] = {"compute_mode": "exclusive_process", "accounting_mode": True, "ecc": False}
REBOOT = {"max_disruption": "reboot"}


@pytest.fixture
def node() -> GpuNode:
    return GpuNode()


def modes(node: GpuNode, index: int = 0) -> tuple[Any, ...]:
    """(compute mode, accounting, [ECC now, ECC pending], persistence)."""
    gpu = node.sim.gpu(index)
    return gpu["compute_mode"], gpu["accounting_mode"], gpu["ecc"], gpu["persistence_mode"]


def changed(result: dict[str, Any]) -> list[str]:
    return sorted({change["key"].partition(".")[2] for change in result["changes"]})


def test_the_life_of_the_modes(node: GpuNode) -> None:
    seen = node.apply(check=True, **MODES, **REBOOT)
    assert seen["reboot_required"] and modes(node) == (0, 0, [1, 1], 0)
    done = node.apply(**MODES, **REBOOT)
    assert done["plan_digest"] == seen["plan_digest"] and done["reboot_required"]
    assert changed(done) == ["accounting_mode", "compute_mode", "ecc", "persistence_mode"]
    assert modes(node, 0) == modes(node, 1) == (3, 1, [1, 0], 1)
    again = node.apply(**MODES, **REBOOT)
    assert (again["changed"], again["writes"], len(again["pending"])) == (False, 0, 2)
    assert again["reboot_required"] and "nvidia-smi --gpu-reset" in again["pending"][0]["detail"]
    node.sim.reset(0)
    (waiting,) = node.run(**MODES, **REBOOT)["pending"]
    assert waiting["target"] == node.uuid(1)
    node.sim.reboot()
    node.boot("second")
    booted = node.apply(**MODES, **REBOOT)
    assert not booted["pending"] and not booted["reboot_required"] and "ecc" not in changed(booted)
    assert modes(node, 0) == modes(node, 1) == (3, 1, [0, 0], 1)
    gone = node.apply(state="absent", **REBOOT)
    assert gone["reboot_required"] and modes(node) == (0, 0, [0, 1], 0) and not node.record.exists()


def test_ecc_is_withheld_where_a_reboot_is_too_much(node: GpuNode) -> None:
    result = node.apply(**MODES)
    assert {(wish["key"], wish["reason"]) for wish in result["unapplied"]} == {
        ("gpu.ecc", "needs_more_disruption")
    }
    assert not result["reboot_required"] and not result["pending"] and modes(node)[2] == [1, 1]
    assert node.run(**MODES, required=["ecc"])["failed"]


def test_ecc_that_somebody_else_changed_is_changed_back(node: GpuNode) -> None:
    node.sim.set(0, "ecc_pending", 0)
    result = node.apply(ecc=True)
    assert [(c["before"], c["after"], c["disruption"]) for c in result["changes"]] == [(False, True, "none")]
    assert modes(node)[2] == [1, 1] and not result["reboot_required"] and not result["pending"]


def test_compute_mode_while_somebody_computes(node: GpuNode) -> None:
    node.process(4711, "python3")
    node.sim.process(0, 4711, 1024)
    kept = node.apply(compute_mode="exclusive_process")
    (wish,) = kept["unapplied"]
    assert (wish["target"], wish["reason"]) == (node.uuid(0), "needs_more_disruption")
    assert (modes(node, 0)[0], modes(node, 1)[0]) == (0, 3)
    done = node.apply(compute_mode="exclusive_process", max_disruption="node_jobs")
    assert "4711 python3" in done["changes"][0]["why"] and modes(node, 0)[0] == 3


def test_compute_mode_with_mig_on() -> None:
    node = GpuNode("h100:1")
    node.sim.set(0, "mig_current", 1)
    node.sim.set(0, "persistence_mode", 1)
    (wish,) = node.apply(compute_mode="prohibited")["unapplied"]
    assert "MIG is on" in wish["detail"]


@pytest.mark.parametrize("name", ["nvmlDeviceGetPersistenceMode", "nvmlDeviceSetPersistenceMode"])
def test_what_cannot_last_is_never_reported_as_set(node: GpuNode, name: str) -> None:
    """Without persistence a limit is gone when the module ends: it is said, and nothing is left behind."""
    node.sim.inject(name, "NOT_SUPPORTED", gpu=0)
    node.apply(power_limit=630, graphics_clocks=1980, accounting_mode=True)
    result = node.apply(power_limit=630, graphics_clocks=1980, accounting_mode=True)
    assert (result["changed"], result["writes"]) == (False, 0)
    assert {wish["reason"] for wish in result["unapplied"]} == {"volatile"}
    assert node.values(0) == (700, False, None, None) and modes(node, 0)[1] == 0
    assert node.values(1) == (630, True, [345, 1980], None) and modes(node, 1)[1] == 1


def believe_in_persistence() -> None:
    """A driver that reports persistence on and tears the GPU down all the same."""
    ask = Nvml.call_gpu

    def call(self: Nvml, uuid: str, function: str, *arguments: Any) -> Any:
        return 1 if function == "nvmlDeviceGetPersistenceMode" else ask(self, uuid, function, *arguments)

    Nvml.call_gpu = call


def test_a_reset_of_the_gpu_makes_locks_unknown(node: GpuNode) -> None:
    """It takes limits and locks away and leaves the driver loaded."""
    wish = {"power_limit": 630, "graphics_clocks": 1980}
    node.apply(**wish)
    node.sim.reset(0)
    result = node.apply(**wish)
    assert [(change["target"], change["before"]) for change in result["changes"]] == [
        (node.uuid(0), 700), (node.uuid(0), None),
    ]  # fmt: skip
    assert node.values(0) == node.values(1) == (630, True, [345, 1980], None)
    assert node.apply(**wish)["writes"] == 0


def test_a_limit_that_vanishes_at_once_is_undone(node: GpuNode) -> None:
    """Seen only because NVML is closed and opened again before the verification."""
    answer = node.run(before=believe_in_persistence, power_limit=630)
    assert "630 was accepted, but reads back as 700" in answer["msg"]
    assert node.values(0) == node.values(1) == (700, False, None, None) and not node.record.exists()


def test_a_pci_address_selects(node: GpuNode) -> None:
    address = str(node.sim.gpu(1)["pci"])
    node.apply(power_limit={"all": 650, address: 600, "1": 500})
    assert (node.values(0)[0], node.values(1)[0]) == (650, 600)
    node.apply(power_limit={address.partition(":")[2].upper(): 550})
    assert (node.values(0)[0], node.values(1)[0]) == (700, 550)
    failed = node.run(power_limit={"0000:ee:00.0": 600})
    assert "0000:ee:00.0" in failed["msg"] and f"at {address}" in failed["msg"]


def test_a_reset_of_gpus_others_left_odd(node: GpuNode) -> None:
    for index in (0, 1):
        for key, value in {"power_limit_mw": 500_000, "compute_mode": 2, "persistence_mode": 1}.items():
            node.sim.set(index, key, value)
        node.sim.set(index, "lock_graphics_min_mhz", 345)
        node.sim.set(index, "lock_graphics_max_mhz", 900)
    node.apply(reset=["1"])
    assert node.values(0) == (500, True, [345, 900], None)
    assert node.values(1) == (700, False, None, None) and modes(node, 1)[0] == 0
    assert node.apply(reset=["1"])["writes"] == 0
    node.apply(reset=True, power_limit={"0": 650})
    assert node.values(0) == (650, True, None, None) and modes(node, 0)[0] == 0
    assert node.apply(reset=True, power_limit={"0": 650})["writes"] == 0


def test_a_reset_that_is_misspelt(node: GpuNode) -> None:
    failed = node.run(reset="everything", origins={"reset": "group odd"})
    assert "gpu_reset: 'everything'" in failed["msg"] and "group odd" in failed["msg"]
    assert "gpu_reset: '9'" in node.run(reset=[9])["msg"]


def test_persistenced_is_not_fought(node: GpuNode) -> None:
    node.process(4711, "nvidia-persistenced", "--user", "nvidia")
    for index in (0, 1):
        node.sim.set(index, "persistence_mode", 1)
    assert changed(node.apply(power_limit=630, reset=True)) == [
        "graphics_clocks",
        "memory_clocks",
        "power_limit",
    ]
    result = node.apply(persistence_mode=False)
    assert {wish["reason"] for wish in result["unapplied"]} == {"managed_by"} and node.values()[1] is True


def test_the_record_says_what_a_boot_has_to_set_again(node: GpuNode) -> None:
    node.sim.set(0, "persistence_mode", 1)
    node.apply(persistence_mode=True, power_limit=630, compute_mode="prohibited")
    wishes = wishes_from_claims(parse_record("gpu", node.record.read_text()).claims)
    assert {key: wish.raw for key, wish in wishes.items()} == {
        "gpu.persistence_mode": {node.uuid(0).lower(): True, node.uuid(1).lower(): True},
        "gpu.power_limit": {node.uuid(0).lower(): 630, node.uuid(1).lower(): 630},
        "gpu.compute_mode": {node.uuid(0).lower(): "prohibited", node.uuid(1).lower(): "prohibited"},
    }


@pytest.mark.parametrize(
    "options", [{"compute_mode": "exclusive_thread"}, {"ecc": "maybe"}, {"accounting_mode": 7}]
)
def test_refused_modes_change_nothing(node: GpuNode, options: dict[str, Any]) -> None:
    for check in (True, False):
        failed = node.run(check=check, **options)
        assert failed["failed"] and failed["msg"].startswith("nothing was changed"), failed["msg"]
