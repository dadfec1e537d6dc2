# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on the NVLink fabric, and what it is read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.fabric import (
    GpuFabric,
    Manager,
    Verdict,
    health_of,
    upstream,
    verdict,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.fabric_read import read_manager
from topology_tree import Tree

SWITCH = ["0000:e1:00.0"]
RUNS = Manager(True, True, "550.163.01-1")
STOPPED = Manager(True, False, "550.163.01-1")
DRIVER = "550.163.01"


def gpus(*states: Any, **more: Any) -> list[GpuFabric]:
    return [
        GpuFabric(i, state, 0 if state == "completed" else None, **more) for i, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "switches", "manager", "expected", "word"),
    [
        ([None, None], [], Manager(), "not_needed", "no NVSwitch"),
        (["not_supported"], [], RUNS, "not_needed", "no NVSwitch"),
        (["completed", "completed"], SWITCH, RUNS, "ready", "joined"),
        (["completed", "in_progress"], SWITCH, RUNS, "starting", "gpu 1 (in_progress)"),
        (["not_started", "not_started"], SWITCH, RUNS, "starting", "gpu 0 (not_started), gpu 1"),
        (["not_started"], SWITCH, STOPPED, "failed", "systemctl start"),
        (["not_started"], SWITCH, Manager(), "failed", "not installed"),
        # GB200: the manager runs on the switch trays, not here.
        (["in_progress"], [], Manager(), "starting", "gpu 0"),
        (["completed"], [], Manager(), "ready", "joined"),
        # Before Hopper NVML does not tell.
        ([None], SWITCH, RUNS, "ready", "does not report"),
        (["not_supported"], SWITCH, STOPPED, "failed", "not running"),
    ],
)
def test_verdicts(states: list[Any], switches: list[str], manager: Manager, expected: str, word: str) -> None:
    found = verdict(gpus(*states), switches, manager, DRIVER)
    assert found.verdict == expected and word in "; ".join(found.reasons)


def test_a_gpu_that_could_not_join() -> None:
    found = verdict([GpuFabric(3, "completed", 999)], SWITCH, RUNS, DRIVER)
    assert found.verdict == "failed" and "gpu 3" in found.reasons[0] and "999" in found.reasons[0]
    assert verdict([GpuFabric(3, "in_progress", 999)], SWITCH, RUNS, DRIVER).verdict == "starting"


def test_health() -> None:
    assert verdict(gpus("completed", summary="unhealthy"), SWITCH, RUNS, DRIVER).verdict == "failed"
    limited = verdict(gpus("completed", summary="limited_capacity"), SWITCH, RUNS, DRIVER)
    assert limited.verdict == "ready" and "limited capacity" in limited.reasons[0]
    wrong = verdict(gpus("completed", health=health_of(4 << 8)), SWITCH, RUNS, DRIVER)
    assert wrong.verdict == "failed" and "no partition" in wrong.reasons[0]
    assert verdict(gpus("completed", health=health_of(1 << 8)), SWITCH, RUNS, DRIVER).verdict == "ready"


def test_the_health_mask() -> None:
    assert health_of(0) == dict.fromkeys(
        ("degraded_bandwidth", "route_recovery", "route_unhealthy", "access_timeout_recovery",
         "incorrect_configuration")
    )  # fmt: skip
    found = health_of(0b01_10_01_10 | 5 << 8)
    assert found == {
        "degraded_bandwidth": False,
        "route_recovery": True,
        "route_unhealthy": False,
        "access_timeout_recovery": True,
        "incorrect_configuration": "insufficient NVLinks",
    }


@pytest.mark.parametrize("version", ["550.163.01", "550.163.01-1", "1:550.163.01-0ubuntu1", "550.163.01+x"])
def test_versions_that_are_the_drivers(version: str) -> None:
    assert upstream(version) == DRIVER


@pytest.mark.parametrize(("states", "expected"), [(["completed"], "ready"), ([None], "failed")])
def test_another_version_than_the_drivers_is_named(states: list[Any], expected: str) -> None:
    found = verdict(gpus(*states), SWITCH, Manager(True, True, "550.90.07-1"), DRIVER)
    assert found.verdict == expected
    assert any("550.90.07" in reason and DRIVER in reason for reason in found.reasons)


def test_an_unknown_version_is_no_mismatch() -> None:
    assert len(verdict(gpus("completed"), SWITCH, Manager(True, True), DRIVER).reasons) == 1


def test_without_a_driver_there_is_no_fabric() -> None:
    assert verdict(gpus(None), SWITCH, RUNS, None) == Verdict(
        "failed", ("the NVIDIA driver does not answer",)
    )
    assert verdict(gpus(None), [], RUNS, None).verdict == "not_needed"


STATUS = """\
Package: nvidia-fabricmanager-dev-550
Status: install ok installed
Version: 550.1.1-1

Package: nvidia-fabricmanager-550
Status: {status}
Priority: optional
Description: Fabric Manager
 for NVSwitch: systems
Version: 550.90.07-1
"""


def test_nothing_installed(tmp_path: Path) -> None:
    assert read_manager(tmp_path, True) == Manager()


def test_the_manager_as_debian_has_it(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("usr/lib/systemd/system/nvidia-fabricmanager.service", "[Unit]")
    tree.write("var/lib/dpkg/status", STATUS.format(status="install ok installed"))
    assert read_manager(tmp_path, True) == Manager(True, False, "550.90.07-1")
    tree.process(77, "nv-fabricmanager")
    assert read_manager(tmp_path, True) == Manager(True, True, "550.90.07-1")
    assert read_manager(tmp_path, False) == Manager(True, True, "")


def test_a_removed_package_has_no_version(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("lib/systemd/system/nvidia-fabricmanager.service", "[Unit]")
    tree.write("var/lib/dpkg/status", STATUS.format(status="deinstall ok config-files"))
    assert read_manager(tmp_path, True).version == ""


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 'Fabric Manager version is : 550.54.15'", "550.54.15"),
        ("echo broken; exit 1", ""),
        ("exec /nowhere/at/all", ""),
    ],
)
def test_the_program_says_its_version(tmp_path: Path, script: str, version: str) -> None:
    Tree(tmp_path).write("usr/bin/nv-fabricmanager", f"#!/bin/sh\n{script}").chmod(0o755)
    assert read_manager(tmp_path, True) == Manager(True, False, version)


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    Tree(tmp_path).write("usr/bin/nv-fabricmanager", "not a program").chmod(0o644)
    assert read_manager(tmp_path, True) == Manager(True, False, "")
