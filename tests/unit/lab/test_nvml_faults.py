# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures on demand, the log of calls, and many processes at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from nvml_node import SimError
from nvml_sim import Simulator, gpu

GET, SET = "nvmlDeviceGetPowerManagementLimit", "nvmlDeviceSetPowerManagementLimit"


def outcomes(nvml, index: int, count: int) -> list[str]:
    return [nvml.error(GET, gpu(index)) for _ in range(count)]


def test_a_function_fails_until_told_otherwise(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        simulator.inject(GET, "TIMEOUT")
        assert outcomes(nvml, 0, 3) == ["TIMEOUT"] * 3
        assert nvml("nvmlDeviceGetPowerManagementDefaultLimit", gpu(0)) == 700_000
        simulator.clear()
        assert outcomes(nvml, 0, 1) == ["SUCCESS"]


def test_the_nth_call_fails(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        simulator.inject(GET, "UNKNOWN", skip=1, times=2)
        assert outcomes(nvml, 0, 5) == ["SUCCESS", "UNKNOWN", "UNKNOWN", "SUCCESS", "SUCCESS"]


def test_one_gpu_fails(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        simulator.inject(GET, "NVML_ERROR_GPU_IS_LOST", gpu=1, times=1)
        assert outcomes(nvml, 0, 2) == ["SUCCESS"] * 2
        assert outcomes(nvml, 1, 2) == ["GPU_IS_LOST", "SUCCESS"]


def test_a_search_counts_once(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        simulator.inject("nvmlDeviceGetHandleByIndex", "NO_PERMISSION", skip=1, times=1)
        results = [nvml.error("nvmlDeviceGetHandleByIndex", 0) for _ in range(3)]
        assert results == ["SUCCESS", "NO_PERMISSION", "SUCCESS"]


def test_two_rules_take_turns(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        simulator.inject(GET, "TIMEOUT", times=1)
        simulator.inject(GET, "IN_USE", times=1)
        assert outcomes(nvml, 0, 3) == ["TIMEOUT", "IN_USE", "SUCCESS"]


def test_a_refused_set_changes_nothing(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        simulator.inject(SET, "UNKNOWN")
        assert nvml.error(SET, gpu(0), 300_000) == "UNKNOWN"
        assert nvml(GET, gpu(0)) == 700_000


@pytest.mark.parametrize("name", ["nvmlInit", "nvmlInitWithFlags"])
def test_init_can_fail(simulator: Simulator, name: str) -> None:
    simulator.inject(name, "LIB_RM_VERSION_MISMATCH", times=1)
    with simulator.client(init=False) as nvml:
        assert nvml.error("nvmlInit") == "LIB_RM_VERSION_MISMATCH"
        assert nvml.error("nvmlDeviceGetCount") == "UNINITIALIZED"
        assert nvml.error("nvmlInit") == "SUCCESS"


def test_a_stub_can_fail_too(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetBoardPartNumber", gpu(0)) == "NOT_SUPPORTED"
        simulator.inject("nvmlDeviceGetBoardPartNumber", "FUNCTION_NOT_FOUND")
        assert nvml.error("nvmlDeviceGetBoardPartNumber", gpu(0)) == "FUNCTION_NOT_FOUND"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("nvmlDeviceGetNmae", "TIMEOUT"), {}, "nvmlDeviceGetNmae"),
        ((GET, "TIMEOT"), {}, "TIMEOT"),
        ((GET, "TIMEOUT"), {"gpu": 2}, "0 to 1"),
        ((GET, "TIMEOUT"), {"times": 0}, "times 0"),
    ],
)
def test_a_rule_that_could_never_fire_is_refused(simulator: Simulator, arguments, options, message) -> None:
    with pytest.raises(SimError, match=message):
        simulator.inject(*arguments, **options)


def test_the_log_has_every_call(simulator: Simulator) -> None:
    simulator.log()
    with simulator.client() as nvml:
        pid = nvml.pid
        nvml.error(SET, gpu(1), 1)
    calls = simulator.calls(clear=True)
    assert {call["pid"] for call in calls} == {pid}
    assert [call["function"] for call in calls] == [
        "nvmlInitWithFlags", "nvmlDeviceGetHandleByIndex_v2", SET, "nvmlShutdown",
    ]  # fmt: skip
    assert calls[2] == {
        "pid": pid,
        "function": SET,
        "gpu": 1,
        "result": "INVALID_ARGUMENT",
        "arguments": ["1"],
    }
    assert simulator.calls() == []


def test_no_update_is_lost_and_no_file_is_torn(simulator: Simulator) -> None:
    """Two processes change different keys of one file and read their own back, a third looks on."""
    rounds, stop = 150, threading.Event()
    lost: list[tuple] = []
    torn: list[tuple] = []

    def work(name: str, values: tuple[int, int]) -> None:
        with simulator.client() as nvml:
            for turn in range(rounds):
                nvml(f"nvmlDeviceSet{name}", gpu(0), values[turn % 2])
                read = nvml(f"nvmlDeviceGet{name}", gpu(0))
                if read != values[turn % 2]:
                    lost.append((name, values[turn % 2], read))

    def watch() -> None:
        while not stop.is_set():
            for key, value in simulator.node.gpu(0, "volatile").items():
                if (key, value) not in {("power_limit_mw", "300000"), ("power_limit_mw", "400000"),
                                        ("accounting_mode", "0"), ("accounting_mode", "1")}:  # fmt: skip
                    torn.append((key, value))

    simulator.set(0, "persistence_mode", 1)
    with ThreadPoolExecutor(3) as pool:
        watcher = pool.submit(watch)
        workers = [
            pool.submit(work, "PowerManagementLimit", (300_000, 400_000)),
            pool.submit(work, "AccountingMode", (1, 0)),
        ]
        try:
            for worker in workers:
                worker.result()
        finally:
            stop.set()
        watcher.result()
    assert (lost, torn) == ([], [])
