# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks of the mesh do on the controller before any node is changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.latency_file import load_latency
from test_mesh_actions import REQUEST, joined, key

CHECKOUT = Path(__file__).resolve().parents[4]
ACCEPT = "- import_playbook: swarm.node.mesh_accept\n"
SETTINGS = {"mesh_settings": {"prefixes": ["10.99.0.0/16"]}}


def request(**more) -> str:
    """As mesh_request prints it."""
    return "# a comment\n" + yaml.safe_dump({**REQUEST, **more})


def accepted(play, inventory, *arguments, text=None):
    given = {"pb/play.yml": ACCEPT, "inv/hosts.yml": yaml.safe_dump(inventory), "far.yml": text or request()}
    file = ["-e", f"ansible_python_interpreter={sys.executable}", "-e", "request=far.yml"]
    return play(given, *file, *arguments)


def test_a_request_is_accepted_as_the_inventory_says(play, tmp_path):
    host = {"mesh_name": "wan", "mesh_region": "home", "mesh_endpoint": "203.0.113.9", **SETTINGS}
    answers = accepted(play, {"all": {"hosts": {"far": host}}})
    registry = yaml.safe_load((tmp_path / "inv/mesh/wan.yml").read_text())
    assert registry["members"]["far"]["region"] == "home"
    assert registry["members"]["far"]["keys"] == {1: REQUEST["public_key"]}
    assert "unreachable=1" not in answers.output and "failed=1" not in answers.output


def test_a_request_of_a_host_that_is_not_in_the_inventory(play, tmp_path):
    more = {"mesh_region": "attic", "mesh_endpoint": "198.51.100.9", **SETTINGS}
    inventory = {"all": {"hosts": {"other": {"ansible_host": "192.0.2.1"}}}}
    answers = accepted(play, inventory, "-e", json.dumps(more))
    registry = yaml.safe_load((tmp_path / "inv/mesh/wan.yml").read_text())
    assert registry["members"]["far"]["region"] == "attic"
    assert registry["members"]["far"]["endpoint"] == "198.51.100.9"
    # Nobody was spoken to.
    assert "unreachable=1" not in answers.output and "failed=1" not in answers.output


def test_what_waits_for_the_node_is_said_with_what_ends_it(play, tmp_path):
    """A member that forwards gets others' packets when both ends have its links: not before it has pulled."""
    host = {"mesh_name": "wan", "mesh_region": "home", "mesh_endpoint": "203.0.113.9", "mesh_transit": True}
    inventory = {"all": {"hosts": {"far": {**host, "mesh_pull": True}}}}
    place = tmp_path / "inv/mesh/wan.yml"
    place.parent.mkdir(parents=True)
    place.write_text(joined()["inv/mesh/wan.yml"])
    said = " ".join(accepted(play, inventory).output.split())
    assert "far swarm.node.mesh_pull" in said.replace('"', "") and "swarm.node.mesh_settle" in said, said
    assert said.count("far: the new link waits for its first handshake") >= 2
    # The same request again, and then one with the next key.
    before = place.read_text()
    assert "failed=0" in accepted(play, inventory).output and place.read_text() == before
    second = request(generation=2, public_key=key("far", 2))
    assert "swarm.node.mesh_rekey" in accepted(play, inventory, text=second).output
    wrong = accepted(play, inventory, "-e", "operation=leave", text=second).output
    assert "operation: leave is refused; allowed: join, rotate, rekey" in wrong
    assert place.read_text() == before
    done = accepted(play, inventory, "-e", "operation=rotate", text=second)
    assert "failed=0" in done.output and "the new tunnel waits for its first handshake" in done.output
    assert set(yaml.safe_load(place.read_text())["members"]["far"]["keys"]) == {1, 2}


def test_what_is_no_request_or_for_another_mesh_is_refused(play, tmp_path):
    inventory = {"all": {"hosts": {"far": {"mesh_name": "lan", **SETTINGS}}}}
    answers = accepted(play, inventory)
    assert "asks for the mesh wan; by the inventory (mesh_name) it is to be in lan" in answers.output
    assert "not a join request" in accepted(play, inventory, text="- 1\n").output
    assert not (tmp_path / "inv/mesh").exists()


MEASURED = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.group_by: {key: swarm_node_mesh_of_wan}
    - ansible.builtin.set_fact:
        __mesh_merged: {layers: {mesh: {name: wan}}}
    - ansible.builtin.set_fact:
        __mesh_measured: {results: [
          {mesh_name: wan, pairs: [{ends: [bo, fra], ms: 12.34}, {ends: [bo, db], ms: 7}]},
          {skipped: true}, {mesh_name: lan, pairs: [{ends: [bo, fra], ms: 99}]}]}
      when: inventory_hostname == 'bo'
    - ansible.builtin.set_fact:
        __mesh_measured: {results: [{mesh_name: wan, pairs: [{ends: [fra, bo], ms: 11.5}]}]}
      when: inventory_hostname == 'fra'
"""


def changed(answers) -> bool:
    """Whether the registry was. Which host stands for all depends on who came first."""
    task = "swarm.node.mesh : Change the registry of each mesh"
    (host,) = [host for found, host in answers.found if found == task]
    return answers.ok(host, task)["changed"]


def test_what_was_measured_reaches_the_registry(play, tmp_path):
    """As mesh_replan hands it to the role: db was not measured, bo measured in two meshes."""
    plays = yaml.safe_load((CHECKOUT / "playbooks/mesh_replan.yml").read_text("utf-8"))
    plan = next(item for item in plays if item["name"] == "Plan the links anew")
    hosts = {name: {"ansible_connection": "local"} for name in ("bo", "db", "fra")}
    given = {
        "pb/play.yml": MEASURED + yaml.safe_dump([plan]),
        "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": hosts}}),
        **joined(),
    }
    answers = play(given)
    assert changed(answers), answers.output
    path = tmp_path / "inv/mesh/wan.yml"
    links = {tuple(link["ends"]): link.get("ms") for link in yaml.safe_load(path.read_text())["links"]}
    assert links == {("bo", "db"): 7.0, ("bo", "fra"): 11.5, ("db", "fra"): None}
    assert load_latency(path) == {("bo", "db"): 7.0, ("bo", "fra"): 11.5}
    before = {item.name: item.read_text() for item in path.parent.iterdir()}
    noise = {**given, "pb/play.yml": given["pb/play.yml"].replace("12.34", "13.9").replace("11.5", "13.1")}
    del noise["inv/mesh/wan.yml"]
    assert changed(play(noise)) is False
    assert {item.name: item.read_text() for item in path.parent.iterdir()} == before


@pytest.mark.parametrize("arguments", [(), ("-e", "measure=false")])
def test_members_measure_each_other(play, tmp_path, arguments):
    """The module runs here for each host; the registry's endpoints are names of this machine."""
    plays = yaml.safe_load((CHECKOUT / "playbooks/mesh_replan.yml").read_text("utf-8"))[:2]
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {name: {**common, "mesh_name": "wan"} for name in ("bo", "db", "fra")}
    hosts["plain"] = common
    text = (
        joined()["inv/mesh/wan.yml"]
        .replace("203.0.113.1", "localhost:51820")
        .replace("203.0.113.2", "localhost:52820")
    )
    given = {
        "pb/play.yml": yaml.safe_dump(plays),
        "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": hosts}}),
        "inv/mesh/wan.yml": text,
    }
    answers = play(given, *arguments)
    path = tmp_path / "inv/mesh/wan.yml"
    if arguments:
        assert not changed(answers) and path.read_text() == text
        return
    assert changed(answers), answers.output
    # bo is behind NAT: it measures, and nobody measures it.
    assert set(load_latency(path)) == {("bo", "db"), ("bo", "fra"), ("db", "fra")}
    assert all(ms < 100 for ms in load_latency(path).values())


LEARNED = """
- hosts: all
  gather_facts: false
  tasks:
    - swarm.node.merge: {layers: [mesh]}
      register: __mesh_merged
    - ansible.builtin.set_fact:
        __mesh_keys: {results: [{skipped: true, skip_reason: no tools yet}], skipped: true}
    - ansible.builtin.group_by: {key: swarm_node_mesh_of_wan}
"""


def test_a_check_of_the_first_join_needs_no_registry(play, tmp_path):
    """The node has no tools yet either, so that nobody has looked for its key."""
    plays = yaml.safe_load((CHECKOUT / "playbooks/mesh_join.yml").read_text("utf-8"))
    for item in plays:
        if "import_playbook" in str(item):
            name = item.pop("ansible.builtin.import_playbook").removesuffix(".yml")
            item["import_playbook"] = f"swarm.node.{name}"
    host = {"ansible_connection": "local", "mesh_name": "wan", "mesh_endpoint": "203.0.113.9", **SETTINGS}
    given = {
        "pb/play.yml": LEARNED + yaml.safe_dump(plays[1:]),
        "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": {"far": host}}}),
    }
    answers = play(given, "--check")
    assert "failed=0" in answers.output and "makes its key first" in answers.output, answers.output
    assert not (tmp_path / "inv/mesh").exists()


def test_settle_alone_knows_which_registries_it_is_about():
    """Its first plays make no group of a mesh's members, so the task that loops over those has to."""
    tasks = yaml.safe_load((CHECKOUT / "roles/mesh/tasks/finish.yml").read_text("utf-8"))
    modules = [key for task in tasks for key in task if key.startswith(("ansible.", "swarm."))]
    noted = next(task for task in tasks if "ansible.builtin.group_by" in task)
    assert noted["ansible.builtin.group_by"]["key"].startswith("swarm_node_mesh_of_")
    assert modules.index("ansible.builtin.group_by") < modules.index("ansible.builtin.include_tasks")


PENDING = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.group_by: {key: "swarm_node_mesh_pending{{ round[inventory_hostname] }}"}
      when: inventory_hostname in changed
      vars: {round: {bo: "", db: "2", fra: "3"}}
"""


@pytest.mark.parametrize("changed", [["bo"], ["db"], ["bo", "fra"], []])
def test_old_keys_go_from_whoever_was_changed_in_any_round(play, changed):
    """Where a run before was killed, the last tunnels may go in the first round already."""
    plays = yaml.safe_load((CHECKOUT / "playbooks/mesh_tidy.yml").read_text("utf-8"))
    noting = next(item for item in plays if item["name"].startswith("Note who may have keys"))
    group = noting["tasks"][0]["ansible.builtin.group_by"]["key"]
    end = f"{{{{ groups['{group}'] | default([]) | sort | join(' ') }}}}."
    said = {"hosts": "all", "gather_facts": False, "tasks": [{"debug": {"msg": f"concerns {end}"}}]}
    hosts = {name: {"ansible_connection": "local"} for name in ("bo", "db", "fra")}
    given = {
        "pb/play.yml": PENDING + yaml.safe_dump([noting, said]),
        "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": hosts}}),
    }
    answers = play(given, "-e", json.dumps({"changed": changed}))
    assert f"concerns {' '.join(changed)}." in answers.output, answers.output


LEAVING = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.group_by: {key: swarm_node_mesh_of_wan}
    - ansible.builtin.set_fact:
        __mesh_merged: {layers: {mesh: {name: wan}}}
    - ansible.builtin.include_role: {name: swarm.node.mesh, tasks_from: registry.yml}
      vars: {__mesh_operation: leave, __mesh_members: [bo]}
"""


def test_who_is_left_for_a_later_run_is_said_under_a_limit(play):
    hosts = {name: {"ansible_connection": "local"} for name in ("bo", "db", "fra")}
    inventory = yaml.safe_dump({"all": {"hosts": hosts}})
    given = {"pb/play.yml": LEAVING, "inv/hosts.yml": inventory, **joined()}
    assert "to be run later: db" in play(given, "--limit", "bo,fra").output
    assert "to be run later: nobody" in play(given).output
