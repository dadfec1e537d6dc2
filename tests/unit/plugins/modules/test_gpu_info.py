# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu_info module on simulated boards."""

from __future__ import annotations

import os

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu.info import throttle_reasons
from gpu_node import NOBODY, GpuNode


def test_what_is_read() -> None:
    node = GpuNode("h100:1,t4:1")
    node.sim.process(0, os.getpid(), 1024)
    node.sim.set(0, "utilization", 90)
    found = node.apply(module="gpu_info")
    assert (found["available"], found["reason"], found["changed"]) == (True, None, False)
    assert (found["driver_version"], found["cuda_version"]) == ("550.163.01", "12.4")
    first, second = found["gpus"]
    assert (first["model"], first["architecture"], first["uuid"]) == (
        "H100 80GB HBM3",
        "Hopper",
        node.uuid(0),
    )
    assert first["pci_bus_id"] in found["pci"] and first["lost"] is None
    assert first["power"] == {**first["power"], "limit": 700, "default": 700, "min": 200, "max": 700}
    assert first["clocks"]["graphics"]["supported"] == [345, 1980]
    assert first["utilization"]["gpu"] == 90 and first["temperature"] > 0
    assert first["memory"]["total"] == sum(first["memory"][part] for part in ("used", "free"))
    (process,) = first["processes"]
    assert (process["pid"], process["memory"], process["kind"]) == (os.getpid(), 1024 * 1024**2, "compute")
    assert process["name"]
    assert (second["model"], second["mig"], second["processes"]) == ("T4", None, [])


def test_without_root_everything_is_read_too() -> None:
    assert len(GpuNode().apply(module="gpu_info", uid=NOBODY)["gpus"]) == 2


@pytest.mark.parametrize("driver", ["535.261.03", "550.163.01", "595.10.01"])
def test_old_and_new_drivers(driver: str) -> None:
    (gpu,) = GpuNode("l40s:1", driver=driver).apply(module="gpu_info")["gpus"]
    assert gpu["temperature"] > 0 and gpu["throttle_reasons"] == ["gpu_idle"]


def test_a_power_brake_is_named() -> None:
    node = GpuNode("h100:1")
    node.sim.set(0, "throttle_reasons", "0x80")
    assert "hw_power_brake_slowdown" in node.apply(module="gpu_info")["gpus"][0]["throttle_reasons"]


@pytest.mark.parametrize(
    ("bits", "names"), [(None, None), (0, []), (0x41, ["gpu_idle", "hw_thermal_slowdown"])]
)
def test_reasons(bits: int | None, names: list[str] | None) -> None:
    assert throttle_reasons(bits) == names


def test_a_reason_without_a_name_keeps_its_number() -> None:
    assert throttle_reasons(0x1001) == ["gpu_idle", "0x1000"]


def test_a_lost_gpu_is_listed_as_lost() -> None:
    node = GpuNode()
    node.sim.lose(0)
    first, second = node.apply(module="gpu_info")["gpus"]
    assert first["index"] == 0 and "no longer answers" in first["lost"]
    assert second["lost"] is None and second["power"]["limit"] == 700


@pytest.mark.parametrize("error", ["TIMEOUT", "UNKNOWN", "NO_PERMISSION", "NOT_SUPPORTED"])
def test_a_getter_that_fails(error: str) -> None:
    node = GpuNode()
    node.sim.inject("nvmlDeviceGetPowerUsage", error, gpu=0)
    first, second = node.apply(module="gpu_info")["gpus"]
    if error in ("NO_PERMISSION", "NOT_SUPPORTED"):
        assert first["power"]["draw"] is None and first["power"]["limit"] == 700
    else:
        assert "nvmlDeviceGetPowerUsage" in first["lost"]
    assert second["power"]["draw"] > 0


def test_no_driver_is_no_failure() -> None:
    node = GpuNode()
    node.sim.unload()
    found = node.apply(module="gpu_info", check=True)
    assert (found["available"], found["gpus"], len(found["pci"])) == (False, [], 2)
    assert "modprobe nvidia" in found["reason"]
