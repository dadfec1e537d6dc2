# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of network devices that has to be confirmed: armed, confirmed, or taken back."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import nic_node
import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.nic.armed import parse_armed
from ansible_collections.swarm.node.plugins.module_utils.nic.links import LinkWatch
from ansible_collections.swarm.node.plugins.module_utils.nic.sysfs import Sysfs
from module_runner import Killed
from nic_node import NicNode, device, labels

WISH = {"eth0": {"rings": {"rx": 4096, "tx": 4096}, "features": {"gro": False}, "txqueuelen": 5}}
OTHER = {"eth0": {"rings": {"rx": 1024}}}


@pytest.fixture
def node(tmp_path):
    made = NicNode(tmp_path / "node")
    yield made
    made.layer().guard.lift()  # A guard that still runs sees that nothing is armed and ends.


def due(node: NicNode) -> None:
    """The deadline passes: what is armed is as if it had been armed long ago."""
    place = node.base / "state/nic/armed.json"
    body = json.loads(place.read_text())
    body["length"] = 0.1
    new = place.with_name("new")
    new.write_text(json.dumps(body))
    new.replace(place)


def test_what_is_confirmed_lasts(node):
    made = node.apply(interfaces=WISH, confirm_seconds=600)
    assert made["changes"][0]["key"] == "nic.guard" and made["armed"]["token"] == made["token"]
    assert 590 <= made["armed"]["left_s"] <= 720, "up to a fifth longer"
    assert node.layer().guard.process.is_running()
    wrong = node.apply(state="confirmed", token="other")
    assert wrong["failure_kind"] == "refused" and made["token"] in wrong["msg"]
    assert node.apply(state="confirmed")["failure_kind"] == "refused"
    assert node.apply(state="confirmed", token=made["token"], check=True)["changed"] and node.armed()
    said = node.apply(state="confirmed", token=made["token"])
    assert said["changed"] and said["armed"] is None
    assert not node.apply(state="confirmed", token=made["token"])["changed"]
    node.wait(lambda: not node.layer().guard.process.is_running())
    assert node.devices()["eth0"]["rings"]["now"]["rx"] == 4096
    again = node.apply(interfaces=WISH, confirm_seconds=600)
    assert not again["changed"] and again["armed"] is None, "no round trip where nothing changes"


def test_what_nobody_confirms_is_taken_back(node):
    first = node.live()
    made = node.apply(interfaces=WISH, confirm_seconds=600, token="run-7")
    assert node.live() != first and node.installed()
    due(node)
    node.wait(lambda: not node.armed())
    assert node.live() == first and node.record() is None and node.installed() == []
    late = node.apply(state="confirmed", token="run-7")
    assert late["failure_kind"] == "reverted" and "nobody confirmed it before its deadline" in late["msg"]
    after = node.apply(interfaces=WISH, check=True)
    assert after["attention"][0]["what"] == "nic_reverted" and labels(after) == labels(made)
    undone = json.loads((node.base / "state/nic/reverted.json").read_text())["undone"]
    assert {"nic.rings.rx (eth0)", "nic.rings.tx (eth0)", "nic.txqueuelen (eth0)"} <= set(undone)
    kept = node.apply(interfaces=WISH, confirm_seconds=600, token="run-8")
    node.apply(state="confirmed", token="run-8")
    assert kept["attention"] and not node.apply(interfaces=WISH)["attention"], (
        "a confirmed change ends the story"
    )


def test_the_time_to_confirm_begins_when_the_changes_are_made(node):
    """A node with many ports waits for their links, one after the other."""

    def slow() -> None:
        check = LinkWatch.check

        def takes_an_hour(watch: LinkWatch) -> None:
            check(watch)
            place = node.base / "state/nic/armed.json"
            body = json.loads(place.read_text())
            body.update(armed_at=body["armed_at"] - 3600, boottime=body["boottime"] - 3600)
            place.with_name("new").write_text(json.dumps(body))
            place.with_name("new").replace(place)
            time.sleep(1)  # The guard sees that it is due, and waits for this run's lock.

        setattr(LinkWatch, "check", takes_an_hour)  # noqa: B010

    made = node.apply(slow, interfaces=WISH, confirm_seconds=600, token="run-7")
    assert 590 <= made["armed"]["left_s"] <= 720
    time.sleep(1)
    assert node.apply(state="confirmed", token="run-7")["changed"]
    assert node.devices()["eth0"]["rings"]["now"]["rx"] == 4096


def test_a_later_change_that_needs_no_confirmation_ends_the_story(node):
    node.apply(interfaces=WISH, confirm_seconds=600)
    node.apply(state="reverted")
    told = node.apply(interfaces=OTHER)
    assert told["attention"] and told["changes"][-1]["key"] == "nic.guard"
    assert node.apply(interfaces=OTHER)["attention"] == [] and not (node.base / "state/nic").exists()


def test_a_second_change_is_taken_back_to_the_first(node):
    node.apply(interfaces=WISH)
    was, record = node.live(), node.record()
    node.apply(interfaces=OTHER, confirm_seconds=600)
    due(node)
    node.wait(lambda: not node.armed())
    assert node.live() == was and node.record() == record


def test_what_somebody_has_set_since_stays(node):
    node.apply(interfaces=WISH, confirm_seconds=600)
    (node.net / "eth0/tx_queue_len").write_text("77\n")
    due(node)
    node.wait(lambda: not node.armed())
    assert (node.net / "eth0/tx_queue_len").read_text() == "77\n"
    assert node.devices()["eth0"]["rings"]["now"]["rx"] == 512
    assert (
        "nic.txqueuelen (eth0): somebody has set it since" in node.apply(check=True)["attention"][0]["detail"]
    )


def test_a_boot_takes_it_back(node):
    node.apply(interfaces={"eth0": {"txqueuelen": 7}})
    record = node.record()
    node.apply(interfaces=WISH, confirm_seconds=600, token="run-7")
    node.reboot()
    node.boot()
    assert not node.armed() and node.record() == record
    assert (node.net / "eth0/tx_queue_len").read_text() == "7\n"
    assert node.devices()["eth0"]["rings"]["now"]["rx"] == 512
    assert "started anew" in node.apply(state="confirmed", token="run-7")["msg"]


@pytest.mark.parametrize("owner", ["nic", "other"])
def test_a_run_after_a_boot_without_the_unit_sees_that_too(node, owner):
    node.apply(owner="nic", interfaces={"eth0": {"rps": "local"}}, persist=False)
    record = node.record()
    node.apply(interfaces={"eth0": {"rps": "local", **WISH["eth0"]}}, confirm_seconds=600, persist=False)
    node.reboot()
    late = node.apply(state="confirmed", token="x")
    assert late["failure_kind"] in ("refused", "reverted")
    made = node.apply(owner=owner, interfaces={"eth0": {"gro_flush_timeout": 9}} if owner == "other" else
                      {"eth0": {"rps": "local"}}, persist=False)  # fmt: skip
    assert not made.get("failed") and not node.armed()
    assert node.record() == record
    assert "nic.txqueuelen eth0" not in made["after"]


def test_while_something_is_armed_nothing_else_changes(node):
    made = node.apply(interfaces=WISH, confirm_seconds=600)
    same = node.apply(interfaces=WISH, confirm_seconds=600)
    assert not same["changed"] and any("unless it is confirmed" in note for note in same["notes"])
    other = node.apply(interfaces=OTHER)
    assert other["failure_kind"] == "refused" and made["token"] in other["msg"]
    assert node.apply(owner="x", interfaces={"eth0": {"rps": "local"}})["failure_kind"] == "refused"


def test_reverted_at_once(node):
    first = node.live()
    made = node.apply(interfaces=WISH, confirm_seconds=600)
    assert node.apply(state="reverted", token="other")["failure_kind"] == "refused"
    would = node.apply(state="reverted", check=True)
    assert would["changed"] and node.armed()
    done = node.apply(state="reverted", token=made["token"])
    assert done["changed"] and "nic.rings.rx (eth0)" in done["undone"] and done["armed"] is None
    assert node.live() == first and node.installed() == [] and node.record() is None
    again = node.apply(state="reverted")
    assert not again["changed"] and again["notes"] == ["nothing is armed"] and again["undone"] == []


def test_a_link_that_does_not_come_back_is_undone_in_the_same_call(tmp_path):
    node = NicNode(tmp_path / "node", eth0=device(loses_link=8192), eth1=device())
    first = node.live()
    wish = {"all": {"rings": {"rx": 8192}, "txqueuelen": 5}}
    made = node.apply(interfaces=wish, confirm_seconds=600)
    assert made["failure_kind"] == "rolled_back" and not made["not_undone"]
    assert "nic.rings.rx (eth0): the link of eth0 did not come back within 1 s" in made["msg"]
    assert node.live() == first and node.record() is None and not node.armed()
    assert (node.net / "eth0/carrier").read_text() == "1\n"
    node.wait(lambda: not node.layer().guard.process.is_running())


def test_a_guard_that_does_not_start_keeps_the_change_from_being_made(node):
    first = node.live()

    def broken() -> None:
        setattr(NicNode, "fork_guard", lambda *_: None)  # noqa: B010
        import ansible_collections.swarm.node.plugins.module_utils.nic.guard as guard

        guard.START_WAIT = 0.3

    made = node.apply(broken, interfaces=WISH, confirm_seconds=600)
    assert made["failed"] and "the guard did not start, so nothing was changed" in made["msg"]
    assert node.live() == first and not node.armed() and node.record() is None


def test_what_the_guard_cannot_put_back_it_tries_again(node):
    first = node.live()
    node.apply(interfaces=WISH, confirm_seconds=600)
    body = node.devices()["eth0"]
    node.put("eth0", {**body, "faults": {"refuses": {"rings.rx": 5}}})
    due(node)
    time.sleep(1.5)
    assert node.armed(), "not everything is back"
    node.put("eth0", {**node.devices()["eth0"], "faults": {}})
    node.wait(lambda: not node.armed())
    assert node.live() == first


def test_what_a_run_cannot_put_back_stays_armed(node):
    first = node.live()

    def fail() -> None:
        count = [0]

        def broken(what: str) -> None:
            count[0] += 1
            if count[0] > 1:
                raise OSError(5, "Input/output error")

        setattr(nic_node, "touch", broken)  # noqa: B010

    made = node.apply(fail, interfaces=WISH, confirm_seconds=600)
    assert made["failure_kind"] == "rolled_back" and made["not_undone"]
    assert node.armed() and node.live() != first
    node.apply(state="reverted")
    assert node.live() == first and node.record() is None


def test_a_module_that_is_killed_is_taken_back_at_the_deadline(node):
    first = node.live()

    def die() -> None:
        def stop(what: str) -> None:
            if what.startswith("features"):
                os.kill(os.getpid(), signal.SIGKILL)

        setattr(nic_node, "touch", stop)  # noqa: B010

    with pytest.raises(Killed):
        node.apply(die, interfaces=WISH, confirm_seconds=600)
    assert node.armed() and node.devices()["eth0"]["rings"]["now"]["rx"] == 4096
    due(node)
    node.wait(lambda: not node.armed())
    assert node.live() == first and node.record() is None
    assert not list((node.base / "state/journal").glob("*.json"))
    assert node.apply(interfaces=WISH)["interrupted"] is None


def test_what_was_cut_off_half_way_is_taken_back(node):
    first = node.live()
    wish = {"eth0": {"rings": {"rx": 4096}, "rps": "local"}}

    def die() -> None:
        real, count = Sysfs.put, [0]

        def put(self: Sysfs, path: Path, text: str) -> None:
            count[0] += 1
            if count[0] == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            real(self, path, text)

        setattr(Sysfs, "put", put)  # noqa: B010

    with pytest.raises(Killed):
        node.apply(die, interfaces=wish, confirm_seconds=600)
    assert node.live()["eth0"]["files"] != first["eth0"]["files"]
    undone = node.apply(state="reverted")
    assert "nic.rps (eth0)" in undone["undone"]
    assert node.live() == first
    assert node.record() is None


def test_a_detached_guard_where_there_is_no_systemd(tmp_path):
    node = NicNode(tmp_path / "node", systemd=False)
    first = node.live()
    node.apply(interfaces=WISH, confirm_seconds=600)
    due(node)
    node.wait(lambda: not node.armed())
    assert node.live() == first


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"schema": 2}', '{"schema": 1, "token": "x"}', "null", '{"schema": 1, "changes": 3}'],
)
def test_a_file_that_makes_no_sense_is_an_error(text):
    with pytest.raises(NodeError, match=r"armed.json cannot be read"):
        parse_armed(text, "armed.json")


@pytest.mark.parametrize(
    ("options", "key"), [({"confirm_seconds": 5}, "confirm_seconds"), ({"link_timeout": 0}, "link_timeout")]
)
def test_times_that_make_no_sense_are_refused(node, options, key):
    made = node.apply(interfaces=WISH, **options)
    assert made["problems"][0]["key"] == key and node.record() is None
