# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mesh_keys as Ansible runs it: what it makes, what it says, and that no secret gets out."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.mesh.keys import KeyStore
from ansible_collections.swarm.node.plugins.module_utils.mesh.keys_request import parse
from ansible_collections.swarm.node.plugins.module_utils.mesh.psk import PskStore
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Psk

sys.path += [str(Path(__file__).parents[3]), str(Path(__file__).parents[1] / "module_utils" / "mesh")]
from mesh_keys_wg import RecordingRunner, public_of
from module_runner import run_forked

MODULE = "ansible_collections.swarm.node.plugins.modules.mesh_keys"
LINKS = [
    {
        "ifname": "eth0",
        "mtu": 1500,
        "addr_info": [{"family": "inet", "local": "192.0.2.2", "prefixlen": 24, "scope": "global"}],
    }
]
ROUTES = [{"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}]


class NodeRunner(RecordingRunner):
    """Keys for real, the network from above; every argument goes into the file `log`."""

    def __init__(self, base: Path) -> None:
        super().__init__(base / "bin")
        self.log = base / "argv"

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(list(argv)) + "\n")
        if argv[0] == "sh":
            return super().__call__(argv, data, timeout)
        if argv[0] == "ip":
            return Done(0, json.dumps(LINKS if "address" in argv else ROUTES if "-4" in argv else []), "")
        return Done(127, "", f"{argv[0]}: no such program")


class Node:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "node"
        self.runner = NodeRunner(base)

    def run(self, check: bool = False, **options: Any) -> dict[str, Any]:
        def before() -> None:
            vars(importlib.import_module(MODULE))["execute_allowed"] = self.runner

        parameters = {
            "mesh": "wan",
            "name": "home-ann",
            "root": str(self.root),
            "state_dir": str(self.base / "state"),
            "run_dir": str(self.base / "run"),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **options,
        }
        return run_forked("mesh_keys", parameters, before)

    def secrets(self) -> list[str]:
        return [path.read_text().strip() for path in self.root.rglob("*.key")]

    def texts(self) -> str:
        """Everything the node wrote outside of its key files, and every command line."""
        files = [path for path in self.base.rglob("*") if path.is_file() and path.suffix != ".key"]
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "a")


@pytest.fixture
def peer(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "peer", RecordingRunner(tmp_path / "peer-bin"))
    store.make("wan", 1)
    return store


def test_it_makes_a_key_once(node: Node) -> None:
    planned = node.run(check=True, new=True)
    assert planned["changed"] and planned["public_key"] is None and planned["join_request"] is None
    assert planned["diff"]["after"] == "key of wan, generation 1: a new one\n"
    assert not node.root.exists() and not (node.base / "state").exists() and not (node.base / "run").exists()

    made = node.run(new=True)
    assert made["changed"] and made["public_key"] == public_of(node.secrets()[0])
    assert made["steps"] == planned["steps"] == ["made the key of wan, generation 1"]
    assert made["diff"]["after"] == f"key of wan, generation 1: {made['public_key']}\n"
    again = node.run(new=True)
    assert not again["changed"] and again["diff"]["after"] == ""
    assert {name: again[name] for name in ("public_key", "created", "generation", "generations")} == {
        "public_key": made["public_key"],
        "created": made["created"],
        "generation": 1,
        "generations": [1],
    }


def test_it_says_what_is_below_the_mesh(node: Node) -> None:
    found = node.run()
    assert not found["changed"] and found["public_key"] is None and found["generation"] == 1
    assert found["underlay"]["networks"] == ["192.0.2.0/24"]
    assert (found["underlay"]["address"], found["underlay"]["mtu"]) == ("192.0.2.2", 1500)
    assert (found["wireguard"], found["ipv6"]) == ("none", False)
    assert found["time"] > 1_700_000_000


def test_the_newest_generation_is_the_one_that_is_meant(node: Node) -> None:
    first = node.run(new=True)
    second = node.run(new=True, generation=2)
    assert second["changed"] and second["public_key"] != first["public_key"]
    assert node.run()["public_key"] == second["public_key"]
    assert node.run(generation=1)["public_key"] == first["public_key"]
    assert node.run(generation=3)["public_key"] is None


def test_the_join_request_is_one(node: Node) -> None:
    made = node.run(new=True)
    request = parse(made["join_request"])
    assert (request.mesh, request.name, request.public_key) == ("wan", "home-ann", made["public_key"])
    assert (request.networks, request.mtu, request.address) == (("192.0.2.0/24",), 1500, "192.0.2.2")


def test_a_preshared_key_is_made_here_and_opened_there(node: Node, peer: KeyStore) -> None:
    wish = [{"name": "gw+ann", "public_key": peer.public_key("wan", 1)}]
    planned = node.run(check=True, seal_for=wish)
    assert planned["changed"] and planned["sealed"] == {} and not node.root.exists()
    made = node.run(seal_for=wish)
    assert made["changed"] and made["steps"] == ["made the preshared key gw+ann of wan"]
    theirs = PskStore(peer.root, peer.runner)
    assert theirs.install("wan", Psk("gw+ann", **made["sealed"]["gw+ann"]), 1)
    assert theirs.path("wan", "gw+ann").read_text().strip() in node.secrets()
    again = node.run(seal_for=wish)
    assert not again["changed"]
    assert not theirs.install("wan", Psk("gw+ann", **again["sealed"]["gw+ann"]), 1)
    assert node.run(check=True, seal_for=wish)["sealed"]


def test_no_secret_gets_out(node: Node, peer: KeyStore) -> None:
    wish = [{"name": "gw+ann", "public_key": peer.public_key("wan", 1)}]
    results = [
        node.run(new=True, seal_for=wish),
        node.run(new=True, generation=2, seal_for=wish),
        node.run(check=True, new=True, generation=3),
    ]
    secrets = node.secrets()
    damaged = node.root / "etc/swarm_node/mesh/wan/keys/2.key"
    damaged.write_text(damaged.read_text()[:-4])
    results.append(node.run(generation=2))
    assert results[-1]["failed"]
    texts = [json.dumps(results), node.texts()]
    assert len(secrets) == 3 and "openssl" in texts[1] and "genkey" in texts[1]
    for secret in secrets:
        raw = base64.b64decode(secret)
        for form in (secret[:40], raw.hex(), base64.b64encode(raw).decode()[:40]):
            assert all(form not in text for text in texts)


def test_what_it_made_is_in_the_nodes_log(node: Node) -> None:
    made = node.run(new=True, run={"id": "job 7"})
    (entry,) = (node.base / "state/changes").glob("*.json")
    found = json.loads(entry.read_text())
    assert found["run"] == {"id": "job 7"} and found["changes"][0]["why"] == made["steps"][0]


def test_a_loose_mode_is_mended_and_said(node: Node) -> None:
    node.run(new=True)
    path = node.root / "etc/swarm_node/mesh/wan/keys/1.key"
    path.chmod(0o644)
    planned = node.run(check=True)
    assert planned["changed"] and "mode 0644" in planned["diff"]["before"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert node.run()["changed"] and path.stat().st_mode & 0o777 == 0o600
    assert not node.run()["changed"]


@pytest.mark.parametrize("check", [False, True])
def test_a_frozen_node_gets_no_key(node: Node, check: bool) -> None:
    found = node.run(check=check, new=True, freeze="audit")
    assert found["failed"] and "frozen (audit)" in found["msg"] and "made the key of wan" in found["msg"]
    assert not node.run(check=check, freeze="audit").get("failed")
    assert not list(node.root.rglob("*.key"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"mesh": "../x"}, "mesh: '../x'"),
        ({"generation": 0}, "generation: 0"),
        ({"seal_for": [{"name": "../x", "public_key": "A" * 43 + "="}]}, "name: '../x'"),
        ({"seal_for": [{"name": "x", "public_key": "short"}]}, "public_key: 'short'"),
        ({"seal_for": [{"name": "x", "public_key": "A" * 43 + "="}] * 2}, "seal_for: 'x'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_made(
    node: Node, options: dict[str, Any], named: str
) -> None:
    found = node.run(new=True, **options)
    assert found["failed"] and found["failure_kind"] == "refused" and named in found["msg"]
    assert found["problems"] and not node.root.exists()
