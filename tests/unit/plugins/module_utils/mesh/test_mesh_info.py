# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a node's tunnels: pure descriptions, and how they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import Armed
from ansible_collections.swarm.node.plugins.module_utils.mesh.info import count_states, describe
from ansible_collections.swarm.node.plugins.module_utils.mesh.info_read import read_meshes
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel
from ansible_collections.swarm.node.plugins.module_utils.mesh.wg import Device, Peer

KEY_OF = {number: f"{'A' * 41}{number}A=" for number in range(10)}
NOW = 1_800_000_000.0
SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="


@dataclass(frozen=True)
class Link:
    mtu: int = 1420
    up: bool = True


def tunnel(peer: int, **more: Any) -> Tunnel:
    given: dict[str, Any] = {
        "interface": f"wan-{peer}",
        "peer": f"n{peer}",
        "peer_number": peer,
        "generation": 1,
        "listen_port": 51820 + peer,
        "public_key": KEY_OF[peer],
        **more,
    }
    return Tunnel(**given)


def share(*tunnels: Tunnel) -> Share:
    return Share(
        mesh="wan",
        member="gw1",
        number=1,
        addresses=("10.99.0.1/32",),
        prefixes=("10.99.0.0/16",),
        ports=(51820, 51867),
        transit=True,
        keys={1: KEY_OF[1]},
        tunnels=tunnels,
        routes={"wan-2": ("10.99.0.2/32",)},
    )


def one(
    peer: Peer | None, link: Link | None, now: float = NOW, created: float | None = None
) -> dict[str, Any]:
    """The description of a single tunnel to member 2."""
    devices = {"wan-2": Device("wan-2", KEY_OF[1], 51822, {peer.public_key: peer} if peer else {})}
    keys = {} if created is None else {1: created}
    found = describe(share(tunnel(2)), devices, {"wan-2": link} if link else {}, now, keys)
    entry: dict[str, Any] = found["tunnels"][0]
    return entry


@pytest.mark.parametrize(
    ("handshake", "state", "age"),
    [
        (NOW - 1, "up", 1),
        (NOW - 179, "up", 179),
        (NOW - 180, "stale", 180),
        (0, "never", None),
        (NOW + 50, "up", 0),
    ],
)
def test_states_by_handshake(handshake: float, state: str, age: int | None) -> None:
    entry = one(Peer(KEY_OF[2], handshake=int(handshake)), Link())
    assert (entry["state"], entry["handshake_age_s"]) == (state, age)


@pytest.mark.parametrize(
    ("peer", "link"),
    [
        (Peer(KEY_OF[2], handshake=int(NOW)), None),
        (Peer(KEY_OF[2], handshake=int(NOW)), Link(up=False)),
        (None, Link()),
        (Peer(KEY_OF[3], handshake=int(NOW)), Link()),
    ],
)
def test_without_interface_peer_or_link_it_is_down(peer: Peer | None, link: Link | None) -> None:
    assert one(peer, link)["state"] == "down"


def test_all_that_is_said_of_a_tunnel() -> None:
    peer = Peer(KEY_OF[2], True, "198.51.100.9:51820", handshake=int(NOW) - 5, received=10, sent=20)
    assert one(peer, Link(1400), created=NOW - 86400 * 3.9) == {
        "interface": "wan-2",
        "peer": "n2",
        "peer_number": 2,
        "foreign": False,
        "endpoint": "198.51.100.9:51820",
        "handshake_age_s": 5,
        "received_bytes": 10,
        "sent_bytes": 20,
        "mtu": 1400,
        "state": "up",
        "key_age_days": 3,
        "psk": True,
    }


def test_all_that_is_said_of_a_mesh() -> None:
    found = describe(share(), {}, {}, NOW, {}, armed={"token": "t", "deadline": 9.0})
    assert found == {
        "member": "gw1",
        "number": 1,
        "addresses": ["10.99.0.1/32"],
        "transit": True,
        "armed": {"token": "t", "deadline": 9.0},
        "withheld": [],
        "tunnels": [],
        "routes": 1,
    }


def test_an_endpoint_that_never_called_is_the_planned_one() -> None:
    devices = {"wan-2": Device("wan-2", peers={KEY_OF[2]: Peer(KEY_OF[2])})}
    found = describe(share(tunnel(2, endpoint="gw2.example:51820")), devices, {"wan-2": Link()}, NOW, {})
    assert found["tunnels"][0]["endpoint"] == "gw2.example:51820"


def test_counts() -> None:
    assert count_states([{"state": "up"}, {"state": "up"}, {"state": "down"}, {}]) == {
        "up": 2,
        "stale": 0,
        "never": 0,
        "down": 1,
    }


class Node:
    """A node whose wg and ip say what is given; its dump holds a private and a preshared key."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dump = Done(0, "", "")
        self.argv: list[list[str]] = []

    def store(self, stored: Share) -> Path:
        path = self.root / f"etc/swarm_node/mesh/{stored.mesh}/share.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(stored.as_data()))
        return path

    def arm(self, *meshes: str) -> None:
        armed = Armed("run-7", NOW, "boot", 1.0, 120.0, dict.fromkeys(meshes))
        path = self.root / "state/mesh/armed.json"
        path.parent.mkdir(parents=True)
        path.write_text(armed.to_text())

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        self.argv.append(list(argv))
        if argv[0] == "wg":
            return self.dump
        if "route" in argv:
            routes = [
                {"dst": "10.99.0.2", "dev": "wan-2", "protocol": "213", "metric": 4000, "flags": []},
                {"dst": "10.99.0.3", "dev": "wan-2", "protocol": "42", "flags": []},
                {"dst": "10.98.0.2", "dev": "lan-2", "protocol": "213", "metric": 4000, "flags": []},
            ]
            return Done(0, json.dumps(routes), "")
        link = {
            "ifname": "wan-2",
            "flags": ["UP"],
            "mtu": 1412,
            "addr_info": [],
            "linkinfo": {"info_kind": "tun"},
        }
        return Done(0, json.dumps([link]), "")

    def read(self, only: str | None = None) -> tuple[dict[str, Any], list[str]]:
        return read_meshes(self.root, str(self.root / "state"), str(self.root / "run"), self, only)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_node_without_a_mesh_runs_nothing(node: Node) -> None:
    assert node.read() == ({}, [])
    assert node.argv == []


def test_read(node: Node) -> None:
    node.store(share(tunnel(2)))
    key = node.root / "etc/swarm_node/mesh/wan/keys/1.key"
    key.parent.mkdir()
    key.write_text(SECRET)
    os.utime(key, (0, 0))
    node.dump = Done(
        0,
        f"wan-2\t{SECRET}\t{KEY_OF[1]}\t51822\toff\n"
        f"wan-2\t{KEY_OF[2]}\t{SECRET}\t192.0.2.9:7\t0.0.0.0/0\t1700000000\t1\t2\t25\n",
        "",
    )
    meshes, problems = node.read()
    assert problems == []
    entry = meshes["wan"]["tunnels"][0]
    assert (entry["state"], entry["mtu"], entry["psk"], meshes["wan"]["routes"]) == ("stale", 1412, True, 1)
    assert entry["key_age_days"] > 19000
    assert SECRET not in json.dumps(meshes)


def test_only_the_armed_mesh_is_armed(node: Node) -> None:
    node.store(share(tunnel(2)))
    other = Share("lan", "gw1", 1, ("10.98.0.1/32",), ("10.98.0.0/16",), (52000, 52047), keys={1: KEY_OF[1]})
    node.store(other)
    node.arm("wan")
    meshes, _ = node.read()
    assert meshes["wan"]["armed"] == {"token": "run-7", "deadline": NOW + 120}
    assert meshes["lan"]["armed"] is None
    assert list(node.read("lan")[0]) == ["lan"]


def test_damaged_files_are_told_and_the_rest_is_read(node: Node) -> None:
    node.store(share(tunnel(2)))
    path = node.root / "etc/swarm_node/mesh/lan/share.json"
    path.parent.mkdir()
    path.write_text("{")
    node.arm("wan")
    (node.root / "state/mesh/armed.json").write_text("{")
    meshes, problems = node.read()
    assert list(meshes) == ["wan"] and meshes["wan"]["armed"] is None
    assert str(path) in problems[0] and "armed.json" in problems[1]


@pytest.mark.parametrize("err", ["wg: no such program", ""])
def test_a_wg_that_fails_is_an_error_without_what_it_printed(node: Node, err: str) -> None:
    node.store(share(tunnel(2)))
    node.dump = Done(1, f"wan-2\t{SECRET}\n", err)
    with pytest.raises(NodeError, match="wg show all dump") as raised:
        node.read()
    assert SECRET not in str(raised.value)
