# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel and gpu benchmarks count and refuse."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import gpu, kernel
from benchmarks.ansible_run import Run, Task
from benchmarks.errors import BenchmarkError
from benchmarks.sysctl_keys import WISHES

RESULT: dict[str, Any] = {
    "failed": False,
    "changed": True,
    "items": [],
    "changes": 41,
    "unapplied": [],
    "writes": 45,
    "layers": ["gpu", "kernel"],
}
NOTHING = {**RESULT, "changed": False, "changes": 0, "writes": 0}


def run_of(result: dict[str, Any], trips: int = 1) -> Run:
    return Run(2.0, trips, [Task("ours", 1.0, {"cpu-1": result})])


# -- the kernel benchmark


def test_forty_keys_of_a_network_namespace() -> None:
    assert len(WISHES) == 40
    assert all(key.startswith(("net.ipv4.", "net.ipv6.", "net.core.somaxconn")) for key in WISHES)


def test_live_values_are_read_and_missing_keys_named() -> None:
    lines = [f"{key.replace('.', '/')}=1" for key in WISHES]
    assert kernel.parse_live("\n".join(lines)) == dict.fromkeys(WISHES, "1")
    with pytest.raises(BenchmarkError, match=r"missing or not writable: \['net\.core\.somaxconn'\]"):
        kernel.parse_live("\n".join(["net/core/somaxconn", *lines[1:]]))


def test_values_that_would_measure_nothing_are_refused() -> None:
    kernel.require_defaults(dict.fromkeys(WISHES, "default"))
    with pytest.raises(BenchmarkError, match="tcp_rfc1337"):
        kernel.require_defaults({**dict.fromkeys(WISHES, "default"), "net.ipv4.tcp_rfc1337": "1"})


def test_a_value_that_is_not_as_wished_is_an_error() -> None:
    kernel.require_values(WISHES, WISHES, "it")
    with pytest.raises(BenchmarkError, match=r"after it.*tcp_ecn.*\('0', '1'\)"):
        kernel.require_values({**WISHES, "net.ipv4.tcp_ecn": "0"}, WISHES, "it")


LOOP = {**RESULT, "items": [True] * 40}
NO_LOOP = {**RESULT, "items": [False] * 40}


def check_gpu(run: Run, first: bool) -> None:
    gpu.check(run.only(), 8, run.trips, first)


@pytest.mark.parametrize(
    ("check", "result", "first", "trips"),
    [
        (kernel.check_ours, RESULT, True, 1),
        (kernel.check_ours, NOTHING, False, 1),
        (kernel.check_peer, LOOP, True, 40),
        (kernel.check_peer, NO_LOOP, False, 40),
        (check_gpu, RESULT, True, 2),
        (check_gpu, NOTHING, False, 2),
    ],
)
def test_right_counts_pass(check: Any, result: dict[str, Any], first: bool, trips: int) -> None:
    check(run_of(result, trips), first)


@pytest.mark.parametrize(
    ("check", "result", "first", "trips"),
    [
        (kernel.check_ours, RESULT, True, 2),
        (kernel.check_ours, RESULT, False, 1),
        (kernel.check_ours, NOTHING, True, 1),
        (kernel.check_ours, {**RESULT, "changes": 39}, True, 1),
        (kernel.check_ours, {**RESULT, "unapplied": ["net.core.somaxconn"]}, True, 1),
        (kernel.check_ours, {**NOTHING, "writes": 1}, False, 1),
        (kernel.check_ours, {**NOTHING, "changes": 1}, False, 1),
        (kernel.check_peer, {**RESULT, "items": [True] * 39 + [False]}, True, 40),
        (kernel.check_peer, {**RESULT, "items": [False] * 39 + [True]}, False, 40),
        (kernel.check_peer, LOOP, True, 41),
        (check_gpu, RESULT, True, 3),
        (check_gpu, {**RESULT, "changes": 15}, True, 2),
        (check_gpu, {**NOTHING, "writes": 2}, False, 2),
        (check_gpu, {**RESULT, "unapplied": ["gpu.power_limit"]}, True, 2),
    ],
)
def test_wrong_counts_are_errors(check: Any, result: dict[str, Any], first: bool, trips: int) -> None:
    with pytest.raises(BenchmarkError):
        check(run_of(result, trips), first)


def test_rows_of_the_kernel_benchmark() -> None:
    ours = kernel.Side([run_of(RESULT)], [run_of(NOTHING)])
    loop = Task("peer", 10.0, {"cpu-1": {**RESULT, "items": [True] * 40}})
    theirs = kernel.Side([Run(12.0, 40, [loop])], [Run(12.0, 40, [loop])])
    shown = {row.measure: row.cells()[3:] for row in kernel.rows(ours, theirs, [Run(0.5, 0)])}
    assert shown["first run: task"] == ["1.00", "10.00", "peer/ours 10.0"]
    assert shown["first run: whole ansible-playbook"] == ["2.00", "12.00", "peer/ours 6.0"]
    assert shown["first run: round trips"] == ["1", "40", "-"]
    assert shown["first run: writes"] == ["45", "-", "-"]
    assert shown["no change: writes"] == ["0", "-", "-"]


def test_time_per_gpu() -> None:
    times = gpu.Times(apply=[0.8], same=[0.4], ping=[0.3, 0.3], trips=[1], writes=[36])
    shown = [(row.measure, row.cells()[3]) for row in gpu.rows(8, times)]
    assert shown[0] == ("apply: task, per GPU", "100")
    assert shown[1] == ("no change: task, per GPU", "50")
