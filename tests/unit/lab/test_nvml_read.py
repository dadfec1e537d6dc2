# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated board says about itself, asked by unmodified pynvml."""

from __future__ import annotations

import pytest
from nvml_sim import Simulator, gpu

MEMORY_CLOCK = 2

# board: name, power min/default/max in W, memory clocks and graphics range in MHz, PCI device, capability
BOARDS = {
    "a100": ("NVIDIA A100-SXM4-40GB", (100, 400, 400), [1215], (210, 1410), 0x20B0, [8, 0]),
    "h100": ("NVIDIA H100 80GB HBM3", (200, 700, 700), [2619, 1593], (345, 1980), 0x2330, [9, 0]),
    "b200": ("NVIDIA B200", (200, 1000, 1000), [3996, 3402], (120, 1965), 0x2901, [10, 0]),
    "gb200": ("NVIDIA GB200", (200, 1200, 1200), [3996], (120, 2062), 0x2941, [10, 0]),
    "l40s": ("NVIDIA L40S", (100, 350, 350), [9001, 405], (210, 2520), 0x26B9, [8, 9]),
    "t4": ("Tesla T4", (60, 70, 70), [5001, 405], (300, 1590), 0x1EB8, [7, 5]),
}


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_board_matches_the_capture(simulator: Simulator, board: str) -> None:
    name, (low, default, high), memory, (slowest, fastest), device, capability = BOARDS[board]
    simulator.init(board)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetName", gpu(0)) == name
        assert nvml("nvmlDeviceGetPowerManagementLimitConstraints", gpu(0)) == [low * 1000, high * 1000]
        assert nvml("nvmlDeviceGetPowerManagementDefaultLimit", gpu(0)) == default * 1000
        assert nvml("nvmlDeviceGetPowerManagementLimit", gpu(0)) == default * 1000
        assert nvml("nvmlDeviceGetSupportedMemoryClocks", gpu(0)) == memory
        clocks = nvml("nvmlDeviceGetSupportedGraphicsClocks", gpu(0), memory[0])
        assert (clocks[0], clocks[-1]) == (fastest, slowest)
        assert {(clock - slowest) % 15 for clock in clocks[1:]} == {0}
        assert clocks == sorted(set(clocks), reverse=True)
        assert nvml.error("nvmlDeviceGetSupportedGraphicsClocks", gpu(0), memory[0] + 1) == "NOT_FOUND"
        assert nvml("nvmlDeviceGetPciInfo", gpu(0))["pciDeviceId"] == device << 16 | 0x10DE
        assert nvml("nvmlDeviceGetCudaComputeCapability", gpu(0)) == capability
        assert nvml("nvmlDeviceGetMaxClockInfo", gpu(0), MEMORY_CLOCK) == memory[0]


def test_every_way_to_a_handle_finds_the_same_gpu(simulator: Simulator) -> None:
    simulator.init("h100:9")
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetCount") == 9
        for index in (0, 7, 8):
            uuid = nvml("nvmlDeviceGetUUID", gpu(index))
            bus = nvml("nvmlDeviceGetPciInfo", gpu(index))["busId"]
            assert uuid.startswith("GPU-")
            assert nvml("nvmlDeviceGetHandleByUUID", uuid) == gpu(index)
            assert nvml("nvmlDeviceGetHandleByPciBusId", bus) == gpu(index)
            assert nvml("nvmlDeviceGetHandleByPciBusId", bus.lower()[4:-2]) == gpu(index)
            assert nvml("nvmlDeviceGetMinorNumber", gpu(index)) == index
        assert nvml.error("nvmlDeviceGetHandleByIndex", 9) == "INVALID_ARGUMENT"
        assert nvml.error("nvmlDeviceGetHandleByUUID", "GPU-0") == "NOT_FOUND"
        assert nvml.error("nvmlDeviceGetHandleByPciBusId", "0000:ff:00.0") == "NOT_FOUND"
        assert nvml.error("nvmlDeviceGetHandleByPciBusId", "elsewhere") == "INVALID_ARGUMENT"


def test_mixed_node(simulator: Simulator) -> None:
    simulator.init("l40s:2,t4:1")
    with simulator.client() as nvml:
        names = [nvml("nvmlDeviceGetName", gpu(index)) for index in range(3)]
    assert names == ["NVIDIA L40S", "NVIDIA L40S", "Tesla T4"]


def test_versions(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        assert nvml("nvmlSystemGetDriverVersion") == "550.163.01"
        assert nvml("nvmlSystemGetNVMLVersion") == "12.550.163.01"
        assert nvml("nvmlSystemGetCudaDriverVersion") == 12040


def test_processes_memory_and_load(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        before = nvml("nvmlDeviceGetMemoryInfo", gpu(0))
        assert nvml("nvmlDeviceGetComputeRunningProcesses", gpu(0)) == []
        assert nvml("nvmlDeviceGetUtilizationRates", gpu(0))["gpu"] == 0
        simulator.process(0, 4242, 1000)
        after = nvml("nvmlDeviceGetMemoryInfo", gpu(0))
        assert after["used"] - before["used"] == 1000 * 2**20
        assert after["used"] + after["free"] == after["total"]
        (process,) = nvml("nvmlDeviceGetComputeRunningProcesses", gpu(0))
        assert (process["pid"], process["usedGpuMemory"]) == (4242, 1000 * 2**20)
        assert nvml("nvmlDeviceGetUtilizationRates", gpu(0))["gpu"] == 100
        assert nvml("nvmlDeviceGetUtilizationRates", gpu(1))["gpu"] == 0
        assert nvml("nvmlDeviceGetPowerUsage", gpu(0)) == 700_000


def test_topology(simulator: Simulator) -> None:
    simulator.init("h100:4", numa_nodes=2)
    with simulator.client() as nvml:
        ancestor = [nvml("nvmlDeviceGetTopologyCommonAncestor", gpu(0), gpu(other)) for other in range(4)]
        assert ancestor == [0, 40, 50, 50]
        assert nvml("nvmlDeviceGetP2PStatus", gpu(0), gpu(3), 2) == 0
        assert nvml("nvmlDeviceGetMemoryAffinity", gpu(3), 1, 0) == [0b10]
        assert nvml("nvmlDeviceGetCpuAffinity", gpu(0), 4)[0] != 0
        assert nvml.error("nvmlDeviceGetNumaNodeId", gpu(0)) == "NOT_SUPPORTED"


def test_what_a_board_lacks(simulator: Simulator) -> None:
    simulator.init("t4:1")
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetFanSpeed", gpu(0)) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetMigMode", gpu(0)) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetRemappedRows", gpu(0)) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetInforomImageVersion", gpu(0)) == "NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("driver", "expected"), [("550.163.01", "FUNCTION_NOT_FOUND"), ("570.172.08", "SUCCESS")]
)
def test_a_function_newer_than_the_driver_is_missing(
    simulator: Simulator, driver: str, expected: str
) -> None:
    simulator.init("h100:1", driver=driver)
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetTemperatureV", gpu(0), 0) == expected


def test_old_driver_lacks_the_event_reasons(simulator: Simulator) -> None:
    simulator.init("h100:1", driver="525.147.05")
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetCurrentClocksEventReasons", gpu(0)) == "FUNCTION_NOT_FOUND"
        assert nvml("nvmlDeviceGetCurrentClocksThrottleReasons", gpu(0)) == 1
