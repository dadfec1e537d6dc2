# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook set comes back after a boot and after a load of the driver, and only that."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from typing import Any

import pytest
from gpu_boot_node import BootNode

FACTORY = (700, False, None, None)
WISH: dict[str, Any] = {"power_limit": "90%default", "graphics_clocks": "80%max", "memory_clocks": 2619}
TUNED = (630, True, [345, 1575], [1593, 2619])


@pytest.fixture
def node() -> BootNode:
    return BootNode()


def tuned(boards: str = "h100:2") -> BootNode:
    node = BootNode(boards)
    node.apply(**WISH)
    return node


def test_values_come_back_after_a_boot() -> None:
    node = tuned()
    record = node.record.read_bytes()
    node.reboot()
    assert node.values(0) == node.values(1) == FACTORY
    code, said = node.program("check")
    assert code == 1, said
    assert "8 values would be set on 2 GPUs" in said and node.values(0) == FACTORY
    code, said = node.program()
    assert code == 0 and "boot: 8 values set on 2 GPUs" in said, said
    assert node.values(0) == node.values(1) == TUNED and node.record.read_bytes() == record
    status = node.status()
    assert (status["outcome"], status["why"], status["attempts"]) == ("applied", "boot", 1)
    assert {change["target"] for change in status["owners"][0]["changes"]} == {node.uuid(0), node.uuid(1)}
    assert node.program("check")[0] == 0
    assert node.apply(**WISH)["writes"] == 0, "the playbook finds everything as it left it"
    node.apply(state="absent")
    assert node.values(0) == FACTORY, "the first values are still known"


def test_a_second_run_writes_nothing_to_gpus_or_records() -> None:
    node = tuned()
    node.reboot()
    node.program()
    before, logged = node.kept(), sorted(node.base.glob("state/changes/*"))
    node.sim.log()
    code, said = node.program()
    assert code == 0 and "manual: every GPU has what is on record" in said
    assert not [call for call in node.sim.calls() if "Set" in call["function"] or "Reset" in call["function"]]
    assert node.kept() == before and sorted(node.base.glob("state/changes/*")) == logged


def test_values_come_back_after_a_load_of_the_driver() -> None:
    node = tuned()
    node.program()
    node.reload_driver()
    assert node.values(0)[0] == 700
    code, said = node.program()
    assert code == 0 and "driver reload:" in said
    assert node.values(0) == node.values(1) == TUNED


def test_every_apply_is_in_the_log_of_changes() -> None:
    node = tuned()
    node.reboot()
    node.program()
    newest = json.loads(sorted(node.base.glob("state/changes/*"))[-1].read_text())
    assert newest["run"] == {"why": "boot", "by": "swarm-node-gpu.service"} and newest["owner"] == "gpu"


def test_gpus_that_are_not_on_record_are_left_alone() -> None:
    node = BootNode()
    node.apply(power_limit={"0": 630})
    node.reboot()
    node.sim.set(1, "persistence_mode", 1)
    node.sim.set(1, "power_limit_mw", 500_000)
    node.program()
    assert node.values(0) == (630, True, None, None) and node.values(1) == (500, True, None, None)


def test_a_swapped_gpu_is_said_and_its_entries_stay() -> None:
    node = tuned()
    old = node.uuid(1)
    record = node.record.read_bytes()
    node.reboot()
    node.sim.set(1, "uuid", "GPU-00000000-1111-2222-3333-444444444444")
    code, said = node.program()
    assert code == 0 and f"{old} is on record and not in this node" in said
    assert "1 GPUs on record are not in this node" in said
    assert node.values(0) == TUNED and node.values(1) == FACTORY
    assert node.record.read_bytes() == record and node.status()["owners"][0]["away"] == [old]


def test_a_lost_gpu_does_not_keep_the_others_from_theirs() -> None:
    node = tuned("h100:3")
    record = node.record.read_bytes()
    node.reboot()
    node.sim.lose(1)
    code, said = node.program()
    assert code == 1 and node.status()["outcome"] == "partly", said
    assert node.values(0) == node.values(2) == TUNED and node.record.read_bytes() == record
    node.sim.find(1)
    assert node.program()[0] == 0 and node.values(1) == TUNED


def test_a_gpu_that_refuses_does_not_keep_the_others_from_theirs() -> None:
    node = tuned("h100:3")
    record = node.record.read_bytes()
    node.reboot()
    node.sim.inject("nvmlDeviceSetPowerManagementLimit", "UNKNOWN", gpu=1)
    code, said = node.program()
    assert code == 1 and node.uuid(1) in said, said
    (failure,) = node.status()["owners"][0]["failures"]
    assert failure["target"] == node.uuid(1) and "undone" in failure["error"]
    assert node.values(0) == node.values(2) == TUNED and node.values(1) == FACTORY
    assert node.record.read_bytes() == record
    node.sim.clear()
    assert node.program()[0] == 0 and node.values(1) == TUNED


def test_a_gpu_lost_half_way_is_left_out() -> None:
    node = tuned("h100:3")
    record = node.record.read_bytes()
    node.reboot()
    node.sim.inject("nvmlDeviceSetPowerManagementLimit", "GPU_IS_LOST", gpu=1)
    code, _said = node.program()
    assert code == 1 and node.values(0) == node.values(2) == TUNED and node.record.read_bytes() == record


# -- nothing to do


def test_a_frozen_node_is_left_as_it_is() -> None:
    node = tuned()
    node.reboot()
    (node.base / "state/freeze").write_text("debugging with the vendor\n")
    before = node.kept()
    code, said = node.program()
    assert code == 0 and "frozen, nothing done" in said and "debugging with the vendor" in said
    assert node.values(0) == FACTORY and node.kept() == before and node.status()["outcome"] == "frozen"
    assert "debugging with the vendor" in node.program("status")[1]
    (node.base / "state/freeze").unlink()
    code, said = node.program()
    assert code == 0 and "the node is not frozen any more: 8 values set" in said and node.values(0) == TUNED


def test_a_node_without_records() -> None:
    node = BootNode()
    code, said = node.program()
    assert code == 0 and "no record holds anything" in said


def test_another_manager_is_left_to_its_work() -> None:
    node = tuned()
    node.reboot()
    node.process(77, "nv-hostengine")
    code, said = node.program()
    assert code == 0 and "DCGM (nv-hostengine), process 77 manages" in said and node.values(0) == FACTORY
    node.owner(manage="manage")
    assert node.program()[0] == 0 and node.values(0) == TUNED


# -- what cannot be done


def test_without_pynvml_it_says_so() -> None:
    node = tuned()
    node.reboot()
    node.owner(pynvml_path="/nowhere/at/all")
    code, said = node.program()
    assert code == 3 and "the GPUs cannot be asked" in said and "/nowhere/at/all" in said
    assert node.status()["outcome"] == "unavailable"


def test_without_a_driver_it_says_so() -> None:
    node = tuned()
    node.sim.unload(force=True)
    code, said = node.program()
    assert code == 3 and "modprobe nvidia" in said
    node.sim.load()
    assert node.program()[0] == 0 and node.values(0) == TUNED


def test_a_damaged_record_is_left_for_the_playbook() -> None:
    node = tuned()
    node.record.write_text("{broken")
    node.reboot()
    before = node.kept()
    code, said = node.program()
    assert code == 1 and "its record is damaged" in said and node.kept() == before
    assert node.values(0) == FACTORY
    assert node.apply(**WISH)["changed"] and node.values(0) == TUNED


def test_a_record_of_a_newer_version() -> None:
    node = tuned()
    body = json.loads(node.record.read_text())
    node.record.write_text(json.dumps({**body, "schema": 99}))
    node.reboot()
    before = node.kept()
    code, said = node.program()
    assert code == 1 and "written by a newer swarm.node" in said and node.kept() == before


def test_one_value_that_makes_no_sense_does_not_keep_the_others_from_theirs() -> None:
    node = tuned()
    body = json.loads(node.record.read_text())
    body["claims"][f"gpu.power_limit {node.uuid(1)}"]["applied"] = 9000
    node.record.write_text(json.dumps(body))
    node.reboot()
    code, said = node.program()
    assert code == 1 and "9000" in said and "200-700 W" in said
    assert node.values(0) == TUNED and node.values(1) == FACTORY


def test_a_clock_the_board_does_not_have_any_more_is_set_once() -> None:
    """A driver may list other clocks than the one before: the next lower one is set, the record stays."""
    node = tuned("h100:1")
    body = json.loads(node.record.read_text())
    body["claims"][f"gpu.graphics_clocks {node.uuid(0)}"]["applied"] = [345, 1580]
    node.record.write_text(json.dumps(body))
    node.reboot()
    record = node.kept()
    assert node.program()[0] == 0 and node.values(0) == TUNED and node.kept() == record
    assert "every GPU has what is on record" in node.program()[1] and node.kept() == record


def test_one_owner_in_trouble_does_not_keep_another_from_its_own() -> None:
    node = BootNode()
    node.apply(power_limit={"0": 630}, owner="one")
    node.apply(power_limit={"1": 500}, owner="two")
    node.owner("two")
    (node.root / "etc/swarm_node/boot.d/gpu.conf").write_text("[boot]\nmanage = perhaps\n")
    node.owner("one", pynvml_path="/nowhere")
    node.reboot()
    code, said = node.program()
    assert code == 3 and "'perhaps' is refused" in said
    assert (node.values(0)[0], node.values(1)[0]) == (700, 500)


@pytest.mark.skipif(os.geteuid() != 0, reason="it plays root")
def test_a_lock_that_another_run_holds() -> None:
    node = tuned()
    node.reboot()
    shorter = node.pyz.read_bytes().replace(b"LOCK_WAIT = 60.0", b"LOCK_WAIT = 00.3")
    assert b"LOCK_WAIT = 00.3" in shorter
    node.pyz.write_bytes(shorter)
    with (node.base / "run/lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, said = node.program()
        assert code == 4 and "another run of swarm.node" in said and node.values(0) == FACTORY
        assert node.program("check")[0] == 1, "looking needs no lock"
        process = node.start()
        fcntl.flock(held, fcntl.LOCK_UN)
    assert process.wait(60) in (0, 4) and node.program()[0] == 0 and node.values(0) == TUNED


def test_status_before_and_after(node: BootNode) -> None:
    assert node.program("status") == (0, "it has not run since this boot\n")
    node.owner(pynvml_path="/nowhere")
    node.apply(**WISH)
    node.reboot()
    node.program()
    code, said = node.program("status")
    assert code == 3 and "by swarm.node" in said and "/nowhere" in said
    assert json.loads(node.program("status", "--json")[1]) == node.status()


def test_what_systemd_is_told() -> None:
    node = tuned()
    node.reboot()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(node.base / "notify"))
        channel.settimeout(10)
        node.environment = {"NOTIFY_SOCKET": str(node.base / "notify"), "JOURNAL_STREAM": "8:1"}
        _code, said = node.program()
        assert channel.recv(4096) == b"STATUS=boot: 8 values set on 2 GPUs"
    assert all(line.startswith(("<4>", "<5>", "<6>")) for line in said.splitlines()), said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_it_looks_and_changes_nothing() -> None:
    node = tuned()
    node.reboot()
    node.user = 65534
    code, said = node.program()
    assert (code, said) == (1, "reapply needs root\n") and node.values(0) == FACTORY
    assert node.program("status")[0] == 0
