# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mesh_apply after a run that ended between a node's share and its routing daemons."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_mesh_actions import fake_mesh, joined

assert fake_mesh  # a fixture

IDLE = """#!/usr/bin/python
# WANT_JSON
print('{"changed": false, "changes": [], "unapplied": []}')
"""
ROUTING = """#!/usr/bin/python
# WANT_JSON
import json, sys
from pathlib import Path

done, given = Path(WHERE), json.loads(Path(sys.argv[1]).read_text())
changes = [] if done.exists() else [{"key": "routing.daemon", "target": "wan"}]
if changes and not given["_ansible_check_mode"]:
    done.write_text("done")
print(json.dumps({"changed": bool(changes), "changes": changes, "unapplied": []}))
"""
CHECKOUT = Path(__file__).parents[4]
LOOK, ACT = (f"swarm.node.routing : {name}" for name in ("Reconcile routing daemons", "Provide babeld"))


@pytest.fixture
def collection(fake_mesh: str, tmp_path: Path) -> str:
    """Its mesh module has nothing to do, and its routing module has until it did it once."""
    modules = Path(fake_mesh, "ansible_collections/swarm/node/plugins/modules")
    for path in (CHECKOUT / "plugins/modules").glob("*.py"):
        if not (modules / path.name).exists():
            (modules / path.name).symlink_to(path)
    routing = ROUTING.replace("WHERE", repr(str(tmp_path / "done")))
    for name, text in {"mesh": IDLE, "packages": IDLE, "routing": routing}.items():
        (modules / f"{name}.py").unlink(missing_ok=True)
        (modules / f"{name}.py").write_text(text)
    return fake_mesh


def given(**wishes: Any) -> dict[str, str]:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"all": {"hosts": {"db": {**local, "mesh_name": "wan", **wishes}}}}
    return {
        **joined(),
        "inv/hosts.yml": yaml.safe_dump(hosts),
        "pb/play.yml": (CHECKOUT / "playbooks/mesh_apply.yml").read_text("utf-8"),
    }


def test_daemons_follow_a_share_that_is_there_already(play, collection, tmp_path) -> None:
    files = given(routing_daemon="babeld")
    looked = play(files, "--check", ANSIBLE_COLLECTIONS_PATH=collection)
    assert not looked.failed and not (tmp_path / "done").exists(), looked.output
    first = play(files, ANSIBLE_COLLECTIONS_PATH=collection)
    assert not first.failed and (tmp_path / "done").exists(), first.output
    assert (ACT, "db") in first.found
    again = play(files, ANSIBLE_COLLECTIONS_PATH=collection)
    assert (LOOK, "db") in again.found and (ACT, "db") not in again.found
    assert "changed=0" in again.output, again.output


def test_without_routing_nobody_asks_for_it(play, collection, tmp_path) -> None:
    """It would cost each member a round trip."""
    answers = play(given(), ANSIBLE_COLLECTIONS_PATH=collection)
    assert not answers.failed and not (tmp_path / "done").exists(), answers.output
    assert answers.found.get((LOOK, "db"), {"skipped": True}).get("skipped"), json.dumps(
        answers.found[LOOK, "db"]
    )
