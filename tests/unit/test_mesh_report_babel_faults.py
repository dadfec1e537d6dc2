# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh report of four namespaces with real routing daemons, by what the nodes' own code reads there."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.routing.filter import deaf_text, filter_text
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import (
    PORT,
    conf_path,
    running_conf,
    socket_path,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import Wish
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.answers import routing_of
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.body import Answer, Known, mesh_report
from ansible_collections.swarm.node.plugins.plugin_utils.report import mesh

from benchmarks.routing.candidates import CHOSEN
from benchmarks.routing.long.nodes import MESH, NodeBabeld, NodeNetwork, share
from benchmarks.routing.programs import cached

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
    pytest.mark.skipif(any(shutil.which(name) is None for name in ("nft", "wg")), reason="needs nft and wg"),
    pytest.mark.skipif(not cached("bookworm").root.is_dir(), reason="scripts/bootstrap fetches the daemons"),
]

KEY = "A" * 43 + "="
LOOK = """
import json, sys, time
from pathlib import Path
from ansible_collections.swarm.node.plugins.module_utils.core.commands import execute, execute_allowed
from ansible_collections.swarm.node.plugins.module_utils.mesh.info_read import read_meshes
from ansible_collections.swarm.node.plugins.module_utils.routing.info import read_routing
root = Path(sys.argv[1])
meshes, problems = read_meshes(root, str(root / "state"), str(root / "run"), execute_allowed)
routing, more = read_routing(root, execute, None, 0)
print(json.dumps({"meshes": meshes, "routing": routing, "now": time.time(), "problems": problems + more}))
"""
LINKS: dict[tuple[int, int], float] = {(1, 2): 10, (1, 3): 10, (2, 3): 80, (1, 4): 12, (2, 4): 30, (3, 4): 90}
"""1 and 2 forward; 3 and 4 have a link of their own that is longer than the way by 1."""


class Nodes:
    def __init__(self, work: Path, collections: Path) -> None:
        self.work, self.collections = work, collections
        self.network = NodeNetwork(LINKS, [1, 2], seed=1)
        self.daemons = {}
        for number in self.network.numbers:
            daemon = NodeBabeld(cached("bookworm"), CHOSEN, self.network, number, work)
            daemon.control = self.place(number, socket_path(MESH))
            self.daemons[number] = daemon

    def place(self, number: int, path: str) -> Path:
        found = self.work / str(number) / path.lstrip("/")
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def start(self) -> None:
        for number, daemon in self.daemons.items():
            own = share(self.network, number)
            tunnels = tuple(replace(one, public_key=KEY) for one in own.tunnels)
            own = replace(own, keys={1: KEY}, tunnels=tunnels)
            self.place(number, f"/etc/swarm_node/mesh/{MESH}/share.json").write_text(
                json.dumps(own.as_data())
            )
            for path in (conf_path(MESH), running_conf(MESH)):
                self.place(number, path).write_text(daemon.text())
            rules = filter_text(Wish(own)).encode()
            self.network.spaces[number].run(["nft", "-f", "-"], data=rules)
            daemon.start()

    def answers(self) -> dict[str, Answer]:
        found = {}
        for number, space in self.network.spaces.items():
            home = ["env", f"PYTHONPATH={self.collections}", sys.executable, "-c", LOOK]
            said = json.loads(space.run([*home, str(self.work / str(number))]))
            assert said["problems"] == []
            found[f"node{number}"] = Answer("", mesh.fields(said), routing_of(said), said["now"])
        return found

    def close(self) -> None:
        for daemon in self.daemons.values():
            daemon.kill()
        self.network.close()


@pytest.fixture
def nodes(collections_path: Path) -> Iterator[Nodes]:
    # A socket's path has 107 characters at most; those of tmp_path are longer where tests run side by side.
    with tempfile.TemporaryDirectory() as directory:
        made = Nodes(Path(directory), collections_path)
        try:
            made.start()
            yield made
        finally:
            made.close()


def is_way(body: dict[str, Any], goal: list[str]) -> bool:
    """Does node3 send to node4 that way?"""
    found = [one for one in body["paths"] if one["members"][0] == "node3" and one["goal"] == "node4"]
    return [one["members"] for one in found] == [goal]


def where(body: dict[str, Any], what: str) -> list[list[str]]:
    return [one["where"] for one in body["problems"] if one["what"] == what]


def wait(nodes: Nodes, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The report, as soon as this holds of it, or as it is after 40 s."""
    until = time.monotonic() + 40
    while True:
        body = mesh_report(MESH, nodes.answers(), Known())
        if holds(body) or time.monotonic() > until:
            return body
        time.sleep(1)


def test_ways_neighbours_and_what_is_wrong(nodes: Nodes) -> None:
    # 80 and 90 ms, of 50. That way is there before all neighbours are heard from both sides, and a first
    # hello that a busy machine has kept waiting takes its time to be forgotten.
    said = ["links slower than their target"]

    def short(body: dict[str, Any]) -> dict[str, Any]:
        (link,) = [link for link in body["links"] if link["ends"] == ["node1", "node3"]]
        found: dict[str, Any] = link
        return found

    body = wait(
        nodes,
        lambda body: (
            is_way(body, ["node3", "node1", "node4"])
            and [one["what"] for one in body["problems"]] == said
            and short(body)["grade"] == "good"
        ),
    )
    assert is_way(body, ["node3", "node1", "node4"]), body["paths"]
    assert [one["what"] for one in body["problems"]] == said
    assert body["members"]["node3"]["ways"]["relayed"] >= 1
    link = short(body)
    assert link["grade"] == "good" and link["rtt_ms"] > 9
    assert {end["state"] for end in link["routing"].values()} == {"up"}
    assert body["members"]["node1"]["routing"]["version"].startswith("babeld-1.12")
    dropped = [one["routing"]["dropped"] for one in body["members"].values()]
    assert dropped == [{"outside": 0, "spoofed": 0, "circled": 0, "foreign": []}] * 4
    nodes.network.shape([(1, 3), (1, 4), (1, 2)], up=0)
    # Each end notices by its own hellos, and the way moves as soon as one did: in which order is chance.
    down = [["node1 – node2", "node1 – node3", "node1 – node4"]]
    body = wait(
        nodes,
        lambda body: is_way(body, ["node3", "node4"]) and where(body, "neighbour down on both sides") == down,
    )
    assert is_way(body, ["node3", "node4"]), body["paths"]
    assert where(body, "neighbour down on both sides") == down
    nodes.daemons[2].stop()
    body = mesh_report(MESH, nodes.answers(), Known())
    assert where(body, "routing daemon off") == [["node2"]] and body["members"]["node2"]["routing"]["why"]


def test_a_link_that_is_drained_is_no_failure(nodes: Nodes) -> None:
    """Also once the daemon has forgotten whom it does not hear any more."""

    def end(body: dict[str, Any], name: str) -> dict[str, Any]:
        (link,) = [link for link in body["links"] if link["ends"] == ["node1", "node4"]]
        found: dict[str, Any] = link["routing"][name]
        return found

    wait(nodes, lambda body: is_way(body, ["node3", "node1", "node4"]))
    text = deaf_text(MESH, PORT, [f"{MESH}-4", f"{MESH}-4b"])
    nodes.network.spaces[1].run(["nft", "-f", "-"], data=text.encode())
    body = wait(
        nodes, lambda body: end(body, "node1")["lost"] is None and end(body, "node4")["state"] == "down"
    )
    assert end(body, "node1") == {"state": "drained", "cost": None, "rtt_ms": None, "lost": None}
    assert [one for one in body["problems"] if one["severity"] == "wrong"] == []
    assert where(body, "links drained") == [[f"node1: {MESH}-4, {MESH}-4b"]]
