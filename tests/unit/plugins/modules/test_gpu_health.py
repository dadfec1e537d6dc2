# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module on GPUs that are not well."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_node import GpuNode

NEW_DRIVER = "570.86.10"
"""The first branch that tells a recovery action."""

WISHES: dict[str, Any] = {"power_limit": 630, "graphics_clocks": "345-1200"}
FACTORY = (700, False, None, None)
TUNED = (630, True, [345, 1200], None)
LABEL = "gpu 1 (H100 80GB HBM3)"
ACTIONS = {"gpu_reset": 1, "node_reboot": 2, "drain_and_reset": 4, "bus_reset": 6, "system_reboot": 7}


def told(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(entry["severity"], entry["what"], entry["target_name"]) for entry in answer["attention"]]


def outside(node: GpuNode, index: int, key: str, value: Any) -> None:
    """Sets what the board does at the moment, also where the board has a key of that name for what it can."""
    with node.sim.node.locked():
        node.sim.node.change(f"gpu{index}.outside", **{key: str(value)})


@pytest.mark.parametrize(
    ("board", "key", "value", "severity", "what"),
    [
        ("h100", "ecc_uncorrected", 2, "critical", "ecc_uncorrected"),
        ("h100", "remapping_failed", 1, "critical", "row_remap_failure"),
        ("h100", "remapping_pending", 1, "warning", "row_remap_pending"),
        ("h100", "throttle_reasons", "0x88", "warning", "power_brake"),
        ("h100", "throttle_reasons", "0x40", "warning", "thermal_throttle"),
        ("h100", "throttle_reasons", "0x8", "warning", "hw_slowdown"),
        ("h100", "pcie_width", 8, "warning", "pcie_width"),
        ("h100", "nvlink_down", "3", "warning", "nvlink_down"),
        ("t4", "retired_pending", 1, "warning", "retired_pages_pending"),
    ],
)
def test_what_is_wrong_is_told_by_every_run(
    board: str, key: str, value: Any, severity: str, what: str
) -> None:
    node = GpuNode(f"{board}:2")
    outside(node, 1, key, value)
    label = "gpu 1 (T4)" if board == "t4" else LABEL
    for given in ({}, {"check": True}, {"persistence_mode": True}, {"persistence_mode": True}):
        answer = node.apply(**given)
        assert told(answer) == [(severity, what, label)]
        assert answer["attention"][0]["target"] == node.uuid(1)
    assert node.values(1)[1], "a GPU that only needs a look is set like the others"


def test_a_healthy_node_needs_none() -> None:
    node = GpuNode("h100:2,t4:1,l40s:1", driver=NEW_DRIVER)
    for index in range(4):
        node.sim.set(index, "utilization", 100)
    assert node.apply(power_limit="90%default")["attention"] == []


def test_a_cap_of_another_hand() -> None:
    node = GpuNode()
    node.sim.set(1, "power_cap_mw", 400_000)
    (entry,) = [item for item in node.apply()["attention"] if item["what"] == "power_capped"]
    assert "enforced are 400 W, the limit is 700 W" in entry["detail"]


@pytest.mark.parametrize(("load", "told_of"), [(0, False), (100, True)])
def test_an_idle_link_runs_slower_on_purpose(load: int, told_of: bool) -> None:
    node = GpuNode("h100:1")
    outside(node, 0, "pcie_generation", 1)
    node.sim.set(0, "utilization", load)
    assert ("pcie_generation" in [entry["what"] for entry in node.apply()["attention"]]) == told_of


def test_a_node_whose_links_are_all_alike_has_none_down() -> None:
    node = GpuNode()
    for index in (0, 1):
        node.sim.set(index, "nvlink_down", "0-13")
    assert node.apply()["attention"] == []


# -- GPUs that are left out


def test_the_others_get_their_new_state() -> None:
    node = GpuNode()
    node.sim.lose(1)
    answer = node.run(**WISHES)
    assert answer["failed"] and answer["msg"].startswith("degraded: gpu 1 (0000:43:00.0) left out")
    assert node.values(0) == TUNED and answer["degraded"] == ["gpu 1 (0000:43:00.0)"]
    assert {(wish["key"], wish["reason"], wish["wanted"]) for wish in answer["unapplied"]} == {
        ("gpu.power_limit", "lost", 630),
        ("gpu.graphics_clocks", "lost", "345-1200"),
    }
    assert told(answer) == [("critical", "lost", "gpu 1 (0000:43:00.0)")]
    again = node.run(**WISHES)
    assert again["degraded"] and not again["changed"] and again["writes"] == 0
    node.sim.find(1)
    assert not node.apply(**WISHES)["degraded"] and node.values(1) == TUNED


def test_a_gpu_whose_handle_is_an_unknown_error_is_lost() -> None:
    """So drivers say it, too."""
    node = GpuNode()
    node.sim.inject("nvmlDeviceGetHandleByIndex", "UNKNOWN", skip=1)
    answer = node.run(**WISHES)
    assert answer["degraded"] == ["gpu 1 (0000:43:00.0)"] and node.values(0) == TUNED
    node.sim.clear()
    node.sim.inject("nvmlDeviceGetHandleByIndex", "TIMEOUT", skip=1)
    failed = node.run(**WISHES)
    assert failed["failed"] and "degraded" not in failed, "any other error is no lost GPU"


def test_claims_of_a_lost_gpu_stay_and_its_locks_are_set_again() -> None:
    """A reset takes limit and lock away without a trace in NVML, and the memory of locks outlives it."""
    node = GpuNode()
    node.apply(**WISHES)
    first = node.claims()
    node.sim.lose(1)
    assert node.run(check=True, **WISHES)["writes"] == 0
    (change,) = node.run(**WISHES)["changes"]
    assert (change["key"], change["target"]) == ("gpu.lock_memory", node.uuid(1))
    assert node.claims() == first
    again = node.run(**WISHES)
    assert again["writes"] == 0 and not again["changed"] and again["degraded"]
    node.sim.find(1)
    node.sim.set(1, "lock_graphics_min_mhz", None)
    node.sim.set(1, "lock_graphics_max_mhz", None)
    node.apply(**WISHES)
    assert node.values(1) == TUNED and node.claims() == first
    assert node.apply(**WISHES)["writes"] == 0
    node.apply(state="absent")
    assert node.values(0) == node.values(1) == FACTORY


def test_in_report_mode_nothing_is_forgotten() -> None:
    node = GpuNode()
    node.apply(**WISHES)
    node.sim.lose(1)
    answer = node.run(manage="report", **WISHES)
    assert answer["degraded"] and not answer["changes"]
    assert {wish["reason"] for wish in answer["unapplied"]} == {"lost"}


def test_a_failed_run_forgets_the_locks_all_the_same() -> None:
    """They are unknown either way; what was set on the others is undone."""
    node = GpuNode()
    node.apply(**WISHES)
    node.sim.lose(1)
    node.sim.inject("nvmlDeviceSetPowerManagementLimit", "TIMEOUT", times=1)
    answer = node.run(power_limit=500, graphics_clocks="345-1200")
    assert answer["failed"] and not answer["not_undone"] and node.values(0) == TUNED
    node.sim.find(1)
    node.apply(**WISHES)
    assert node.values(1) == TUNED


@pytest.mark.parametrize("action", ACTIONS)
def test_a_gpu_that_wants_a_reset_is_left_out(action: str) -> None:
    node = GpuNode(driver=NEW_DRIVER)
    node.sim.set(1, "recovery_action", ACTIONS[action])
    answer = node.run(**WISHES)
    assert answer["degraded"] == [LABEL] and (node.values(0), node.values(1)) == (TUNED, FACTORY)
    assert {wish["target"] for wish in answer["unapplied"]} == {node.uuid(1)}
    assert "the driver asks for" in answer["unapplied"][0]["detail"]
    assert told(answer) == [("critical", "recovery_action", LABEL)]
    node.sim.set(1, "recovery_action", None)
    node.apply(**WISHES)
    assert node.values(1) == TUNED


@pytest.mark.parametrize("number", [3, 5])
def test_a_gpu_whose_peers_are_the_trouble_is_set(number: int) -> None:
    node = GpuNode(driver=NEW_DRIVER)
    node.sim.set(1, "recovery_action", number)
    answer = node.apply(**WISHES)
    assert told(answer) == [("critical", "recovery_action", LABEL)] and node.values(1) == TUNED


def test_older_drivers_do_not_tell() -> None:
    node = GpuNode(driver="550.163.01")
    node.sim.set(1, "recovery_action", 1)
    assert node.apply(**WISHES)["attention"] == [] and node.values(1) == TUNED


def test_check_mode_tells_the_same() -> None:
    node = GpuNode()
    node.sim.lose(1)
    answer = node.run(check=True, **WISHES)
    assert answer["degraded"] and node.values(0) == FACTORY and answer["writes"] == 0
    assert {change["target"] for change in answer["changes"]} == {node.uuid(0)}


@pytest.mark.parametrize("limits", [{"1": None, "all": 630}, {"0": 630}])
def test_who_asks_nothing_of_the_lost_one_does_not_fail(limits: dict[str, Any]) -> None:
    node = GpuNode()
    node.sim.lose(1)
    answer = node.apply(power_limit=limits)
    assert node.values(0)[0] == 630 and told(answer) == [("critical", "lost", "gpu 1 (0000:43:00.0)")]


@pytest.mark.parametrize("by", ["uuid", "index", "address"])
def test_a_lost_gpu_that_is_named_is_no_mistake(by: str) -> None:
    node = GpuNode()
    name = {"uuid": node.uuid(1), "index": "1", "address": "0000:43:00.0"}[by]
    node.sim.lose(1)
    answer = node.run(power_limit={name: 500, "all": 630})
    assert [wish["wanted"] for wish in answer["unapplied"]] == [500] and node.values(0)[0] == 630


def test_expected_gpus_must_work() -> None:
    node = GpuNode()
    node.sim.lose(1)
    answer = node.run(**WISHES, expect={"gpu": "H100 80GB HBM3", "count": 2})
    assert "found 1 × H100 80GB HBM3 (gpu 1 (0000:43:00.0): gpu 1 no longer answers" in answer["msg"]
    assert "degraded" not in answer and node.values(0) == FACTORY


def test_all_gpus_are_lost() -> None:
    node = GpuNode()
    node.sim.lose(0)
    node.sim.lose(1)
    answer = node.run(**WISHES)
    assert len(answer["degraded"]) == 2 and len(answer["attention"]) == 2 and not answer["changed"]


def test_removal_waits_for_a_reset() -> None:
    node = GpuNode(driver=NEW_DRIVER)
    node.apply(**WISHES)
    node.sim.set(1, "recovery_action", 1)
    answer = node.run(state="absent")
    assert answer["degraded"] == [LABEL] and node.values(0) == FACTORY
    node.sim.set(1, "recovery_action", None)
    node.apply(state="absent")
    assert node.values(1) == FACTORY and not node.claims()


# -- a look that fails

HEALTH_CALLS = (
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetCurrPcieLinkWidth",
    "nvmlDeviceGetMaxPcieLinkWidth",
    "nvmlDeviceGetPerformanceState",
    "nvmlDeviceGetCurrPcieLinkGeneration",
    "nvmlDeviceGetMaxPcieLinkGeneration",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetTemperatureThreshold",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetRemappedRows",
    "nvmlDeviceGetRetiredPagesPendingStatus",
    "nvmlDeviceGetPcieReplayCounter",
)
ERRORS = (
    "UNINITIALIZED", "INVALID_ARGUMENT", "NOT_SUPPORTED", "NO_PERMISSION", "NOT_FOUND", "DRIVER_NOT_LOADED",
    "TIMEOUT", "LIB_RM_VERSION_MISMATCH", "MEMORY", "UNKNOWN",
)  # fmt: skip


@pytest.fixture(scope="module")
def busy() -> GpuNode:
    """Hot and at work, so that every call is made; without fields, so that those in their place are, too."""
    node = GpuNode()
    node.sim.set(1, "utilization", 100)
    node.sim.set(1, "throttle_reasons", "0x40")
    return node


@pytest.mark.parametrize("function", HEALTH_CALLS)
def test_a_look_that_fails_keeps_nothing_from_being_set(busy: GpuNode, function: str) -> None:
    others = [name for name in ("nvmlDeviceGetFieldValues",) if name != function]
    for error in ERRORS:
        for name in others:
            busy.sim.inject(name, "NOT_SUPPORTED", gpu=1)
        busy.sim.inject(function, error, gpu=1)
        answer = busy.run(power_limit=630)
        busy.sim.clear()
        assert not answer.get("failed"), f"{error}: {answer.get('msg')}"
        assert busy.values(1)[0] == 630, error
        busy.apply(power_limit=700)


def test_a_look_at_a_gpu_that_falls_off_the_bus() -> None:
    for function in ("nvmlDeviceGetFieldValues", "nvmlDeviceGetMaxPcieLinkWidth"):
        node = GpuNode()
        node.sim.inject(function, "GPU_IS_LOST", gpu=1)
        answer = node.run(**WISHES)
        assert answer["degraded"] == [LABEL] and node.values(0) == TUNED, function
        assert {wish["target"] for wish in answer["unapplied"]} == {node.uuid(1)}


@pytest.mark.parametrize(("board", "calls"), [("h100", 5), ("l40s", 4), ("t4", 5)])
def test_how_many_calls_a_look_takes(board: str, calls: int) -> None:
    """Fields, links, throttle reasons, two of PCIe; before Ampere the rows are asked for in vain."""
    node = GpuNode(f"{board}:8", driver=NEW_DRIVER)
    node.sim.log()
    node.apply()
    made = [call["function"].partition("_v")[0] for call in node.sim.calls() if call["gpu"] == 3]
    assert sum(name in HEALTH_CALLS for name in made) == calls


# -- gpu_info


def test_gpu_info_tells_health() -> None:
    node = GpuNode(driver=NEW_DRIVER)
    node.sim.set(1, "recovery_action", 4)
    node.sim.set(1, "ecc_uncorrected", 2)
    node.sim.set(1, "nvlink_down", "0-1")
    first, second = (gpu["health"] for gpu in node.apply(module="gpu_info")["gpus"])
    assert (first["recovery_action"], first["attention"]) == ("none", [])
    assert (first["pcie_width"], first["nvlinks"], first["nvlinks_active"]) == (16, 18, 18)
    assert first["temperature"] > 0 and first["slowdown_temperature"] > first["temperature"]
    assert (second["recovery_action"], second["ecc_uncorrected"]) == ("drain_and_reset", 2)
    assert [entry["what"] for entry in second["attention"]] == [
        "recovery_action",
        "ecc_uncorrected",
        "nvlink_down",
    ]


@pytest.mark.parametrize("driver", ["535.261.03", "550.163.01", "595.10.01"])
def test_gpu_info_without_fields(driver: str) -> None:
    """The same is had by functions of their own."""
    node = GpuNode("h100:1,t4:1", driver=driver)
    node.sim.set(1, "retired_dbe", 3)
    node.sim.inject("nvmlDeviceGetFieldValues", "NOT_SUPPORTED")
    first, second = (gpu["health"] for gpu in node.apply(module="gpu_info")["gpus"])
    assert (first["recovery_action"], first["ecc_uncorrected"], first["remap_failed"]) == (
        "unknown",
        0,
        False,
    )
    assert (first["nvlinks_active"], first["pcie_replays"], first["retired_pages"]) == (18, 0, None)
    assert (second["remapped_rows"], second["retired_pages"], second["retirement_pending"]) == (
        None,
        3,
        False,
    )


def test_what_a_board_refused_is_known_until_the_driver_is_loaded_again() -> None:
    """A laptop lists a range of limits and takes none of it."""
    node = GpuNode("l40s:1")
    node.sim.set(0, "power_settable", 0)
    (node.root / "run").mkdir()
    (node.root / "run" / "swarm_node").symlink_to(node.base / "run")
    assert node.apply(module="gpu_info")["gpus"][0]["support"]["power_limit"] == "yes"
    node.run(power_limit=300)
    told_now = node.apply(module="gpu_info")["gpus"][0]["support"]
    assert (
        told_now["power_limit"].startswith("the driver refused it") and told_now["graphics_clocks"] == "yes"
    )


def test_a_gpu_that_cannot_be_read_for_its_support() -> None:
    node = GpuNode("l40s:1")
    node.sim.inject("nvmlDeviceGetDefaultEccMode", "UNKNOWN")
    (gpu,) = node.apply(module="gpu_info")["gpus"]
    assert gpu["support"] is None and gpu["lost"] is None


OPTIONS = {
    "power_limit",
    "graphics_clocks",
    "memory_clocks",
    "persistence_mode",
    "compute_mode",
    "ecc",
    "mig",
}


def test_gpu_info_tells_what_can_be_set() -> None:
    node = GpuNode("h100:1,t4:1,l40s:1")
    node.sim.set(2, "virtualization", 2)
    h100, t4, guest = (gpu["support"] for gpu in node.apply(module="gpu_info")["gpus"])
    assert h100.keys() == t4.keys() and h100.keys() >= OPTIONS
    assert set(h100.values()) == {"yes"}
    refused = {name for name, reason in t4.items() if reason != "yes"}
    assert refused == {"memory_clocks", "mig"} and "Ampere" in t4["memory_clocks"]
    assert {reason[:12] for reason in guest.values()} == {"a vGPU guest"}
