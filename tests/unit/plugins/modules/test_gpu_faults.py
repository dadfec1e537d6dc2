# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module when NVML fails: every call it makes, with every kind of failure, once."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_node import GpuNode

FACTORY = (700, False, None, None)
BEFORE = (650, True, [345, 1980], None)
AFTER = (630, True, [345, 1575], [1593, 2619])
OLD: dict[str, Any] = {"power_limit": 650, "graphics_clocks": 1980}
NEW: dict[str, Any] = {"power_limit": "90%default", "graphics_clocks": "80%max", "memory_clocks": 2619}

CALLS = [
    ("nvmlInit", 0),
    ("nvmlInit", 1),
    ("nvmlShutdown", 0),
    ("nvmlSystemGetDriverVersion", 0),
    ("nvmlDeviceGetCount", 0),
    ("nvmlDeviceGetHandleByIndex", 1),
    ("nvmlDeviceGetUUID", 1),
    ("nvmlDeviceGetName", 0),
    ("nvmlDeviceGetPciInfo", 0),
    ("nvmlDeviceGetArchitecture", 0),
    ("nvmlDeviceGetVirtualizationMode", 0),
    ("nvmlDeviceGetPersistenceMode", 0),
    ("nvmlDeviceGetPowerManagementLimitConstraints", 1),
    ("nvmlDeviceGetPowerManagementDefaultLimit", 0),
    ("nvmlDeviceGetPowerManagementLimit", 0),
    ("nvmlDeviceGetPowerManagementLimit", 2),
    ("nvmlDeviceGetPowerManagementLimit", 3),
    ("nvmlDeviceGetEnforcedPowerLimit", 0),
    ("nvmlDeviceGetSupportedMemoryClocks", 0),
    ("nvmlDeviceGetSupportedGraphicsClocks", 2),
    ("nvmlDeviceGetHandleByUUID", 0),
    ("nvmlDeviceGetHandleByUUID", 1),
    ("nvmlDeviceSetPowerManagementLimit", 0),
    ("nvmlDeviceSetPowerManagementLimit", 1),
    ("nvmlDeviceSetGpuLockedClocks", 0),
    ("nvmlDeviceSetGpuLockedClocks", 1),
    ("nvmlDeviceSetMemoryLockedClocks", 0),
    ("nvmlDeviceSetMemoryLockedClocks", 1),
]
"""(function, how many of its calls go well first)"""

ERRORS = ("NOT_SUPPORTED", "NO_PERMISSION", "GPU_IS_LOST", "TIMEOUT", "UNKNOWN")


@pytest.fixture(scope="module")
def shared() -> GpuNode:
    return GpuNode()


def no_traces(node: GpuNode) -> None:
    assert list((node.base / "state" / "journal").glob("*")) == []


@pytest.mark.parametrize(("function", "skip"), CALLS)
def test_a_call_fails_once(shared: GpuNode, function: str, skip: int) -> None:
    """Afterwards each GPU is old or new as the answer says, and the next run converges."""
    for error in ERRORS:
        shared.apply(**OLD)
        assert shared.values(0) == shared.values(1) == BEFORE
        claims = shared.claims()
        shared.sim.inject(function, error, skip=skip, times=1)
        answer = shared.run(**NEW)
        shared.sim.clear()
        told = f"{function} {error}: {answer.get('msg')}"
        no_traces(shared)
        if not answer.get("failed"):
            assert_told(shared, answer, told)
        elif answer.get("degraded"):
            assert error == "GPU_IS_LOST", told
            lost = {wish["target"] for wish in answer["unapplied"] if wish["reason"] == "lost"}
            assert len(lost) == 1, told
            (other,) = [index for index in (0, 1) if shared.uuid(index) not in lost]
            assert shared.values(other) == AFTER, told
        else:
            assert shared.values(0) == shared.values(1) == BEFORE, told
            assert shared.claims() == claims, told
            assert answer["msg"] and not answer.get("not_undone"), told
        shared.apply(**NEW)
        assert shared.values(0) == shared.values(1) == AFTER, told
        assert shared.apply(**NEW)["writes"] == 0, told
    shared.apply(state="absent")
    shared.sim.reset(0)
    shared.sim.reset(1)


def assert_told(node: GpuNode, answer: dict[str, Any], told: str) -> None:
    """A run that succeeded all the same: what is not new is listed as not applied."""
    left = {(wish["target"], wish["key"]) for wish in answer["unapplied"]}
    keys = ("gpu.power_limit", "gpu.persistence_mode", "gpu.graphics_clocks", "gpu.memory_clocks")
    for index in (0, 1):
        for key, value, old, new in zip(keys, node.values(index), BEFORE, AFTER):
            assert value == (old if (node.uuid(index), key) in left else new), f"{told}: {key}"


def test_no_call_is_missing_above() -> None:
    node = GpuNode()
    node.apply(**OLD)
    node.sim.log()
    node.apply(**NEW)
    made = {call["function"].partition("_v")[0].replace("InitWithFlags", "Init") for call in node.sim.calls()}
    assert made == {function for function, _skip in CALLS}


@pytest.mark.parametrize("error", ERRORS)
def test_persistence_cannot_be_set(error: str) -> None:
    node = GpuNode()
    node.sim.inject("nvmlDeviceSetPersistenceMode", error, gpu=1, times=1)
    answer = node.run(**NEW)
    if error == "GPU_IS_LOST":
        assert answer["degraded"] == ["gpu 1 (H100 80GB HBM3)"] and node.values(0) == AFTER
    else:
        assert answer["failed"] and node.values(0) == FACTORY
    assert node.values(1) == FACTORY
    node.apply(**NEW)
    assert node.values(1) == AFTER


@pytest.mark.parametrize("function", ["nvmlDeviceResetGpuLockedClocks", "nvmlDeviceResetMemoryLockedClocks"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_lock_cannot_be_lifted(function: str, error: str) -> None:
    node = GpuNode()
    node.apply(**NEW)
    node.sim.inject(function, error, times=1)
    answer = node.run(state="absent")
    if error == "GPU_IS_LOST":
        assert answer["degraded"] == ["gpu 0 (H100 80GB HBM3)"] and node.values(1) == FACTORY
    else:
        assert answer["failed"] and node.values(0) == node.values(1) == AFTER
    node.apply(state="absent")
    assert node.values(1) == FACTORY and node.values(0)[2:] == (None, None)


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
    assert "gpu 1 no longer answers" in gone["msg"] and node.values(0) == AFTER
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
    answer = node.run(power_limit=630)
    assert "ask for nothing there" in answer["msg"] and answer["not_undone"] == []
    assert node.values(0) == node.values(1) == FACTORY
    assert node.apply(power_limit={"all": 630, "0": None})["changed"]


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
