# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module when NVML fails for good, or half-way; test_gpu_matrix.py has each single call."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_node import GpuNode

FACTORY = (700, False, None, None)
BEFORE = (650, True, [345, 1980], None)
AFTER = (630, True, [345, 1575], [1593, 2619])
OLD: dict[str, Any] = {"power_limit": 650, "graphics_clocks": 1980}
NEW: dict[str, Any] = {"power_limit": "90%default", "graphics_clocks": "80%max", "memory_clocks": 2619}

ERRORS = ("NOT_SUPPORTED", "NO_PERMISSION", "GPU_IS_LOST", "TIMEOUT", "UNKNOWN")


@pytest.mark.parametrize("error", ERRORS)
def test_persistence_cannot_be_set(error: str) -> None:
    node = GpuNode()
    node.sim.inject("nvmlDeviceSetPersistenceMode", error, gpu=1, times=1)
    answer = node.run(**NEW)
    if error == "GPU_IS_LOST":
        assert answer["degraded"] == ["gpu 1 (H100 80GB HBM3)"] and node.values(0) == AFTER
    elif error == "NOT_SUPPORTED":
        nothing_lasts(node, answer)
    else:
        assert answer["failed"] and node.values(0) == FACTORY
    assert node.values(1) == FACTORY
    (node.base / "run" / "gpu_locks.json").unlink(missing_ok=True)
    node.apply(**NEW)
    assert node.values(1) == AFTER


def nothing_lasts(node: GpuNode, answer: dict[str, Any]) -> None:
    """GPU 1 cannot have persistence: what would vanish is not set there, now and in the next run."""
    left = {wish["key"]: wish for wish in answer["unapplied"]}
    assert set(left) == {
        "gpu.persistence_mode", "gpu.power_limit", "gpu.graphics_clocks", "gpu.memory_clocks",
    }  # fmt: skip
    assert {wish["target"] for wish in answer["unapplied"]} == {node.uuid(1)}
    assert "persistence mode could not be turned on" in left["gpu.power_limit"]["detail"]
    assert node.values(0) == AFTER and not any(node.uuid(1) in name for name in node.claims())
    again = node.apply(**NEW)
    assert (again["changed"], again["writes"]) == (False, 0)
    assert {(wish["key"], wish["reason"]) for wish in again["unapplied"]} == {
        (key, "volatile") for key in ("gpu.power_limit", "gpu.graphics_clocks", "gpu.memory_clocks")
    }  # fmt: skip
    assert all("gone as soon as nothing uses the GPU" in wish["detail"] for wish in again["unapplied"])


@pytest.mark.parametrize("function", ["nvmlDeviceResetGpuLockedClocks", "nvmlDeviceResetMemoryLockedClocks"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_lock_cannot_be_lifted(function: str, error: str) -> None:
    node = GpuNode()
    node.apply(**NEW)
    node.sim.inject(function, error, times=1)
    answer = node.run(state="absent")
    if error == "GPU_IS_LOST":
        assert answer["degraded"] == ["gpu 0 (H100 80GB HBM3)"] and node.values(1) == FACTORY
    elif error == "NOT_SUPPORTED":
        gone_with_persistence(node, answer)
    else:
        assert answer["failed"] and node.values(0) == node.values(1) == AFTER
    node.apply(state="absent")
    assert node.values(1) == FACTORY and node.values(0)[2:] == (None, None)


def gone_with_persistence(node: GpuNode, answer: dict[str, Any]) -> None:
    """The driver will not lift the lock, but persistence goes off, and the lock with it."""
    assert [wish["reason"] for wish in answer["unapplied"]] == ["unsupported"]
    assert node.values(0) == node.values(1) == FACTORY
    (name,) = node.claims()
    assert name.endswith(node.uuid(0))


def test_a_lock_that_cannot_be_lifted_stays_on_record() -> None:
    """It is said in every run, without another try, until another load of the driver."""
    node = GpuNode("h100:1")
    node.apply(owner="other", persistence_mode=True)
    node.apply(graphics_clocks=1980)
    node.sim.inject("nvmlDeviceResetGpuLockedClocks", "NOT_SUPPORTED", times=1)
    node.apply(state="absent")
    again = node.apply(state="absent")
    assert (again["changed"], again["writes"]) == (False, 0) and node.values()[2] == [345, 1980]
    (wish,) = again["unapplied"]
    assert (wish["wanted"], wish["live"]) == ("unlocked", [345, 1980])
    assert "no longer asked for, but the driver refused it" in wish["detail"] and node.claims()
    node.reload_driver()
    node.apply(state="absent")
    assert node.values()[2] is None and not node.claims()


def test_what_cannot_be_undone_is_said_and_mended_by_the_next_run() -> None:
    node = GpuNode()
    node.apply(**OLD)
    node.sim.inject("nvmlDeviceSetGpuLockedClocks", "UNKNOWN", gpu=1)
    answer = node.run(**NEW)
    assert [(item["key"], item["target"]) for item in answer["not_undone"]] == [
        ("gpu.graphics_clocks", node.uuid(1))
    ]
    assert "1 of 4 changes could not be undone" in answer["msg"]
    assert node.values(0) == BEFORE
    node.sim.clear()
    mended = node.apply(**NEW)
    assert mended["interrupted"] and any("never finished" in note for note in mended["notes"])
    assert node.values(0) == node.values(1) == AFTER and node.apply(**NEW)["writes"] == 0


@pytest.mark.parametrize("skip", range(4))
def test_a_gpu_falls_off_the_bus_between_two_calls(skip: int) -> None:
    """It answers until its `skip`-th write and never again; the other one gets its new values."""
    node = GpuNode()
    write = ("PersistenceMode", "PowerManagementLimit", "GpuLockedClocks", "MemoryLockedClocks")[skip]
    node.sim.inject(f"nvmlDeviceSet{write}", "GPU_IS_LOST", gpu=1)
    answer = node.run(**NEW)
    assert answer["failed"] and answer["degraded"] == ["gpu 1 (H100 80GB HBM3)"]
    assert {wish["reason"] for wish in answer["unapplied"]} == {"lost"}
    assert node.values(0) == AFTER
    assert len([name for name in node.claims() if node.uuid(1) in name]) == skip + 1, "what was tried"
    node.sim.clear()
    node.sim.lose(1)
    gone = node.run(**NEW)
    assert "degraded: gpu 1 (0000:43:00.0)" in gone["msg"] and node.values(0) == AFTER
    assert {"gpu 1 no longer answers" in wish["detail"] for wish in gone["unapplied"]} == {True}
    node.sim.find(1)
    node.apply(**NEW)
    assert node.values(1) == AFTER


def test_what_is_accepted_and_not_there_is_undone() -> None:
    node = GpuNode()
    node.sim.set(1, "persistence_hidden", 1)
    answer = node.run(**NEW)
    assert (
        "gpu.persistence_mode (gpu 1 (H100 80GB HBM3)): True was accepted, but reads back as False"
        in answer["msg"]
    )
    assert node.values(0) == node.values(1) == FACTORY and not node.record.exists()


def test_a_board_that_refuses_what_it_offers() -> None:
    """Laptop boards have a range of limits and refuse every one of them."""
    node = GpuNode()
    node.sim.set(0, "power_settable", 0)
    answer = node.apply(power_limit=630)
    (wish,) = answer["unapplied"]
    assert (wish["reason"], wish["target"]) == ("unsupported", node.uuid(0))
    assert "ask for nothing there" in wish["detail"] and "nvmlDeviceSetPowerManagementLimit" in wish["detail"]
    assert node.values(0)[0] == 700 and node.values(1)[0] == 630
    again = node.apply(power_limit=630)
    assert (again["changed"], again["writes"]) == (False, 0)
    assert "the driver refused it (this load of the driver)" in again["unapplied"][0]["detail"]
    assert node.apply(power_limit={"all": 630, "0": None})["unapplied"] == []
    node.sim.set(0, "power_settable", 1)
    node.reload_driver()
    node.apply(power_limit=630)
    assert node.values(0)[0] == node.values(1)[0] == 630


def test_a_required_key_that_is_refused_undoes_everything() -> None:
    node = GpuNode()
    node.sim.set(1, "power_settable", 0)
    answer = node.run(power_limit=630, required=["gpu.power_limit"])
    assert "ask for nothing there" in answer["msg"] and answer["not_undone"] == []
    assert node.values(0) == node.values(1) == FACTORY and not node.record.exists()
    again = node.run(power_limit=630, required=["gpu.power_limit"])
    assert "the driver refused it" in again["msg"] and again["writes"] == 0


def test_a_refused_compute_mode_does_not_stand_against_another() -> None:
    node = GpuNode("h100:1")
    node.sim.inject("nvmlDeviceSetComputeMode", "NOT_SUPPORTED", times=1)
    node.apply(compute_mode="exclusive_process")
    again = node.apply(compute_mode="exclusive_process")
    assert again["writes"] == 0 and "the driver refused it" in again["unapplied"][0]["detail"]
    node.apply(compute_mode="prohibited")
    assert node.sim.gpu(0)["compute_mode"] == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [("IN_USE", "something uses the GPU"), ("TIMEOUT", "in time"), ("UNKNOWN", "look for Xid")],
)
def test_what_an_operator_can_do_about_a_failure(error: str, words: str) -> None:
    node = GpuNode("h100:1")
    node.sim.inject("nvmlDeviceSetComputeMode", error)
    answer = node.run(compute_mode="prohibited")
    assert words in answer["msg"] and "gpu.compute_mode (gpu 0 (H100 80GB HBM3))" in answer["msg"]
    assert node.sim.gpu(0)["compute_mode"] == 0


def test_a_virtual_guest_lists_its_wishes() -> None:
    node = GpuNode("l40s:1")
    node.sim.set(0, "virtualization", 2)
    (wish,) = node.apply(power_limit=300)["unapplied"]
    assert (wish["reason"], wish["detail"][:12]) == ("unsupported", "a vGPU guest")


def test_removal_gives_the_others_back_when_one_is_lost() -> None:
    node = GpuNode()
    node.apply(**NEW)
    node.sim.lose(1)
    gone = node.apply(state="absent")
    assert node.values(0) == (700, False, None, None) and not node.claims()
    assert any("is forgotten" in note for note in gone["notes"])


@pytest.mark.parametrize("name", ["gpu.power_limt", "power_limt", "gpu_power_limt"])
def test_a_required_key_that_does_not_exist(name: str) -> None:
    answer = GpuNode().run(**NEW, required=[name])
    assert answer["failed"] and name in answer["msg"] and "gpu.power_limit" in answer["msg"]
