# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module beside other managers, without rights, and with nothing to talk to."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_node import NOBODY, PYNVML, GpuNode

FACTORY = (700, False, None, None)
WISH: dict[str, Any] = {"power_limit": "90%default", "graphics_clocks": "80%max", "memory_clocks": 2619}


@pytest.fixture
def node() -> GpuNode:
    return GpuNode()


@pytest.mark.parametrize(("process", "name"), [("nv-hostengine", "DCGM"), ("mig-manager", "mig-manager")])
def test_another_manager_is_left_to_it_and_named(node: GpuNode, process: str, name: str) -> None:
    node.process(4711, "nvidia-persistenced")
    node.process(4712, process)
    result = node.apply(power_limit=630)
    assert not result["changed"] and node.values() == FACTORY
    assert {(wish["reason"], wish["key"]) for wish in result["unapplied"]} >= {
        ("managed_by", "gpu.power_limit")
    }
    assert all(name in wish["detail"] for wish in result["unapplied"])
    assert node.apply(manage="manage", power_limit=630)["changed"]


def test_the_gpu_operator_is_found(node: GpuNode) -> None:
    (node.root / "run/nvidia/validations").mkdir(parents=True)
    assert node.apply(power_limit=630)["unapplied"][0]["detail"] == "GPU Operator"
    assert node.run(manage="none", power_limit="nonsense")["changed"] is False


def test_persistenced_with_a_driver_that_does_not_tell() -> None:
    node = GpuNode("gb200:1", driver="595.10.01")
    node.process(4711, "nvidia-persistenced", "--user", "nvidia")
    node.sim.set(0, "persistence_mode", 1)
    node.sim.set(0, "persistence_hidden", 1)
    result = node.apply(power_limit=1100)
    assert [change["key"] for change in result["changes"]] == ["gpu.power_limit"] and any(
        "nvidia-persistenced holds" in note for note in result["notes"]
    )
    assert node.apply(power_limit=1100)["writes"] == 0


def test_without_root(node: GpuNode) -> None:
    seen = node.apply(check=True, uid=NOBODY, **WISH)
    assert seen["changed"]
    failed = node.run(uid=NOBODY, **WISH)
    assert "needs root" in failed["msg"] and not node.record.exists() and node.values() == FACTORY
    shutil.rmtree(node.base / "run")
    node.base.chmod(0o755)
    assert "needs root" in node.run(uid=NOBODY, **WISH)["msg"]


def test_root_without_the_rights_of_root(node: GpuNode) -> None:
    failed = node.run(before=lambda: os.environ.update(NVML_SIM_PRIVILEGED="0"), **WISH)
    assert "needs root" in failed["msg"] and failed["not_undone"] == []
    assert node.values() == FACTORY and not node.record.exists()


def test_driver_not_loaded(node: GpuNode) -> None:
    node.sim.unload()
    for check in (True, False):
        failed = node.run(check=check, **WISH)
        assert "2 on the PCI bus" in failed["msg"] and "modprobe nvidia" in failed["msg"]
    assert node.run()["changed"] is False


def test_library_and_driver_of_different_versions(node: GpuNode) -> None:
    node.sim.install("570.172.08")
    assert "different versions" in node.run(**WISH)["msg"]


def test_library_missing(node: GpuNode) -> None:
    assert "gpu_nvml_library: /nowhere.so" in node.run(nvml_library="/nowhere.so", **WISH)["msg"]


def _hide_pynvml() -> None:
    sys.modules["pynvml"] = None  # type: ignore[assignment]


def test_binding_missing(node: GpuNode) -> None:
    failed = node.run(before=_hide_pynvml, **WISH)
    assert "python3-pynvml" in failed["msg"] and "gpu_pynvml_path" in failed["msg"]
    pending = node.apply(check=True, before=_hide_pynvml, pynvml_pending=True, **WISH)
    assert {wish["reason"] for wish in pending["unapplied"]} == {"not_installed"} and not pending["changed"]
    assert node.run(before=_hide_pynvml, pynvml_pending=True, **WISH)["failed"]


def test_binding_from_a_directory(node: GpuNode) -> None:
    def forget() -> None:
        del sys.modules["pynvml"]
        sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != PYNVML]

    assert node.apply(before=forget, pynvml_path=str(PYNVML), **WISH)["changed"]
    assert "there is no /nowhere" in node.run(pynvml_path="/nowhere", **WISH)["msg"]


def test_a_node_without_gpus_has_nothing_to_do() -> None:
    node = GpuNode()
    node.sim.unload()
    for device in (node.root / "sys/bus/pci/devices").iterdir():
        (device / "vendor").write_text("0x8086")
    result = node.apply(**WISH)
    assert (result["changed"], result["notes"]) == (False, ["this node has no NVIDIA GPU: nothing to do"])
    assert "expected are 8 × GPU" in node.run(expect={"count": 8}, **WISH)["msg"]


def test_an_empty_expectation_is_none() -> None:
    node = GpuNode("h100:1")
    shutil.rmtree(node.root / "sys/bus/pci/devices")
    node.sim.unload()
    assert not node.run(expect={}).get("failed")
    assert node.run(expect={"uniform": True})["failed"]
