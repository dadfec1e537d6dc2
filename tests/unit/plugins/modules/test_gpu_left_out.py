# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left out of a plan leaves nothing half done, and answers stay true."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gpu_node import GpuNode

WISH: dict[str, Any] = {"power_limit": 600, "graphics_clocks": 1980}


@pytest.fixture
def node() -> GpuNode:
    return GpuNode("h100:1")


def reasons(result: dict[str, Any]) -> dict[str, str]:
    return {wish["key"].partition(".")[2]: wish["reason"] for wish in result["unapplied"]}


def keys(result: dict[str, Any]) -> list[str]:
    return [change["key"].rpartition(".")[2] for change in result["changes"]]


# -- less disruption than it takes


@pytest.mark.parametrize("end", [{"state": "absent"}, {"reset": True}, {"persistence_mode": False}])
def test_persistence_does_not_go_off_under_what_may_not_be_given_back(
    node: GpuNode, end: dict[str, Any]
) -> None:
    node.apply(**WISH)
    kept = node.apply(**end, max_disruption="none")
    assert not kept["changed"] and node.values() == (600, True, [345, 1980], None)
    found = reasons(kept)
    assert {found[key] for key in ("power_limit", "graphics_clocks", "persistence_mode")} == {
        "needs_more_disruption"
    }
    node.apply(**end)
    assert node.values() == (700, False, None, None)


def test_persistence_does_not_go_on_for_what_may_not_be_set(node: GpuNode) -> None:
    result = node.apply(power_limit=600, max_disruption="none")
    assert not result["changed"] and node.values() == (700, False, None, None) and not node.record.exists()
    assert reasons(result) == {"power_limit": "needs_more_disruption"}


def test_what_is_so_already_is_recorded_beside_what_is_left_out(node: GpuNode) -> None:
    node.sim.set(0, "compute_mode", 3)
    wish = {"compute_mode": "exclusive_process", "ecc": False}
    done = node.apply(**wish)
    assert keys(done) == ["record"] and [name.split()[0] for name in node.claims()] == ["gpu.compute_mode"]
    again = node.apply(**wish)
    assert (again["changed"], again["writes"]) == (False, 0)


# -- required


def test_an_answer_about_required_settings_does_not_tell_of_changes_that_were_not_made() -> None:
    node = GpuNode("p40:1")
    result = node.run(
        power_limit="80%max",
        ecc=True,
        memory_clocks="max",
        required=["memory_clocks"],
        max_disruption="reboot",
    )
    name = f"gpu.power_limit {node.uuid(0)}"
    assert result["failure_kind"] == "required" and not result["changes"] and not result["changed"]
    assert result["after"] == result["before"] and result["before"][name] == 250
    assert not result["pending"] and not result["reboot_required"] and result["diff"]["after"] == ""


# -- ECC


def test_ecc_that_was_given_back_is_pending_until_the_reboot(node: GpuNode) -> None:
    node.apply(ecc=False, max_disruption="reboot")
    node.sim.reboot()
    node.boot("second")
    node.apply(state="absent", max_disruption="reboot")
    for options in ({"state": "absent"}, {"power_limit": 600}, {"power_limit": 600}):
        result = node.apply(**options)
        assert [(item["live"], item["after"]) for item in result["pending"]] == [(False, True)]
        assert result["reboot_required"]
    node.sim.reset(0)
    assert not node.apply(power_limit=600)["pending"]


def test_ecc_that_waits_is_pending_where_nothing_may_be_changed(node: GpuNode) -> None:
    node.apply(ecc=False, max_disruption="reboot")
    for wish in ({"ecc": True}, {"state": "absent"}, {"ecc": False}):
        (item,) = node.apply(**wish, freeze="an incident")["pending"]
        assert (item["live"], item["after"]) == (True, False)
    assert not node.apply(ecc=True)["pending"]


# -- refused by the driver


def test_what_is_as_asked_for_is_not_unapplied_though_the_driver_refused_it(node: GpuNode) -> None:
    node.sim.set(0, "persistence_mode", 1)
    node.sim.inject("nvmlDeviceSetPowerManagementLimit", "NOT_SUPPORTED", times=1)
    assert reasons(node.apply(power_limit=600)) == {"power_limit": "unsupported"}
    assert reasons(node.apply(power_limit=600)) == {"power_limit": "unsupported"}
    node.sim.set(0, "power_limit_mw", 600_000)
    assert not node.apply(power_limit=600, required=["power_limit"])["unapplied"]
    again = node.apply(power_limit=600, required=["power_limit"])
    assert (again["changed"], again["writes"]) == (False, 0)
    assert node.run(power_limit=9999)["failure_kind"] == "refused"
    node.sim.set(0, "power_limit_mw", 500_000)
    assert reasons(node.apply(reset=True))["power_limit"] == "unsupported"


# -- MIG


def mig(node: GpuNode, on: int) -> None:
    node.sim.set(0, "persistence_mode", 1)
    node.sim.set(0, "mig_current", on)


def test_accounting_with_mig_on_is_not_tried_and_not_held_against_the_driver(node: GpuNode) -> None:
    mig(node, 1)
    seen = node.apply(accounting_mode=True, check=True)
    done = node.apply(accounting_mode=True)
    assert seen["unapplied"] == done["unapplied"] and "MIG is on" in done["unapplied"][0]["detail"]
    mig(node, 0)
    assert "accounting_mode" in keys(node.apply(accounting_mode=True))


def test_accounting_that_mig_took_away_does_not_set_locks_again_in_every_run(node: GpuNode) -> None:
    wish = {"accounting_mode": True, "graphics_clocks": 1980}
    node.apply(**wish)
    mig(node, 1)
    node.sim.set(0, "accounting_mode", 0)
    node.apply(**wish)
    again = node.apply(**wish)
    assert (again["changed"], again["writes"]) == (False, 0)


def test_a_compute_mode_set_before_mig_is_given_back_after_it(node: GpuNode) -> None:
    node.apply(compute_mode="exclusive_process")
    mig(node, 1)
    for _time in range(2):
        kept = node.apply(state="absent")
        assert reasons(kept) == {"compute_mode": "unsupported"} and not kept["changed"]
    mig(node, 0)
    node.apply(state="absent")
    assert node.sim.gpu(0)["compute_mode"] == 0 and not node.record.exists()


# -- records


def test_a_damaged_record_gives_back_the_boards_default(node: GpuNode) -> None:
    node.apply(power_limit=600)
    node.record.write_text("{")
    node.apply(power_limit=600)
    assert node.claims()[f"gpu.power_limit {node.uuid(0)}"]["first_seen"] is None
    node.apply(state="absent")
    assert node.values()[0] == 700


def test_claims_of_a_later_version_stay(node: GpuNode) -> None:
    node.apply(power_limit=600)
    body = json.loads(node.record.read_text())
    name = f"gpu.fan_speed {node.uuid(0)}"
    body["claims"][name] = {"first_seen": 30, "applied": 80}
    node.record.write_text(json.dumps(body))
    assert node.apply(power_limit=600)["writes"] == 0
    node.apply(state="absent")
    assert list(node.claims()) == [name] and node.values() == (700, False, None, None)


def test_plans_of_identical_nodes_have_one_digest_whatever_they_are_about() -> None:
    """Their GPUs have other UUIDs: in records, and where a run was cut off at another time."""
    digests = set()
    for seed in ("one", "two"):
        node = GpuNode("h100:2")
        node.sim.init("h100:2", driver="550.163.01", numa_nodes=1, seed=seed)
        for index in range(2):
            node.sim.set(index, "compute_mode", 3)
        result = node.apply(compute_mode="exclusive_process")
        assert keys(result) == ["record"]
        journal = node.base / "state" / "journal" / "gpu.json"
        journal.parent.mkdir(exist_ok=True)
        journal.write_text(json.dumps({"started": f"day {seed}", "changes": []}))
        cut_off = node.apply(compute_mode="exclusive_process")
        assert keys(cut_off) == ["journal"] and f"day {seed}" in cut_off["changes"][0]["why"]
        assert cut_off["changes"][0]["before"] == "unfinished"
        digests.add(result["plan_digest"])
    assert len(digests) == 1


# -- frozen


def test_a_frozen_node_does_not_list_the_memory_of_locks_as_a_wish() -> None:
    node = GpuNode()
    node.apply(graphics_clocks=1980)
    node.sim.lose(1)
    result = node.run(graphics_clocks=1980, freeze="an incident")
    assert {wish["key"] for wish in result["unapplied"]} == {"gpu.graphics_clocks"} and not result["changes"]


# -- which GPUs


@pytest.mark.parametrize("reset", [True, [1], ["0000:43:00.0"]])
def test_a_reset_of_a_lost_gpu_does_not_pass_as_done(reset: Any) -> None:
    node = GpuNode()
    node.sim.lose(1)
    result = node.run(reset=reset, power_limit={"0": 600, "1": None}, origins={"reset": "group lab"})
    assert result["failure_kind"] == "degraded" and node.values(0)[0] == 600
    assert {wish["origin"] for wish in result["unapplied"]} == {"group lab"}
    assert "power_limit" not in reasons(result) and set(reasons(result).values()) == {"lost"}
    assert not node.run(reset=[0])["degraded"]


def test_no_gpu_expected_and_none_there() -> None:
    node = GpuNode("h100:1")
    node.sim.unload(force=True)
    for path in (node.root / "sys/bus/pci/devices").iterdir():
        path.unlink() if path.is_symlink() else path.rename(node.base / path.name)
    result = node.apply(power_limit=600, expect={"count": 0})
    assert not result["changed"] and "no NVIDIA GPU" in result["notes"][0]


def test_an_address_of_another_domain_is_another_slot(node: GpuNode) -> None:
    result = node.run(power_limit={"10000:1b:00.0": 600})
    assert result["failure_kind"] == "refused" and "10000:1b:00.0" in result["msg"]
