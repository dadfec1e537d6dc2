# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting things on the simulated GPUs: ranges, privilege, what each architecture can do."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from nvml_sim import Client, Simulator, gpu

GRAPHICS, SM, MEMORY = 0, 1, 2
SETTERS = [
    ("nvmlDeviceSetPowerManagementLimit", 300_000),
    ("nvmlDeviceSetPersistenceMode", 1),
    ("nvmlDeviceSetComputeMode", 3),
    ("nvmlDeviceSetEccMode", 0),
    ("nvmlDeviceSetMigMode", 1),
    ("nvmlDeviceSetAccountingMode", 1),
    ("nvmlDeviceSetGpuLockedClocks", 1005, 1500),
    ("nvmlDeviceSetMemoryLockedClocks", 1593, 1593),
    ("nvmlDeviceResetGpuLockedClocks",),
    ("nvmlDeviceResetMemoryLockedClocks",),
    ("nvmlDeviceSetApplicationsClocks", 2619, 1980),
]


@pytest.mark.parametrize("setter", SETTERS, ids=lambda setter: setter[0])
def test_device_commands_need_root(simulator: Simulator, setter: tuple) -> None:
    before = simulator.gpu(0)
    with simulator.client(privileged=False) as nvml:
        assert nvml.error(setter[0], gpu(0), *setter[1:]) == "NO_PERMISSION"
        assert simulator.gpu(0) == before
    with simulator.client() as nvml:
        assert nvml.error(setter[0], gpu(0), *setter[1:]) == "SUCCESS"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_user_id_decides_when_nothing_is_said(simulator: Simulator) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own directory is closed to other users
        Path(place).chmod(0o755)
        open_node = Simulator(Path(place) / "nvml", simulator.library)
        open_node.init("h100:1")
        for user, expected in ((65534, "NO_PERMISSION"), (0, "SUCCESS")):
            client = Client({**open_node.env, "NVML_SIM_PRIVILEGED": "", "NVML_CLIENT_USER": str(user)})
            client("nvmlInit")
            assert client("nvmlDeviceGetName", gpu(0)) == "NVIDIA H100 80GB HBM3"
            assert client.error("nvmlDeviceSetPowerManagementLimit", gpu(0), 300_000) == expected
            client("nvmlShutdown")
            client.close()


@pytest.mark.parametrize(
    ("milliwatts", "expected"),
    [
        (199_999, "INVALID_ARGUMENT"),
        (200_000, "SUCCESS"),
        (700_000, "SUCCESS"),
        (700_001, "INVALID_ARGUMENT"),
    ],
)
def test_power_limit_range(simulator: Simulator, milliwatts: int, expected: str) -> None:
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceSetPowerManagementLimit", gpu(0), milliwatts) == expected
        after = milliwatts if expected == "SUCCESS" else 700_000
        assert nvml("nvmlDeviceGetPowerManagementLimit", gpu(0)) == after
        assert nvml("nvmlDeviceGetPowerManagementLimit", gpu(1)) == 700_000


def test_another_hand_lowers_the_enforced_limit(simulator: Simulator) -> None:
    simulator.set(0, "power_cap_mw", 450_000)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetPowerManagementLimit", gpu(0)) == 700_000
        assert nvml("nvmlDeviceGetEnforcedPowerLimit", gpu(0)) == 450_000
        assert nvml("nvmlDeviceGetCurrentClocksThrottleReasons", gpu(0)) & 0x80
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), 400_000)
        assert nvml("nvmlDeviceGetEnforcedPowerLimit", gpu(0)) == 400_000
        assert not nvml("nvmlDeviceGetCurrentClocksThrottleReasons", gpu(0)) & 0x80


def test_a_board_whose_limit_cannot_be_set(simulator: Simulator) -> None:
    simulator.set(0, "power_settable", 0)
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceSetPowerManagementLimit", gpu(0), 400_000) == "NOT_SUPPORTED"


def test_graphics_lock_shows_only_under_load(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetGpuLockedClocks", gpu(0), 1000, 1500)
        assert nvml("nvmlDeviceGetClockInfo", gpu(0), SM) == 345
        simulator.process(0, 77, 10)
        assert nvml("nvmlDeviceGetClockInfo", gpu(0), SM) == 1500
        assert nvml("nvmlDeviceGetClockInfo", gpu(0), GRAPHICS) == 1500
        assert simulator.gpu(0)["lock_graphics_mhz"] == [990, 1500]
        nvml("nvmlDeviceResetGpuLockedClocks", gpu(0))
        assert nvml("nvmlDeviceGetClockInfo", gpu(0), SM) == 1980


def test_lock_arguments(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceSetGpuLockedClocks", gpu(0), 1500, 1000) == "INVALID_ARGUMENT"
        assert nvml.error("nvmlDeviceSetMemoryLockedClocks", gpu(0), 2619, 1593) == "INVALID_ARGUMENT"
        tdp, unlimited = 0xFFFFFF01, 0xFFFFFF02
        assert nvml.error("nvmlDeviceSetGpuLockedClocks", gpu(0), tdp, 1500) == "INVALID_ARGUMENT"
        assert simulator.gpu(0)["lock_graphics_mhz"] is None
        nvml("nvmlDeviceSetGpuLockedClocks", gpu(0), tdp, tdp)
        low, high = simulator.gpu(0)["lock_graphics_mhz"]
        assert low == high
        nvml("nvmlDeviceSetGpuLockedClocks", gpu(0), unlimited, unlimited)
        assert simulator.gpu(0)["lock_graphics_mhz"] is None


def test_unsupported_lock_values_can_be_refused(simulator: Simulator) -> None:
    simulator.node.set_node("lock_policy", "refuse")
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceSetGpuLockedClocks", gpu(0), 1000, 1500) == "INVALID_ARGUMENT"
        assert nvml.error("nvmlDeviceSetGpuLockedClocks", gpu(0), 1005, 1500) == "SUCCESS"
        assert nvml.error("nvmlDeviceSetMemoryLockedClocks", gpu(0), 1600, 2619) == "INVALID_ARGUMENT"


def test_a_board_that_overrides_the_minimum(simulator: Simulator) -> None:
    simulator.set(0, "lock_min_override_mhz", 345)
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceSetGpuLockedClocks", gpu(0), 1500, 1500) == "SUCCESS"
        assert simulator.gpu(0)["lock_graphics_mhz"] == [345, 1500]


def test_memory_lock(simulator: Simulator) -> None:
    simulator.process(0, 77, 10)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetClockInfo", gpu(0), MEMORY) == 2619
        nvml("nvmlDeviceSetMemoryLockedClocks", gpu(0), 1593, 1593)
        assert nvml("nvmlDeviceGetClockInfo", gpu(0), MEMORY) == 1593


def test_turing_locks_graphics_but_not_memory(simulator: Simulator) -> None:
    simulator.init("t4:1")
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceSetGpuLockedClocks", gpu(0), 585, 1590) == "SUCCESS"
        assert nvml.error("nvmlDeviceSetMemoryLockedClocks", gpu(0), 5001, 5001) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceResetMemoryLockedClocks", gpu(0)) == "NOT_SUPPORTED"


@pytest.mark.parametrize(("driver", "expected"), [("580.95.05", "SUCCESS"), ("595.45.04", "DEPRECATED")])
def test_application_clocks_by_driver(simulator: Simulator, driver: str, expected: str) -> None:
    simulator.init("h100:1", driver=driver)
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceSetApplicationsClocks", gpu(0), 2619, 1500) == expected
        assert nvml.error("nvmlDeviceGetApplicationsClock", gpu(0), GRAPHICS) == expected


def test_ecc_waits_for_the_reboot(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetEccMode", gpu(0), 0)
        assert nvml("nvmlDeviceGetEccMode", gpu(0)) == [1, 0]
    simulator.reload()
    assert simulator.gpu(0)["ecc"] == [1, 0]
    simulator.reboot()
    assert simulator.gpu(0)["ecc"] == [0, 0]
    assert simulator.gpu(1)["ecc"] == [1, 1]


def test_mig_on_hopper_is_live_and_lost_with_the_driver(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetPersistenceMode", gpu(0), 1)
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 1) == 0
        assert nvml("nvmlDeviceGetMigMode", gpu(0)) == [1, 1]
        assert nvml.error("nvmlDeviceGetUtilizationRates", gpu(0)) == "NOT_SUPPORTED"
    simulator.reload()
    assert simulator.gpu(0)["mig"] == [0, 0]


def test_mig_on_ampere_needs_a_reset_and_persists(simulator: Simulator) -> None:
    simulator.init("a100:1")
    in_use, reset_required = 19, 16
    with simulator.client() as nvml:
        with simulator.client():
            assert nvml("nvmlDeviceSetMigMode", gpu(0), 1) == in_use
        assert nvml("nvmlDeviceGetMigMode", gpu(0)) == [0, 1]
        simulator.set(0, "virtualization", 1)
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 1) == reset_required
        simulator.set(0, "virtualization", None)
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 1) == 0
        assert nvml("nvmlDeviceGetMigMode", gpu(0)) == [1, 1]
    simulator.reload()
    simulator.reboot()
    assert simulator.gpu(0)["mig"] == [1, 1]


def test_a_virtual_guest_commands_nothing(simulator: Simulator) -> None:
    simulator.set(0, "virtualization", 2)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetVirtualizationMode", gpu(0)) == 2
        assert nvml.error("nvmlDeviceSetPowerManagementLimit", gpu(0), 400_000) == "NOT_SUPPORTED"


def test_modes_read_back(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetPersistenceMode", gpu(0), 1)
        nvml("nvmlDeviceSetComputeMode", gpu(0), 3)
        nvml("nvmlDeviceSetAccountingMode", gpu(0), 1)
        assert nvml("nvmlDeviceGetPersistenceMode", gpu(0)) == 1
        assert nvml("nvmlDeviceGetComputeMode", gpu(0)) == 3
        assert nvml("nvmlDeviceGetAccountingMode", gpu(0)) == 1
        assert nvml("nvmlDeviceGetComputeMode", gpu(1)) == 0
        assert nvml.error("nvmlDeviceSetComputeMode", gpu(0), 9) == "INVALID_ARGUMENT"
        simulator.set(0, "persistence_hidden", 1)
        assert nvml("nvmlDeviceGetPersistenceMode", gpu(0)) == 0


def test_module_power_of_a_superchip(simulator: Simulator) -> None:
    module_scope = 1
    simulator.init("gb200:1,h100:1")
    with simulator.client() as nvml:
        # pynvml drops the return code of this call, so the effect has to be looked at
        for index, milliwatts in ((0, 400_000), (0, 2_000_000), (1, 500_000)):
            nvml("nvmlDeviceSetPowerManagementLimit_v2", gpu(index), module_scope, milliwatts)
        assert simulator.gpu(0)["files"]["volatile"] == {"module_power_limit_mw": "2000000"}
        assert simulator.gpu(1)["files"]["volatile"] == {}
