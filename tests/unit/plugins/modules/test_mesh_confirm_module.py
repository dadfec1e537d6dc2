# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mesh_confirm as Ansible runs it, on a node that is a directory."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import read_clock
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import Armed, Reverted
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel
from module_runner import run_forked

TUNNEL = Tunnel("wan-2", "peer2", 2, 1, 51820, "A" * 42 + "A=", "192.0.2.1:51820")
SHARE = Share(
    "wan",
    "me",
    1,
    ("10.99.0.1/32",),
    ("10.99.0.0/16",),
    (51820, 51867),
    keys={1: "A" * 42 + "A="},
    tunnels=(TUNNEL,),
)


class Node:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.armed = base / "state/mesh/armed.json"
        self.reverted = base / "state/mesh/reverted.json"
        self.armed.parent.mkdir(parents=True)
        (base / "root/etc").mkdir(parents=True)

    def arm(self, **options: Any) -> None:
        clock = read_clock()
        armed = Armed("t1", clock.wall, clock.boot_id, clock.boottime, 100.0, {}, {"firewall": "none"})
        self.armed.write_text(replace(armed, **options).to_text())

    def share(self) -> None:
        place = self.base / "root/etc/swarm_node/mesh/wan/share.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(SHARE.as_data()))

    def run(self, action: str, check: bool = False, **options: Any) -> dict[str, Any]:
        places = {"root": "root", "state_dir": "state", "run_dir": "run"}
        given = {name: str(self.base / place) for name, place in places.items()}
        return run_forked(
            "mesh_confirm", {"action": action, **given, "_ansible_check_mode": check, **options}
        )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_confirm(node: Node) -> None:
    node.arm()
    node.reverted.write_text(Reverted("t0", time.time(), "long ago").to_text())
    planned = node.run("confirm", check=True, token="t1")
    assert planned["changed"] and node.armed.exists()
    assert planned["armed"]["token"] == "t1" and 90 <= planned["armed"]["left_s"] <= 100
    assert planned["reverted"]["token"] == "t0"
    done = node.run("confirm", token="t1")
    assert done["changed"] and done["armed"] is None and done["reverted"] is None
    assert not node.armed.exists() and not node.reverted.exists()
    assert not node.run("confirm", token="t1")["changed"], "idempotent"


def test_a_wrong_token_is_refused(node: Node) -> None:
    node.arm()
    for action in ("probe", "confirm", "revert"):
        failed = node.run(action, token="t2")
        assert failed["failed"] and failed["failure_kind"] == "refused", action
        assert "'t2' is refused" in failed["msg"] and "'t1', armed at" in failed["msg"]
        assert failed["problems"][0]["key"] == "token" and node.armed.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"action": "confirm"}, "token: '' is refused"),
        ({"action": "probe", "timeout": 0.5}, "timeout: 0.5 is refused; allowed: 1 to 300 s"),
        ({"action": "probe", "timeout": 301}, "1 to 300 s"),
        ({"action": "probe", "expect": {"wan": "peer2"}}, "expect wan: 'peer2' is refused"),
        (
            {"action": "probe", "expect": {"wan": ["x"]}},
            "expect wan: 'x' is refused; allowed: a peer of this node",
        ),
        (
            {"action": "probe", "expect": {"lan": []}},
            "expect: 'lan' is refused; allowed: a mesh of this node (wan)",
        ),
        (
            {"action": "probe", "meshes": ["lan"]},
            "meshes: 'lan' is refused; allowed: a mesh of this node (wan)",
        ),
    ],
)
def test_options_that_make_no_sense(node: Node, options: dict[str, Any], words: str) -> None:
    node.share()
    failed = node.run(**options)
    assert failed["failed"] and failed["failure_kind"] == "refused" and words in failed["msg"]


def test_too_late(node: Node) -> None:
    node.reverted.write_text(Reverted("t1", time.time(), "nobody confirmed it").to_text())
    failed = node.run("confirm", token="t1")
    assert (
        failed["failed"] and failed["failure_kind"] == "reverted" and "too late to confirm" in failed["msg"]
    )
    assert not node.run("confirm", token="t2")["changed"] and node.reverted.exists()


def test_a_damaged_file_is_said(node: Node) -> None:
    node.armed.write_text("{")
    for action in ("probe", "confirm", "revert"):
        failed = node.run(action, token="t1")
        assert failed["failure_kind"] == "unavailable" and f"{node.armed} cannot be read" in failed["msg"]


def test_revert(node: Node) -> None:
    assert node.run("revert")["notes"] == ["nothing is armed"]
    node.arm()
    assert node.run("revert", check=True)["changed"] and node.armed.exists()
    done = node.run("revert", token="t1")
    assert done["changed"] and done["undone"] == [] and done["armed"] is None
    assert done["reverted"]["token"] == "t1" and not node.armed.exists()
    assert not node.run("revert")["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="echo requests need root")
def test_probe_of_a_tunnel_that_is_not_there(node: Node) -> None:
    """What worked before fails the module, with all tunnels in its result; what did not is pending."""
    assert node.run("probe")["tunnels"] == []
    node.share()
    done = node.run("probe", timeout=1)
    assert not done["changed"] and [item["state"] for item in done["tunnels"]] == ["pending"]
    node.arm(worked=("wan-2 link",))
    failed = node.run("probe", token="t1", timeout=1)
    assert failed["failed"] and failed["failure_kind"] == "probe"
    assert "1 of 1 tunnels do not work: wan-2 to peer2: the other end does not answer" in failed["msg"]
    assert failed["tunnels"][0]["missing"] == ["the other end does not answer"]
    failed = node.run("probe", timeout=1, expect={"wan": ["peer2"]})
    assert failed["tunnels"][0]["state"] == "failed" and len(failed["tunnels"][0]["missing"]) == 3
