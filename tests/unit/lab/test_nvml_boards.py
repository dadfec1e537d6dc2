# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boards that have less: old ones, GeForce, a laptop; and a node of many models."""

from __future__ import annotations

import pytest
from nvml_boards import BOARDS, read_board
from nvml_sim import Simulator, gpu
from nvml_state import SimError, number

VOLTA, AMPERE = 5, 7
EVERY_BOARD = sorted(path.stem for path in BOARDS.glob("*.conf"))


def test_eight_models_in_one_node(simulator: Simulator) -> None:
    simulator.init(",".join(EVERY_BOARD))
    assert len(EVERY_BOARD) >= 8
    with simulator.client() as nvml:
        names = [nvml("nvmlDeviceGetName", gpu(index)) for index in range(len(EVERY_BOARD))]
    assert len(set(names)) == len(EVERY_BOARD)


@pytest.mark.parametrize("name", EVERY_BOARD)
def test_a_board_is_sound(name: str) -> None:
    board = read_board(name)
    low, default, high = (number(board, f"power_{part}_mw") for part in ("min", "default", "max"))
    assert number(board, "idle_power_mw") < default
    assert low <= default <= high
    assert (
        number(board, "graphics_min_mhz")
        < number(board, "graphics_tdp_mhz")
        < number(board, "graphics_max_mhz")
    )
    clocks = [int(word) for word in board["memory_mhz"].split()]
    assert clocks == sorted(clocks, reverse=True)
    assert number(board, "idle_memory_mhz") in clocks
    heat = [number(board, f"{part}_celsius") for part in ("idle", "load", "gpu_max", "slowdown", "shutdown")]
    assert heat == sorted(set(heat))
    assert (number(board, "nvlinks") > 0) == ("nvlink_layout" in board)


@pytest.mark.parametrize("name", EVERY_BOARD)
def test_locks_have_their_floors(simulator: Simulator, name: str) -> None:
    simulator.init(name)
    board = simulator.node.gpu(0, "board")
    architecture, clock = number(board, "architecture"), number(board, "graphics_max_mhz")
    memory = int(board["memory_mhz"].split()[0])
    with simulator.client() as nvml:
        graphics_lock = nvml.error("nvmlDeviceSetGpuLockedClocks", gpu(0), clock, clock)
        memory_lock = nvml.error("nvmlDeviceSetMemoryLockedClocks", gpu(0), memory, memory)
    assert graphics_lock == ("SUCCESS" if architecture >= VOLTA else "NOT_SUPPORTED")
    assert memory_lock == ("SUCCESS" if architecture >= AMPERE else "NOT_SUPPORTED")


@pytest.mark.parametrize("name", ["rtx4090", "rtx4090-laptop"])
def test_geforce(simulator: Simulator, name: str) -> None:
    simulator.init(name)
    with simulator.client() as nvml:
        for function in ("nvmlDeviceGetSerial", "nvmlDeviceGetEccMode", "nvmlDeviceGetRemappedRows"):
            assert nvml.error(function, gpu(0)) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetApplicationsClock", gpu(0), 0) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetMigMode", gpu(0)) == "NOT_SUPPORTED"
        nvml("nvmlDeviceSetPersistenceMode", gpu(0), 1)
        assert nvml("nvmlDeviceGetPersistenceMode", gpu(0)) == 1
        assert nvml.error("nvmlDeviceSetComputeMode", gpu(0), 2) == "SUCCESS"
        assert nvml.error("nvmlDeviceSetComputeMode", gpu(0), 3) == "NOT_SUPPORTED"


def test_a_laptop_shows_a_range_and_takes_no_limit(simulator: Simulator) -> None:
    simulator.init("rtx4090-laptop")
    with simulator.client() as nvml:
        low, high = nvml("nvmlDeviceGetPowerManagementLimitConstraints", gpu(0))
        assert low < high
        assert nvml.error("nvmlDeviceSetPowerManagementLimit", gpu(0), low) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetFanSpeed", gpu(0)) == "NOT_SUPPORTED"
        assert nvml("nvmlDeviceGetNumFans", gpu(0)) == 0


def test_fans_follow_the_temperature(simulator: Simulator) -> None:
    simulator.init("rtx4090")
    speeds = []
    with simulator.client() as nvml:
        for celsius in (35, 60, 80):
            simulator.set(0, "temperature", celsius)
            speeds.append(nvml("nvmlDeviceGetFanSpeed", gpu(0)))
        assert speeds == sorted(set(speeds))
        assert nvml("nvmlDeviceGetFanSpeed_v2", gpu(0), 1) == speeds[-1]
        assert nvml.error("nvmlDeviceGetFanSpeed_v2", gpu(0), 2) == "INVALID_ARGUMENT"


def test_a_condition_does_not_change_what_the_board_is(simulator: Simulator) -> None:
    simulator.set(0, "pcie_width", 8)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetCurrPcieLinkWidth", gpu(0)) == 8
        assert nvml("nvmlDeviceGetMaxPcieLinkWidth", gpu(0)) == 16
    simulator.set(0, "pcie_width", None)
    with pytest.raises(SimError, match="no default"):
        simulator.set(0, "cores", None)
