# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the node beside the daemon: before its start, its recorder, a drain. Without a daemon."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    BindError,
    LayerUnavailable,
    NodeError,
)
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import share_path
from ansible_collections.swarm.node.plugins.module_utils.mesh.render import share_text
from ansible_collections.swarm.node.plugins.module_utils.routing import drain as drain_module
from ansible_collections.swarm.node.plugins.module_utils.routing.babel_socket import Tables
from ansible_collections.swarm.node.plugins.module_utils.routing.drain import (
    Drain,
    drains,
    run_all,
    run_drain,
    run_undrain,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.filter import PASSED, deaf_rules, rules_in
from ansible_collections.swarm.node.plugins.module_utils.routing.info import read_routing
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import (
    changes_path,
    conf_path,
    drain_path,
    filter_path,
    running_conf,
    socket_path,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.prepare import prepare, wait_until_warm
from ansible_collections.swarm.node.plugins.module_utils.routing.recorder import (
    Changes,
    Recorder,
    changed,
    moves,
    read_changes,
    ways_of,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.render import conf
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import Wish
from routing_cases import other, share
from routing_node import RoutingNode


class Clock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def put(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


# -- before the start


class Commands:
    def __init__(self, **fails: str) -> None:
        self.fails = fails
        self.calls: list[str] = []
        self.handshakes = ""

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        self.calls.append(" ".join(argv))
        if argv[0] in self.fails:
            return Done(1, "", self.fails[argv[0]])
        return Done(0, self.handshakes if argv[0] == "wg" else "", "")


def test_what_comes_before_a_start(tmp_path: Path) -> None:
    put(tmp_path, conf_path("wan"), conf(Wish(share()), "x"))
    put(tmp_path, socket_path("wan"), "of a daemon that was killed")
    commands = Commands()
    assert prepare(tmp_path, "wan", commands) == []
    assert (tmp_path / running_conf("wan")[1:]).read_text() == (tmp_path / conf_path("wan")[1:]).read_text()
    assert not (tmp_path / socket_path("wan")[1:]).exists()
    assert commands.calls == [
        f"nft -f {tmp_path}{filter_path('wan')}",
        "wg show all latest-handshakes",
        "ip -4 route flush proto 42 root 10.99.0.0/16",
        "ip -6 route flush proto 42 root fd5e:7a11:9c3d::/48",
    ]
    put(tmp_path, drain_path("wan"), "deaf")
    prepare(tmp_path, "wan", commands)
    assert f"nft -f {tmp_path}{drain_path('wan')}" in commands.calls


def test_no_start_without_its_table_or_its_file(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"wan\.conf is not there"):
        prepare(tmp_path, "wan", Commands())
    put(tmp_path, conf_path("wan"), conf(Wish(share()), "x"))
    with pytest.raises(NodeError, match="Operation not permitted"):
        prepare(tmp_path, "wan", Commands(nft="Operation not permitted"))
    assert not (tmp_path / running_conf("wan")[1:]).exists()


@pytest.mark.parametrize(
    ("warm_at", "cold", "least", "most"),
    [
        ({}, ["wan-65", "wan-66"], 1.5, 1.8),
        ({"wan-65": 0, "wan-66": 0}, [], 0, 0.1),
        ({"wan-65": 1.0, "wan-66": 2.0}, [], 2.0, 2.3),
        ({"wan-65": 1.0}, ["wan-66"], 2.4, 2.8),
        ({"wan-65": 5.0}, ["wan-65", "wan-66"], 1.5, 1.8),
    ],
    ids=["nobody", "all", "one after the other", "one is off", "too late"],
)
def test_the_wait_for_handshakes_is_bounded(
    tmp_path: Path, warm_at: dict[str, float], cold: list[str], least: float, most: float, monkeypatch: Any
) -> None:
    clock = Clock()
    for name in ("wan-65", "wan-66"):
        (tmp_path / f"sys/class/net/{name}").mkdir(parents=True)

    def runner(argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        import time

        now = int(time.time())
        lines = [
            f"{name}\tkey\t{now if name in warm_at and clock.now >= warm_at[name] else now - 1000}"
            for name in ("wan-65", "wan-66")
        ]
        return Done(0, "\n".join(lines), "")

    assert wait_until_warm(tmp_path, ["wan-65", "wan-66", "wan-67"], runner, clock, clock.sleep) == cold
    assert least <= clock.now <= most


# -- the recorder


def tables(*routes: tuple[str, str, str, int, str]) -> Tables:
    """(key, prefix, installed, metric, interface)"""
    found = Tables()
    for key, prefix, installed, metric, interface in routes:
        assert found.take(
            f"add route {key} prefix {prefix} from ::/0 installed {installed} id x metric {metric} "
            f"refmetric 0 via fe80::1 if {interface}"
        )
    return found


def test_what_is_in_use_and_what_has_changed() -> None:
    before = ways_of(
        tables(
            ("a", "p", "yes", 100, "wan-1"), ("b", "p", "no", 200, "wan-2"), ("c", "q", "yes", 65535, "wan-1")
        )
    )
    assert before == {"p": ("wan-1", 100)}
    after = {"p": ("wan-2", 200), "q": ("wan-1", 300)}
    assert changed(before, after, 7.0) == [
        {"at": 7.0, "prefix": "p", "from": "wan-1", "to": "wan-2", "metric": 200},
        {"at": 7.0, "prefix": "q", "from": "", "to": "wan-1", "metric": 300},
    ]
    assert changed(before, {"p": ("wan-1", 555)}, 7.0) == []
    assert changed(before, {}, 7.0) == [{"at": 7.0, "prefix": "p", "from": "wan-1", "to": "", "metric": None}]


def test_which_lines_may_change_a_way() -> None:
    known = tables(("a", "p", "yes", 100, "wan-1"))
    line = "change route a prefix p from ::/0 installed {} id x metric {} refmetric 0 via fe80::1 if wan-1"
    assert not moves(known, line.format("yes", 120))
    assert moves(known, line.format("yes", 65535))
    assert moves(known, line.format("yes", 90))
    assert moves(known, line.format("no", 90))
    assert not moves(known, "change neighbour n address fe80::1 if wan-1 reach ffff rxcost 1 txcost 1 cost 2")
    assert not moves(known, "flush route a prefix p")
    assert known.routes == {}


def test_the_file_stays_short_and_survives_a_torn_line(tmp_path: Path) -> None:
    place = tmp_path / "wan.changes"
    notes = Changes(place, limit=10)
    entry = {"prefix": "p", "from": "", "to": "wan-1", "metric": 1}
    for number in range(1200):
        notes.add([{"at": number, **entry}])
    assert len(place.read_text().splitlines()) <= 10 + 500
    assert [one["at"] for one in read_changes(place, 10)] == list(range(1190, 1200))
    with place.open("a") as stream:
        stream.write('{"at": 1200, "pre')
    assert read_changes(place, 1)[0]["at"] == 1199
    again = Changes(place, limit=10)
    again.add([{"at": 1201, **entry}])


def test_a_restart_of_the_daemon_is_no_change_and_its_end_is(tmp_path: Path) -> None:
    (tmp_path / changes_path("wan")[1:]).parent.mkdir(parents=True)
    clock = Clock()
    recorder = Recorder(tmp_path, "wan", clock)
    recorder.note({"p": ("wan-1", 1), "q": ("wan-1", 1)})
    clock.sleep(20)
    recorder.since = clock()  # it was started again
    recorder.note({})
    recorder.note({"p": ("wan-2", 1)})
    clock.sleep(11)
    recorder.note({"p": ("wan-2", 1)})
    found = read_changes(tmp_path / changes_path("wan")[1:])
    assert [(one["prefix"], one["from"], one["to"]) for one in found] == [
        ("p", "", "wan-1"),
        ("q", "", "wan-1"),
        ("p", "wan-1", "wan-2"),
        ("q", "wan-1", ""),
    ]


# -- a drain


class Seen(Drain):
    """Counts what is told to it."""

    counts: list[int]
    neighbours: list[str]

    def passed(self) -> int:
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]

    def up(self) -> list[str]:
        return self.neighbours


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoutingNode:
    made = RoutingNode(tmp_path, share())
    put(made.root, conf_path("wan"), conf(Wish(share()), "x"))
    monkeypatch.setattr(drain_module, "Drain", Seen)
    return made


def one(
    node: RoutingNode, counts: Sequence[int] = (0,), up: Sequence[str] = ("node-65",), **options: Any
) -> Seen:
    clock = Clock()
    found = drains(node.root, node, "wan", clock=clock, sleep=clock.sleep, **options)[0]
    assert isinstance(found, Seen)
    found.counts, found.neighbours = list(counts), list(up)
    return found


def store(node: RoutingNode) -> Store:
    return Store(str(node.base / "state"), str(node.base / "run"))


def test_it_waits_until_nothing_comes_and_says_what_came(node: RoutingNode) -> None:
    made = one(node, [0, 5, 9, 9])
    told = run_drain(made, store(node), False)
    assert told == {
        "mesh": "wan",
        "interfaces": [],
        "up_before": ["node-65"],
        "quiet": True,
        "waited_s": 2.2,
        "packets": 9,
        "packets_last_s": 0,
    }
    assert made.changed and "swarm_node_deaf_wan" in node.live()["tables"]
    assert node.text(drain_path("wan"))
    again = one(node)
    assert run_drain(again, store(node), False)["quiet"] and not again.changed


def test_a_check_does_nothing(node: RoutingNode) -> None:
    made = one(node)
    assert "quiet" not in run_drain(made, store(node), True)
    assert made.changed and node.live()["tables"] == {}


def test_what_does_not_cease_is_taken_back_unless_it_was_forced(node: RoutingNode) -> None:
    made = one(node, range(0, 10**6, 7), timeout=4)
    with pytest.raises(NodeError, match=r"still come this way .*taken back"):
        run_drain(made, store(node), False)
    assert not made.changed and node.live()["tables"] == {} and node.text(drain_path("wan")) is None
    forced = one(node, range(0, 10**6, 7), timeout=4, required=False)
    told = run_drain(forced, store(node), False)
    assert not told["quiet"] and told["packets_last_s"] == 35 and forced.changed
    back = one(node)
    assert run_undrain(back, store(node), False)["up"] == ["node-65"]
    assert back.changed and node.live()["tables"] == {} and node.text(drain_path("wan")) is None
    assert not one(node).is_drained()


def test_a_wait_in_which_nobody_could_fall_silent_is_refused(node: RoutingNode) -> None:
    """Neighbours give the node up after 1.1 s of its own hellos; silence is told after one second more."""
    for seconds, refused in ((2.0, True), (2.2, False)):
        made = one(node, timeout=seconds)
        try:
            run_all([made], True, store(node), False, [])
        except BindError as error:
            (problem,) = error.problems
            assert (problem.key, problem.value, refused) == ("timeout", 2.0, True)
            assert problem.allowed.startswith("2.1 s or more") and not made.changed
        else:
            assert made.changed and not refused
    run_all([one(node, timeout=0.5)], False, store(node), False, [])


def test_a_drain_that_cannot_be_made_leaves_nothing(node: RoutingNode) -> None:
    node.set(broken=["nft"])
    with pytest.raises(NodeError, match="syntax error"):
        run_drain(one(node), store(node), False)
    assert node.text(drain_path("wan")) is None
    with pytest.raises(NodeError, match="nobody would leave"):
        run_drain(one(node, up=()), store(node), False)


def test_what_was_drained_before_is_drained_again(node: RoutingNode) -> None:
    """A bad link that was taken out must not come back because the whole node could not be drained."""
    run_drain(one(node, only=["node-65"]), store(node), False)
    before = node.live()["tables"]
    kept = node.text(drain_path("wan"))
    made = one(node, range(0, 10**6, 7), timeout=4)
    with pytest.raises(NodeError, match="taken back"):
        run_drain(made, store(node), False)
    assert not made.changed and node.live()["tables"] == before and node.text(drain_path("wan")) == kept


def test_a_whole_drain_becomes_one_of_a_link(node: RoutingNode) -> None:
    """A node that is drained hears nobody: that is no reason to refuse it."""
    run_drain(one(node), store(node), False)
    narrowed = one(node, up=(), only=["node-65"])
    assert run_drain(narrowed, store(node), False)["interfaces"] == ["wan-65", "wan-65b"]
    assert narrowed.changed and one(node, only=["node-65"]).is_so()


def two(node: RoutingNode, **options: Any) -> list[Seen]:
    """Drains of the meshes lab and wan."""
    put(node.root, share_path("lab"), share_text(other()))
    put(node.root, conf_path("lab"), conf(Wish(other(), 6697), "x"))
    clock = Clock()
    found = drains(node.root, node, None, clock=clock, sleep=clock.sleep, timeout=4, **options)
    for made in found:
        assert isinstance(made, Seen)
        made.counts, made.neighbours = [0], ["node-65"]
    return cast("list[Seen]", found)


@pytest.mark.parametrize("forced", [False, True])
def test_a_node_of_two_meshes_is_drained_in_both_or_in_none(node: RoutingNode, forced: bool) -> None:
    lab, wan = two(node, required=not forced)
    wan.neighbours = []
    told: list[dict[str, Any]] = []
    with pytest.raises(NodeError, match="mesh wan: its routing daemon does not run"):
        run_all([lab, wan], True, store(node), False, told)
    assert list(node.live()["tables"]) == (["swarm_node_deaf_lab"] if forced else [])
    assert (lab.changed, wan.changed) == (forced, False) and [entry["mesh"] for entry in told] == ["lab"]
    assert bool(node.text(drain_path("lab"))) == forced


def test_a_peer_of_one_mesh_alone_is_refused_before_anything_is_drained(node: RoutingNode) -> None:
    with pytest.raises(BindError, match=r"a neighbour of .* in the mesh wan"):
        two(node, only=["node-2"])
    assert node.live()["tables"] == {}


def test_links_are_drained_by_name_or_number(node: RoutingNode) -> None:
    made = one(node, only=["node-65", "67"])
    assert run_drain(made, store(node), False)["interfaces"] == ["wan-65", "wan-65b", "wan-67", "wan-67b"]
    listed = node(["nft", "-j", "list", "table", "inet", "swarm_node_deaf_wan"]).out
    assert dict(rules_in(json.loads(listed))) == deaf_rules("wan", 6696, made.interfaces())
    assert PASSED in listed
    whole = one(node)
    run_drain(whole, store(node), False)
    assert whole.changed, "another drain takes its place"
    with pytest.raises(BindError, match=r"a neighbour of node-64 in the mesh wan: node-65, node-66, node-67"):
        run_drain(one(node, only=["node-99"]), store(node), False)


@pytest.mark.parametrize("if_any", [False, True])
def test_a_mesh_whose_share_is_damaged_is_not_passed_over(node: RoutingNode, if_any: bool) -> None:
    put(node.root, share_path("wan"), share_text(other())[:40])
    for mesh in (None, "wan"):
        with pytest.raises(LayerUnavailable, match=r"mesh wan: .*share\.json cannot be read"):
            drains(node.root, node, mesh, if_any=if_any)
    meshes, problems = read_routing(node.root, node, None, 0)
    assert meshes == {} and [text.partition(" cannot")[0] for text in problems] == [
        f"mesh wan: {share_path('wan')}"
    ]
    assert read_routing(node.root, node, "lab", 0) == ({}, [])


def test_who_has_no_routing_is_said_or_passed_over(node: RoutingNode, tmp_path: Path) -> None:
    with pytest.raises(BindError, match="a mesh of this node with a routing daemon: wan"):
        drains(node.root, node, "lab")
    assert drains(node.root, node, "lab", if_any=True) == []
    put(node.root, share_path("lab"), share_text(other()))
    assert [found.mesh for found in drains(node.root, node, None)] == ["wan"]
    (node.root / conf_path("wan")[1:]).unlink()
    with pytest.raises(LayerUnavailable, match="no mesh of this node"):
        drains(node.root, node, None)
    assert drains(node.root, node, None, if_any=True) == []
