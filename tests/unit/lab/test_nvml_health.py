# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated GPU says about its health: field values, ECC, pages and rows, recovery, PCIe."""

from __future__ import annotations

import pynvml
import pytest
from nvml_sim import Simulator, gpu

CORRECTED, UNCORRECTED = 0, 1
VOLATILE, AGGREGATE = 0, 1
DRAM, SRAM, L2 = 2, 7, 1
RECOVERY = pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
SRAM_STATUS = {"struct": "c_nvmlEccSramErrorStatus_v1_t", "version": pynvml.nvmlEccSramErrorStatus_v1}


def fields(nvml, *ids: int | tuple[int, int], index: int = 0) -> list[int | None]:
    """The value of each field; None where it answers NOT_SUPPORTED."""
    found: list[int | None] = []
    for value in nvml("nvmlDeviceGetFieldValues", gpu(index), list(ids)):
        assert value["nvmlReturn"] in (pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_SUPPORTED)
        kinds = {1: "uiVal", 3: "ullVal", 5: "siVal"}
        found.append(None if value["nvmlReturn"] else value["value"][kinds[value["valueType"]]])
    return found


def test_fields_answer_one_by_one(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        known, unknown = pynvml.NVML_FI_DEV_POWER_MAX_LIMIT, pynvml.NVML_FI_DEV_PCIE_INBOUND_ATOMICS_MASK
        assert fields(nvml, known, unknown, known) == [700_000, None, 700_000]
        assert nvml.error("nvmlDeviceGetFieldValues", gpu(0), []) == "INVALID_ARGUMENT"


def test_fields_agree_with_the_calls(simulator: Simulator) -> None:
    simulator.node.set_node("clock_us", "1700000000000000")
    simulator.set(0, "power_cap_mw", 450_000)
    simulator.process(0, 77, 10)
    simulator.node.advance(60)
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), 500_000)
        assert fields(
            nvml,
            pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
            pynvml.NVML_FI_DEV_POWER_INSTANT,
            pynvml.NVML_FI_DEV_POWER_CURRENT_LIMIT,
            pynvml.NVML_FI_DEV_POWER_REQUESTED_LIMIT,
            pynvml.NVML_FI_DEV_POWER_DEFAULT_LIMIT,
            pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT,
            pynvml.NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT,
            pynvml.NVML_FI_DEV_ECC_CURRENT,
        ) == [
            nvml("nvmlDeviceGetTotalEnergyConsumption", gpu(0)),
            nvml("nvmlDeviceGetPowerUsage", gpu(0)),
            450_000,
            500_000,
            700_000,
            18,
            18,
            1,
        ]


def test_link_fields(simulator: Simulator) -> None:
    simulator.set(0, "nvlink_down", "2")
    simulator.set(0, "nvlink_error_link", 1)
    simulator.set(0, "nvlink_crc_data_errors", 3)
    simulator.set(0, "nvlink_replay_errors", 4)
    state, speed = pynvml.NVML_FI_DEV_NVLINK_GET_STATE, pynvml.NVML_FI_DEV_NVLINK_GET_SPEED
    with simulator.client() as nvml:
        assert fields(nvml, (state, 1), (state, 2), (speed, 1), (speed, 2)) == [1, 0, 26562, 0]
        assert fields(
            nvml,
            (pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC, 1),
            (pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, 1),
            (pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, 0),
            pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
            pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
        ) == [3, 4, 0, 3, 4]
    simulator.init("t4:1")
    with simulator.client() as nvml:
        assert fields(nvml, pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT, (state, 0)) == [0, None]


def test_recovery_action(simulator: Simulator) -> None:
    simulator.init("h100:2", driver="570.172.08")
    with simulator.client() as nvml:
        assert fields(nvml, RECOVERY) == [0]
        simulator.set(0, "remapping_pending", 1)
        assert fields(nvml, RECOVERY) == [1]
        assert fields(nvml, RECOVERY, index=1) == [0]
        simulator.set(0, "recovery_action", 2)
        assert fields(nvml, RECOVERY) == [2]
    simulator.reset(0)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetRemappedRows", gpu(0))[2] == 0
        assert fields(nvml, RECOVERY) == [2], "a reset does not do for a reboot"
    simulator.reboot()
    with simulator.client() as nvml:
        assert fields(nvml, RECOVERY) == [0]
    simulator.set(0, "recovery_action", 1)
    simulator.reset(0)
    with simulator.client() as nvml:
        assert fields(nvml, RECOVERY) == [0]


def test_an_old_driver_does_not_know_the_recovery_action(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        assert fields(nvml, RECOVERY) == [None]


def ecc(nvml, kind: int, counter: int) -> tuple[int, int, int]:
    """(all, device memory, SRAM)"""
    return (
        nvml("nvmlDeviceGetTotalEccErrors", gpu(0), kind, counter),
        nvml("nvmlDeviceGetMemoryErrorCounter", gpu(0), kind, counter, DRAM),
        nvml("nvmlDeviceGetMemoryErrorCounter", gpu(0), kind, counter, SRAM),
    )


def test_ecc_counters(simulator: Simulator) -> None:
    values = {"ecc_corrected": 5, "ecc_uncorrected": 2, "sram_uncorrected": 1, "ecc_aggregate_corrected": 10}
    for key, value in values.items():
        simulator.set(0, key, value)
    with simulator.client() as nvml:
        assert ecc(nvml, CORRECTED, VOLATILE) == (5, 5, 0)
        assert ecc(nvml, UNCORRECTED, VOLATILE) == (3, 2, 1)
        assert ecc(nvml, CORRECTED, AGGREGATE) == (15, 15, 0)
        total = pynvml.NVML_FI_DEV_ECC_SBE_AGG_TOTAL
        assert fields(nvml, total, pynvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL) == [15, 3]
        assert nvml.error("nvmlDeviceGetMemoryErrorCounter", gpu(0), 0, 0, L2) == "NOT_SUPPORTED"
        status = nvml("nvmlDeviceGetSramEccErrorStatus", gpu(0), SRAM_STATUS)
        assert (status["volatileUncParity"], status["bThresholdExceeded"]) == (1, 0)
        nvml("nvmlDeviceClearEccErrorCounts", gpu(0), VOLATILE)
        assert ecc(nvml, CORRECTED, VOLATILE) == (0, 0, 0)
        assert ecc(nvml, CORRECTED, AGGREGATE) == (15, 15, 0)
        nvml("nvmlDeviceClearEccErrorCounts", gpu(0), AGGREGATE)
        assert ecc(nvml, CORRECTED, AGGREGATE) == (0, 0, 0)
        assert nvml.error("nvmlDeviceClearEccErrorCounts", gpu(0), 9) == "INVALID_ARGUMENT"
    with simulator.client(privileged=False) as nvml:
        assert nvml.error("nvmlDeviceClearEccErrorCounts", gpu(0), VOLATILE) == "NO_PERMISSION"
        assert nvml.error("nvmlDeviceGetSramEccErrorStatus", gpu(0), SRAM_STATUS) == "NO_PERMISSION"


def test_ecc_that_is_off_counts_nothing(simulator: Simulator) -> None:
    simulator.set(0, "ecc_current", 0)
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetTotalEccErrors", gpu(0), 0, 0) == "NOT_SUPPORTED"
        assert fields(nvml, pynvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL, pynvml.NVML_FI_DEV_ECC_CURRENT) == [None, 0]


def test_pages_are_retired_before_ampere(simulator: Simulator) -> None:
    simulator.init("t4:1")
    for key, value in (("retired_sbe", 1), ("retired_dbe", 2), ("retired_pending", 1)):
        simulator.set(0, key, value)
    with simulator.client() as nvml:
        single = nvml("nvmlDeviceGetRetiredPages", gpu(0), 0)
        double = nvml("nvmlDeviceGetRetiredPages", gpu(0), 1)
        assert (len(single), len(double), len({*single, *double})) == (1, 2, 3)
        assert all(page["timestamp"] for page in nvml("nvmlDeviceGetRetiredPages_v2", gpu(0), 1))
        assert nvml("nvmlDeviceGetRetiredPagesPendingStatus", gpu(0)) == 1
        assert fields(nvml, pynvml.NVML_FI_DEV_RETIRED_DBE, pynvml.NVML_FI_DEV_RETIRED_PENDING) == [2, 1]
        assert fields(nvml, pynvml.NVML_FI_DEV_REMAPPED_UNC) == [None]
        assert nvml.error("nvmlDeviceGetRowRemapperHistogram", gpu(0)) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetSramEccErrorStatus", gpu(0), SRAM_STATUS) == "NOT_SUPPORTED"
    simulator.reboot()
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetRetiredPagesPendingStatus", gpu(0)) == 0


def test_rows_are_remapped_from_ampere_on(simulator: Simulator) -> None:
    for key, value in (("remapped_uncorrected", 3), ("remapping_failed", 1), ("remap_banks_none", 1)):
        simulator.set(0, key, value)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetRemappedRows", gpu(0)) == [0, 3, 0, 1]
        ids = (pynvml.NVML_FI_DEV_REMAPPED_UNC, pynvml.NVML_FI_DEV_REMAPPED_FAILURE)
        assert fields(nvml, *ids) == [3, 1]
        histogram = nvml("nvmlDeviceGetRowRemapperHistogram", gpu(0))
        assert (histogram["max"], histogram["none"]) == (2559, 1)
        assert nvml.error("nvmlDeviceGetRetiredPages", gpu(0), 0) == "NOT_SUPPORTED"


def test_temperatures(simulator: Simulator) -> None:
    simulator.set(0, "temperature", 60)
    with simulator.client() as nvml:
        limits = [nvml("nvmlDeviceGetTemperatureThreshold", gpu(0), kind) for kind in range(4)]
        shutdown, slowdown, memory, highest = limits
        assert highest < slowdown < shutdown
        assert memory == 95
        assert nvml.error("nvmlDeviceGetTemperatureThreshold", gpu(0), 7) == "NOT_SUPPORTED"
        assert nvml.error("nvmlDeviceGetTemperatureThreshold", gpu(0), 99) == "INVALID_ARGUMENT"
        ids = (pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT, pynvml.NVML_FI_DEV_MEMORY_TEMP)
        assert fields(nvml, *ids) == [highest - shutdown, 68]
    simulator.init("t4:1", driver="570.172.08")
    with simulator.client() as nvml:
        assert fields(nvml, *ids) == [None, None]
        assert nvml.error("nvmlDeviceGetMarginTemperature", gpu(0)) == "NOT_SUPPORTED"


def test_pcie(simulator: Simulator) -> None:
    for key, value in (("pcie_replays", 9), ("pcie_tx_kbps", 1000), ("pcie_generation", 3)):
        simulator.set(0, key, value)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetPcieReplayCounter", gpu(0)) == 9
        assert [nvml("nvmlDeviceGetPcieThroughput", gpu(0), way) for way in (0, 1)] == [1000, 0]
        assert (nvml("nvmlDeviceGetPcieSpeed", gpu(0)), nvml("nvmlDeviceGetPcieSpeed", gpu(1))) == (
            8000,
            32000,
        )
        assert nvml("nvmlDeviceGetPcieLinkMaxSpeed", gpu(0)) == 5


def test_application_clocks_can_be_opened_to_everybody(simulator: Simulator) -> None:
    clocks = ("nvmlDeviceSetApplicationsClocks", gpu(0), 2619, 1500)
    with simulator.client() as root, simulator.client(privileged=False) as user:
        assert root("nvmlDeviceGetAPIRestriction", gpu(0), 0) == 1
        assert user.error(*clocks) == "NO_PERMISSION"
        assert user.error("nvmlDeviceSetAPIRestriction", gpu(0), 0, 0) == "NO_PERMISSION"
        root("nvmlDeviceSetAPIRestriction", gpu(0), 0, 0)
        assert user.error(*clocks) == "SUCCESS"
        assert root.error("nvmlDeviceGetAPIRestriction", gpu(0), 1) == "NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("board", "expected"), [("h100", [1, 1]), ("t4", [1, 1]), ("v100", None), ("p40", None)]
)
def test_firmware_of_the_gpu(simulator: Simulator, board: str, expected: list[int] | None) -> None:
    simulator.init(board)
    with simulator.client() as nvml:
        if expected is None:
            assert nvml.error("nvmlDeviceGetGspFirmwareMode", gpu(0)) == "NOT_SUPPORTED"
        else:
            assert nvml("nvmlDeviceGetGspFirmwareMode", gpu(0)) == expected
            assert nvml("nvmlDeviceGetGspFirmwareVersion", gpu(0)) == "550.163.01"


def test_idle_engines_and_the_rest_of_a_query(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        for engine in ("Encoder", "Decoder", "Jpg", "Ofa"):
            assert nvml(f"nvmlDeviceGet{engine}Utilization", gpu(0))[0] == 0
        assert nvml("nvmlDeviceGetEncoderStats", gpu(0)) == [0, 0, 0]
        assert nvml("nvmlDeviceGetMultiGpuBoard", gpu(0)) == 0
        boards = {nvml("nvmlDeviceGetBoardId", gpu(index)) for index in (0, 1)}
        assert len(boards) == 2
        assert nvml("nvmlDeviceGetDisplayMode", gpu(0)) == 0
        bar1 = nvml("nvmlDeviceGetBAR1MemoryInfo", gpu(0))
        assert bar1["bar1Used"] + bar1["bar1Free"] == bar1["bar1Total"] == 128 * 2**30
        assert nvml("nvmlDeviceGetSupportedPerformanceStates", gpu(0))[0] == 0
