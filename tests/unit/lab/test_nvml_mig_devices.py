# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIG devices of the simulated GPUs: handles, names, memory, processes; and how long instances last."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from nvml_mig import place
from nvml_sim import SOURCE, Client, Simulator, gpu
from nvml_state import SimError

CREATE, COMPUTE = "nvmlDeviceCreateGpuInstance", "nvmlGpuInstanceCreateComputeInstance"
BY_INDEX, MIB = "nvmlDeviceGetMigDeviceHandleByIndex", 1024**2
NOBODY = 0xFFFFFFFF


@pytest.fixture
def h100(simulator: Simulator) -> Simulator:
    """Two H100; on the first MIG is on, with nothing on it yet."""
    simulator.set(0, "mig_current", 1)
    return simulator


def devices(nvml: Client, *profiles: int) -> list:
    """Makes GPU instances, each with one compute instance of all its slices; the MIG devices by index."""
    for profile in profiles:
        whole = {19: 0, 20: 0, 15: 0, 14: 1, 9: 2, 5: 3, 0: 4}[profile]
        nvml(COMPUTE, nvml(CREATE, gpu(0), profile), whole)
    return [nvml(BY_INDEX, gpu(0), index) for index in range(len(profiles))]


def test_a_mig_device(h100: Simulator) -> None:
    with h100.client() as nvml:
        (device,) = devices(nvml, 9)
        assert nvml("nvmlDeviceIsMigDeviceHandle", device) == 1
        assert nvml("nvmlDeviceGetName", device) == "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
        assert nvml("nvmlDeviceGetGpuInstanceId", device) == 2
        assert nvml("nvmlDeviceGetComputeInstanceId", device) == 0
        assert nvml("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", device) == gpu(0)
        assert nvml("nvmlDeviceGetIndex", device) == 0
        assert nvml("nvmlDeviceGetMemoryInfo", device) == {
            "total": 40448 * MIB,
            "free": 40448 * MIB,
            "used": 0,
        }
        assert nvml("nvmlDeviceGetAttributes", device) == {
            "multiprocessorCount": 60, "sharedCopyEngineCount": 3, "sharedDecoderCount": 3,
            "sharedEncoderCount": 0, "sharedJpegCount": 3, "sharedOfaCount": 0, "gpuInstanceSliceCount": 3,
            "computeInstanceSliceCount": 3, "memorySizeMB": 40448,
        }  # fmt: skip
        uuid = nvml("nvmlDeviceGetUUID", device)
        assert re.fullmatch(r"MIG-[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid)
        assert nvml("nvmlDeviceGetHandleByUUID", uuid) == device
        assert nvml.error("nvmlDeviceGetHandleByUUID", "MIG-" + "0" * 36) == "NOT_FOUND"
        for call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetSerial", "nvmlDeviceGetMigMode"):
            assert nvml.error(call, device) == "NOT_SUPPORTED", call


def test_a_gpu_is_no_mig_device(h100: Simulator) -> None:
    with h100.client() as nvml:
        for call, error in (
            ("nvmlDeviceGetGpuInstanceId", "INVALID_ARGUMENT"),
            ("nvmlDeviceGetComputeInstanceId", "INVALID_ARGUMENT"),
            ("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", "INVALID_ARGUMENT"),
            ("nvmlDeviceGetAttributes", "NOT_SUPPORTED"),
        ):
            assert nvml.error(call, gpu(0)) == error, call
        assert nvml("nvmlDeviceIsMigDeviceHandle", gpu(0)) == 0


def test_how_many_there_may_be(h100: Simulator) -> None:
    with h100.client() as nvml:
        assert [nvml("nvmlDeviceGetMaxMigDeviceCount", gpu(index)) for index in (0, 1)] == [7, 0]
        assert nvml.error(BY_INDEX, gpu(0), 6) == "NOT_FOUND"
        assert nvml.error(BY_INDEX, gpu(0), 7) == "INVALID_ARGUMENT"
        assert nvml.error(BY_INDEX, gpu(1), 0) == "NOT_FOUND"
        devices(nvml, *[19] * 7)
        assert nvml.error(BY_INDEX, gpu(0), 6) == "SUCCESS"


def ids_by_index(nvml: Client) -> list[int | None]:
    """The GPU instance behind each of the first three indices; None where there is no MIG device."""
    found: list[int | None] = []
    for index in range(3):
        if nvml.error(BY_INDEX, gpu(0), index) == "NOT_FOUND":
            found.append(None)
            continue
        device = nvml(BY_INDEX, gpu(0), index)
        assert nvml("nvmlDeviceGetIndex", device) == index
        found.append(nvml("nvmlDeviceGetGpuInstanceId", device))
    return found


@pytest.mark.parametrize(
    ("holes", "before", "after"), [(0, [4, 7, 13], [4, 7, None]), (1, [13, 4, 7], [None, 4, 7])]
)
def test_indices(h100: Simulator, holes: int, before: list, after: list) -> None:
    """By id without a gap, or (switched) each keeps the one it was given."""
    h100.set(0, "mig_index_holes", holes)
    with h100.client() as nvml:
        for profile, start, size, compute in ((19, 6, 1, 0), (14, 2, 2, 1), (19, 0, 1, 0)):
            place_of = {"placement": [start, size]}
            parent = nvml("nvmlDeviceCreateGpuInstanceWithPlacement", gpu(0), profile, place_of)
            nvml(COMPUTE, parent, compute)
        assert ids_by_index(nvml) == before
        last = nvml("nvmlDeviceGetGpuInstanceById", gpu(0), 13)
        nvml("nvmlComputeInstanceDestroy", nvml("nvmlGpuInstanceGetComputeInstanceById", last, 0))
        assert ids_by_index(nvml) == after


def test_a_search_by_uuid_can_fail(h100: Simulator) -> None:
    with h100.client() as nvml:
        (device,) = devices(nvml, 9)
        search = ("nvmlDeviceGetHandleByUUID", nvml("nvmlDeviceGetUUID", device))
        h100.inject("nvmlDeviceGetHandleByUUID", "TIMEOUT", gpu=0, times=1)
        h100.inject("nvmlDeviceGetHandleByUUID", "UNKNOWN", gpu=1)
        assert nvml.error(*search) == "TIMEOUT"
        assert nvml("nvmlDeviceGetHandleByUUID", search[1]) == device
        h100.lose(0)
        assert nvml.error(*search) == "GPU_IS_LOST"


def test_a_uuid_comes_back_with_its_place(h100: Simulator) -> None:
    with h100.client() as nvml:
        (device,) = devices(nvml, 9)
        uuid = nvml("nvmlDeviceGetUUID", device)
        parent = nvml("nvmlDeviceGetGpuInstanceById", gpu(0), 2)
        nvml("nvmlComputeInstanceDestroy", nvml("nvmlGpuInstanceGetComputeInstanceById", parent, 0))
        for call in ("nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceIsMigDeviceHandle"):
            assert nvml.error(call, device) == "INVALID_ARGUMENT", call
        assert nvml.error("nvmlDeviceGetHandleByUUID", uuid) == "NOT_FOUND"
        # As in NVIDIA's guide: the first of three small ones has the UUID the large one had.
        uuids = []
        for index in range(3):
            nvml(COMPUTE, parent, 0)
            uuids.append(nvml("nvmlDeviceGetUUID", nvml(BY_INDEX, gpu(0), index)))
        assert uuids[0] == uuid
        assert len(set(uuids)) == 3
        assert nvml.error("nvmlDeviceGetUUID", device) == "INVALID_ARGUMENT"


def test_processes_belong_to_their_instance(h100: Simulator) -> None:
    with h100.client() as nvml:
        first, second = devices(nvml, 9, 14)
        uuid = nvml("nvmlDeviceGetUUID", second)
        h100.node.process("0:2:0", 70, 1000)
        h100.node.process(uuid, 71, 300)
        h100.node.process(0, 72, 5)
        seen = {
            name: [
                (item["pid"], item["usedGpuMemory"] // MIB, item["gpuInstanceId"], item["computeInstanceId"])
                for item in nvml("nvmlDeviceGetComputeRunningProcesses", device)
            ]
            for name, device in (("whole", gpu(0)), ("first", first), ("second", second))
        }
        assert seen == {
            "whole": [(70, 1000, 2, 0), (71, 300, 3, 0), (72, 5, NOBODY, NOBODY)],
            "first": [(70, 1000, 2, 0)],
            "second": [(71, 300, 3, 0)],
        }
        assert nvml("nvmlDeviceGetMemoryInfo", first)["used"] == 1000 * MIB
        assert nvml("nvmlDeviceGetMemoryInfo", second, 0x02000028)["used"] == 300 * MIB
    after = h100.gpu(0)
    assert after["processes"] == {70: 1000, 71: 300, 72: 5}
    assert after["process_instances"] == {70: [2, 0], 71: [3, 0]}


@pytest.mark.parametrize("where", ["0:9", "0:2:1", "0:2:0:0", "GPU-1:2", "MIG-1234"])
def test_a_process_on_nothing_is_refused(h100: Simulator, where: str) -> None:
    with h100.client() as nvml:
        devices(nvml, 9)
        assert place(h100.node, "0:2:0") == ("0", "2 0")
        with pytest.raises(SimError, match=re.escape(where)):
            h100.node.process(where, 7, 1)


def test_what_a_gpu_with_mig_does_not_do(h100: Simulator) -> None:
    h100.set(0, "mig_current", None)
    with h100.client() as nvml:
        nvml("nvmlDeviceSetAccountingMode", gpu(0), 1)
        nvml("nvmlDeviceSetMigMode", gpu(0), 1)
        assert nvml("nvmlDeviceGetAccountingMode", gpu(0)) == 0
        for call in (
            ("nvmlDeviceSetAccountingMode", gpu(0), 1),
            ("nvmlDeviceSetComputeMode", gpu(0), 3),
            ("nvmlDeviceGetUtilizationRates", gpu(0)),
            ("nvmlDeviceGetNumGpuCores", gpu(0)),
        ):
            assert nvml.error(*call) == "NOT_SUPPORTED", call
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), 500_000)
        nvml("nvmlDeviceSetGpuLockedClocks", gpu(0), 1005, 1500)


def test_the_compute_mode_is_that_of_the_mig_device(h100: Simulator) -> None:
    with h100.client() as nvml:
        first, second = devices(nvml, 9, 14)
        nvml("nvmlDeviceSetComputeMode", first, 3)
        assert [nvml("nvmlDeviceGetComputeMode", device) for device in (first, second, gpu(0))] == [3, 0, 0]


@pytest.mark.parametrize(("board", "resetless"), [("a100", 0), ("h100", 1), ("b200", 1), ("t4", 0)])
def test_the_fields_about_mig(simulator: Simulator, board: str, resetless: int) -> None:
    resetless_field, query_field = 184, 199
    simulator.init(f"{board}:1", numa_nodes=1)
    with simulator.client() as nvml:
        fields = nvml("nvmlDeviceGetFieldValues", gpu(0), [resetless_field, query_field])
    assert [(field["nvmlReturn"], field["value"]["uiVal"]) for field in fields] == [(0, resetless), (0, 0)]


@pytest.mark.parametrize("board", ["a100", "h100"])
def test_mig_is_not_switched_off_over_instances(simulator: Simulator, board: str) -> None:
    simulator.init(f"{board}:1", numa_nodes=1)
    in_use = 19
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 1) == 0
        parent = nvml(CREATE, gpu(0), 9)
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 0) == in_use
        assert nvml("nvmlDeviceGetMigMode", gpu(0)) == [1, 0]
        nvml("nvmlGpuInstanceDestroy", parent)
        simulator.process(0, 7, 1)
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 0) == in_use
        simulator.process(0, 7, None)
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 0) == 0
        assert nvml("nvmlDeviceGetMigMode", gpu(0)) == [0, 0]


@pytest.mark.parametrize("board", ["a100", "h100"])
def test_or_it_takes_the_instances_along(simulator: Simulator, board: str) -> None:
    simulator.init(f"{board}:1", numa_nodes=1)
    simulator.set(0, "mig_off_destroys", 1)
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetMigMode", gpu(0), 1)
        (device,) = devices(nvml, 9)
        assert nvml("nvmlDeviceSetMigMode", gpu(0), 0) == 0
        assert nvml.error("nvmlDeviceGetUUID", device) == "INVALID_ARGUMENT"
    assert simulator.gpu(0)["mig_instances"] == []


@pytest.mark.parametrize(
    ("board", "end", "mig", "instances"),
    [
        ("a100", "nobody", [1, 1], 1),
        ("a100", "reload", [1, 1], 0),
        ("a100", "reboot", [1, 1], 0),
        ("a100", "reset", [1, 1], 0),
        ("h100", "nobody", [1, 1], 1),
        ("h100", "reload", [0, 0], 0),
        ("h100", "reboot", [0, 0], 0),
        ("h100", "reset", [0, 0], 0),
    ],
)
def test_how_long_instances_last(
    simulator: Simulator, board: str, end: str, mig: list[int], instances: int
) -> None:
    """With persistence mode off; "nobody": only the last client goes."""
    simulator.init(f"{board}:1", numa_nodes=1)
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetMigMode", gpu(0), 1)
        devices(nvml, 9)
    if end == "reset":
        simulator.reset(0)
    elif end != "nobody":
        getattr(simulator, end)()
    after = simulator.gpu(0)
    assert (after["mig"], len(after["mig_instances"])) == (mig, instances)


def test_a_handle_does_not_outlive_the_driver(h100: Simulator) -> None:
    with h100.client() as nvml:
        (device,) = devices(nvml, 9)
        parent = nvml("nvmlDeviceGetGpuInstanceById", gpu(0), 2)
        h100.reload(force=True)
        h100.set(0, "mig_current", 1)
        devices(nvml, 9)
        assert nvml.error("nvmlDeviceGetName", device) == "INVALID_ARGUMENT"
        assert nvml.error("nvmlGpuInstanceGetInfo", parent) == "INVALID_ARGUMENT"


def test_the_command_shows_instances_and_puts_processes_on_them(h100: Simulator) -> None:
    def cli(*arguments: str) -> str:
        command = [sys.executable, str(SOURCE / "nvml_sim.py"), "--dir", str(h100.directory), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with h100.client() as nvml:
        parent = nvml(CREATE, gpu(0), 9)
        nvml(COMPUTE, parent, 1)
        cli("process", "0:2:0", "77", "10")
        first, second = json.loads(cli("status", "--json"))["gpus"]
        (instance,) = first["mig_instances"]
        (compute,) = instance.pop("compute")
        uuid = compute.pop("uuid")
        assert instance == {"id": 2, "profile_id": 9, "profile": "3g.40gb", "placement": [4, 4]}
        assert compute == {
            "id": 0, "profile_id": 1, "profile": "2c.3g.40gb", "placement": [0, 2], "index": 0,
        }  # fmt: skip
        assert first["process_instances"] == {"77": [2, 0]}
        assert second["mig_instances"] == []
        assert f"gpu instance 2  3g.40gb  at 4:4  0 2c.3g.40gb {uuid}" in cli("status")
        cli("process", uuid, "77", "0")
        assert json.loads(cli("status", "--json"))["gpus"][0]["processes"] == {}
