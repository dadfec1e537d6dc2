# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu_mig module when NVML fails: every function it calls, with every kind of failure, once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from gpu_mig_node import MigNode

OLD: dict[str, Any] = {"mig": ["3g.40gb:0", "2g.20gb:4 (1c)"]}
NEW: dict[str, Any] = {"mig": ["2g.20gb:4", "1g.10gb:0", "1g.10gb:1 (none)"]}
BEFORE, AFTER = OLD["mig"], ["1g.10gb:0", "1g.10gb:1 (none)", "2g.20gb:4"]

READS = (
    "nvmlInit",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetVirtualizationMode",
    "nvmlDeviceGetArchitecture",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetName",
    "nvmlDeviceGetPciInfo",
    "nvmlDeviceGetGpuInstanceProfileInfo",
    "nvmlDeviceGetGpuInstancePossiblePlacements",
    "nvmlDeviceGetGpuInstances",
    "nvmlGpuInstanceGetInfo",
    "nvmlGpuInstanceGetComputeInstanceProfileInfo",
    "nvmlGpuInstanceGetComputeInstancePossiblePlacements",
    "nvmlGpuInstanceGetComputeInstances",
    "nvmlComputeInstanceGetInfo",
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetMPSComputeRunningProcesses",
    "nvmlDeviceGetHandleByUUID",
    "nvmlShutdown",
)
WRITES = (
    "nvmlComputeInstanceDestroy",
    "nvmlGpuInstanceDestroy",
    "nvmlDeviceCreateGpuInstanceWithPlacement",
    "nvmlGpuInstanceCreateComputeInstanceWithPlacement",
)
ERRORS = (
    "NOT_SUPPORTED",
    "NO_PERMISSION",
    "IN_USE",
    "GPU_IS_LOST",
    "RESET_REQUIRED",
    "TIMEOUT",
    "UNKNOWN",
    "FUNCTION_NOT_FOUND",
    "INSUFFICIENT_RESOURCES",
)
LOSSES = ("GPU_IS_LOST", "RESET_REQUIRED")


def plain(function: str) -> str:
    """The name without its version: an injected fault means every version."""
    for end in ("_v2", "_v3", "_v4", "V"):
        function = function.removesuffix(end)
    return "nvmlInit" if function == "nvmlInitWithFlags" else function


def calls_of(node: MigNode, wish: dict[str, Any]) -> Counter[str]:
    """How often a run calls each function."""
    node.sim.log()
    node.sim.calls(clear=True)
    node.apply(**wish)
    found = Counter(plain(call["function"]) for call in node.sim.calls(clear=True))
    node.sim.log(on=False)
    return found


@pytest.fixture(scope="module")
def shared() -> MigNode:
    node = MigNode("h100:2")
    node.apply(**OLD)
    return node


@pytest.fixture(scope="module")
def counts(shared: MigNode) -> Counter[str]:
    found = calls_of(shared, NEW)
    shared.apply(**OLD)
    return found


def layouts(node: MigNode) -> list[list[str]]:
    return [node.layout(0), node.layout(1)]


def test_no_call_is_missing_above(counts: Counter[str]) -> None:
    assert set(counts) == {*READS, *WRITES}


@pytest.mark.parametrize("function", [*READS, *WRITES])
def test_a_call_fails_once(shared: MigNode, counts: Counter[str], function: str) -> None:
    """Afterwards each GPU is old or new as the answer says. Of reads the first and the last one fail."""
    last = counts[function] - 1
    for skip in range(last + 1) if function in WRITES else sorted({0, last}):
        for error in ERRORS:
            if layouts(shared) != [BEFORE, BEFORE]:
                shared.apply(**OLD)
            assert layouts(shared) == [BEFORE, BEFORE]
            claims = shared.claims()
            shared.sim.inject(function, error, skip=skip, times=1)
            answer = shared.run(**NEW)
            shared.sim.clear()
            told = f"{function} {error} after {skip}: {answer.get('msg')}"
            assert list((shared.base / "state" / "journal").glob("*")) == [], told
            if not answer.get("failed"):
                assert_told(shared, answer, told)
            elif answer.get("degraded"):
                # UNKNOWN for a handle is what drivers say of a GPU off the bus as often.
                assert error in LOSSES or (function, error) == ("nvmlDeviceGetHandleByIndex", "UNKNOWN"), told
                (broken,) = answer["degraded"]
                lost = {wish["target_name"] for wish in answer["unapplied"] if wish["reason"] == "lost"}
                assert lost == {broken}, told
                (other,) = [index for index in (0, 1) if not broken.startswith(f"gpu {index}")]
                assert shared.layout(other) == AFTER, told
            else:
                assert layouts(shared) == [BEFORE, BEFORE] and shared.claims() == claims, told
                assert answer["msg"] and not answer.get("not_undone"), told
        shared.apply(**NEW)
        assert layouts(shared) == [AFTER, AFTER], told
        assert shared.apply(**NEW)["writes"] == 0, told


def assert_told(node: MigNode, answer: dict[str, Any], told: str) -> None:
    """A run that succeeded all the same: what is not new is listed as not applied."""
    left = {wish["target"] for wish in answer["unapplied"] if wish["key"] == "gpu_mig.layout"}
    for index in (0, 1):
        assert node.layout(index) == (BEFORE if node.uuid(index) in left else AFTER), told


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("on", [True, False])
def test_the_mode_cannot_be_set(error: str, on: bool) -> None:
    node = MigNode("h100:2")
    if not on:
        node.apply(**OLD)
    wish: dict[str, Any] = OLD if on else {"mig": "disabled"}
    node.sim.inject("nvmlDeviceSetMigMode", error, gpu=1, times=1)
    answer = node.run(**wish)
    assert answer["failed"], answer
    old = (BEFORE if not on else [], (int(not on),) * 2)
    new = (BEFORE if on else [], (int(on),) * 2)
    if error in LOSSES:
        assert answer["degraded"] == ["gpu 1 (H100 80GB HBM3)"]
        assert (node.layout(0), node.mode(0)) == new
    else:
        assert (node.layout(0), node.mode(0)) == (node.layout(1), node.mode(1)) == old, answer["msg"]
        assert "gpu_mig.mode (gpu 1" in answer["msg"] and answer["not_undone"] == []
    node.apply(**wish)
    assert (node.layout(1), node.mode(1)) == new


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("nvmlGpuInstanceDestroy", "3g.40gb:0 cannot be destroyed: it is in use; stop what uses it"),
        (
            "nvmlComputeInstanceDestroy",
            "the compute instance 3c of 3g.40gb:0 cannot be destroyed: it is in use",
        ),
    ],
)
def test_what_is_taken_into_use_meanwhile(function: str, words: str) -> None:
    node = MigNode("h100:1")
    node.apply(**OLD)
    node.sim.inject(function, "IN_USE", times=1)
    answer = node.run(**NEW)
    assert words in answer["msg"] and "every change of this run was undone" in answer["msg"]
    assert node.layout() == BEFORE


def test_no_room_is_said_in_words() -> None:
    node = MigNode("h100:1")
    node.apply(**OLD)
    node.sim.inject("nvmlDeviceCreateGpuInstanceWithPlacement", "INSUFFICIENT_RESOURCES", times=1)
    answer = node.run(**NEW)
    assert "1g.10gb:0 cannot be created: the driver has no room for it" in answer["msg"]
    assert node.layout() == BEFORE


def test_what_cannot_be_undone_is_said_and_mended_by_the_next_run() -> None:
    node = MigNode("h100:2")
    node.apply(**OLD)
    node.sim.inject("nvmlDeviceCreateGpuInstanceWithPlacement", "UNKNOWN", gpu=1)
    answer = node.run(**NEW)
    assert [(item["key"], item["target"]) for item in answer["not_undone"]] == [
        ("gpu_mig.layout", node.uuid(1))
    ]
    assert node.layout(0) == BEFORE and "1 of 2 changes could not be undone" in answer["msg"]
    node.sim.clear()
    mended = node.apply(**OLD)
    assert mended["interrupted"] and layouts(node) == [BEFORE, BEFORE]
    assert node.apply(**OLD)["writes"] == 0


@pytest.mark.parametrize("function", WRITES)
def test_a_gpu_falls_off_the_bus_between_two_calls(function: str) -> None:
    node = MigNode("h100:2")
    node.apply(**OLD)
    node.sim.inject(function, "GPU_IS_LOST", gpu=1)
    answer = node.run(**NEW)
    assert answer["failed"] and answer["degraded"] == ["gpu 1 (H100 80GB HBM3)"]
    assert {wish["reason"] for wish in answer["unapplied"]} == {"lost"} and node.layout(0) == AFTER
    node.sim.clear()
    node.sim.lose(1)
    gone = node.run(**NEW)
    assert gone["failed"] and gone["degraded"][0].startswith("gpu 1") and gone["changes"] == []
    node.sim.find(1)
    node.apply(**NEW)
    assert layouts(node) == [AFTER, AFTER]


def test_removal_gives_the_others_back_when_one_is_lost() -> None:
    node = MigNode("h100:2")
    node.apply(**OLD)
    node.sim.lose(1)
    gone = node.apply(state="absent")
    assert node.mode(0) == (0, 0) and not node.claims()
    assert any("is forgotten" in note for note in gone["notes"])
