# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a mesh, what is worth knowing, and who is not seen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report import lines, page
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.body import Known, mesh_report

sys.path.insert(0, str(Path(__file__).parent))

from mesh_report_cases import MESH, NOW, World, member, path, problems, report, small, whole


def off(world: World) -> None:
    world.routing("bob").update(
        running=False, why="nobody listens", neighbours=[], routes=[], since=None, version=""
    )
    for hub in ("gw1", "gw2"):
        world.down(hub, "bob")


def both_down(world: World) -> None:
    world.down("ann", "gw1")
    world.down("gw1", "ann")


def gone(world: World) -> None:
    """Neither daemon has an entry of the other any more; the tunnel is there yet."""
    for one, other in (("ann", "gw1"), ("gw1", "ann")):
        world.routing(one)["neighbours"].remove(world.neighbour(one, other))


def foreign(world: World) -> None:
    world.routing("gw1")["dropped"]["foreign"].append({"peer": "bob", "prefix": "0.0.0.0/0", "at": NOW})


def spoofed(world: World) -> None:
    world.routing("gw1")["dropped"]["spoofed"] = 7


def no_way(world: World) -> None:
    for route in world.routing("ann")["routes"]:
        if route["number"] == 65:
            route.update(metric=None, installed=False)


def unrouted(world: World) -> None:
    del world.said["bob"]["routing"][MESH]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (off, {"routing daemon off": ["bob"]}),
        (both_down, {"neighbour down on both sides": ["ann – gw1"]}),
        (gone, {"neighbour down on both sides": ["ann – gw1"]}),
        (foreign, {"foreign prefixes announced, and not taken": ["gw1: 0.0.0.0/0 from bob"]}),
        (spoofed, {"Babel from an address that is not the neighbour's, dropped": ["gw1: 7 packets"]}),
        (no_way, {"no way": ["to bob from ann"]}),
        (unrouted, {"routing daemon off": ["bob: no routing layer"]}),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[World], None], wrong: dict[str, list[str]]) -> None:
    world = small()
    change(world)
    body = report(world)
    assert problems(body, "wrong") == wrong
    made = whole(body)
    assert made["verdict"] == "wrong" and made["totals"]["wrong"] == 1
    (what,) = wrong
    assert what in lines.wrongs(made)
    assert any(what in line for line in lines.lines(made))
    assert what.replace("'", "&#39;") in page.render(made)


def one_side(world: World) -> None:
    world.down("ann", "gw1")


def outside(world: World) -> None:
    world.routing("gw1")["dropped"]["outside"] = 3


def circled(world: World) -> None:
    world.routing("gw1")["dropped"]["circled"] = 4


def drained(world: World) -> None:
    """Nothing is heard at gw1, and others hear that they are not heard."""
    world.routing("gw1")["drained"]["whole"] = True
    for peer in ("ann", "bob", "gw2"):
        world.down("gw1", peer)
        world.down(peer, "gw1")


def link_drained(world: World) -> None:
    world.routing("ann")["drained"]["interfaces"] = ["wan-1"]
    world.down("ann", "gw1")
    world.down("gw1", "ann")


def link_drained_and_forgotten(world: World) -> None:
    """babeld has no entry any more of whom it has not heard for 16 hellos, 2.4 s of the usual ones."""
    link_drained(world)
    world.routing("ann")["drained"]["interfaces"] = ["wan-1", "wan-1b"]
    near = world.routing("ann")["neighbours"]
    near[:] = [one for one in near if one["peer"] != "gw1"]


def slow(world: World) -> None:
    world.neighbour("ann", "gw1")["rtt_ms"] = 80.5


def armed(world: World) -> None:
    world.said["bob"]["meshes"][MESH]["armed"] = {"token": "t", "deadline": NOW}


def restless(world: World) -> None:
    world.routing("ann")["changes"] = [
        {"at": NOW - 3000 + 20 * place, "prefix": "10.99.0.65/32", "number": 65, "from": "gw1", "to": "gw2"}
        for place in range(70)
    ]


def circle(world: World) -> None:
    for name, via in (("gw1", "gw2"), ("gw2", "gw1")):
        for route in world.routing(name)["routes"]:
            if route["number"] == 65:
                route["via"] = via


def filter_gone(world: World) -> None:
    world.routing("gw1")["dropped"].update(outside=None, spoofed=None)


@pytest.mark.parametrize(
    ("change", "notice", "where"),
    [
        (one_side, "neighbour down on one side", ["ann – gw1: down seen from ann, up from gw1"]),
        (circled, "packets on their way back to where they came from, dropped", ["gw1: 4 packets"]),
        (outside, "Babel from outside of the mesh's tunnels, dropped", ["gw1: 3 packets"]),
        (drained, "drained", ["gw1"]),
        (link_drained, "links drained", ["ann: wan-1"]),
        (link_drained_and_forgotten, "links drained", ["ann: wan-1, wan-1b"]),
        (slow, "links slower than their target", ["ann – gw1: 80.5 ms, target 50"]),
        (armed, "not confirmed yet", ["bob"]),
        (restless, "more than 60 changes of route in an hour", ["ann: 70"]),
        (filter_gone, "the filter of Babel's packets is gone", ["gw1"]),
    ],
)
def test_what_is_worth_knowing_is_no_failure(
    change: Callable[[World], None], notice: str, where: list[str]
) -> None:
    world = small()
    change(world)
    body = report(world)
    assert problems(body, "wrong") == {}
    assert problems(body, "notice")[notice] == where
    assert whole(body)["verdict"] == "fine"


def test_a_circle_is_seen_and_ends() -> None:
    world = small()
    circle(world)
    body = report(world)
    assert path(body, "ann", "bob")["members"] == ["ann", "gw1", "gw2", "gw1"]
    (where,) = problems(body, "notice").values()
    assert "ann → gw1 → gw2 → gw1 (to bob)" in where


def test_members_out_of_reach_are_named() -> None:
    known = Known(
        members={
            **{name: member(one) for name, one in small().numbers.items()},
            "eve": member(66),
            "max": member(67),
        },
        absent={"max": "nobody can log in to it (mesh_pull)"},
    )
    body = report(small(), known, gw1="it could not be reached: timed out", new="its key is refused")
    assert problems(body, "wrong") == {
        "no answer": ["gw1: it could not be reached: timed out", "new: its key is refused"]
    }
    assert problems(body, "notice")["not asked"] == [
        "eve: no host of this run",
        "max: nobody can log in to it (mesh_pull)",
    ]
    assert {name: one["state"] for name, one in body["members"].items()} == {
        "gw1": "no answer",
        "gw2": "seen",
        "ann": "seen",
        "bob": "seen",
        "eve": "not asked",
        "max": "not asked",
        "new": "no answer",
    }
    # Ways are known as far as members have answered.
    assert path(body, "ann", "bob") == {
        "kind": "unknown",
        "goal": "bob",
        "members": ["ann", "gw1"],
        "rtt_ms": None,
    }
    text = "\n".join(lines.lines(whole(body)))
    for name in ("gw1", "eve", "max", "new"):
        assert name in text and name in page.render(whole(body))


def test_a_foreign_peer_is_no_member() -> None:
    world = small()
    peer = {"interface": "wan-9", "peer": "router", "peer_number": 9, "foreign": True, "state": "up"}
    world.said["gw1"]["meshes"][MESH]["tunnels"].append(peer)
    body = report(world)
    assert body["problems"] == [] and "router" not in body["members"]
    assert not [link for link in body["links"] if "router" in link["ends"]]


def test_a_host_without_the_mesh_is_named() -> None:
    world = small()
    world.said["bob"]["meshes"] = {"lab": world.said["bob"]["meshes"][MESH]}
    del world.said["bob"]["routing"][MESH]
    body = report(world)
    assert problems(body, "wrong")["no answer"] == ["bob: it has nothing of this mesh"]


def test_a_mesh_of_which_nobody_answers() -> None:
    known = Known(members={"ann": {"number": 64, "region": "", "transit": False}})
    body = mesh_report(MESH, {}, known)
    assert problems(body, "notice")["not asked"] == ["ann: no host of this run"]
    body = report(small(), Known(), **dict.fromkeys(small().numbers, "down"))
    assert problems(body, "wrong") == {"no answer": ["ann, bob, gw[1-2]: down"]}
    assert "0 of 4 members seen" in lines.headline(body)
    assert "no answer" in page.render(whole(body))


def test_without_routing_the_tunnels_count() -> None:
    world = small()
    for said in world.said.values():
        said["routing"] = {}
    body = report(world)
    assert problems(body, "notice") == {
        "no routing daemon: packets take the planned routes": ["all members that were seen"]
    }
    for name, peer in (("ann", "gw1"), ("gw1", "ann")):
        for tunnel in world.said[name]["meshes"][MESH]["tunnels"]:
            if tunnel["peer"] == peer:
                tunnel["state"] = "down"
    assert problems(report(world), "wrong") == {"tunnel down": ["ann – gw1"]}


def test_a_neighbour_may_have_two_interfaces() -> None:
    """While a key is replaced, one of the two sides is silent."""
    world = small()
    silent = {**world.neighbour("ann", "gw1"), "interface": "wan-1b", "up": False, "rtt_ms": None, "reach": 0}
    world.routing("ann")["neighbours"].insert(0, silent)
    assert report(world)["problems"] == []
