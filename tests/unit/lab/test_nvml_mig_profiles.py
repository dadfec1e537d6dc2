# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MIG profiles of the simulated boards and their places, through unmodified pynvml."""

from __future__ import annotations

import ctypes

import pytest
from nvml_sim import Simulator, gpu

INFO, CREATE = "nvmlDeviceGetGpuInstanceProfileInfo", "nvmlDeviceCreateGpuInstance"
PLACES = "nvmlDeviceGetGpuInstancePossiblePlacements"
COMPUTE_INFO = "nvmlGpuInstanceGetComputeInstanceProfileInfo"
# Profile constants of nvml.h.
ONE, TWO, THREE, FOUR, SEVEN, EIGHT, ONE_MEDIA, ONE_DOUBLE = 0, 1, 2, 3, 4, 5, 7, 9


def mig_on(simulator: Simulator, board: str, driver: str = "550.163.01") -> None:
    simulator.init(f"{board}:1", driver=driver, numa_nodes=1)
    simulator.set(0, "persistence_mode", 1)
    simulator.set(0, "mig_current", 1)


@pytest.mark.parametrize(
    ("board", "profile", "expected"),
    [
        ("a100", ONE, (19, 1, 7, 14, 4864, "MIG 1g.5gb")),
        ("a100", ONE_MEDIA, (20, 1, 1, 14, 4864, "MIG 1g.5gb+me")),
        ("a100", ONE_DOUBLE, (15, 1, 4, 14, 9856, "MIG 1g.10gb")),
        ("a100", TWO, (14, 2, 3, 28, 9856, "MIG 2g.10gb")),
        ("a100", THREE, (9, 3, 2, 42, 19968, "MIG 3g.20gb")),
        ("a100", FOUR, (5, 4, 1, 56, 19968, "MIG 4g.20gb")),
        ("a100", SEVEN, (0, 7, 1, 98, 40192, "MIG 7g.40gb")),
        ("h100", ONE, (19, 1, 7, 16, 9984, "MIG 1g.10gb")),
        ("h100", ONE_DOUBLE, (15, 1, 4, 26, 20096, "MIG 1g.20gb")),
        ("h100", THREE, (9, 3, 2, 60, 40448, "MIG 3g.40gb")),
        ("h100", SEVEN, (0, 7, 1, 132, 81152, "MIG 7g.80gb")),
        ("b200", ONE, (19, 1, 7, 18, 22528, "MIG 1g.23gb")),
        ("b200", SEVEN, (0, 7, 1, 148, 182016, "MIG 7g.180gb")),
        ("gb200", TWO, (14, 2, 3, 38, 46592, "MIG 2g.47gb")),
        ("gb200", SEVEN, (0, 7, 1, 152, 187136, "MIG 7g.186gb")),
    ],
)
def test_profiles_of_the_boards(simulator: Simulator, board: str, profile: int, expected: tuple) -> None:
    mig_on(simulator, board)
    with simulator.client() as nvml:
        new, old = nvml(INFO, gpu(0), profile), nvml(INFO, gpu(0), profile, 1)
    names = ("id", "sliceCount", "instanceCount", "multiprocessorCount", "memorySizeMB")
    assert (*(new[name] for name in names), new["name"]) == expected
    assert {**old, "version": new["version"], "name": new["name"]} == new


@pytest.mark.parametrize("board", ["a100", "h100", "b200", "gb200"])
def test_a_board_has_seven_profiles_whose_ids_are_those_of_nvidia_smi(
    simulator: Simulator, board: str
) -> None:
    mig_on(simulator, board, "580.65.06")
    found = {}
    with simulator.client() as nvml:
        for profile in range(64):
            error = nvml.error(INFO, gpu(0), profile)
            if error == "INVALID_ARGUMENT":
                break
            assert error in ("SUCCESS", "NOT_SUPPORTED")
            if error == "SUCCESS":
                found[nvml(INFO, gpu(0), profile)["id"]] = profile
        by_id = nvml("nvmlDeviceGetGpuInstanceProfileInfoById", gpu(0), 9)
        assert nvml.error("nvmlDeviceGetGpuInstanceProfileInfoById", gpu(0), 77) == "NOT_SUPPORTED"
    assert found == {19: ONE, 14: TWO, 9: THREE, 5: FOUR, 0: SEVEN, 20: ONE_MEDIA, 15: ONE_DOUBLE}
    assert by_id["sliceCount"] == 3


@pytest.mark.parametrize(
    ("driver", "gpu_profiles", "compute_profiles"),
    [
        ("525.147.05", 10, 8),
        ("550.163.01", 10, 8),
        ("570.172.08", 13, 8),
        ("575.57.08", 17, 8),
        ("610.43.02", 18, 9),
    ],
)
def test_what_the_driver_does_not_know_ends_the_enumeration(
    simulator: Simulator, driver: str, gpu_profiles: int, compute_profiles: int
) -> None:
    mig_on(simulator, "h100", driver)
    with simulator.client() as nvml:
        assert nvml.error(INFO, gpu(0), gpu_profiles - 1) in ("SUCCESS", "NOT_SUPPORTED")
        assert nvml.error(INFO, gpu(0), gpu_profiles) == "INVALID_ARGUMENT"
        instance = nvml(CREATE, gpu(0), 19)
        assert nvml.error(COMPUTE_INFO, instance, compute_profiles - 1, 0) == "NOT_SUPPORTED"
        assert nvml.error(COMPUTE_INFO, instance, compute_profiles, 0) == "INVALID_ARGUMENT"
        assert nvml.error(COMPUTE_INFO, instance, 0, 1) == "INVALID_ARGUMENT"


def test_a_query_by_id_is_new_with_580(simulator: Simulator) -> None:
    mig_on(simulator, "h100", "575.57.08")
    with simulator.client() as nvml:
        error = nvml.error("nvmlDeviceGetGpuInstanceProfileInfoById", gpu(0), 9)
        assert error == "FUNCTION_NOT_FOUND"


@pytest.mark.parametrize("board", ["a100", "h100", "b200", "gb200"])
@pytest.mark.parametrize(
    ("profile_id", "places"),
    [
        (19, [(start, 1) for start in range(7)]),
        (20, [(start, 1) for start in range(7)]),
        (15, [(0, 2), (2, 2), (4, 2), (6, 2)]),
        (14, [(0, 2), (2, 2), (4, 2)]),
        (9, [(0, 4), (4, 4)]),
        (5, [(0, 4)]),
        (0, [(0, 8)]),
    ],
)
def test_places(simulator: Simulator, board: str, profile_id: int, places: list) -> None:
    simulator.init(f"{board}:1", numa_nodes=1)
    with simulator.client() as nvml:
        found = nvml(PLACES, gpu(0), profile_id)
    assert [(place["start"], place["size"]) for place in found] == places


@pytest.mark.parametrize(
    ("profile_id", "expected"),
    [
        (19, {0: (1, 1, 16, "MIG 1g.10gb")}),
        (15, {0: (1, 1, 16, "MIG 1c.1g.20gb"), 7: (1, 1, 26, "MIG 1g.20gb")}),
        (
            14,
            {
                0: (1, 2, 16, "MIG 1c.2g.20gb"),
                1: (2, 1, 32, "MIG 2g.20gb"),
                7: (1, 1, 26, "MIG 1c.2g.20gb"),
            },
        ),
        (
            9,
            {
                0: (1, 3, 16, "MIG 1c.3g.40gb"),
                1: (2, 1, 32, "MIG 2c.3g.40gb"),
                2: (3, 1, 60, "MIG 3g.40gb"),
                7: (1, 2, 26, "MIG 1c.3g.40gb"),
            },
        ),
        (
            5,
            {
                0: (1, 4, 16, "MIG 1c.4g.40gb"),
                1: (2, 2, 32, "MIG 2c.4g.40gb"),
                3: (4, 1, 64, "MIG 4g.40gb"),
                7: (1, 2, 26, "MIG 1c.4g.40gb"),
            },
        ),
        (
            0,
            {
                0: (1, 7, 16, "MIG 1c.7g.80gb"),
                1: (2, 3, 32, "MIG 2c.7g.80gb"),
                2: (3, 2, 48, "MIG 3c.7g.80gb"),
                3: (4, 1, 64, "MIG 4c.7g.80gb"),
                4: (7, 1, 132, "MIG 7g.80gb"),
                7: (1, 4, 26, "MIG 1c.7g.80gb"),
            },
        ),
    ],
)
def test_compute_profiles(simulator: Simulator, profile_id: int, expected: dict) -> None:
    mig_on(simulator, "h100")
    found = {}
    with simulator.client() as nvml:
        instance = nvml(CREATE, gpu(0), profile_id)
        for constant in range(8):
            if nvml.error(COMPUTE_INFO, instance, constant, 0) == "SUCCESS":
                new, old = (nvml(COMPUTE_INFO, instance, constant, 0, version) for version in (2, 1))
                names = ("sliceCount", "instanceCount", "multiprocessorCount")
                found[new["id"]] = (*(new[name] for name in names), new["name"])
                assert {**old, "version": new["version"], "name": new["name"]} == new
    assert found == expected


def test_the_a100_has_no_wide_slices(simulator: Simulator) -> None:
    mig_on(simulator, "a100")
    with simulator.client() as nvml:
        for profile_id in (15, 14, 0):
            instance = nvml(CREATE, gpu(0), profile_id)
            assert nvml.error(COMPUTE_INFO, instance, 7, 0) == "NOT_SUPPORTED"
            nvml("nvmlGpuInstanceDestroy", instance)


def test_a_wide_slice_takes_the_room_of_two(simulator: Simulator) -> None:
    create = "nvmlGpuInstanceCreateComputeInstance"
    mig_on(simulator, "h100")
    with simulator.client() as nvml:
        instance = nvml(CREATE, gpu(0), 14)
        nvml(create, instance, 7)
        assert nvml.error(create, instance, 0) == "INSUFFICIENT_RESOURCES"
        device = nvml("nvmlDeviceGetMigDeviceHandleByIndex", gpu(0), 0)
        assert nvml("nvmlDeviceGetAttributes", device)["multiprocessorCount"] == 26
        double = nvml(CREATE, gpu(0), 15)
        nvml(create, double, 0)
    names = [item["compute"][0]["profile"] for item in simulator.gpu(0)["mig_instances"]]
    assert names == ["1c.2g.20gb", "1c.1g.20gb"]


@pytest.mark.parametrize(("board", "size"), [("a100", 3), ("h100", 4)])
def test_places_of_compute_instances(simulator: Simulator, board: str, size: int) -> None:
    mig_on(simulator, board)
    places = "nvmlGpuInstanceGetComputeInstancePossiblePlacements"
    with simulator.client() as nvml:
        instance = nvml(CREATE, gpu(0), 0)
        assert nvml(places, instance, 0) == [{"start": start, "size": 1} for start in range(7)]
        assert nvml(places, instance, 1) == [{"start": start, "size": 2} for start in (0, 2, 4)]
        assert nvml(places, instance, 2) == [{"start": start, "size": size} for start in (0, 4)]
        assert nvml.error(places, instance, 5) == "NOT_SUPPORTED"


def test_the_third_version_of_the_structs(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """pynvml has no wrapper for it: version, id, slices, … name, capabilities."""
    mig_on(simulator, "h100")
    library = ctypes.CDLL(str(simulator.library))
    monkeypatch.setenv("NVML_SIM_DIR", str(simulator.directory))
    device = ctypes.c_void_p()
    buffer = (ctypes.c_uint * 64)()
    assert library.nvmlInit_v2() == 0
    try:
        assert library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0
        for version, error in (
            (3 << 24 | 152, 0),
            (2 << 24 | 152, 0),
            (3 << 24 | 148, 2),
            (9 << 24 | 152, 2),
        ):
            buffer[0] = version
            assert library.nvmlDeviceGetGpuInstanceProfileInfoV(device, THREE, buffer) == error, hex(version)
        buffer[0] = 3 << 24 | 152
        assert library.nvmlDeviceGetGpuInstanceProfileInfoV(device, THREE, buffer) == 0
        assert list(buffer)[1:5] == [9, 3, 2, 60]
        assert bytes(buffer)[48:59] == b"MIG 3g.40gb"
    finally:
        library.nvmlShutdown()


@pytest.mark.parametrize("board", ["l40s", "t4"])
def test_boards_without_mig(simulator: Simulator, board: str) -> None:
    simulator.init(f"{board}:1", numa_nodes=1)
    with simulator.client() as nvml:
        for call in (
            (INFO, gpu(0), ONE),
            (INFO, gpu(0), ONE, 1),
            (PLACES, gpu(0), 19),
            (CREATE, gpu(0), 19),
            ("nvmlDeviceGetGpuInstances", gpu(0), 19),
            ("nvmlDeviceGetGpuInstanceById", gpu(0), 7),
            ("nvmlDeviceGetGpuInstanceRemainingCapacity", gpu(0), 19),
            ("nvmlDeviceGetMigDeviceHandleByIndex", gpu(0), 0),
            ("nvmlDeviceSetMigMode", gpu(0), 1),
        ):
            assert nvml.error(*call) == "NOT_SUPPORTED", call
        assert nvml("nvmlDeviceGetMaxMigDeviceCount", gpu(0)) == 0
        assert nvml("nvmlDeviceIsMigDeviceHandle", gpu(0)) == 0


def test_with_mig_off_only_the_old_query_and_the_places_answer(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        assert nvml(INFO, gpu(0), ONE, 1)["id"] == 19
        assert len(nvml(PLACES, gpu(0), 19)) == 7
        for call in (
            (INFO, gpu(0), ONE),
            (CREATE, gpu(0), 19),
            ("nvmlDeviceGetGpuInstances", gpu(0), 19),
            ("nvmlDeviceGetGpuInstanceRemainingCapacity", gpu(0), 19),
        ):
            assert nvml.error(*call) == "NOT_SUPPORTED", call
        simulator.set(0, "mig_query_capable", 1)
        assert nvml(INFO, gpu(0), ONE)["id"] == 19
        assert nvml.error(CREATE, gpu(0), 19) == "NOT_SUPPORTED"
