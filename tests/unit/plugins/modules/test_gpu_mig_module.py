# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu_mig module on simulated boards: what it does when all goes well, and what it refuses."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_mig_node import MigNode
from gpu_node import NOBODY

HALVES = ["3g.40gb:0", "3g.40gb:4"]
SEVEN = [f"1g.10gb:{start}" for start in range(7)]


@pytest.fixture
def node() -> MigNode:
    return MigNode("h100:2")


def keys(result: dict[str, Any]) -> list[str]:
    return [change["key"] for change in result["changes"]]


def reasons(result: dict[str, Any]) -> set[tuple[str, str]]:
    return {(wish["key"], wish["reason"]) for wish in result["unapplied"]}


def test_the_life_of_a_layout(node: MigNode) -> None:
    seen = node.apply(check=True, mig={"3g.40gb": 2})
    assert seen["changed"] and seen["writes"] == 0 and node.mode() == (0, 0) and not node.claims()
    done = node.apply(mig={"3g.40gb": 2})
    assert (done["changes"], done["plan_digest"]) == (seen["changes"], seen["plan_digest"])
    assert keys(done) == ["gpu_mig.mode", "gpu_mig.layout"] * 2
    assert node.mode() == (1, 1) and node.layout(0) == node.layout(1) == HALVES
    again = node.apply(mig={"3g.40gb": 2})
    assert (again["changed"], again["writes"], again["changes"]) == (False, 0, [])
    node.apply(mig={"all": {"3g.40gb": 2}, "1": "all-1g.10gb"})
    assert (node.layout(0), node.layout(1)) == (HALVES, SEVEN)
    gone = node.apply(state="absent")
    assert gone["changed"] and node.mode(0) == node.mode(1) == (0, 0) and not node.claims()
    assert node.apply(state="absent")["writes"] == 0


def test_what_serves_is_not_touched(node: MigNode) -> None:
    node.apply(mig={"3g.40gb": 2})
    devices = {item["uuid"] for item in node.sim.gpu(0)["mig_instances"][0]["compute"]}
    node.use(0)
    node.sim.log()
    node.apply(mig={"0": {"3g.40gb": 1, "2g.20gb": 1, "1g.10gb": 1}, "1": "enabled"})
    assert node.layout(0) == ["3g.40gb:0", "2g.20gb:4", "1g.10gb:6"]
    calls = [call["function"] for call in node.sim.calls()]
    assert calls.count("nvmlGpuInstanceDestroy") == calls.count("nvmlComputeInstanceDestroy") == 1
    assert {item["uuid"] for item in node.sim.gpu(0)["mig_instances"][0]["compute"]} == devices
    assert node.layout(1) == HALVES


def test_compute_instances(node: MigNode) -> None:
    node.apply(mig={"0": {"3g.40gb": {"compute": ["1c.3g.40gb", "2c.3g.40gb"]}}})
    assert node.layout() == ["3g.40gb:4 (2c, 1c)"]
    node.apply(mig={"0": {"1c.3g.40gb": 3}})
    assert node.layout() == ["3g.40gb:4 (1c, 1c, 1c)"]
    node.apply(mig={"0": {"3g.40gb": {"compute": []}}})
    assert node.layout() == ["3g.40gb:4 (none)"]
    assert node.apply(mig={"0": {"3g.40gb": {"compute": []}}})["writes"] == 0


def test_two_kinds_of_compute_instances_of_one_size(node: MigNode) -> None:
    """On Hopper only the second kind fills a 1g.20gb; the first has the multiprocessors of a 1g.10gb."""
    node.apply(mig={"0": "1g.20gb"})
    (instance,) = node.sim.gpu(0)["mig_instances"]
    assert [item["profile"] for item in instance["compute"]] == ["1g.20gb"]
    node.apply(mig={"0": ["1g.20gb:4 (1c/0)", "3g.40gb:0 (1c/7)"]})
    inner = {item["profile"]: item["compute"][0]["profile_id"] for item in node.sim.gpu(0)["mig_instances"]}
    assert inner == {"1g.20gb": 0, "3g.40gb": 7}
    assert node.apply(mig={"0": ["1g.20gb:4 (1c/0)", "3g.40gb:0 (1c/7)"]})["writes"] == 0
    failed = node.run(mig={"0": ["1g.20gb", "3g.40gb", "1g.10gb:6 (1c/3)"]})
    assert "the driver offers 1c in 1g.10gb" in failed["msg"]
    assert node.layout() == ["3g.40gb:0 (1c)", "1g.20gb:4 (1c)"]


def test_creating_needs_no_permission_to_disturb(node: MigNode) -> None:
    node.apply(mig="enabled")
    done = node.apply(mig={"1g.10gb": 1}, max_disruption="none")
    assert {change["disruption"] for change in done["changes"]} == {"none"} and node.layout() == ["1g.10gb:6"]


def test_what_disturbs_jobs_is_withheld_whole(node: MigNode) -> None:
    left = node.apply(mig="all-1g.10gb", max_disruption="perf")
    assert left["changes"] == [] and node.mode() == (0, 0) and not node.claims()
    assert reasons(left) == {
        ("gpu_mig.mode", "needs_more_disruption"),
        ("gpu_mig.layout", "needs_more_disruption"),
    }
    node.apply(mig={"3g.40gb": 2})
    left = node.apply(mig={"3g.40gb": 1, "1g.10gb": 1}, max_disruption="perf")
    assert left["changes"] == [] and node.layout() == HALVES
    failed = node.run(mig={"1g.10gb": 1}, max_disruption="perf", required=["gpu_mig.layout"])
    assert failed["failed"] and node.layout() == HALVES


def test_an_instance_in_use_is_left_and_its_process_named(node: MigNode) -> None:
    node.apply(mig={"3g.40gb": 2})
    node.use(4)
    left = node.apply(mig={"0": "all-1g.10gb", "1": "all-1g.10gb"})
    (wish,) = left["unapplied"]
    assert (wish["key"], wish["reason"], wish["target"]) == ("gpu_mig.layout", "busy", node.uuid(0))
    assert "3g.40gb:4 would have to be destroyed, but it is in use by 4711 python3" in wish["detail"]
    assert node.layout(0) == HALVES and node.layout(1) == SEVEN
    failed = node.run(mig={"0": "disabled"}, required=["gpu_mig"])
    assert "4711 python3" in failed["msg"] and node.mode() == (1, 1)


@pytest.mark.parametrize("compute", [0, 1, 2])
def test_of_equal_compute_instances_the_idle_ones_go(node: MigNode, compute: int) -> None:
    node.apply(mig={"0": {"1c.3g.40gb": 3}})
    node.sim.node.process(f"0:{node.instance(4)}:{compute}", 4711, 100)
    node.apply(mig={"0": {"1c.3g.40gb": 1}})
    (instance,) = node.sim.gpu(0)["mig_instances"]
    assert [item["id"] for item in instance["compute"]] == [compute]


def test_the_mode_is_not_changed_under_a_process(node: MigNode) -> None:
    node.process(4711, "train")
    node.sim.node.process("0", 4711, 100)
    left = node.apply(mig={"0": {"3g.40gb": 2}})
    assert reasons(left) == {("gpu_mig.mode", "busy"), ("gpu_mig.layout", "busy")} and node.mode() == (0, 0)
    assert all("4711 train" in wish["detail"] for wish in left["unapplied"])


def test_named_and_balanced_layouts_on_mixed_boards() -> None:
    node = MigNode("h100:1,a100:1,l40s:1")
    mig = {"H100 80GB HBM3": "halves", "A100-SXM4-40GB": "balanced", "L40S": "disabled"}
    done = node.apply(mig=mig, layouts={"halves": ["3g.40gb", "3g.40gb"]})
    assert node.layout(0) == HALVES and done["unapplied"] == []
    assert node.layout(1) == ["1g.5gb:0", "1g.5gb:1", "2g.10gb:2", "3g.20gb:4"]
    left = node.apply(mig={"all": "enabled"})
    assert reasons(left) == {("gpu_mig.mode", "unsupported")}
    assert left["unapplied"][0]["detail"] == "L40S has no MIG"


def test_a_guest_lists_its_wish_and_is_off() -> None:
    node = MigNode("a100:1")
    node.sim.set(0, "virtualization", 2)
    assert reasons(node.apply(mig="balanced")) == {("gpu_mig.layout", "unsupported")}
    assert node.apply(mig="disabled")["unapplied"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mig": "halves"}, "or a name from gpu_mig_layouts (there is none)"),
        ({"mig": "all-1g.5gb"}, "a profile that H100 80GB HBM3 has: 1g.10gb, 1g.10gb+me, 1g.20gb, 2g.20gb"),
        ({"mig": {"3g.40gb": 3}}, "at most 2 × 3g.40gb by themselves"),
        ({"mig": {"9": "disabled"}}, "a GPU this node has: 0 = "),
        ({"mig": [9, 9]}, "put it in quotes if YAML read it as a number"),
        ({"mig": "balanced", "layouts": {"all-x": ["1g.10gb"]}}, "gpu_mig_layouts: 'all-x' is refused"),
        ({"mig": "balanced", "required": ["gpu_mig.layot"]}, "'gpu_mig.layot' is refused"),
    ],
)
def test_refusals(node: MigNode, options: dict[str, Any], words: str) -> None:
    for check in (True, False):
        failed = node.run(check=check, **options)
        assert failed["failed"] and words in failed["msg"], failed["msg"]
        assert failed["msg"].startswith("nothing was changed")
    assert node.mode() == (0, 0)


def test_a_compute_instance_the_driver_does_not_offer_undoes_the_run(node: MigNode) -> None:
    """What fits into a GPU instance is known only once it is there: a 4g has no 3c."""
    node.apply(mig={"0": {"3g.40gb": 2}})
    failed = node.run(mig={"0": {"4g.40gb": {"compute": ["3c"]}}})
    assert failed["failed"] and "the driver offers 1c, 2c, 4c, 1c/7 in 4g.40gb" in failed["msg"]
    assert node.layout() == HALVES and failed["not_undone"] == []


@pytest.mark.faults
def test_any_layout_after_any_other(node: MigNode) -> None:
    """What is planned is what comes of it, and no instance is destroyed that stays."""
    chance = random.Random(7)
    profiles = [
        "1g.10gb",
        "1g.10gb+me",
        "1g.20gb",
        "2g.20gb",
        "3g.40gb (1c, 1c)",
        "3g.40gb",
        "4g.40gb",
        "7g.80gb",
    ]
    node.apply(mig={"0": "enabled"})
    node.sim.log()
    done = 0
    for _ in range(40):
        wish = chance.choices(profiles, weights=[4, 1, 2, 3, 2, 2, 1, 1], k=chance.randint(1, 4))
        before = node.layout()
        node.sim.calls(clear=True)
        answer = node.run(mig={"0": wish})
        if answer.get("failed"):
            assert "what fits on H100" in answer["msg"] and node.layout() == before, wish
            continue
        done += 1
        after = answer["after"][f"gpu_mig.layout {node.uuid(0)}"]
        assert node.layout() == after, wish
        assert sorted(text.partition(":")[0] for text in after) == sorted(
            text.partition(" ")[0] for text in wish
        )
        gone = {text.partition(" ")[0] for text in before} - {text.partition(" ")[0] for text in after}
        calls = [call["function"] for call in node.sim.calls()]
        assert calls.count("nvmlGpuInstanceDestroy") == len(gone), wish
    assert done > 15


# -- assert only


def test_assert_only_changes_nothing_and_names_every_difference(node: MigNode) -> None:
    node.apply(mig={"3g.40gb": 2}, owner="other")
    failed = node.run(mig={"0": {"3g.40gb": 2}, "1": "all-1g.10gb"}, assert_only=True)
    assert failed["failed"] and "found is 3g.40gb:0, 3g.40gb:4" in failed["msg"]
    (problem,) = failed["problems"]
    assert (problem["key"], problem["target"]) == ("gpu_mig.layout", "gpu 1 (H100 80GB HBM3)")
    assert node.layout(1) == HALVES and not node.claims()
    fine = node.apply(mig={"3g.40gb": 2}, assert_only=True)
    assert (fine["changed"], fine["writes"]) == (False, 0) and not node.claims()
    # What is held from before is given back all the same.
    node.apply(owner="other", state="absent", assert_only=True)
    assert node.mode(0) == (0, 0)


def test_assert_only_is_of_use_where_another_program_manages(node: MigNode) -> None:
    (node.root / "run/nvidia/validations").mkdir(parents=True)
    assert "declared is enabled" in node.run(mig="enabled", assert_only=True)["msg"]
    left = node.apply(mig="enabled")
    assert reasons(left) == {("gpu_mig.mode", "managed_by")} and node.mode() == (0, 0)
    assert {wish["detail"] for wish in left["unapplied"]} == {"GPU Operator"}


# -- Ampere


def test_a_mode_that_needs_a_reset_is_pending_until_then() -> None:
    node = MigNode("a100:1")
    node.sim.set(0, "mig_auto_reset", 0)
    seen = node.apply(check=True, mig={"3g.20gb": 2})
    assert keys(seen) == ["gpu_mig.mode", "gpu_mig.layout"]
    first = node.apply(mig={"3g.20gb": 2})
    assert node.mode() == (0, 1) and first["reboot_required"]
    assert [(item["key"], item["when"]) for item in first["changes"]] == [("gpu_mig.mode", "reboot")]
    for result in (first, node.apply(mig={"3g.20gb": 2})):
        assert reasons(result) == {("gpu_mig.layout", "needs_reset")}
        (waiting,) = result["pending"]
        assert (waiting["live"], waiting["after"]) == ("disabled", "enabled")
        assert "nvidia-smi --gpu-reset -i 0" in waiting["detail"] and result["reboot_required"]
    assert result["writes"] == 0
    node.sim.reset(0)
    done = node.apply(mig={"3g.20gb": 2})
    assert keys(done) == ["gpu_mig.layout"] and node.layout() == ["3g.20gb:0", "3g.20gb:4"]
    assert (done["pending"], done["unapplied"], done["reboot_required"]) == ([], [], False)
    node.apply(state="absent")
    assert node.mode() == (1, 0) and node.layout() == []
    node.sim.reset(0)
    assert node.mode() == (0, 0)


def test_a_required_mode_that_has_to_wait_is_set_back() -> None:
    node = MigNode("a100:1")
    node.sim.set(0, "mig_auto_reset", 0)
    failed = node.run(mig={"3g.20gb": 2}, required=["gpu_mig.layout"])
    assert failed["failed"] and "or a reboot, and it is required" in failed["msg"]
    assert node.mode() == (0, 0) and not node.claims()


def test_somebody_who_holds_an_ampere_gpu_makes_the_mode_wait() -> None:
    node = MigNode("a100:1")
    with node.sim.client() as other:
        other("nvmlDeviceGetCount")
        left = node.apply(mig="enabled")
    assert node.mode() == (0, 1) and "the GPU is in use" in left["pending"][0]["detail"]


def test_an_ampere_gpu_that_can_be_reset_gets_its_layout_at_once() -> None:
    node = MigNode("a100:2")
    node.apply(mig="all-1g.5gb")
    assert len(node.layout(0)) == len(node.layout(1)) == 7
    assert node.apply(mig="all-1g.5gb")["writes"] == 0


# -- owners, records, reboots


def test_two_owners(node: MigNode) -> None:
    node.apply(mig={"0": {"3g.40gb": 2}})
    node.apply(owner="batch", mig={"1": "all-1g.10gb"})
    failed = node.run(owner="batch", mig="all-1g.10gb")
    assert "one owner per key; 'gpu_mig' holds it on this GPU" in failed["msg"]
    node.apply(owner="batch", state="absent")
    assert node.layout(0) == HALVES and node.mode(1) == (0, 0)


def test_a_layout_that_is_so_already_is_recorded_and_stays_on_removal(node: MigNode) -> None:
    node.apply(owner="somebody", mig={"3g.40gb": 2})
    (node.base / "state/somebody.json").unlink()
    found = node.apply(mig={"3g.40gb": 2})
    assert keys(found) == ["record"] and len(node.claims()) == 4
    assert node.claims()[f"gpu_mig.layout {node.uuid(0)}"] == {"first_seen": HALVES, "applied": HALVES}
    assert node.apply(mig={"3g.40gb": 2})["writes"] == 0
    node.apply(state="absent")
    assert node.layout() == HALVES and not node.claims()


def test_a_layout_that_was_there_comes_back_at_its_places(node: MigNode) -> None:
    node.apply(owner="somebody", mig={"0": ["1g.10gb:3", "3g.40gb:4 (2c, 1c)"]})
    (node.base / "state/somebody.json").unlink()
    node.apply(mig={"0": "disabled"})
    assert node.mode() == (0, 0)
    node.apply(state="absent")
    assert node.mode() == (1, 1) and node.layout() == ["1g.10gb:3", "3g.40gb:4 (2c, 1c)"]


def test_what_a_reboot_took_is_made_again_where_it_was(node: MigNode) -> None:
    node.apply(mig={"0": ["3g.40gb:0", "1g.10gb:5"]})
    node.sim.reboot()
    node.boot("second")
    assert node.mode() == (0, 0)
    wishes = {node.uuid(0): node.claims()[f"gpu_mig.layout {node.uuid(0)}"]["applied"]}
    node.apply(mig=wishes)
    assert node.layout() == ["3g.40gb:0", "1g.10gb:5"]
    node.sim.reboot()
    assert node.apply(state="absent")["unapplied"] == [] and not node.claims()


def test_what_somebody_else_made_stays(node: MigNode) -> None:
    node.apply(mig={"0": {"3g.40gb": 1}})
    with node.sim.client() as other:
        other("nvmlDeviceCreateGpuInstance", {"gpu": 0}, 14)
    gone = node.apply(state="absent")
    assert node.layout() == ["2g.20gb:0 (none)", "3g.40gb:4"]
    assert any("stays as it is" in note for note in gone["notes"]) and not node.claims()


# -- the rest


def test_the_diff_is_readable(node: MigNode) -> None:
    diff = node.apply(mig={"0": {"3g.40gb": 2}})["diff"]
    assert diff["after"].splitlines() == [
        "gpu_mig.mode (gpu 0 (H100 80GB HBM3)): enabled",
        'gpu_mig.layout (gpu 0 (H100 80GB HBM3)): ["3g.40gb:0", "3g.40gb:4"]',
    ]


def test_without_root_layouts_cannot_be_seen(node: MigNode) -> None:
    failed = node.run(check=True, uid=NOBODY, mig="balanced")
    assert failed["failed"] and "this needs root on the node (become: true)" in failed["msg"]


def test_before_pynvml_is_installed(node: MigNode) -> None:
    def hide() -> None:
        sys.modules["pynvml"] = None  # type: ignore[assignment]

    seen = node.apply(check=True, before=hide, mig="balanced", pynvml_pending=True)
    assert reasons(seen) == {("gpu_mig.layout", "not_installed")}
    assert "the Python binding of NVML is missing" in node.run(before=hide, mig="balanced")["msg"]


def test_a_node_without_gpus_has_nothing_to_do() -> None:
    node = MigNode("h100:1")
    for device in (node.root / "sys/bus/pci/devices").iterdir():
        (device / "vendor").write_text("0x8086\n")
    node.sim.unload()
    done = node.apply(mig="balanced")
    assert (done["changed"], done["notes"]) == (False, ["this node has no NVIDIA GPU: nothing to do"])


def test_where_nobody_asks_for_mig_no_gpu_is_asked(node: MigNode) -> None:
    node.sim.log()
    done = node.apply(uid=NOBODY, check=True)
    assert (done["changed"], done["notes"], node.sim.calls()) == (False, [], [])
    node.sim.unload()
    assert node.apply()["writes"] == node.apply(state="absent")["writes"] == 0


def test_gpus_that_cannot_be_asked_fail_the_host(node: MigNode) -> None:
    node.sim.unload()
    assert "the NVIDIA driver is not loaded" in node.run(mig="balanced")["msg"]


def test_a_driver_that_names_no_profiles(node: MigNode) -> None:
    """The newer structure with names may be had only while MIG is on, or not at all."""
    node.sim.inject("nvmlDeviceGetGpuInstanceProfileInfoV", "FUNCTION_NOT_FOUND")
    node.sim.inject("nvmlGpuInstanceGetComputeInstanceProfileInfoV", "FUNCTION_NOT_FOUND")
    node.apply(mig={"3g.40gb": 1, "1g.10gb+me": 1, "1g.20gb": 1})
    assert node.layout() == ["1g.10gb+me:1", "1g.20gb:2", "3g.40gb:4"]


@pytest.mark.parametrize("board", ["a100", "h100", "b200", "gb200"])
def test_computed_names_are_those_of_the_driver(board: str) -> None:
    node = MigNode(f"{board}:1")
    off = node.run(mig="all-9g.99gb")["msg"]
    node.apply(mig="enabled")
    assert node.run(mig="all-9g.99gb")["msg"] == off and "7g." in off


@pytest.mark.skipif(os.geteuid() != 0, reason="a program of its own cannot play root")
def test_the_module_file_runs_as_a_program(node: MigNode, collections_path: Path) -> None:
    program = (
        "import json, runpy, sys\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        "with patch_module_args(json.load(sys.stdin)):\n"
        "    name = 'ansible_collections.swarm.node.plugins.modules.gpu_mig'\n"
        "    runpy.run_module(name, run_name='__main__')\n"
    )
    parameters = node.parameters(mig={"3g.40gb": 2}, max_disruption="node_jobs")
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(parameters),
        env={**os.environ, "PYTHONPATH": str(collections_path), "NVML_SIM_DIR": str(node.sim.directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changed"] and node.layout() == HALVES


def test_a_node_without_the_expected_gpus_keeps_its_layouts(node: MigNode) -> None:
    expect = {"gpu": "H100 80GB HBM3", "count": 9}
    refused = node.run(mig="all-1g.10gb", expect=expect, origins={"expect": "group a"})
    assert refused["failed"] and "expected 9" in refused["msg"] and "group a" in refused["msg"]
    assert node.mode() == (0, 0) and not node.claims()
