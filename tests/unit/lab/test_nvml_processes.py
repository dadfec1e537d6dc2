# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes on a simulated GPU: compute modes, accounting, two at once, and one that died."""

from __future__ import annotations

import pytest
from nvml_processes import refusal
from nvml_sim import Simulator, gpu
from nvml_state import SimError

PROHIBITED, EXCLUSIVE = 2, 3
MIB = 2**20


def test_exclusive_process(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetComputeMode", gpu(0), EXCLUSIVE)
        simulator.process(0, 77, 100)
        simulator.process(0, 77, 200)
        with pytest.raises(SimError, match="EXCLUSIVE_PROCESS, and process 77"):
            simulator.process(0, 78, 100)
        simulator.process(1, 78, 100)
        simulator.process(0, 77, None)
        simulator.process(0, 78, 100)
        assert simulator.gpu(0)["processes"] == {78: 100}


def test_prohibited(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        simulator.process(0, 77, 100)
        nvml("nvmlDeviceSetComputeMode", gpu(0), PROHIBITED)
        with pytest.raises(SimError, match="PROHIBITED"):
            simulator.process(0, 78, 100)
        assert simulator.gpu(0)["processes"] == {77: 100}, "who is there stays"
        simulator.node.process(0, 78, 100, force=True)
        simulator.process(0, 77, None)
        assert simulator.gpu(0)["processes"] == {78: 100}


def test_two_processes_share_a_gpu(simulator: Simulator) -> None:
    simulator.process(0, 77, 100)
    simulator.process(0, 78, 300)
    with simulator.client() as nvml:
        found = nvml("nvmlDeviceGetComputeRunningProcesses", gpu(0))
        assert {item["pid"]: item["usedGpuMemory"] for item in found} == {77: 100 * MIB, 78: 300 * MIB}
        simulator.process(0, 77, None)
        assert nvml("nvmlDeviceGetUtilizationRates", gpu(0))["gpu"] == 100
        simulator.process(0, 78, None)
        assert nvml("nvmlDeviceGetUtilizationRates", gpu(0))["gpu"] == 0


def test_a_dead_client_leaves_the_processes(simulator: Simulator) -> None:
    simulator.process(0, 77, 100)
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), 400_000)
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(1), 400_000)
        nvml.kill()
    simulator.node.advance(1)
    limits = [simulator.gpu(index)["power_limit_mw"] for index in (0, 1)]
    assert limits == [400_000, 700_000]


@pytest.mark.parametrize(
    ("mode", "instance", "refused"),
    [
        (EXCLUSIVE, "1 0", True),
        (EXCLUSIVE, "2 0", False),
        (EXCLUSIVE, "1 1", False),
        (PROHIBITED, "2 0", True),
    ],
)
def test_each_mig_device_has_its_own_compute_mode(mode: int, instance: str, refused: bool) -> None:
    modes = {f"mode{instance.replace(' ', '.')}": str(mode)}
    assert bool(refusal({}, modes, {"77": "100 1 0"}, 78, instance)) == refused
    assert not refusal({"compute_mode": str(PROHIBITED)}, {}, {}, 78, instance)


def test_accounting(simulator: Simulator) -> None:
    simulator.node.set_node("clock_us", "1000000000")
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetAccountingBufferSize", gpu(0)) == 4000
        assert nvml.error("nvmlDeviceGetAccountingPids", gpu(0)) == "NOT_SUPPORTED"
        simulator.process(0, 76, 50)
        nvml("nvmlDeviceSetAccountingMode", gpu(0), 1)
        simulator.process(0, 77, 100)
        simulator.node.advance(2)
        simulator.process(0, 77, 60)
        assert nvml("nvmlDeviceGetAccountingPids", gpu(0)) == [77]
        running = nvml("nvmlDeviceGetAccountingStats", gpu(0), 77)
        assert (running["isRunning"], running["time"], running["startTime"]) == (1, 0, 1_000_000_000)
        assert (running["gpuUtilization"], running["maxMemoryUsage"]) == (100, 100 * MIB)
        simulator.process(0, 77, None)
        ended = nvml("nvmlDeviceGetAccountingStats", gpu(0), 77)
        assert (ended["isRunning"], ended["time"], ended["maxMemoryUsage"]) == (0, 2000, 100 * MIB)
        assert nvml.error("nvmlDeviceGetAccountingStats", gpu(0), 76) == "NOT_FOUND"
        simulator.process(0, 78, 10)
        nvml("nvmlDeviceClearAccountingPids", gpu(0))
        assert nvml("nvmlDeviceGetAccountingPids", gpu(0)) == [78]
        simulator.reboot()
        nvml("nvmlDeviceSetAccountingMode", gpu(0), 1)
        assert nvml("nvmlDeviceGetAccountingPids", gpu(0)) == []
    with simulator.client(privileged=False) as nvml:
        assert nvml.error("nvmlDeviceClearAccountingPids", gpu(0)) == "NO_PERMISSION"
