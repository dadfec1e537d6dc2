# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role mesh, confirm.yml: what becomes of a change, by what the nodes answered. The modules are stand-ins."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]

MODULE = """#!/usr/bin/python
import json
import os
import signal
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(
    {
        "action": {}, "token": {"no_log": False}, "expect": {"type": "dict"}, "shares": {"type": "dict"},
        "now": {"type": "float"}, "witnesses": {"type": "dict"}, "seen_shares": {"type": "dict"}, "said": {},
        "why": {},
    },
    supports_check_mode=True,
)
place = Path(module.params["said"] or "SAID")
armed = place / "armed"
KILLED = "KILLED"
if module.params["action"] is None:
    armed.write_text(os.environ.get("FOREIGN") or module.params["token"])
    if KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    module.exit_json(changed=True, changes=[{"key": "mesh.guard"}], token=module.params["token"], mesh={})
with (place / "asked").open("a") as said:
    said.write(json.dumps([module.params["action"], module.params["token"]]) + "\\n")
if armed.exists() and armed.read_text() != module.params["token"]:
    module.fail_json(msg="another run", failure_kind="refused")
if module.params["action"] != "probe" and armed.exists():
    armed.unlink()
module.exit_json(changed=True, tunnels=[])
"""


@pytest.fixture
def stand_ins(tmp_path: Path, collections_path: Path) -> Any:
    """A collection of the same name, with the real action and role; its modules note what they are asked."""
    real = collections_path / "ansible_collections/swarm/node"
    fake = tmp_path / "fake/ansible_collections/swarm/node"
    (fake / "plugins/modules").mkdir(parents=True)
    for name in ("action", "module_utils", "plugin_utils"):
        (fake / "plugins" / name).symlink_to(real / "plugins" / name)
    for name in ("galaxy.yml", "meta", "profiles", "roles", "catalogue"):
        (fake / name).symlink_to(real / name)

    def make(killed: bool) -> str:
        text = MODULE.replace('"SAID"', repr(str(tmp_path))).replace('"KILLED"', repr(killed))
        for name in ("mesh", "mesh_confirm"):
            (fake / f"plugins/modules/{name}.py").write_text(text)
        return str(tmp_path / "fake")

    return make


PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: apply
      swarm.node.mesh: {names: []}
      register: __mesh_result
      ignore_errors: true
      ignore_unreachable: true
      vars: {ansible_connection: "{{ 'swarm_node_nowhere' if away | default(false) else 'local' }}"}
    - name: the result
      ansible.builtin.debug: {var: __mesh_result}
    - ansible.builtin.include_role: {name: swarm.node.mesh, tasks_from: confirm.yml}
"""


def asked(tmp_path: Path) -> list[list[str]]:
    place = tmp_path / "asked"
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def files(**host: Any) -> dict[str, str]:
    hosts = {"n1": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **host}}
    return {"pb/play.yml": PLAY, "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": hosts}})}


def test_a_change_that_works_is_confirmed(play: Any, stand_ins: Any, tmp_path: Path) -> None:
    answers = play(files(), ANSIBLE_COLLECTIONS_PATH=stand_ins(killed=False))
    (probe, token), (confirm, same) = asked(tmp_path)
    assert (probe, confirm) == ("probe", "confirm") and token == same != "", answers.output
    assert not (tmp_path / "armed").exists()


def test_a_module_that_was_killed_once_it_had_armed_is_taken_back_at_once(
    play: Any, stand_ins: Any, tmp_path: Path
) -> None:
    answers = play(files(), ANSIBLE_COLLECTIONS_PATH=stand_ins(killed=True))
    ((action, token),) = asked(tmp_path)
    assert action == "revert" and token, answers.output
    assert not (tmp_path / "armed").exists() and "failed=1" in answers.output


def test_what_another_run_has_armed_stays(play: Any, stand_ins: Any, tmp_path: Path) -> None:
    paths = stand_ins(killed=True)
    answers = play(files(), ANSIBLE_COLLECTIONS_PATH=paths, FOREIGN="somebody's")
    assert (tmp_path / "armed").read_text() == "somebody's" and "failed=1" in answers.output
    assert all(token != "somebody's" for _action, token in asked(tmp_path))


def test_a_node_out_of_reach_that_is_back_is_taken_back(play: Any, stand_ins: Any, tmp_path: Path) -> None:
    """Its module is never heard of; the connection fails, and is there again for the next task."""
    plugin = tmp_path / "connections/swarm_node_nowhere.py"
    plugin.parent.mkdir()
    plugin.write_text(NOWHERE)
    answers = play(
        files(away=True),
        ANSIBLE_COLLECTIONS_PATH=stand_ins(killed=False),
        ANSIBLE_CONNECTION_PLUGINS=str(plugin.parent),
    )
    assert [action for action, _token in asked(tmp_path)] == ["revert"], answers.output
    assert asked(tmp_path)[0][1], "by the run's token"


NOWHERE = '''
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: swarm_node_nowhere
short_description: reaches nobody
description: A stand-in.
options: {}
"""


class Connection(ConnectionBase):
    transport = "swarm_node_nowhere"
    has_pipelining = False

    def _connect(self):
        raise AnsibleConnectionFailure("nobody answers")

    def exec_command(self, *arguments, **more):
        raise AnsibleConnectionFailure("nobody answers")

    put_file = fetch_file = exec_command

    def close(self):
        pass
'''


PARTLY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        __mesh_result: {changed: false, changes: [], token: t, mesh: {}, unapplied: "{{ left_out }}"}
    - ansible.builtin.include_role: {name: swarm.node.mesh, tasks_from: confirm.yml}
    - name: ready
      ansible.builtin.debug: {msg: "{{ groups['swarm_node_mesh_ready'] | default([]) }}"}
"""


def test_who_has_a_part_of_its_share_does_not_count_as_ready(play: Any) -> None:
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    wishes = {
        "n1": [],
        "n2": [{"key": "mesh.listen_port", "target": "wan-1", "reason": "needs_more_disruption"}],
        "n3": [{"key": "mesh.address", "target": "wan", "reason": "unsupported"}],
    }
    hosts = {name: {**common, "left_out": left_out} for name, left_out in wishes.items()}
    inventory = yaml.safe_dump({"all": {"hosts": hosts}})
    answers = play({"pb/play.yml": PARTLY, "inv/hosts.yml": inventory})
    assert sorted(answers.ok("n1", "ready")["msg"]) == ["n1", "n3"], answers.output


def test_the_probe_and_the_confirmation_cost_two_round_trips() -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/mesh/tasks/confirm.yml").read_text("utf-8"))
    assert sum("swarm.node.mesh_confirm" in task for task in tasks) == 2
