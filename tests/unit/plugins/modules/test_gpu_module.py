# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module on simulated boards: what it does when all goes well, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_node import GpuNode

FACTORY = (700, False, None, None)
WISH: dict[str, Any] = {"power_limit": "90%default", "graphics_clocks": "80%max", "memory_clocks": 2619}
TUNED = (630, True, [345, 1575], [1593, 2619])


@pytest.fixture
def node() -> GpuNode:
    return GpuNode()


def keys(result: dict[str, Any]) -> list[str]:
    return [change["key"].partition(".")[2] for change in result["changes"]]


def test_the_life_of_a_setting(node: GpuNode) -> None:
    seen = node.apply(check=True, **WISH)
    assert seen["changed"] and seen["writes"] == 0 and node.values() == FACTORY and not node.record.exists()
    done = node.apply(**WISH)
    assert (done["changes"], done["plan_digest"]) == (seen["changes"], seen["plan_digest"])
    assert keys(done)[::2] == ["persistence_mode", "power_limit", "graphics_clocks", "memory_clocks"]
    assert node.values(0) == node.values(1) == TUNED
    again = node.apply(**WISH)
    assert (again["changed"], again["writes"], again["changes"]) == (False, 0, [])
    other = node.apply(power_limit={"all": 650, "1": 500}, graphics_clocks="1200-1980")
    assert (node.values(0), node.values(1)) == (
        (650, True, [1200, 1980], None),
        (500, True, [1200, 1980], None),
    )
    assert other["before"][f"gpu.power_limit {node.uuid(0)}"] == 630
    gone = node.apply(state="absent")
    assert gone["changed"] and node.values(0) == node.values(1) == FACTORY and not node.record.exists()
    assert node.apply(state="absent")["writes"] == 0


def test_the_diff_is_readable(node: GpuNode) -> None:
    diff = node.apply(power_limit={"0": 630})["diff"]
    assert diff["before"].splitlines() == [
        "gpu.persistence_mode (gpu 0 (H100 80GB HBM3)): false",
        "gpu.power_limit (gpu 0 (H100 80GB HBM3)): 700 W",
    ]


def test_writes_are_counted_to_the_last_one(node: GpuNode) -> None:
    node.sim.log()
    done = node.apply(power_limit={"0": 630}, graphics_clocks={"0": 1980})
    sets = [call for call in node.sim.calls() if "Set" in call["function"] or "Reset" in call["function"]]
    # Beside NVML: the record, the memory of the lock, the journal made and removed, the log of changes.
    assert len(sets) == 3 and done["writes"] == 3 + 5


@pytest.mark.skipif(os.geteuid() != 0, reason="a program of its own cannot play root")
def test_the_module_file_runs_as_a_program(node: GpuNode, collections_path: Path) -> None:
    program = (
        "import json, runpy, sys\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        "with patch_module_args(json.load(sys.stdin)):\n"
        "    runpy.run_module('ansible_collections.swarm.node.plugins.modules.gpu', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(node.parameters(**WISH)),
        env={**os.environ, "PYTHONPATH": str(collections_path), "NVML_SIM_DIR": str(node.sim.directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changed"] and node.values() == TUNED


def test_mixed_boards_and_an_old_driver() -> None:
    node = GpuNode("l40s:1,t4:1", driver="535.261.03")
    result = node.apply(power_limit={"L40S": "80%range", "T4": 65}, memory_clocks={"all": "100%max"})
    assert (node.values(0)[0], node.values(1)[0]) == (300, 65)
    (wish,) = result["unapplied"]
    assert (wish["key"], wish["reason"], wish["target_name"]) == (
        "gpu.memory_clocks",
        "unsupported",
        "gpu 1 (T4)",
    )
    failed = node.run(power_limit="min", memory_clocks=9001, required=["gpu.memory_clocks"])
    assert failed["failed"] and "required" in failed["msg"] and node.values(0)[0] == 300


def test_refused_wishes_change_nothing(node: GpuNode) -> None:
    failed = node.run(power_limit=900, graphics_clocks="1200-2000", origins={"power_limit": "group train"})
    assert [item["key"] for item in failed["problems"]] == ["gpu_power_limit", "gpu_graphics_clocks"]
    assert failed["problems"][0]["origin"] == "group train"
    assert "200-700 W" in failed["msg"] and "345-1980 MHz" in failed["msg"]
    assert node.values() == FACTORY and not node.record.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"power_limit": "80%"}, "a bare '%' does not say of what"),
        ({"power_limit": {"9": 600}}, "a GPU this node has: 0 = GPU-"),
        ({"graphics_clocks": "80%default"}, "application clocks"),
        ({"persistence_mode": "maybe"}, "true or false"),
        ({"persistence_mode": False, "power_limit": 600}, "without persistence it would vanish"),
        ({"power_limit": 600, "expect": {"count": 3}}, "expected 3 × GPU, found 2 × H100 80GB HBM3"),
        ({"expect": {"gpu": "L40S"}}, "expected at least one × L40S"),
        ({"expect": {"count": -1}}, "a count of 0 or more"),
    ],
)
def test_refusals(node: GpuNode, options: dict[str, Any], words: str) -> None:
    for check in (True, False):
        failed = node.run(check=check, **options)
        assert failed["failed"] and words in failed["msg"] and failed["msg"].startswith("nothing was changed")
    assert node.values() == FACTORY


def test_a_gpu_missing_from_nvml_is_named_by_its_address(node: GpuNode) -> None:
    (node.root / "sys/bus/pci/devices/0000:5d:00.0").mkdir()
    for name, text in (("vendor", "0x10de"), ("class", "0x030200")):
        (node.root / "sys/bus/pci/devices/0000:5d:00.0" / name).write_text(text)
    failed = node.run(power_limit=600, expect={"gpu": "H100 80GB HBM3", "count": 3})
    assert "(0000:5d:00.0 is on the PCI bus, but NVML does not see it)" in failed["msg"]
    assert any("0000:5d:00.0" in note for note in node.apply(power_limit=600)["notes"])


def test_a_limit_raised_behind_our_back_is_lowered_again(node: GpuNode) -> None:
    node.apply(persistence_mode=True, owner="persistence")
    node.apply(power_limit=630)
    node.sim.set(0, "power_limit_mw", 690_000)
    result = node.apply(power_limit=630)
    assert [(change["before"], change["after"]) for change in result["changes"]] == [(690, 630)]
    node.sim.set(0, "power_limit_mw", 690_000)
    assert any("stays as it is" in note for note in node.apply(state="absent")["notes"])
    assert (node.values(0)[0], node.values(1)[0]) == (690, 700)


def test_a_cap_by_another_hand_is_noted(node: GpuNode) -> None:
    node.apply(power_limit=630)
    node.sim.set(1, "power_cap_mw", 400_000)
    (note,) = node.apply(power_limit=630)["notes"]
    assert note.startswith("gpu 1 (H100 80GB HBM3): another hand caps it: enforced are 400 W")


def test_a_reload_of_the_driver_makes_locks_unknown_once(node: GpuNode) -> None:
    node.apply(**WISH)
    node.reload_driver()
    result = node.apply(**WISH)
    assert {change["before"] for change in result["changes"] if "clocks" in change["key"]} == {None}
    assert node.values() == TUNED and node.apply(**WISH)["writes"] == 0


def test_locks_lost_while_persistence_was_off_are_not_remembered(node: GpuNode) -> None:
    node.apply(owner="other", persistence_mode=True)
    node.apply(graphics_clocks=1980)
    for index in (0, 1):
        node.sim.set(index, "persistence_mode", 0)
    node.apply(module="gpu_info")
    assert node.values() == FACTORY
    node.apply(owner="other", persistence_mode=True)
    assert {change["before"] for change in node.apply(graphics_clocks=1980)["changes"]} == {None}
    assert node.values() == (700, True, [345, 1980], None)


def test_a_reboot_brings_everything_back_once(node: GpuNode) -> None:
    node.apply(**WISH)
    node.sim.reboot()
    node.boot("second")
    assert node.values() == FACTORY
    result = node.apply(**WISH)
    assert len(result["changes"]) == 8 and node.values() == TUNED and node.apply(**WISH)["writes"] == 0
    node.apply(state="absent")
    assert node.values() == FACTORY


def test_persistence_that_was_on_stays_on(node: GpuNode) -> None:
    node.sim.set(0, "persistence_mode", 1)
    node.apply(power_limit=630)
    node.apply(state="absent")
    assert (node.values(0)[1], node.values(1)[1]) == (True, False)


def test_two_owners(node: GpuNode) -> None:
    node.apply(power_limit=630)
    assert "'gpu' holds it" in node.run(owner="batch", power_limit=600)["msg"]
    node.apply(owner="batch", graphics_clocks=1980)
    assert "owner 'batch' relies on it" in node.apply(state="absent")["notes"][0]
    assert node.values() == (700, True, [345, 1980], None)


def test_a_damaged_record_is_rewritten(node: GpuNode) -> None:
    node.apply(**WISH)
    node.record.write_text(node.record.read_text()[:40])
    result = node.apply(**WISH)
    assert result["changes"][-1]["key"] == "record" and "damaged" in result["notes"][-1]
    assert node.values() == TUNED and node.apply(**WISH)["writes"] == 0


@pytest.mark.parametrize(
    "text", ["", "[]", '{"boot_id": "first"}', '{"boot_id": 1, "driver_load": 2, "locks": 3}']
)
def test_a_damaged_memory_of_locks_is_unknown(node: GpuNode, text: str) -> None:
    node.apply(graphics_clocks=1980)
    (node.base / "run" / "gpu_locks.json").write_text(text)
    result = node.apply(graphics_clocks=1980)
    assert [(change["before"], change["after"]) for change in result["changes"]] == [(None, [345, 1980])] * 2
    assert node.apply(graphics_clocks=1980)["writes"] == 0


def test_what_disturbs_too_much_is_left_out(node: GpuNode) -> None:
    result = node.apply(max_disruption="none", power_limit=630)
    assert {wish["reason"] for wish in result["unapplied"]} == {"needs_more_disruption"}
    failed = node.run(max_disruption="none", power_limit=630, required=["gpu.power_limit"])
    assert failed["failed"] and node.values()[0] == 700
