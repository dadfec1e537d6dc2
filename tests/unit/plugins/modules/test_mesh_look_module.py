# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mesh_look as Ansible runs it; what it reads is tested beside mesh_info and routing_info."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel
from ansible_collections.swarm.node.plugins.modules.mesh_look import shortened

sys.path.append(str(Path(__file__).parents[3]))
from module_runner import run_forked

MODULE = "ansible_collections.swarm.node.plugins.modules.mesh_look"
KEY = "A" * 43 + "="


def answer(argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
    if argv[0] == "wg":
        return Done(0, f"wan-2\t{KEY}\t{KEY}\t51822\toff\n", "")
    links = [{"ifname": "wan-2", "flags": ["UP"], "mtu": 1420, "addr_info": []}]
    return Done(0, json.dumps([] if "route" in argv else links), "")


def refuse(argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
    return Done(1, "", "Operation not permitted")


def run(base: Path, runner: Any, **options: Any) -> dict[str, Any]:
    def before() -> None:
        vars(importlib.import_module(MODULE)).update(execute=runner, execute_allowed=runner)

    places = {name: str(base / name) for name in ("root", "state_dir", "run_dir")}
    return run_forked("mesh_look", {**places, "listen": 0, **options}, before)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    tunnel = Tunnel("wan-2", "n2", 2, 1, 51822, KEY)
    share = Share(
        "wan", "n1", 1, ("10.99.0.1/32",), ("10.99.0.0/16",), (51820, 51867), keys={1: KEY}, tunnels=(tunnel,)
    )
    path = tmp_path / "root/etc/swarm_node/mesh/wan/share.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(share.as_data()))
    return tmp_path


def test_a_node_without_a_mesh_is_no_failure(tmp_path: Path) -> None:
    found = run(tmp_path, refuse)
    assert (found["changed"], found["meshes"], found["routing"], found["unreadable"]) == (False, {}, {}, [])
    assert found["now"] > 1e9


@pytest.mark.parametrize("seconds", [-1, 301, "inf", "nan"])
def test_nobody_listens_for_ever(tmp_path: Path, seconds: Any) -> None:
    found = run(tmp_path, refuse, listen=seconds)
    assert found["failed"] and found["failure_kind"] == "refused" and "0 to 300 s" in found["msg"]


def test_a_mesh_without_routing(stored: Path) -> None:
    found = run(stored, answer)
    assert found["meshes"]["wan"]["member"] == "n1" and found["routing"] == {}
    assert run(stored, answer, mesh="lan")["meshes"] == {}


def test_a_daemon_that_is_off_is_said_to_be(stored: Path) -> None:
    conf = stored / "root/etc/swarm_node/routing/wan.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("protocol-port 6697\n")
    routing = run(stored, answer_nft)["routing"]["wan"]
    assert (routing["running"], routing["port"], routing["routes"]) == (False, 6697, [])
    assert routing["why"]


def answer_nft(argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
    return Done(0, '{"nftables": []}', "") if argv[0].endswith("nft") else answer(argv)


def test_a_node_that_does_not_answer_fails(stored: Path) -> None:
    found = run(stored, refuse)
    assert found["failed"] and found["failure_kind"] == "unavailable"


def route(prefix: str, metric: int | None, installed: bool) -> dict[str, Any]:
    return {"prefix": prefix, "metric": metric, "installed": installed}


@pytest.mark.parametrize(
    ("routes", "kept"),
    [
        ([route("a", 900, True), route("a", 950, False)], [0]),
        ([route("a", None, False), route("a", 950, True)], [1]),
        ([route("a", None, False), route("b", 950, True)], [0, 1]),
        ([route("a", 950, False)], []),
        ([], []),
    ],
)
def test_only_what_is_used_is_sent(routes: list[dict[str, Any]], kept: list[int]) -> None:
    assert shortened(routes) == [routes[place] for place in kept]
