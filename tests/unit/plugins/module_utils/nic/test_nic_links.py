# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the node can still be reached: what is looked at, and what counts as lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.nic.links import LinkWatch, ssh_peer
from ansible_collections.swarm.node.plugins.module_utils.nic.sysfs import Sysfs

GATEWAY = "10.0.0.254"


class World:
    """eth0 with an address, a default route, and neighbours that answer; time passes by sleeping."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.device = root / "sys/class/net/eth0"
        self.device.mkdir(parents=True)
        (self.device / "flags").write_text("0x1003\n")
        (self.device / "upper_bond0").mkdir()
        (root / "sys/class/net/bond0").mkdir()
        self.carrier(True)
        self.addresses = [{"ifname": "bond0", "addr_info": [{"local": "10.0.0.1", "prefixlen": 24}]}]
        self.routes = [
            {"dst": "default", "gateway": GATEWAY, "dev": "bond0"},
            {"dst": "10.0.0.0/24", "dev": "bond0"},
        ]
        self.mute: set[str] = set()
        self.peer = ""
        self.now = 0.0
        self.events: list[tuple[float, Any]] = []
        self.asked: list[list[str]] = []

    def carrier(self, there: bool) -> None:
        (self.device / "carrier").write_text("1\n" if there else "0\n")

    def later(self, seconds: float, what: Any) -> None:
        self.events.append((self.now + seconds, what))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for when, what in [event for event in self.events if event[0] <= self.now]:
            self.events.remove((when, what))
            what()

    def run(self, argv: Sequence[str], data: str = "", timeout: float = 1) -> Done:
        self.asked.append(list(argv))
        if argv[:3] == ["ip", "-j", "addr"]:
            return Done(0, json.dumps(self.addresses), "")
        if argv[:5] == ["ip", "-j", "route", "get", self.peer]:
            return Done(0, json.dumps([{"dst": self.peer, "dev": "bond0"}]), "")
        if "route" in argv:
            return Done(0, json.dumps(self.routes if "-4" in argv else []), "")
        if argv[:3] == ["ip", "-j", "neigh"]:
            state = "FAILED" if argv[4] in self.mute else "REACHABLE"
            return Done(
                0, json.dumps([{"dst": argv[4], "lladdr": "52:54:00:00:00:01", "state": [state]}]), ""
            )
        return Done(0, "", "")

    def watch(self, timeout: float = 5.0) -> LinkWatch:
        return LinkWatch(
            self.root, Sysfs(self.root), self.run, timeout, lambda: self.peer, self.sleep, lambda: self.now
        )


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_what_is_as_before_is_good(world):
    watch = world.watch()
    watch.before("eth0")
    watch.check()
    assert world.now < 1


def test_a_device_without_a_carrier_has_nothing_to_lose(world):
    world.carrier(False)
    watch = world.watch()
    watch.before("eth0")
    assert watch.back("eth0") and not world.asked
    watch.check()
    assert world.now == 0


def test_a_link_that_comes_back_is_waited_for(world):
    watch = world.watch()
    watch.before("eth0")
    world.carrier(False)
    world.later(3, lambda: world.carrier(True))
    assert watch.back("eth0") and world.now >= 3


def leg(world: World, status: str, actor: str, partner: str) -> None:
    place = world.device / "bonding_slave"
    place.mkdir(exist_ok=True)
    (place / "mii_status").write_text(f"{status}\n")
    (place / "ad_actor_oper_port_state").write_text(f"{actor}\n")
    (place / "ad_partner_oper_port_state").write_text(f"{partner}\n")


@pytest.mark.parametrize(
    "meanwhile",
    [("going back", "N/A", "N/A"), ("up", "77", "61"), ("up", "61", "13")],
    ids=["updelay", "LACP here", "LACP there"],
)
def test_a_leg_of_a_bond_is_back_once_the_bond_uses_it(world, meanwhile):
    """Else the next leg would go down while this one carries nothing yet."""
    after = ("up", "N/A", "N/A") if meanwhile[1] == "N/A" else ("up", "61", "61")
    leg(world, *after)
    watch = world.watch()
    watch.before("eth0")
    leg(world, *meanwhile)
    world.later(3, lambda: leg(world, *after))
    assert watch.back("eth0") and world.now >= 3
    leg(world, *meanwhile)
    assert not watch.back("eth0")


def test_a_leg_that_its_bond_did_not_use_before_is_not_waited_for(world):
    leg(world, "up", "69", "1")
    watch = world.watch()
    watch.before("eth0")
    assert watch.back("eth0") and world.now == 0


def test_one_that_does_not_come_back_is_said(world):
    watch = world.watch()
    watch.before("eth0")
    world.carrier(False)
    with pytest.raises(NodeError, match="eth0: the link did not come back within 5 s"):
        watch.check()


def test_addresses_and_routes_have_their_time_to_come_back(world):
    watch = world.watch()
    watch.before("eth0")
    routes, world.routes = world.routes, []
    world.later(2, lambda: world.routes.extend(routes))
    watch.check()
    assert world.now >= 2


@pytest.mark.parametrize(
    ("lose", "words"),
    [
        ("addresses", "lost bond0 10.0.0.1/24"),
        ("routes", "lost main 10.0.0.0/24 dev bond0, main default via"),
    ],
)
def test_those_of_what_lies_on_top_are_missed(world, lose, words):
    watch = world.watch()
    watch.before("eth0")
    setattr(world, lose, [])
    with pytest.raises(NodeError, match=words):
        watch.check()


def test_more_than_before_is_no_loss(world):
    watch = world.watch()
    watch.before("eth0")
    world.routes = [*world.routes, {"dst": "10.5.0.0/16", "dev": "bond0"}]
    watch.check()


def test_a_gateway_that_answers_no_more(world):
    watch = world.watch()
    watch.before("eth0")
    world.mute.add(GATEWAY)
    with pytest.raises(
        NodeError, match=r"answered before and does not now: 10.0.0.254 \(a default gateway\)"
    ):
        watch.check()


def test_a_gateway_has_the_time_of_a_link_to_answer(world):
    """The carrier is back at once, and the switch lets nothing through before it has learnt (STP)."""
    watch = world.watch(30.0)
    watch.before("eth0")
    world.mute.add(GATEWAY)
    world.later(25, world.mute.clear)
    watch.check()
    assert 25 <= world.now < 30


def test_one_that_did_not_answer_before_is_not_asked_to(world):
    world.mute.add(GATEWAY)
    watch = world.watch()
    watch.before("eth0")
    watch.check()


def test_whoever_is_logged_in_has_to_answer(world):
    world.peer = "10.0.0.77"
    watch = world.watch()
    watch.before("eth0")
    world.mute.add("10.0.0.77")
    with pytest.raises(NodeError, match=r"10.0.0.77 \(on the way to 10.0.0.77, who is logged in\)"):
        watch.check()


def test_neighbours_are_asked_anew(world):
    world.watch().before("eth0")
    assert [
        "ip",
        "neigh",
        "replace",
        GATEWAY,
        "lladdr",
        "52:54:00:00:00:01",
        "dev",
        "bond0",
        "nud",
        "probe",
    ] in world.asked


def test_without_ip_nobody_dares(world, tmp_path):
    watch = LinkWatch(
        world.root, Sysfs(world.root), lambda *_a, **_k: Done(127, "", "ip: no such program"), 5.0
    )
    with pytest.raises(NodeError, match="nobody sees whether a link came back"):
        watch.before("eth0")


def process(root: Path, pid: int, parent: int, environment: str = "") -> None:
    place = root / f"proc/{pid}"
    place.mkdir(parents=True)
    (place / "environ").write_bytes(environment.encode())
    (place / "stat").write_text(f"{pid} (a ) b) S {parent} 1 1 0")


def test_where_a_session_comes_from(tmp_path):
    connection = "192.0.2.7 50000 10.0.0.1 22"
    assert ssh_peer(tmp_path, {"SSH_CONNECTION": connection}, 9) == "192.0.2.7"
    process(tmp_path, 9, 8, "A=1")
    process(tmp_path, 8, 7, "PATH=/bin\0")
    process(tmp_path, 7, 1, f"A=1\0SSH_CONNECTION={connection}\0B=2\0")
    assert ssh_peer(tmp_path, {}, 9) == "192.0.2.7"
    assert ssh_peer(tmp_path, {"SSH_CONNECTION": "fe80::7%eth0 1 fe80::1 22"}, 9) == "fe80::7"


def test_a_session_that_is_none(tmp_path):
    process(tmp_path, 9, 1, "A=1")
    assert ssh_peer(tmp_path, {}, 9) == ssh_peer(tmp_path, {}, 4242) == ""
