# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU instances and compute instances of the simulated GPUs: made, found, destroyed."""

from __future__ import annotations

from typing import Any

import pytest
from nvml_sim import Client, Simulator, gpu

CREATE, PLACED = "nvmlDeviceCreateGpuInstance", "nvmlDeviceCreateGpuInstanceWithPlacement"
CAPACITY = "nvmlDeviceGetGpuInstanceRemainingCapacity"
COMPUTE, COMPUTE_PLACED = (
    "nvmlGpuInstanceCreateComputeInstance",
    "nvmlGpuInstanceCreateComputeInstanceWithPlacement",
)
DESTROY, DESTROY_COMPUTE = "nvmlGpuInstanceDestroy", "nvmlComputeInstanceDestroy"


@pytest.fixture
def a100(simulator: Simulator) -> Simulator:
    simulator.init("a100:2", numa_nodes=1)
    simulator.set(0, "mig_current", 1)
    return simulator


def placement(start: int, size: int) -> dict[str, list[int]]:
    return {"placement": [start, size]}


def where(nvml: Client, instance: Any) -> tuple[int, int, int]:
    """(id, start, size) of a GPU instance."""
    info = nvml("nvmlGpuInstanceGetInfo", instance)
    return info["id"], info["placement"]["start"], info["placement"]["size"]


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        # The examples of NVIDIA's MIG guide.
        ((9, 19, 14, 19), [(2, 4, 4), (7, 0, 1), (4, 2, 2), (8, 1, 1)]),
        ((14, 19, 19, 19, 19, 19), [(5, 4, 2), (13, 6, 1), (7, 0, 1), (8, 1, 1), (9, 2, 1), (10, 3, 1)]),
        ((19,) * 7, [(13, 6, 1), (11, 4, 1), (12, 5, 1), (7, 0, 1), (8, 1, 1), (9, 2, 1), (10, 3, 1)]),
        ((9, 9), [(2, 4, 4), (1, 0, 4)]),
        ((5, 14, 19), [(1, 0, 4), (5, 4, 2), (13, 6, 1)]),
        ((15,) * 4, [(6, 6, 2), (5, 4, 2), (3, 0, 2), (4, 2, 2)]),
        ((0,), [(0, 0, 8)]),
    ],
)
def test_the_driver_chooses_the_place_and_the_place_the_id(
    a100: Simulator, profiles: tuple[int, ...], expected: list
) -> None:
    with a100.client() as nvml:
        assert [where(nvml, nvml(CREATE, gpu(0), profile)) for profile in profiles] == expected
    status = a100.gpu(0)["mig_instances"]
    assert [(item["id"], *item["placement"]) for item in status] == sorted(expected)
    assert a100.gpu(1)["mig_instances"] == []


def test_some_gpus_number_the_upper_half_first(a100: Simulator) -> None:
    a100.set(0, "mig_halves_swapped", 1)
    with a100.client() as nvml:
        made = [where(nvml, nvml(CREATE, gpu(0), profile)) for profile in (9, 14, 19, 19)]
        assert made == [(1, 4, 4), (5, 0, 2), (13, 2, 1), (14, 3, 1)]
        for instance in nvml("nvmlDeviceGetGpuInstances", gpu(0), 19):
            nvml(DESTROY, instance)


def test_the_order_decides_whether_a_layout_fits(a100: Simulator) -> None:
    """The known issue of the guide: 19, 19, 14 leave no half free although there is room for one."""
    with a100.client() as nvml:
        assert [where(nvml, nvml(CREATE, gpu(0), profile))[0] for profile in (19, 19, 14)] == [13, 11, 3]
        assert nvml.error(CREATE, gpu(0), 9) == "INSUFFICIENT_RESOURCES"
        assert nvml(CAPACITY, gpu(0), 9) == 0


def test_a_place_can_be_asked_for(a100: Simulator) -> None:
    with a100.client() as nvml:
        made = nvml(PLACED, gpu(0), 9, placement(0, 4))
        assert where(nvml, made) == (1, 0, 4)
        for start, size, error in (
            (0, 4, "INSUFFICIENT_RESOURCES"),
            (4, 3, "INVALID_ARGUMENT"),
            (2, 4, "INVALID_ARGUMENT"),
            (4, 4, "SUCCESS"),
        ):
            assert nvml.error(PLACED, gpu(0), 9, placement(start, size)) == error
        assert nvml.error(PLACED, gpu(0), 19, placement(7, 1)) == "INVALID_ARGUMENT"
        assert nvml.error(PLACED, gpu(0), 19, placement(3, 1)) == "INSUFFICIENT_RESOURCES"


@pytest.mark.parametrize(
    ("made", "left"),
    [
        ((), {19: 7, 20: 1, 15: 4, 14: 3, 9: 2, 5: 1, 0: 1}),
        ((9,), {19: 4, 20: 1, 15: 2, 14: 2, 9: 1, 5: 1, 0: 0}),
        ((20,), {19: 6, 20: 0, 15: 3, 14: 3, 9: 1, 5: 1, 0: 0}),
        ((0,), {19: 0, 20: 0, 15: 0, 14: 0, 9: 0, 5: 0, 0: 0}),
    ],
)
def test_remaining_capacity(a100: Simulator, made: tuple[int, ...], left: dict[int, int]) -> None:
    with a100.client() as nvml:
        for profile in made:
            nvml(CREATE, gpu(0), profile)
        assert {profile: nvml(CAPACITY, gpu(0), profile) for profile in left} == left
        for profile, count in left.items():
            if count == 0:
                assert nvml.error(CREATE, gpu(0), profile) == "INSUFFICIENT_RESOURCES"


def test_only_one_instance_has_the_media_engines(a100: Simulator) -> None:
    with a100.client() as nvml:
        nvml(CREATE, gpu(0), 20)
        assert nvml.error(CREATE, gpu(0), 20) == "INSUFFICIENT_RESOURCES"
        assert nvml.error(PLACED, gpu(0), 20, placement(0, 1)) == "INSUFFICIENT_RESOURCES"
        assert nvml.error(CREATE, gpu(0), 19) == "SUCCESS"


def test_instances_are_found_by_profile_and_by_id(a100: Simulator) -> None:
    with a100.client() as nvml:
        first, second = nvml(CREATE, gpu(0), 19), nvml(CREATE, gpu(0), 19)
        nvml(CREATE, gpu(0), 14)
        assert nvml("nvmlDeviceGetGpuInstances", gpu(0), 19) == [second, first]
        assert nvml("nvmlDeviceGetGpuInstances", gpu(0), 9) == []
        assert nvml("nvmlDeviceGetGpuInstanceById", gpu(0), 13) == first
        assert nvml.error("nvmlDeviceGetGpuInstanceById", gpu(0), 14) == "NOT_FOUND"
        for call in ("nvmlDeviceGetGpuInstances", CREATE):
            assert nvml.error(call, gpu(0), 77) == "INVALID_ARGUMENT"
        assert nvml.error(CAPACITY, gpu(0), 77) == "NOT_SUPPORTED"
        info = nvml("nvmlGpuInstanceGetInfo", first)
        assert (info["device"], info["profileId"]) == (gpu(0), 19)


def test_the_room_of_a_destroyed_instance_is_free_again(a100: Simulator) -> None:
    with a100.client() as nvml:
        old = nvml(CREATE, gpu(0), 0)
        nvml(DESTROY, old)
        new = nvml(CREATE, gpu(0), 0)
        assert where(nvml, new)[0] == 0
        for call in (DESTROY, "nvmlGpuInstanceGetInfo"):
            assert nvml.error(call, old) == "INVALID_ARGUMENT"
        nvml(DESTROY, new)
        assert a100.gpu(0)["mig_instances"] == []


def test_another_client_has_the_same_instances(a100: Simulator) -> None:
    with a100.client() as one, a100.client() as two:
        one(CREATE, gpu(0), 9)
        (found,) = two("nvmlDeviceGetGpuInstances", gpu(0), 9)
        two(DESTROY, found)
        assert one("nvmlDeviceGetGpuInstances", gpu(0), 9) == []


def test_compute_instances(a100: Simulator) -> None:
    with a100.client() as nvml:
        parent = nvml(CREATE, gpu(0), 9)
        count = "nvmlGpuInstanceGetComputeInstanceRemainingCapacity"
        assert [nvml(count, parent, profile) for profile in (0, 1, 2)] == [3, 1, 1]
        made = [nvml(COMPUTE, parent, 0) for _ in range(3)]
        infos = [nvml("nvmlComputeInstanceGetInfo", one) for one in made]
        assert [(info["id"], info["profileId"], info["placement"]["start"]) for info in infos] == [
            (0, 0, 0), (1, 0, 1), (2, 0, 2),
        ]  # fmt: skip
        assert {info["gpuInstance"]["handle"] for info in infos} == {parent["handle"]}
        assert infos[0]["device"] == gpu(0)
        assert [nvml(count, parent, profile) for profile in (0, 1, 2)] == [0, 0, 0]
        assert nvml.error(COMPUTE, parent, 0) == "INSUFFICIENT_RESOURCES"
        assert nvml("nvmlGpuInstanceGetComputeInstances", parent, 0) == made
        assert nvml("nvmlGpuInstanceGetComputeInstances", parent, 2) == []
        assert nvml("nvmlGpuInstanceGetComputeInstanceById", parent, 1) == made[1]
        assert nvml.error("nvmlGpuInstanceGetComputeInstanceById", parent, 3) == "NOT_FOUND"
        nvml(DESTROY_COMPUTE, made[1])
        assert nvml.error("nvmlComputeInstanceGetInfo", made[1]) == "INVALID_ARGUMENT"
        again = nvml("nvmlComputeInstanceGetInfo", nvml(COMPUTE, parent, 0))
        assert (again["id"], again["placement"]) == (1, {"start": 1, "size": 1})
        assert nvml.error("nvmlComputeInstanceGetInfo", made[1]) == "INVALID_ARGUMENT"


def test_a_place_within_a_gpu_instance(a100: Simulator) -> None:
    with a100.client() as nvml:
        parent = nvml(CREATE, gpu(0), 5)
        made = nvml(COMPUTE_PLACED, parent, 1, placement(2, 2))
        assert nvml("nvmlComputeInstanceGetInfo", made)["placement"] == {"start": 2, "size": 2}
        for profile, start, size, error in (
            (1, 2, 2, "INSUFFICIENT_RESOURCES"),
            (0, 3, 1, "INSUFFICIENT_RESOURCES"),
            (1, 1, 2, "INVALID_ARGUMENT"),
            (0, 4, 1, "INVALID_ARGUMENT"),
            (2, 0, 3, "NOT_SUPPORTED"),
            (0, 1, 1, "SUCCESS"),
        ):
            assert nvml.error(COMPUTE_PLACED, parent, profile, placement(start, size)) == error
        assert nvml.error(COMPUTE, parent, 3) == "INSUFFICIENT_RESOURCES"


def test_what_is_in_use_is_not_destroyed(a100: Simulator) -> None:
    with a100.client() as nvml:
        parent = nvml(CREATE, gpu(0), 9)
        first, second = nvml(COMPUTE, parent, 0), nvml(COMPUTE, parent, 0)
        assert nvml.error(DESTROY, parent) == "IN_USE"
        a100.node.process("0:2:0", 77, 100)
        assert nvml.error(DESTROY_COMPUTE, first) == "IN_USE"
        nvml(DESTROY_COMPUTE, second)
        a100.node.process("0:2:0", 77, None)
        nvml(DESTROY_COMPUTE, first)
        a100.node.process("0:2", 78, 100)
        assert nvml.error(DESTROY, parent) == "IN_USE"
        a100.node.process("0:2", 78, None)
        nvml(DESTROY, parent)


def test_root_alone_may_change_and_list(a100: Simulator) -> None:
    with a100.client() as root, a100.client(privileged=False) as nvml:
        root(COMPUTE, root(CREATE, gpu(0), 9), 2)
        for call in (
            (CREATE, gpu(0), 9),
            (PLACED, gpu(0), 9, placement(0, 4)),
            (CAPACITY, gpu(0), 9),
            ("nvmlDeviceGetGpuInstances", gpu(0), 9),
            ("nvmlDeviceGetGpuInstanceById", gpu(0), 2),
            ("nvmlDeviceGetGpuInstancePossiblePlacements", gpu(0), 9),
            ("nvmlDeviceGetMemoryInfo", gpu(0)),
            ("nvmlDeviceGetComputeRunningProcesses", gpu(0)),
        ):
            assert nvml.error(*call) == "NO_PERMISSION", call
        assert nvml("nvmlDeviceGetGpuInstanceProfileInfo", gpu(0), 2)["id"] == 9
        device = nvml("nvmlDeviceGetMigDeviceHandleByIndex", gpu(0), 0)
        assert nvml("nvmlDeviceGetName", device).endswith("MIG 3g.20gb")


def test_handles_of_another_kind_are_refused(a100: Simulator) -> None:
    with a100.client() as nvml:
        parent = nvml(CREATE, gpu(0), 9)
        compute = nvml(COMPUTE, parent, 2)
        for call in ((DESTROY, gpu(0)), (DESTROY, compute), (DESTROY_COMPUTE, parent), (CREATE, parent, 9)):
            assert nvml.error(*call) == "INVALID_ARGUMENT", call


NEW_FUNCTIONS = [
    (CREATE, lambda gi, _ci, _dev: (gpu(0), 19)),
    (PLACED, lambda gi, _ci, _dev: (gpu(0), 19, placement(0, 1))),
    (CAPACITY, lambda gi, _ci, _dev: (gpu(0), 19)),
    ("nvmlDeviceGetGpuInstances", lambda gi, _ci, _dev: (gpu(0), 19)),
    ("nvmlDeviceGetGpuInstanceById", lambda gi, _ci, _dev: (gpu(0), 2)),
    ("nvmlDeviceGetGpuInstancePossiblePlacements", lambda gi, _ci, _dev: (gpu(0), 19)),
    ("nvmlDeviceGetGpuInstanceProfileInfoV", lambda gi, _ci, _dev: (gpu(0), 0)),
    ("nvmlGpuInstanceGetInfo", lambda gi, _ci, _dev: (gi,)),
    (COMPUTE, lambda gi, _ci, _dev: (gi, 0)),
    ("nvmlGpuInstanceGetComputeInstances", lambda gi, _ci, _dev: (gi, 0)),
    ("nvmlGpuInstanceGetComputeInstanceById", lambda gi, _ci, _dev: (gi, 0)),
    ("nvmlGpuInstanceGetComputeInstanceProfileInfoV", lambda gi, _ci, _dev: (gi, 0, 0)),
    ("nvmlGpuInstanceGetComputeInstanceRemainingCapacity", lambda gi, _ci, _dev: (gi, 0)),
    ("nvmlGpuInstanceGetComputeInstancePossiblePlacements", lambda gi, _ci, _dev: (gi, 0)),
    ("nvmlComputeInstanceGetInfo_v2", lambda _gi, ci, _dev: (ci,)),
    ("nvmlDeviceGetMigDeviceHandleByIndex", lambda _gi, _ci, _dev: (gpu(0), 0)),
    ("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", lambda _gi, _ci, dev: (dev,)),
    ("nvmlDeviceIsMigDeviceHandle", lambda _gi, _ci, dev: (dev,)),
    ("nvmlDeviceGetGpuInstanceId", lambda _gi, _ci, dev: (dev,)),
    ("nvmlDeviceGetComputeInstanceId", lambda _gi, _ci, dev: (dev,)),
    ("nvmlDeviceGetAttributes_v2", lambda _gi, _ci, dev: (dev,)),
    ("nvmlDeviceGetUUID", lambda _gi, _ci, dev: (dev,)),
    ("nvmlDeviceGetMaxMigDeviceCount", lambda _gi, _ci, _dev: (gpu(0),)),
    (DESTROY_COMPUTE, lambda _gi, ci, _dev: (ci,)),
    (DESTROY, lambda gi, _ci, _dev: (gi,)),
]


@pytest.mark.parametrize(("function", "arguments"), NEW_FUNCTIONS, ids=[name for name, _ in NEW_FUNCTIONS])
def test_every_function_can_fail_is_logged_and_notices_a_lost_gpu(
    a100: Simulator, function: str, arguments: Any
) -> None:
    with a100.client() as nvml:
        parent = nvml(CREATE, gpu(0), 9)
        compute = nvml(COMPUTE, parent, 0)
        call = (function, *arguments(parent, compute, nvml("nvmlDeviceGetMigDeviceHandleByIndex", gpu(0), 0)))
        before = a100.gpu(0)["mig_instances"]
        a100.log()
        a100.inject(function, "TIMEOUT", gpu=0, times=1)
        assert nvml.error(*call) == "TIMEOUT"
        last = a100.calls()[-1]
        assert (last["function"].removesuffix("_v2"), last["gpu"], last["result"]) == (
            function.removesuffix("_v2"), 0, "TIMEOUT",
        )  # fmt: skip
        a100.inject(function, "TIMEOUT", gpu=1)
        a100.lose(0)
        assert nvml.error(*call) == "GPU_IS_LOST"
        assert a100.gpu(0)["mig_instances"] == before
        a100.find(0)
        if function != DESTROY:
            assert nvml.error(*call) == "SUCCESS"
        else:
            assert nvml.error(*call) == "IN_USE"
