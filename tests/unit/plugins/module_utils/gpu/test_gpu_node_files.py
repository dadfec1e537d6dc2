# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found in /proc, /sys and /run: GPUs on PCI, the driver's load, managers, the memory of locks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu.managers import (
    find_manager,
    persistence_daemon_holds,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu.memory import LockMemory, known_locks
from ansible_collections.swarm.node.plugins.module_utils.gpu.presence import (
    DriverLoad,
    bus_address,
    driver_load,
    gpus_on_pci,
)


def device(root: Path, address: str, vendor: str, kind: str, driver: str = "") -> None:
    directory = root / "sys/bus/pci/devices" / address
    directory.mkdir(parents=True)
    (directory / "vendor").write_text(f"{vendor}\n")
    (directory / "class").write_text(f"{kind}\n")
    if driver:
        (root / "sys/bus/pci/drivers" / driver).mkdir(parents=True)
        (directory / "driver").symlink_to(root / "sys/bus/pci/drivers" / driver)


def process(root: Path, pid: int, name: str, *arguments: str) -> None:
    (root / "proc" / str(pid)).mkdir(parents=True)
    (root / "proc" / str(pid) / "comm").write_text(f"{name[:15]}\n")
    (root / "proc" / str(pid) / "cmdline").write_text("\0".join((name, *arguments)) + "\0")


def test_gpus_are_display_and_3d_controllers_of_nvidia_that_are_ours(tmp_path: Path) -> None:
    device(tmp_path, "0000:18:00.0", "0x10de", "0x030200", "nvidia")
    device(tmp_path, "0000:2a:00.0", "0x10de", "0x030000")
    device(tmp_path, "0000:18:00.1", "0x10de", "0x040300")
    device(tmp_path, "0000:3b:00.0", "0x10de", "0x068000")
    device(tmp_path, "0000:00:02.0", "0x8086", "0x030000")
    device(tmp_path, "0000:5d:00.0", "0x10de", "0x030200", "vfio-pci")
    assert gpus_on_pci(tmp_path) == ("0000:18:00.0", "0000:2a:00.0")


def test_no_pci_bus_no_gpus(tmp_path: Path) -> None:
    assert gpus_on_pci(tmp_path) == ()


def test_the_load_of_the_driver(tmp_path: Path) -> None:
    assert driver_load(tmp_path) == DriverLoad("", None)
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("abc\n")
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)
    first = driver_load(tmp_path)
    (tmp_path / "sys/module/nvidia").rename(tmp_path / "old")
    (tmp_path / "sys/module/nvidia").mkdir()
    assert first.boot_id == "abc" and driver_load(tmp_path) != first


@pytest.mark.parametrize(
    ("nvml", "sysfs"), [("00000000:5D:00.0", "0000:5d:00.0"), ("00010000:01:00.0", "10000:01:00.0"), ("", "")]
)
def test_bus_address(nvml: str, sysfs: str) -> None:
    assert bus_address(nvml) == sysfs


@pytest.mark.parametrize(
    ("name", "manager"),
    [
        ("nv-hostengine", "DCGM (nv-hostengine), process 7"),
        ("nvidia-mig-manager", "mig-manager, process 7"),
        ("nvidia-persistenced", ""),
        ("dcgm-exporter", ""),
        ("python3", ""),
    ],
)
def test_managers(tmp_path: Path, name: str, manager: str) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    process(tmp_path, 7, name)
    assert find_manager(tmp_path) == manager


@pytest.mark.parametrize("path", ["run/nvidia/validations", "run/nvidia/driver"])
def test_the_gpu_operator(tmp_path: Path, path: str) -> None:
    (tmp_path / path).mkdir(parents=True)
    assert find_manager(tmp_path) == "GPU Operator"


@pytest.mark.parametrize(
    ("arguments", "holds"), [((), True), (("--user", "x"), True), (("--no-persistence-mode",), False)]
)
def test_persistenced(tmp_path: Path, arguments: tuple[str, ...], holds: bool) -> None:
    assert not persistence_daemon_holds(tmp_path)
    process(tmp_path, 9, "nvidia-persistenced", *arguments)
    assert persistence_daemon_holds(tmp_path) is holds


LOAD = DriverLoad("boot", 42)


def test_memory_is_of_one_boot_and_one_load(tmp_path: Path) -> None:
    memory = LockMemory(str(tmp_path), LOAD)
    assert memory.remember("GPU-a", "gpu.graphics_clocks", [345, 1980]) == 1
    assert memory.read() == {"GPU-a": {"gpu.graphics_clocks": [345, 1980]}}
    for other in (DriverLoad("boot", 43), DriverLoad("next", 42), DriverLoad("boot", None)):
        assert LockMemory(str(tmp_path), other).read() == {}


def test_forgetting_what_is_not_remembered_writes_nothing(tmp_path: Path) -> None:
    memory = LockMemory(str(tmp_path), LOAD)
    memory.remember("GPU-a", "gpu.graphics_clocks", "unlocked")
    assert (memory.forget("GPU-b"), memory.forget("GPU-a", "gpu.memory_clocks")) == (0, 0)
    assert memory.forget("GPU-a", "gpu.graphics_clocks") == 1 and memory.read() == {}


def test_refusals_are_of_one_load_and_leave_locks_as_they_were(tmp_path: Path) -> None:
    memory = LockMemory(str(tmp_path), LOAD)
    locks = {"gpu.graphics_clocks": [345, 1980]}
    assert memory.refuse("GPU-a", "gpu.power_limit", "no", locks) == 1
    assert (memory.refusals(), memory.read()) == ({"GPU-a": {"gpu.power_limit": "no"}}, {"GPU-a": locks})
    assert LockMemory(str(tmp_path), DriverLoad("boot", 43)).refusals() == {}
    memory.forget("GPU-a")
    memory.remember("GPU-b", "gpu.graphics_clocks", "unlocked")
    assert memory.refusals() == {"GPU-a": {"gpu.power_limit": "no"}}, "other writes keep it"


def test_locks_are_put_back_only_where_they_are_gone(tmp_path: Path) -> None:
    memory = LockMemory(str(tmp_path), LOAD)
    memory.remember("GPU-a", "gpu.graphics_clocks", [345, 1980])
    assert memory.put_back("GPU-a", {"gpu.graphics_clocks": [345, 1980]}) == 0
    memory.forget("GPU-a")
    assert memory.put_back("GPU-a", {"gpu.graphics_clocks": [345, 1980]}) == 1
    assert memory.read() == {"GPU-a": {"gpu.graphics_clocks": [345, 1980]}}


def test_what_was_unlocked_stays_known(tmp_path: Path) -> None:
    memory = LockMemory(str(tmp_path), LOAD)
    memory.remember("GPU-a", "gpu.graphics_clocks", [345, 1980])
    memory.remember("GPU-a", "gpu.memory_clocks", "unlocked")
    assert (memory.forget_locked("GPU-a"), memory.forget_locked("GPU-a")) == (1, 0)
    assert memory.read() == {"GPU-a": {"gpu.memory_clocks": "unlocked"}}


@pytest.mark.parametrize("refused", [[], {"GPU-a": 1}, {"GPU-a": {"gpu.power_limit": 1}}, None])
def test_refusals_that_make_no_sense_are_none(tmp_path: Path, refused: object) -> None:
    body = {"boot_id": "boot", "driver_load": 42, "locks": {}, "refused": refused}
    (tmp_path / "gpu_locks.json").write_text(json.dumps(body))
    assert not any(LockMemory(str(tmp_path), LOAD).refusals().values())


def test_values_that_make_no_sense_are_not_remembered(tmp_path: Path) -> None:
    memory = LockMemory(str(tmp_path), LOAD)
    for value in ("locked", [1], [1, 2, 3], ["a", "b"], None):
        memory.remember("GPU-a", "gpu.graphics_clocks", value)
        assert memory.read() == {"GPU-a": {}}


@pytest.mark.parametrize(("persistence", "known"), [(True, {"g", "m"}), (False, {"m"}), (None, {"m"})])
def test_without_persistence_only_unlocked_is_known(persistence: bool | None, known: set[str]) -> None:
    assert set(known_locks({"GPU-a": {"g": [1, 2], "m": "unlocked"}}, "GPU-a", persistence)) == known
