# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the mesh's playbooks: with a limit, two at once, with who has left, with who pulls."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.places import registry_directory
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares, digest
from test_mesh_actions import JOIN, REQUEST, fake_mesh, files, joined, key, mesh_task, registry_task

assert fake_mesh  # a fixture

APPLY = "- import_playbook: swarm.node.mesh_apply\n"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def hosts(**more) -> str:
    return yaml.safe_dump({"all": {"hosts": {name: {**LOCAL, **wishes} for name, wishes in more.items()}}})


# -- under a limit


def test_a_neighbour_that_the_registry_does_not_list_is_named_and_nothing_begins(play):
    registry = joined()["inv/mesh/wan.yml"].replace("ends: [bo, db]", "ends: [db, ghost]")
    given = {
        "pb/play.yml": APPLY,
        "inv/hosts.yml": hosts(db={"mesh_name": "wan"}, fra={"mesh_name": "wan"}),
        "inv/mesh/wan.yml": registry,
    }
    answers = play(given, "--limit", "db")
    task = "swarm.node.mesh : Reconcile tunnels, routes, filters and the firewall's opening"
    assert (task, "db") in answers.failed and (task, "fra") not in answers.found
    (problem,) = answers.found[task, "db"]["problems"]
    assert problem["value"] == "ghost" and "this one is not in the registry" in problem["allowed"]
    assert "nothing was changed" in answers.found[task, "db"]["msg"]


def test_a_neighbour_that_is_in_no_inventory_is_not_needed(play, fake_mesh):
    given = {**files(mesh_task("share", names="wan")), **joined()}
    only: dict[str, Any] = {"all": {"hosts": {"db": {"wishes": {}}}}}
    answers = play({**given, "inv/hosts.yml": yaml.safe_dump(only)}, ANSIBLE_COLLECTIONS_PATH=fake_mesh)
    tunnels = answers.ok("db", "share")["given"]["shares"]["wan"]["tunnels"]
    assert {tunnel["peer"] for tunnel in tunnels} == {"bo", "fra"}


def test_a_host_of_the_command_line_has_the_registries_beside_the_first_inventory(tmp_path):
    (tmp_path / "inv/mesh").mkdir(parents=True)
    (tmp_path / "inv/hosts.yml").touch()
    sources = [str(tmp_path / "inv/hosts.yml"), "fra-2,"]
    for said in ("None", None, ""):  # for such a host Ansible has the first as its inventory_dir
        assert registry_directory(None, said, sources, str(tmp_path)) == tmp_path / "inv/mesh"


def test_a_relay_that_is_no_member_is_named(play, tmp_path):
    given = files(JOIN)
    text = given["inv/hosts.yml"]
    given["inv/hosts.yml"] = text.replace("- fra\n", "- ghost\n")
    assert given["inv/hosts.yml"] != text
    answers = play(given)
    (problem,) = answers.found["join", "bo"]["problems"]
    assert "ghost" in str(problem["value"]) and problem["allowed"], problem
    assert not list((tmp_path / "inv/mesh").glob("*.yml"))


# -- which meshes a run is about

CHOSEN = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: swarm.node.mesh, tasks_from: chosen.yml}
    - name: here
      ansible.builtin.debug: {var: __mesh_chosen}
- hosts: all
  gather_facts: false
  tasks:
    - name: groups
      ansible.builtin.debug:
        msg: "{{ groups | dict2items | selectattr('key', 'match', 'swarm_node_mesh_of_') }}"
      run_once: true
"""
THREE = {
    "db": {"mesh_name": "wan"},
    "bo": {"mesh_name": ["wan", "lan"]},
    "none": {},
    "home": {"mesh_name": ["lan"], "mesh_pull": True},
}


@pytest.mark.parametrize(
    ("wanted", "groups"),
    [(None, {"wan": {"db", "bo"}, "lan": {"bo"}}), ("lan, lan", {"lan": {"bo"}})],
)
def test_a_run_is_about_the_meshes_that_were_asked_for(play, wanted, groups):
    """Nobody else's members are in it, and whoever pulls is left alone."""
    chosen = [] if wanted is None else ["-e", json.dumps({"mesh": wanted})]
    answers = play({"pb/play.yml": CHOSEN, "inv/hosts.yml": hosts(**THREE)}, *chosen)
    (found,) = [answer["msg"] for (task, _host), answer in answers.found.items() if task == "groups"]
    assert {item["key"].rpartition("_")[2]: set(item["value"]) for item in found} == groups
    assert {host for task, host in answers.found if task == "here"} == set().union(*groups.values())


def test_a_mesh_that_nobody_is_in_is_refused(play):
    answers = play({"pb/play.yml": CHOSEN, "inv/hosts.yml": hosts(**THREE)}, "-e", "mesh=won")
    assert "mesh: won is refused, none of these nodes is in it" in answers.output
    assert "allowed: lan, wan" in answers.output and ("here", "db") not in answers.found


def test_every_playbook_that_changes_keys_or_members_asks_which_mesh():
    """Each either chooses itself or has its nodes learnt by a task file that does."""
    root = Path(__file__).resolve().parents[4]
    learn = (root / "roles/mesh/tasks/learn.yml").read_text("utf-8")
    assert "chosen.yml" in learn
    for name in ("join", "leave", "rotate", "rekey", "endpoint", "replan"):
        text = (root / f"playbooks/mesh_{name}.yml").read_text("utf-8")
        assert "tasks_from: chosen.yml" in text or "tasks_from: learn.yml" in text, name
        assert "mesh_of_{{ item }}" not in text, name


# -- two runs at once


def test_two_runs_at_once_wait_for_each_other_and_lose_nothing(play, tmp_path, collections_path):
    """A join and a rotation stand before the same lock, and both are in the registry afterwards."""
    path = tmp_path / "inv/mesh/wan.yml"
    given = {**files(registry_task("show", "show")), **joined()}
    given["inv/far.yml"] = yaml.safe_dump({"all": {"hosts": {"far": {"wishes": {"behind_nat": True}}}}})
    play(given)
    (tmp_path / "pb/far.yml").write_text(
        files(registry_task("x", "join", request=REQUEST))["pb/play.yml"].replace(
            "keys[inventory_hostname]", "keys[inventory_hostname] | default({})"
        )
    )
    (tmp_path / "pb/db.yml").write_text(
        files(registry_task("x", "rotate", members=["db"]), generation=2)["pb/play.yml"]
    )
    inventories = {"far": ["-i", "inv/hosts.yml", "-i", "inv/far.yml"], "db": ["-i", "inv/hosts.yml"]}
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path),
        "ANSIBLE_CONFIG": str(tmp_path / "none.cfg"),
    }

    def start(name: str) -> subprocess.CompletedProcess[str]:
        line = [str(Path(sys.executable).parent / "ansible-playbook"), f"pb/{name}.yml", *inventories[name]]
        return subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
        )

    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(start, name) for name in inventories]
            wait_for_waiting(path.parent, 2)
            assert path.read_text() == given["inv/mesh/wan.yml"]  # neither has begun
            fcntl.flock(handle, fcntl.LOCK_UN)
            ended = [run.result() for run in runs]
    finally:
        os.close(handle)
    for run in ended:
        assert run.returncode == 0 and "refused" not in run.stdout, run.stdout + run.stderr
    registry = parse_registry(path.read_text(), str(path))
    assert registry.members["far"].keys == {1: key("far")}
    assert registry.members["db"].keys == {1: key("db"), 2: key("db", 2)}
    # Both wrote on what the other had written: the links are right, whichever came first.
    assert {link.other("far") for link in registry.links_of("far")} >= {"db", "fra"}
    for link in registry.links_of("db"):
        newest = [identity.generations[link.end("db")] for identity in link.identities]
        assert 2 in newest, link


def wait_for_waiting(directory: Path, count: int) -> None:
    """Until so many other processes have the directory open, which is what they do to get the lock."""
    deadline = time.monotonic() + 90
    while True:
        found = set()
        for place in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                if place.readlink() == directory:
                    found.add(place.parts[2])
            except OSError:
                continue
        if len(found - {str(os.getpid())}) >= count:
            return
        assert time.monotonic() < deadline, f"only {found} came to the lock"
        time.sleep(0.05)


# -- the registry changes in between


def test_a_share_that_is_another_one_than_was_looked_at_is_not_applied(play, tmp_path, fake_mesh):
    path = tmp_path / "inv/mesh/wan.yml"
    other = joined()["inv/mesh/wan.yml"].replace("203.0.113.2", "203.0.113.99")
    look = json.loads(mesh_task("look", names="wan").removeprefix("    - "))
    change = {
        "name": "another run",
        "ansible.builtin.copy": {"content": other, "dest": str(path)},
        "run_once": True,
        "delegate_to": "localhost",
    }
    tasks = (
        "    - " + json.dumps({**look, "check_mode": True, "register": "looked"}),
        mesh_task("same", names="wan", seen_shares="{{ looked.seen_shares }}"),
        "    - " + json.dumps(change),
        mesh_task("changed", names="wan", seen_shares="{{ looked.seen_shares }}"),
    )
    answers = play({**files(*tasks), **joined()}, ANSIBLE_COLLECTIONS_PATH=fake_mesh)
    for name in ("fra", "bo", "db"):
        assert "given" in answers.ok(name, "same")
    for name in ("fra", "bo"):  # they call db
        answer = answers.found["changed", name]
        assert answer["failure_kind"] == "refused" and "given" not in answer
        assert "another run has changed it since: run it again" in answer["msg"]


# -- who has left


def test_who_has_left_is_not_spoken_to_and_does_not_fail_a_run(play, fake_mesh):
    left = registry_task("leave", "leave", members=["db"])
    gone = registry_task("finish", "finish", applied=["fra", "bo"])
    tasks = (left, gone, mesh_task("share", names="wan"), mesh_task("both", names=["wan", "lan"]))
    lan = joined()["inv/mesh/wan.yml"].replace("mesh: wan", "mesh: lan")
    lan = lan.replace("10.99.0.0/16", "10.98.0.0/16").replace("port: 51820", "port: 61000")
    answers = play({**files(*tasks), **joined(), "inv/mesh/lan.yml": lan}, ANSIBLE_COLLECTIONS_PATH=fake_mesh)
    assert list(answers.ok("bo", "finish")["departed"]) == ["db"]
    answer = answers.ok("db", "share")
    assert list(answer["departed"]) == ["wan"] and answer["changes"] == [] and "given" not in answer
    assert "given" in answers.ok("fra", "share")
    refused = answers.found["both", "db"]["msg"]
    assert "db has left it on" in refused and "swarm.node.mesh_leave" in refused


# -- receipts of who pulls


def receipt(tmp_path: Path, name: str, text: str, **more) -> str:
    share = digest(Shares(parse_registry(text, "wan.yml")).of(name).as_data())
    path = tmp_path / "receipts" / f"{name}.yml"
    path.parent.mkdir(exist_ok=True)
    data = {"schema": 1, "name": name, "shares": {"wan": share}, "sealed": {"wan": more}}
    path.write_text("# comment\n" + json.dumps(data))
    return str(path)


def test_a_receipt_counts_for_the_share_it_is_of(play, tmp_path):
    path = tmp_path / "inv/mesh/wan.yml"
    number = yaml.safe_load(joined()["inv/mesh/wan.yml"])["members"]["db"]["number"]
    seen = {
        name: {"tunnels": [{"mesh": "wan", "interface": f"wan-{number}b", "handshake_age": 2.0}]}
        for name in ("fra", "bo")
    }
    rotate = registry_task("rotate", "rotate", members=["db"])
    proof = registry_task("proof", "finish", confirmed=seen)
    play({**files(rotate, generation=2), **joined()})
    early = receipt(tmp_path, "bo", path.read_text())  # of the share before its routes move
    tasks = files(proof, registry_task("early", "finish", applied=["fra", "db"], receipts=[early]))
    answers = play(tasks)
    assert [item["ends"] for item in answers.ok("bo", "early")["pending"]] == [["bo", "db"]]
    receipt(tmp_path, "bo", path.read_text())
    whole = str(tmp_path / "receipts")
    answers = play(files(registry_task("end", "finish", applied=["fra", "db"], receipts=[whole])))
    assert answers.ok("bo", "end")["pending"] == []
    assert list(parse_registry(path.read_text(), str(path)).members["db"].keys) == [2]


def test_preshared_keys_that_a_receipt_has_are_entered(play, tmp_path):
    """Of those who pull nobody can ask for one."""
    path = tmp_path / "inv/mesh/wan.yml"
    text = joined()["inv/mesh/wan.yml"].replace("preshared_keys: false", "preshared_keys: true")
    given = files(registry_task("wish", "replan"))
    assert "preshared_keys: true" in text
    answers = play({**given, "inv/mesh/wan.yml": text})
    orders = answers.ok("bo", "wish")["seal_for"]
    maker, (order, *_others) = sorted(orders.items())[0]
    copy = {"sealed": key("sealed"), "sender": key("sender")}
    said = receipt(tmp_path, maker, path.read_text(), **{order["name"]: copy})
    answers = play(files(registry_task("seal", "seal", receipts=[said])))
    after = answers.ok("bo", "seal")
    assert after["changed"] and order not in after["seal_for"].get(maker, [])
    assert key("sealed") in path.read_text()
    assert not play(files(registry_task("seal", "seal", receipts=[said]))).ok("bo", "seal")["changed"]


NO_RECEIPTS = {
    "a": ("[1", "YAML that can be read"),
    "b": ("schema: 2\nname: bo\nshares: {}\n", "a receipt as mesh_pull writes it"),
    "c": ("schema: 1\nname: bo\nshares: {wan: abc}\n", "a receipt as mesh_pull writes it"),
    "d": ("schema: 1\nname: bo\nshares: {}\nsealed: {wan: {x: {sealed: '?'}}}\n", "base64"),
}


def test_what_is_no_receipt_is_refused(play, tmp_path):
    for name, (text, _said) in NO_RECEIPTS.items():
        (tmp_path / f"{name}.yml").write_text(text)
    paths = [str(tmp_path / f"{name}.yml") for name in (*NO_RECEIPTS, "gone")]
    answers = play({**files(registry_task("end", "finish", receipts=paths)), **joined()})
    (answer,) = [answer for (task, _host), answer in answers.found.items() if task == "end"]
    assert "nothing was changed" in answer["msg"]
    said = [wanted for _text, wanted in NO_RECEIPTS.values()]
    said.insert(0, "a receipt that mesh_pull wrote, or a directory of such files")
    for problem, wanted in zip(answer["problems"], said):
        assert wanted in problem["allowed"] and problem["origin"] in paths, problem
    assert len(answer["problems"]) == 5
