# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a network device's settings lasts: the unit, the udev rule and the program at boot."""

from __future__ import annotations

import errno

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.nic.opening import (
    closed,
    until_open,
    wait_in_background,
)
from ansible_collections.swarm.node.plugins.module_utils.nic.program import brought_back
from ansible_collections.swarm.node.plugins.module_utils.nic.reapply import rounds
from nic_node import FILES, WISH, NicNode, device


@pytest.fixture
def node(tmp_path):
    return NicNode(tmp_path / "node")


def test_a_masked_unit_is_left_alone(node):
    unit = node.root / "etc/systemd/system/swarm-node-nic.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    made = node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    assert [wish["reason"] for wish in made["unapplied"]] == ["shadowed_by"]
    assert unit.is_symlink() and not (node.root / FILES[0]).exists()
    node.apply(state="absent")
    assert node.installed() == ["etc/systemd/system/swarm-node-nic.service"]


def test_a_unit_that_somebody_edited_is_kept_aside(node):
    node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    unit = node.root / FILES[1]
    unit.write_text(unit.read_text() + "# mine\n")
    made = node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    assert [change["why"] for change in made["changes"]] == ["edited by hand"]
    assert any("# mine" in path.read_text() for path in (node.base / "state/edited").iterdir())


def test_the_udev_rule_names_the_devices_that_are_held(tmp_path):
    node = NicNode(tmp_path / "node", eth0=device(), eth1=device("mlx5_core"))
    node.apply(interfaces={"driver:mlx5_core": {"txqueuelen": 5}})
    rule = (node.root / FILES[2]).read_text()
    assert 'KERNEL=="eth1"' in rule and "eth0" not in rule


def test_after_a_boot_the_program_sets_it_again(node):
    node.apply(interfaces=WISH)
    was, record = node.live(), node.record()
    node.reboot()
    assert node.live() != was
    done = node.boot()
    assert [item.owner for item in done] == ["nic"] and done[0].good and done[0].changes
    assert node.live() == was and node.record() == record
    assert not node.boot()[0].changes
    assert not node.apply(interfaces=WISH)["changed"]


def test_what_a_driver_makes_anew_when_a_device_is_opened_is_set_then(node):
    """The boot unit comes before the network: no interrupt is there by then, and XPS is written over."""
    node.add("eth1", device())
    node.apply(interfaces=WISH)
    was, record = node.live(), node.record()
    node.reboot()
    for name in ("eth0", "eth1"):
        node.close(name)
    (done,) = rounds(node.options())
    assert {wish["key"] for wish in done[0].unapplied} == {"nic.irq_affinity"} and closed(node.options())
    opened = {3.0: "eth0", 5.0: "eth1"}
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if float(len(waited)) in opened:
            node.open(opened[len(waited)])

    found = [item for done in until_open(node.options(), sleep=sleep) for item in done]
    assert [{change["target"] for change in item.changes} for item in found] == [set(), {"eth0"}, {"eth1"}]
    assert {change["key"] for item in found for change in item.changes} == {"nic.xps", "nic.irq_affinity"}
    assert node.live() == was and node.record() == record and len(waited) == 5
    node.open("eth0")
    (again,) = until_open(node.options(), sleep=sleep)
    assert again[0].changes, "it was opened before anybody could wait for it"
    assert node.live() == was and not node.apply(interfaces=WISH)["changed"]


def test_who_waits_for_a_device_to_be_opened_is_a_unit_that_holds_no_boot(node):
    node.apply(interfaces=WISH)
    asked = []

    def runner(argv, data="", timeout=60.0):
        asked.append(list(argv))
        return Done(0, "", "")

    assert not closed(node.options())
    node.close("eth0")
    assert closed(node.options()) == ["eth0"] and wait_in_background(node.options(), runner)
    (words,) = asked
    assert words[0] == "systemd-run" and "--no-block" in words and "--unit=swarm-node-nic-opened" in words
    assert words[words.index("-I") + 2] == "opened"
    assert not wait_in_background(node.options(), lambda *_words: Done(1, "", "no"))
    ticks = iter(range(10_000))
    assert len(list(until_open(node.options(), sleep=lambda _s: None, clock=lambda: float(next(ticks))))) == 1
    node.apply(interfaces={"eth0": {"rings": {"rx": 1024}}})
    assert not closed(node.options()), "nothing of it is made anew"


@pytest.mark.parametrize(("opens", "waits"), [("never", 1), ("before", 0), ("meanwhile", 1)])
def test_the_program_waits_for_devices_that_were_down_when_it_began(node, opens, waits):
    node.apply(interfaces=WISH)
    node.reboot()
    node.close("eth0")
    asked = []

    def runner(argv, data="", timeout=60.0):
        if argv[0] == "systemd-run":
            asked.append(list(argv))
            return Done(0, "", "")
        if opens == "meanwhile" and closed(node.options()):
            node.open("eth0")
        return node.run(argv, data, timeout)

    if opens == "before":
        node.open("eth0")
    brought_back(node.options(runner=node.run), "check", lambda: False)
    assert brought_back(node.options(runner=runner), "reapply", lambda: False) == 0, (
        "no failed unit in each boot"
    )
    assert len(asked) == waits


def test_at_boot_one_broken_device_does_not_keep_the_others_from_their_settings(tmp_path):
    node = NicNode(tmp_path / "node", eth0=device(), eth1=device())
    node.apply(interfaces={"all": {"rings": {"rx": 1024}}})
    node.reboot()
    node.put("eth0", {**node.devices()["eth0"], "faults": {"refuses": {"rings.rx": errno.EIO}}})
    done = node.boot()[0]
    assert "eth0" in done.failed[0] and len(done.failed) == 1
    assert node.devices()["eth1"]["rings"]["now"]["rx"] == 1024
    assert set(node.record()) == {"nic.rings.rx eth0", "nic.rings.rx eth1"}


def test_a_device_that_appears_later_is_set_then(node):
    node.add("eth1", device())
    node.apply(interfaces={"all": {"rings": {"rx": 1024}}})
    node.remove("eth1")
    made = node.apply(interfaces={"all": {"rings": {"rx": 1024}}})
    assert not made["changed"] and any("eth1 is on record" in note for note in made["notes"])
    assert not node.boot()[0].changes
    node.add("eth1", device())
    assert [change["target"] for change in node.boot()[0].changes] == ["eth1"]
    assert node.devices()["eth1"]["rings"]["now"]["rx"] == 1024


def test_a_device_that_appears_while_the_unit_is_at_work_is_set_too(node):
    """A start that udev asks for then is dropped by systemd."""
    node.add("eth1", device())
    node.apply(interfaces={"all": {"rings": {"rx": 1024}}})
    node.reboot()
    late = node.devices()["eth1"]
    node.remove("eth1")
    found = []
    for done in rounds(node.options()):
        found.append([change["target"] for change in done[0].changes])
        if len(found) == 1:
            node.add("eth1", late)
    assert found == [["eth0"], ["eth1"]]
    assert len(list(rounds(node.options()))) == 1


def test_a_smaller_device_in_its_place_is_said_and_left_alone(node):
    node.apply(interfaces={"eth0": {"rings": {"rx": 8192}, "txqueuelen": 5}})
    node.reboot()
    body = node.devices()["eth0"]
    body["rings"]["most"]["rx"] = 4096
    node.put("eth0", body)
    done = node.boot()[0]
    assert [wish["reason"] for wish in done.unapplied] == ["unsupported"]
    assert (node.net / "eth0/tx_queue_len").read_text() == "5\n"


def test_a_frozen_node_is_not_set_at_boot(node):
    node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    node.reboot()
    (node.base / "state/freeze").write_text("a measurement\n")
    assert [wish["reason"] for wish in node.boot()[0].unapplied] == ["frozen"]


def _wishes(interfaces):
    from ansible_collections.swarm.node.plugins.module_utils.nic.wishes import wishes_from

    return wishes_from(interfaces, [], {})
