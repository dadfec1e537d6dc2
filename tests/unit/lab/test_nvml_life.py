# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long things last on the simulated GPUs: clients, driver, reboot, lost GPUs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nvml_sim import NvmlFailed, Simulator, gpu
from nvml_state import SimError, start_time

LIMIT = 500_000


def test_limits_vanish_with_the_last_client(simulator: Simulator) -> None:
    with simulator.client() as first:
        with simulator.client() as second:
            second("nvmlDeviceSetPowerManagementLimit", gpu(0), LIMIT)
            second("nvmlDeviceSetGpuLockedClocks", gpu(0), 1005, 1500)
            second("nvmlDeviceSetComputeMode", gpu(0), 3)
        assert first("nvmlDeviceGetPowerManagementLimit", gpu(0)) == LIMIT
    after = simulator.gpu(0)
    assert after["power_limit_mw"] == 700_000
    assert after["lock_graphics_mhz"] is None
    assert after["compute_mode"] == 3


def test_persistence_mode_keeps_them(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetPersistenceMode", gpu(0), 1)
        for index in (0, 1):
            nvml("nvmlDeviceSetPowerManagementLimit", gpu(index), LIMIT)
    assert [simulator.gpu(index)["power_limit_mw"] for index in (0, 1)] == [LIMIT, 700_000]


def test_a_running_process_keeps_them(simulator: Simulator) -> None:
    simulator.process(0, 77, 10)
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), LIMIT)
    assert simulator.gpu(0)["power_limit_mw"] == LIMIT
    simulator.process(0, 77, None)
    assert simulator.gpu(0)["power_limit_mw"] == 700_000


def test_a_killed_client_counts_as_gone_for_the_next_one(simulator: Simulator) -> None:
    with simulator.client() as victim:
        victim("nvmlDeviceSetPowerManagementLimit", gpu(0), LIMIT)
        assert str(victim.pid) in simulator.node.read("clients")
        victim.kill()
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetPowerManagementLimit", gpu(0)) == 700_000
        assert simulator.status()["clients"] == [nvml.pid]


def test_a_killed_client_leaves_the_others_alone(simulator: Simulator) -> None:
    with simulator.client() as witness:
        with simulator.client() as victim:
            victim("nvmlDeviceSetPowerManagementLimit", gpu(0), LIMIT)
            victim.kill()
        assert simulator.status()["clients"] == [witness.pid]
        assert witness("nvmlDeviceGetPowerManagementLimit", gpu(0)) == LIMIT


def test_a_reused_pid_is_no_client(simulator: Simulator) -> None:
    pid = os.getpid()
    simulator.node.write("clients", {str(pid): str(start_time(str(pid)) + 1)})
    simulator.set(0, "power_limit_mw", LIMIT)
    simulator.node.write("clients", {str(pid): str(start_time(str(pid)) + 1)})
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetPowerManagementLimit", gpu(0)) == 700_000


def test_init_is_counted(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlInit")
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), LIMIT)
        nvml("nvmlShutdown")
        assert nvml("nvmlDeviceGetPowerManagementLimit", gpu(0)) == LIMIT
    assert simulator.gpu(0)["power_limit_mw"] == 700_000


def test_calls_outside_init_and_shutdown(simulator: Simulator) -> None:
    with simulator.client(init=False) as nvml:
        assert nvml.error("nvmlDeviceGetCount") == "UNINITIALIZED"
        assert nvml.error("nvmlShutdown") == "UNINITIALIZED"
        nvml("nvmlInit")
        nvml("nvmlShutdown")
        assert nvml.error("nvmlDeviceGetCount") == "UNINITIALIZED"


def test_the_driver_takes_the_volatile_along(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        for name, value in (("PersistenceMode", 1), ("ComputeMode", 3), ("AccountingMode", 1)):
            nvml(f"nvmlDeviceSet{name}", gpu(0), value)
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), LIMIT)
        with pytest.raises(SimError, match=f"in use by {nvml.pid}"):
            simulator.unload()
    simulator.reload()
    after = simulator.gpu(0)
    assert (after["power_limit_mw"], after["accounting_mode"]) == (700_000, 0)
    assert (after["persistence_mode"], after["compute_mode"]) == (1, 3)
    simulator.reboot()
    after = simulator.gpu(0)
    assert (after["persistence_mode"], after["compute_mode"]) == (0, 0)


def test_modes_may_go_with_the_driver(simulator: Simulator) -> None:
    simulator.set(0, "persistence_mode", 1)
    simulator.node.set_node("unload_resets_modes", "1")
    simulator.reload()
    assert simulator.gpu(0)["persistence_mode"] == 0


def test_no_driver(simulator: Simulator) -> None:
    simulator.unload()
    with simulator.client(init=False) as nvml:
        assert nvml.error("nvmlInit") == "DRIVER_NOT_LOADED"
        simulator.load()
        nvml("nvmlInit")
        simulator.unload(force=True)
        assert nvml.error("nvmlDeviceGetCount") == "DRIVER_NOT_LOADED"
        nvml("nvmlShutdown")


def test_no_state_at_all(simulator: Simulator) -> None:
    simulator.directory = simulator.directory / "nowhere"
    with simulator.client(init=False) as nvml:
        assert nvml.error("nvmlInit") == "DRIVER_NOT_LOADED"


def test_an_installed_driver_waits_for_its_load(simulator: Simulator) -> None:
    simulator.install("570.172.08")
    with simulator.client(init=False) as nvml:
        assert nvml.error("nvmlInit") == "LIB_RM_VERSION_MISMATCH"
    simulator.reload()
    with simulator.client() as nvml:
        assert nvml("nvmlSystemGetDriverVersion") == "570.172.08"
        assert nvml("nvmlSystemGetCudaDriverVersion") == 12080


def test_a_lost_gpu(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        uuid = nvml("nvmlDeviceGetUUID", gpu(0))
        simulator.lose(0)
        for call in (
            ("nvmlDeviceGetName", gpu(0)),
            ("nvmlDeviceSetPowerManagementLimit", gpu(0), LIMIT),
            ("nvmlDeviceGetBoardPartNumber", gpu(0)),
            ("nvmlDeviceGetHandleByIndex", 0),
            ("nvmlDeviceGetHandleByUUID", uuid),
        ):
            assert nvml.error(*call) == "GPU_IS_LOST", call
        assert nvml("nvmlDeviceGetCount") == 2
        assert nvml("nvmlDeviceGetName", gpu(1)) == "NVIDIA H100 80GB HBM3"
    with simulator.client() as nvml:
        with pytest.raises(NvmlFailed, match="GPU_IS_LOST"):
            nvml("nvmlDeviceGetName", gpu(0))
        simulator.find(0)
        assert nvml("nvmlDeviceGetUUID", gpu(0)) == uuid


def test_a_reset_takes_the_pending_modes(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetEccMode", gpu(0), 0)
        with pytest.raises(SimError, match="in use"):
            simulator.reset(0)
    simulator.reset(0)
    assert simulator.gpu(0)["ecc"] == [0, 0]


@pytest.mark.parametrize("at_once", [True, False])
def test_every_load_of_the_driver_has_an_inode_of_its_own(
    simulator: Simulator, tmp_path: Path, at_once: bool
) -> None:
    simulator.init("t4:1")
    simulator.node.module_tree(tmp_path / "module")
    seen = [(tmp_path / "module/nvidia").stat().st_ino]
    for _load in range(3):
        if at_once:
            simulator.reload()
        else:
            simulator.unload()
            assert not (tmp_path / "module/nvidia").exists()
            simulator.load()
        seen.append((tmp_path / "module/nvidia").stat().st_ino)
    assert all(one != next_one for one, next_one in zip(seen, seen[1:], strict=False))
