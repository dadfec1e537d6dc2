# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers and the measuring on a node, with the real programs: what they find, and that nothing is
left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure import probing as probing_module
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.children import Children
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.model import Job, Probe
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.probing import Probing

sys.path.insert(0, str(Path(__file__).parent))

from measure_world import PORT, Node, World, why_not

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "it can be tried")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def gone(node: Node, seconds: float = 5.0) -> bool:
    """Whether nothing runs in the namespace any more, at the latest after so many seconds."""
    deadline = time.monotonic() + seconds
    while node.space.programs() and time.monotonic() < deadline:
        time.sleep(0.1)
    return node.space.programs() == []


def measured(world: World, **more: Any) -> dict[str, Any]:
    """What the first node finds of the second."""
    world.two.control.up(world.two.order())
    world.one.control.up(world.one.order())
    start = time.monotonic() + 0.5
    world.one.control.go("run-1", world.job(world.two, start, **more))
    found = world.one.control.down("run-1", 60)
    world.two.control.down("run-1", 0)
    assert found is not None
    for node in (world.one, world.two):
        assert gone(node) and not node.control.place.path.exists()
    return found


def test_both_directions_are_measured_and_nothing_stays(world: World) -> None:
    transfer = {"name": "two", "address": world.two.address, "port": PORT, "at": 4, "mbit": 50, "seconds": 2}
    found = measured(world, end=12, transfers=[transfer])
    probe = found["probes"]["two"]
    assert probe["why"] == "" and probe["measured"]["tool"] == "irtt"
    # The machine may be busy; irtt then sends some later, or not at all.
    assert 150 < probe["measured"]["sent"] <= 300
    assert probe["measured"]["loss"]["out"]["lost"] == probe["measured"]["loss"]["back"]["lost"] == 0
    assert probe["measured"]["rtt"]["p50"] < 20 and probe["measured"]["jitter"]["back"]["n"] > 100
    assert probe["echo"]["sent"] == 3 and probe["echo"]["received"] == 3
    for way in ("out", "back"):
        assert found["transfers"]["two"][way]["mbit"] == pytest.approx(50, rel=0.3)
    assert found["servers"] == {} and found["late"] < 1


def test_servers_listen_on_the_mesh_address_alone_and_not_as_root(world: World) -> None:
    world.one.control.up(world.one.order())
    assert world.one.listens() == [f"10.99.0.1:{PORT}", f"10.99.0.1:{PORT}"]
    users = subprocess.run(
        ["ps", "-eo", "user=,comm=,netns="], capture_output=True, text=True, check=True
    ).stdout
    own = world.one.space.identity.strip("net:[]")
    servers = [line.split()[:2] for line in users.splitlines() if line.split()[-1] == own]
    assert sorted(name for user, name in servers if user == "nobody") == ["iperf3", "irtt"]
    assert world.one.units.option("--property=RuntimeMaxSec") == "90"
    assert world.one.units.option("--property=KillMode") == "control-group"
    assert world.one.control.down("run-1", 0) is None
    assert gone(world.one)


def test_over_ipv6(world: World) -> None:
    world.two.control.up(world.two.order(address=world.two.address6))
    world.one.control.up(world.one.order(address=world.one.address6))
    assert world.two.listens() == [f"[fd00:99::2]:{PORT}", f"[fd00:99::2]:{PORT}"]
    job = world.job(world.two, time.monotonic())
    job["probes"][0]["address"] = world.two.address6
    transfer = {"name": "two", "address": world.two.address6, "port": PORT, "at": 4, "mbit": 5, "seconds": 2}
    world.one.control.go("run-1", {**job, "end": 12, "transfers": [transfer]})
    found = world.one.control.down("run-1", 60)
    assert found is not None and found["probes"]["two"]["why"] == ""
    assert found["probes"]["two"]["echo"]["received"] == 3
    assert found["transfers"]["two"]["back"]["mbit"] > 3


def test_a_firewall_before_the_server_is_told_from_loss(world: World) -> None:
    run = world.two.space.run
    run("nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; }")
    run("nft", f"add rule inet wall in meta l4proto {{ tcp, udp }} th dport {PORT} drop")
    transfer = {"name": "two", "address": world.two.address, "port": PORT, "at": 6, "mbit": 5, "seconds": 2}
    found = measured(world, end=14, transfers=[transfer])
    probe = found["probes"]["two"]
    assert probe["measured"] is None and probe["why"] == "no answer from the server"
    assert probe["echo"]["received"] == probe["echo"]["sent"] == 3
    assert found["transfers"]["two"]["out"] == {"why": "no answer from the server"}


def test_a_firewall_that_rejects_is_told_from_loss(world: World) -> None:
    run = world.two.space.run
    run("nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; }")
    run("nft", f"add rule inet wall in udp dport {PORT} reject")
    probe = measured(world)["probes"]["two"]
    assert probe["measured"] is None and probe["why"].startswith("refused: ")
    assert probe["echo"]["received"] == 3


def test_a_way_that_is_down_answers_nothing(world: World) -> None:
    world.two.control.up(world.two.order())
    world.one.control.up(world.one.order())
    world.two.space.run("ip", "link", "set", "wan-1", "down")
    world.one.control.go("run-1", world.job(world.two, time.monotonic()))
    found = world.one.control.down("run-1", 60)
    assert found is not None
    probe = found["probes"]["two"]
    assert probe["measured"] is None and probe["why"]
    assert probe["echo"]["sent"] == 3 and probe["echo"]["received"] == 0


def test_lost_packets_are_counted_by_direction(world: World) -> None:
    run = world.two.space.run
    run("nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; }")
    run("nft", f"add rule inet wall in udp dport {PORT} numgen inc mod 10 == 5 drop")
    found = measured(world)["probes"]["two"]["measured"]["loss"]
    assert found["out"]["lost"] / found["out"]["sent"] == pytest.approx(0.1, abs=0.03)
    assert found["back"]["lost"] <= 1


def test_fping_alone_knows_there_and_back(world: World) -> None:
    job = world.job(world.two, 0)
    job["probes"][0]["tool"] = "fping"
    found = measured(world, probes=job["probes"])["probes"]["two"]
    assert found["echo"] is None and found["measured"]["loss"]["both"] == {"sent": 300, "lost": 0}


@pytest.mark.parametrize(("step", "measured"), [(0.0, True), (0.05, True), (3.0, False), (-3.0, False)])
def test_a_clock_that_is_set_meanwhile_is_no_loss(tmp_path: Path, step: float, measured: bool) -> None:
    ahead = iter([1.0e9, 1.0e9 + step])
    probe = Probe("two", "127.0.0.1", PORT, "fping", 20.0, 50.0, 10.0, 0.95)
    probing = Probing(Children(tmp_path, tmp_path), "127.0.0.1", 0.2, lambda: next(ahead))
    probing.start(Job(0.0, 0.2, 5.0, 1.0, (probe,)))
    probing.wait(time.monotonic() + 10)
    found = probing.results()["two"]
    assert (found["measured"] is not None) == measured
    if not measured:
        assert f"clock was set by {step:+.1f} s" in found["why"]


def test_clients_do_not_fill_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 20 requests each: two clients fit into a half of this.
    monkeypatch.setattr(probing_module, "_free", lambda path: 2 * (2 * 20 * probing_module.BYTES + 10))
    probes = tuple(Probe(f"m{n}", "127.0.0.1", PORT, "irtt", 10.0, 50.0, 10.0, 0.95) for n in range(4))
    every = Children(tmp_path, tmp_path)
    probing = Probing(every, "127.0.0.1", 0.2)
    probing.start(Job(0.0, 0.2, 5.0, 1.0, probes))
    probing.wait(time.monotonic() + 1)
    every.stop()
    found = probing.results()
    refused = [name for name, one in found.items() if "/run has too little room" in one["why"]]
    assert refused == ["m2", "m3"] and "takes 2 of them" in found["m2"]["why"]
    # Echo requests tell of them all the same.
    assert found["m3"]["echo"] is not None


def test_who_begins_late_measures_for_a_shorter_time(world: World) -> None:
    world.two.control.up(world.two.order())
    world.one.control.up(world.one.order())
    world.one.control.go("run-1", world.job(world.two, time.monotonic() - 1.5))
    found = world.one.control.down("run-1", 60)
    assert found is not None and 1.4 < found["late"] < 3 and found["window"] < 1.6
    assert found["probes"]["two"]["measured"]["seconds"] < 3


def test_a_client_that_is_killed_costs_its_own_result_alone(world: World) -> None:
    world.two.control.up(world.two.order())
    world.one.control.up(world.one.order())
    world.one.control.go("run-1", world.job(world.two, time.monotonic()))
    time.sleep(1.5)
    lines = subprocess.run(
        ["ps", "-eo", "pid=,netns=,args="], capture_output=True, text=True, check=True
    ).stdout
    own = world.one.space.identity.strip("net:[]")
    clients = [line.split() for line in lines.splitlines() if "irtt client" in line and own in line]
    assert len(clients) == 1
    os.kill(int(clients[0][0]), signal.SIGKILL)
    found = world.one.control.down("run-1", 60)
    assert found is not None
    assert found["probes"]["two"]["measured"] is None and "-9" in found["probes"]["two"]["why"]
    assert found["probes"]["two"]["echo"]["received"] == 3
    assert gone(world.one)


def test_a_killed_program_leaves_no_server_behind(world: World) -> None:
    world.one.control.up(world.one.order())
    (process,) = world.one.units.running.values()
    process.kill()
    process.wait()
    assert gone(world.one)
    # The next run finds what it left, and is not kept from working.
    world.one.control.up(world.one.order(token="run-2"))
    assert world.one.control.down("run-2", 0) is None
    assert not world.one.control.place.path.exists()


def test_without_a_job_it_ends_by_itself(world: World) -> None:
    world.one.control.up(world.one.order(patience=1.0))
    assert "irtt" in world.one.space.programs()
    assert gone(world.one, 8.0)
    with pytest.raises(NodeError, match="ended already"):
        world.one.control.go("run-1", world.job(world.two, time.monotonic()))
    world.one.control.stop()


def test_its_end_comes_whatever_happens(world: World) -> None:
    world.one.control.up(world.one.order(limit=2.0))
    assert gone(world.one, 8.0)
    world.one.control.stop()


def test_a_run_that_is_given_up_stops_in_the_middle(world: World) -> None:
    world.two.control.up(world.two.order())
    world.one.control.up(world.one.order())
    world.one.control.go("run-1", world.job(world.two, time.monotonic(), window=50, end=60))
    time.sleep(1.5)
    began = time.monotonic()
    assert world.one.control.down("run-1", 0.5) is None
    assert time.monotonic() - began < 8
    assert gone(world.one) and not world.one.control.place.path.exists()


def test_a_port_that_is_taken_is_said_and_nothing_is_left(world: World) -> None:
    other = subprocess.Popen(
        [*world.one.space.entry, "iperf3", "-s", "-p", str(PORT)], stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 5
        while not world.one.listens() and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(NodeError, match=rf"no server on 10\.99\.0\.1 port {PORT}: iperf3: .*verify_port"):
            world.one.control.up(world.one.order())
        assert not world.one.control.place.path.exists()
        assert world.one.space.programs() == ["iperf3"]
    finally:
        other.kill()
        other.wait()


def test_a_node_without_the_address_says_so(world: World) -> None:
    with pytest.raises(NodeError, match=r"no server on 10\.99\.0\.77 .*Is the mesh up on this node"):
        world.one.control.up(world.one.order(address="10.99.0.77"))
    assert gone(world.one) and not world.one.control.place.path.exists()


def test_another_runs_servers_are_left_alone(world: World) -> None:
    world.one.control.up(world.one.order())
    with pytest.raises(NodeError, match="another run measures this mesh on this node"):
        world.one.control.up(world.one.order(token="run-2"))
    assert world.one.control.down("run-2", 0) is None
    with pytest.raises(NodeError, match="not there any more"):
        world.one.control.go("run-2", world.job(world.two, 1.0))
    assert "irtt" in world.one.space.programs()
    world.one.control.stop()


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"address": "0.0.0.0"}, "address"),
        ({"address": "::"}, "address"),
        ({"port": 0}, "port"),
        ({"token": "a b"}, "token"),
        ({"tools": ("nc",)}, "tools"),
        ({"limit": 0}, "limit"),
    ],
)
def test_a_wrong_order_is_refused_before_anything_starts(
    world: World, more: dict[str, Any], key: str
) -> None:
    with pytest.raises(BindError) as error:
        world.one.control.up(world.one.order(**more))
    assert [problem.key for problem in error.value.problems] == [key]
    assert world.one.units.lines == [] and not world.one.control.place.path.exists()
