# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every NVML function that gpu_info's topology and details call fails, one by one and all at once."""

from __future__ import annotations

from typing import Any

import pytest
from topology_node import TopologyNode

NULLED = ("NOT_SUPPORTED", "NO_PERMISSION", "UNKNOWN", "FUNCTION_NOT_FOUND", "TIMEOUT")
EVERYBODY = ("nvmlInit", "nvmlShutdown", "nvmlSystem", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex")
"""Without these there is nothing to be read at all; test_gpu_info.py has what happens then."""

OF_PAIRS = ("nvmlDeviceGetTopologyCommonAncestor", "nvmlDeviceGetP2PStatus", "nvmlDeviceGetHandleByUUID")
"""With two GPUs it is not told which one was lost; their relation is null."""

OURS = (
    "nvmlDeviceGetNvLinkState",
    "nvmlDeviceGetCpuAffinity",
    "nvmlDeviceGetGpuFabricInfoV",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetPcieThroughput",
    "nvmlDeviceGetViolationStatus",
    "nvmlDeviceGetEncoderStats",
    "nvmlDeviceGetBAR1MemoryInfo",
    "nvmlDeviceGetNumFans",
    "nvmlDeviceGetGspFirmwareMode",
    "nvmlDeviceGetBoardId",
)
"""Some of those that only the topology and the details call."""


def called(node: TopologyNode, before: tuple[str, ...]) -> set[str]:
    """Functions gpu_info calls, but those whose name begins with one of `before`."""
    node.sim.log()
    node.info()
    names = {call["function"] for call in node.sim.calls(clear=True)}
    node.sim.log(False)
    return {name for name in names if not name.startswith(before)}


@pytest.fixture(scope="module")
def node() -> TopologyNode:
    return TopologyNode("h100:2", nics=2)


@pytest.fixture(scope="module")
def functions(node: TopologyNode) -> list[str]:
    found = sorted({*called(node, EVERYBODY), "nvmlDeviceGetGpuFabricInfo"})
    assert {"nvmlDeviceGetNvLinkState", "nvmlDeviceGetP2PStatus", "nvmlDeviceGetGpuFabricInfoV"} <= set(found)
    return found


def run(node: TopologyNode, functions: list[str], error: str, **where: Any) -> dict[str, Any]:
    node.sim.clear()
    for function in functions:
        node.sim.inject(function, error, **where)
    try:
        return node.info()
    finally:
        node.sim.clear()


@pytest.mark.parametrize("error", NULLED)
def test_when_everything_fails_the_module_does_not(
    node: TopologyNode, functions: list[str], error: str
) -> None:
    found = run(node, [name for name in functions if name != "nvmlDeviceGetUUID"], error)
    first = found["topology"]["gpus"][0]
    assert (first["nvlinks"], first["own_numa_node"], len(found["gpus"])) == ([], None, 2)
    assert not first["peers"][0]["p2p"] or set(first["peers"][0]["p2p"].values()) == {None}
    assert found["fabric"]["gpus"][0]["state"] is None and found["fabric"]["verdict"] == "failed"


@pytest.mark.parametrize("error", ["UNKNOWN", "GPU_IS_LOST"])
def test_each_failure_alone(node: TopologyNode, functions: list[str], error: str) -> None:
    """A failure is null for the piece; a loss is said by the GPU it happened to, and by no other."""
    for function in functions:
        found = run(node, [function], error, gpu=0)
        entries = [found["gpus"], found["topology"]["gpus"], found["fabric"]["gpus"]]
        assert [entry[1]["lost"] for entry in entries] == [None] * 3, function
        losses = [entry[0]["lost"] for entry in entries if entry[0]["lost"]]
        if function in OURS:
            assert bool(losses) is (error == "GPU_IS_LOST"), function
        elif function in OF_PAIRS:
            assert not losses, function
            values = set(found["topology"]["gpus"][0]["peers"][0]["p2p"].values())
            assert values == ({None} if function == "nvmlDeviceGetP2PStatus" else {"ok"}), function
