# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mesh_info as Ansible runs it; what it reads is tested beside info_read."""

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

sys.path.append(str(Path(__file__).parents[3]))
from module_runner import run_forked

MODULE = "ansible_collections.swarm.node.plugins.modules.mesh_info"
KEY = "A" * 43 + "="
SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="
DUMP = f"wan-2\t{SECRET}\t{KEY}\t51822\toff\nwan-2\t{KEY}\t{SECRET}\t192.0.2.9:7\t0.0.0.0/0\t0\t1\t2\toff\n"


def answer(argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
    if argv[0] == "wg":
        return Done(0, DUMP, "")
    links = [{"ifname": "wan-2", "flags": ["UP"], "mtu": 1420, "addr_info": []}]
    return Done(0, json.dumps([] if "route" in argv else links), "")


def refuse(argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
    return Done(1, DUMP, "Operation not permitted")


def run(base: Path, runner: Any, check: bool = False, **options: Any) -> dict[str, Any]:
    def before() -> None:
        vars(importlib.import_module(MODULE))["execute_allowed"] = runner

    places = {name: str(base / name) for name in ("root", "state_dir", "run_dir")}
    return run_forked("mesh_info", {**places, "_ansible_check_mode": check, **options}, before)


def store(base: Path) -> Path:
    tunnel = Tunnel("wan-2", "n2", 2, 1, 51822, KEY)
    share = Share(
        "wan", "n1", 1, ("10.99.0.1/32",), ("10.99.0.0/16",), (51820, 51867), keys={1: KEY}, tunnels=(tunnel,)
    )
    path = base / "root/etc/swarm_node/mesh/wan/share.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(share.as_data()))
    return path


def test_a_node_without_a_mesh_is_no_failure(tmp_path: Path) -> None:
    found = run(tmp_path, refuse)
    assert (found["changed"], found["meshes"], found["unreadable"]) == (False, {}, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [False, True])
def test_it_reads_and_says_no_secret(tmp_path: Path, check: bool) -> None:
    store(tmp_path)
    found = run(tmp_path, answer, check)
    (tunnel,) = found["meshes"]["wan"]["tunnels"]
    assert (tunnel["state"], tunnel["psk"], tunnel["key_age_days"]) == ("never", True, None)
    assert not found["changed"] and SECRET not in json.dumps(found)
    assert run(tmp_path, answer, mesh="lan")["meshes"] == {}


def test_a_damaged_file_is_a_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = store(tmp_path)
    path.write_text("{}")
    found = run(tmp_path, answer)
    assert found["meshes"] == {} and str(path) in found["unreadable"][0]
    # Ansible puts it into the result, or shows it at once where a display is there.
    assert str(path) in f"{found.get('warnings')}{capfd.readouterr().err}"


def test_a_wg_that_refuses_is_a_failure_without_secrets(tmp_path: Path) -> None:
    store(tmp_path)
    found = run(tmp_path, refuse)
    assert found["failed"] and "Operation not permitted" in found["msg"]
    assert found["failure_kind"] == "unavailable" and SECRET not in json.dumps(found)
