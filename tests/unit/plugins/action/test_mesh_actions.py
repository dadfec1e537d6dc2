# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions mesh_registry and mesh, as ansible-playbook runs them."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from typing import Any

import pytest
import yaml
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.candidates import from_host
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.changes import Context
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.lifecycle import Order, run

MERGED = {
    "name": "wan",
    "settings": {"prefixes": ["10.99.0.0/16"]},
    "origins": {"endpoint": "group all", "behind_nat": "host bo"},
}
INVENTORY: dict[str, Any] = {
    "all": {
        "hosts": {
            "fra": {"wishes": {"endpoint": "203.0.113.1", "transit": True, "region": "fra"}},
            "db": {"wishes": {"endpoint": "203.0.113.2", "region": "fra"}},
            "bo": {"wishes": {"behind_nat": True, "relays": ["fra"], "region": "home"}},
            "quiet": {"wishes": {"region": "fra"}},
        }
    }
}
SETUP = """
    - name: merged
      ansible.builtin.set_fact:
        __mesh_merged: {{layers: {{mesh: "{{{{ base | combine(wishes) }}}}"}}}}
        __mesh_keys: "{{{{ keys[inventory_hostname] }}}}"
"""
PLAY = """
- hosts: all
  gather_facts: false
  vars:
    ansible_python_interpreter: {python}
    base: {base}
    keys: {keys}
  tasks:{setup}
{tasks}
"""


def key(name: str, generation: int = 1) -> str:
    return base64.b64encode(hashlib.sha256(f"{name}{generation}".encode()).digest()).decode()


def keys(generation: int = 1, **more) -> dict[str, dict]:
    """What mesh_keys answered, plain for one host and as a loop's for another."""
    found = {}
    for name in INVENTORY["all"]["hosts"]:
        one = {
            "mesh_name": "wan",
            "generation": generation,
            "public_key": key(name, generation),
            "underlay": {"networks": ["192.168.7.0/24"], "mtu": 1500, "address": "192.168.7.7"},
            "time": time.time(),
            **more.get(name, {}),
        }
        other = {**one, "mesh_name": "lan", "public_key": key(name, 99)}
        found[name] = {"results": [other, one]} if name == "db" else one
    return found


def registry_task(name: str, operation: str, **more) -> str:
    options = {"operation": operation, "mesh": "wan", **more}
    task = {
        "name": name,
        "swarm.node.mesh_registry": options,
        "run_once": True,
        "delegate_to": "localhost",
        "ignore_errors": True,
    }
    return "    - " + json.dumps(task)


def files(*tasks: str, **more) -> dict[str, str]:
    text = PLAY.format(
        python=sys.executable,
        base=json.dumps(MERGED),
        keys=json.dumps(keys(**more)),
        setup=SETUP.format(),
        tasks="\n".join(tasks),
    )
    return {"pb/play.yml": text, "inv/hosts.yml": yaml.safe_dump(INVENTORY)}


def joined() -> dict[str, str]:
    """The registry as the join of three hosts makes it."""
    hosts = INVENTORY["all"]["hosts"]
    found = [
        from_host(name, "wan", {**MERGED, **hosts[name]["wishes"]}, keys()[name])
        for name in ("fra", "db", "bo")
    ]
    registry, _report = run(
        None, Order("join", "wan", candidates=found), Context(time.time(), lambda name: [])
    )
    return {"inv/mesh/wan.yml": dump_registry(registry)}


JOIN = registry_task("join", "join", members=["fra", "db", "bo"])


def test_a_mesh_from_nothing_and_what_each_operation_says(play, tmp_path):
    show = registry_task("show", "show", members=["bo"])
    answers = play(files(JOIN, registry_task("again", "join", members=["fra", "db", "bo"]), show))
    joined, path = answers.ok("bo", "join"), tmp_path / "inv/mesh/wan.yml"
    assert joined["changed"] and joined["affected"] == ["bo", "db", "fra"] and joined["pending"] == []
    assert joined["registry"] == str(path) and joined["diff"]["after"] == path.read_text()
    assert joined["diff"]["before"] == "" and "db: joins as number 64 of region fra" in joined["report"]
    again = answers.ok("bo", "again")
    assert (again["changed"], again["report"], again["affected"]) == (False, [], [])
    assert answers.ok("bo", "show")["members"]["bo"]["neighbours"] == ["db", "fra"]
    registry = yaml.safe_load(path.read_text())
    assert registry["members"]["db"]["keys"] == {1: key("db")}  # of this mesh, out of a loop's results
    assert registry["members"]["bo"]["underlay"] == ["192.168.7.0/24"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_second_mesh_of_a_host_has_settings_of_its_own():
    wishes = {
        **MERGED,
        "settings": {"prefixes": ["10.99.0.0/16"], "keepalive": 15},
        "overrides": {"lan": {"settings": {"prefixes": ["10.98.0.0/16"]}}},
    }
    answer = keys()["db"]
    assert from_host("db", "wan", wishes, answer).settings == wishes["settings"]
    assert from_host("db", "lan", wishes, answer).settings == {"prefixes": ["10.98.0.0/16"], "keepalive": 15}


def test_check_mode_says_and_writes_nothing(play, tmp_path):
    answers = play(files(JOIN), "--check", "--diff")
    joined = answers.ok("bo", "join")
    assert joined["changed"] and "gw" not in joined["diff"]["after"] and "fra" in joined["diff"]["after"]
    assert not (tmp_path / "inv/mesh").exists()


def test_a_rotation_through_to_its_end(play, tmp_path):
    path = tmp_path / "inv/mesh/wan.yml"
    number = {
        name: item["number"] for name, item in yaml.safe_load(joined()["inv/mesh/wan.yml"])["members"].items()
    }
    seen = {
        "fra": {"tunnels": [{"mesh": "wan", "interface": f"wan-{number['db']}b", "handshake_age": 2.0}]},
        "db": {"tunnels": [{"mesh": "wan", "interface": f"wan-{number['bo']}b", "handshake_age": None}]},
        "bo": {"tunnels": [{"mesh": "wan", "interface": f"wan-{number['db']}b", "handshake_age": 9}]},
    }
    steps = files(
        registry_task("rotate", "rotate", members=["db"], keep_until="2099-12-31"),
        registry_task("no proof", "finish"),
        registry_task("proof", "finish", confirmed=seen),
        registry_task("end", "finish", applied=["fra", "db", "bo"]),
        generation=2,
    )
    answers = play({**steps, **joined()})
    rotated = answers.ok("bo", "rotate")
    assert rotated["affected"] == ["bo", "db", "fra"] and {item["what"] for item in rotated["pending"]} == {
        "proof"
    }
    assert not answers.ok("bo", "no proof")["changed"]
    assert {item["what"] for item in answers.ok("bo", "proof")["pending"]} == {"applied"}
    assert answers.ok("bo", "end")["pending"] == []
    assert yaml.safe_load(path.read_text())["members"]["db"]["keys"] == {2: key("db", 2)}


def test_who_applied_an_older_share_does_not_count(play):
    """The result of the role's module says which share was applied."""
    stale = {
        "name": "stale",
        "ansible.builtin.set_fact": {"__mesh_result": {"share_digests": {"wan": "sha256:older"}}},
        "when": "inventory_hostname == 'fra'",
    }
    tasks = (
        registry_task("leave", "leave", members=["db"]),
        "    - " + json.dumps(stale),
        registry_task("early", "finish", applied=["fra", "bo"]),  # one that leaves is not waited for
    )
    answers = play({**files(*tasks), **joined()})
    assert [item["ends"] for item in answers.ok("bo", "early")["pending"]] == [["db", "fra"]]


REQUEST: dict[str, Any] = {
    "schema": 1,
    "mesh": "wan",
    "name": "far",
    "public_key": key("far"),
    "generation": 1,
    "wireguard": "kernel",
    "time": "2026-11-23T01:00:00Z",
    "underlay": {"networks": ["192.168.9.0/24"], "mtu": 1492, "address": "192.168.9.9"},
}


def test_a_node_without_ssh_joins_by_its_request(play, tmp_path):
    inventory = json.loads(json.dumps(INVENTORY))
    inventory["all"]["hosts"]["far"] = {"wishes": {"behind_nat": True, "relays": ["fra"]}}
    given = files(JOIN, registry_task("request", "join", request=REQUEST))
    given["inv/hosts.yml"] = yaml.safe_dump(inventory)
    given["pb/play.yml"] = given["pb/play.yml"].replace(
        "keys[inventory_hostname]", "keys[inventory_hostname] | default({})"
    )
    answers = play(given)
    assert answers.ok("bo", "request")["changed"]
    member = yaml.safe_load((tmp_path / "inv/mesh/wan.yml").read_text())["members"]["far"]
    assert member["nat"] and member["underlay_mtu"] == 1492 and member["keys"] == {1: key("far")}
    text = "\n".join(f"{name}: {json.dumps(value)}" for name, value in REQUEST.items() if name != "underlay")
    text += "\nunderlay:\n" + "\n".join(
        f"  {name}: {json.dumps(item)}" for name, item in REQUEST["underlay"].items()
    )
    given["pb/play.yml"] = given["pb/play.yml"].replace(json.dumps(REQUEST), json.dumps(text))
    assert not play(given).ok("bo", "request")["changed"]


# (task, key of a problem, part of what is said)
REFUSED = [
    (registry_task("x", "join", members=["quiet"]), "mesh_endpoint", "own address is 192.168.7.7"),
    (registry_task("x", "join", members=["ghost"]), "members", "a host of the inventory"),
    (registry_task("x", "join"), "members", "one host or more"),
    (registry_task("x", "leave", members=["ghost"]), "members", "mesh_join"),
    (registry_task("x", "rotate", members=["db"], keep_until="soon"), "keep_until", "a date"),
    (registry_task("x", "finish", confirmed=[1]), "confirmed", "a map of members"),
    (registry_task("x", "replan", latencies=[{"ends": ["fra"], "ms": 1}]), "latencies", "two members"),
    (registry_task("x", "join", request={**REQUEST, "mesh": "lan"}), "mesh", "for the mesh wan"),
    (registry_task("x", "show", registry_dir="gone"), "mesh_registry_dir", "a directory that exists"),
    (registry_task("x", "show", **{"mesh": "Overlong99"}), "mesh", "up to 7 letters"),
    (registry_task("x", "show", **{"mesh": "lan"}), "mesh", "mesh_join"),
]


def test_what_is_refused_changes_nothing_and_says_why(play, tmp_path):
    tasks = [task.replace('"x"', f'"x{at}"') for at, (task, _key, _said) in enumerate(REFUSED)]
    path = tmp_path / "inv/mesh/wan.yml"
    answers = play({**files(*tasks), **joined()})
    assert path.read_text() == joined()["inv/mesh/wan.yml"] and [
        item.name for item in path.parent.iterdir()
    ] == ["wan.yml"]
    for at, (_task, name, said) in enumerate(REFUSED):
        (answer,) = [found for (task, _host), found in answers.found.items() if task == f"x{at}"]
        assert said in answer["msg"] and "nothing was changed" in answer["msg"], answer["msg"]
        assert name in [problem["key"] for problem in answer["problems"]]
        assert all(problem["allowed"] and problem["origin"] for problem in answer["problems"])


def test_a_wrong_clock_and_another_key_are_refused(play):
    answers = play(files(JOIN, fra={"time": time.time() - 300}))
    assert any(item["key"] == "clock" for item in answers.found["join", "bo"]["problems"])
    since = registry_task("join", "join", members=["fra", "db", "bo"], since=time.time() - 400)
    play(files(since, fra={"time": time.time() - 300})).ok("bo", "join")
    answers = play(files(JOIN, fra={"public_key": key("new")}))
    assert "swarm.node.mesh_rekey" in answers.found["join", "bo"]["msg"]


# -- action mesh: the module is replaced by one that says what it was given

MODULE = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(
    {"shares": {"type": "dict"}, "now": {"type": "float"}, "token": {}, "firewall": {}, "state": {}},
    supports_check_mode=True,
)
module.exit_json(changed=False, changes=["x"], given=module.params)
"""


@pytest.fixture
def fake_mesh(tmp_path, collections_path):
    """A collection of the same name that has only this action and a module that answers what it got."""
    real = collections_path / "ansible_collections/swarm/node"
    fake = tmp_path / "fake/ansible_collections/swarm/node"
    (fake / "plugins/modules").mkdir(parents=True)
    (fake / "plugins/modules/mesh.py").write_text(MODULE)
    (fake / "plugins/modules/mesh_registry.py").symlink_to(real / "plugins/modules/mesh_registry.py")
    for name in ("action", "module_utils", "plugin_utils"):
        (fake / "plugins" / name).symlink_to(real / "plugins" / name)
    for name in ("galaxy.yml", "meta", "profiles", "roles", "catalogue"):
        (fake / name).symlink_to(real / name)
    return str(tmp_path / "fake")


def mesh_task(name: str, **more) -> str:
    task = {"name": name, "swarm.node.mesh": more, "ignore_errors": True, "connection": "local"}
    return "    - " + json.dumps(task)


def test_a_host_gets_its_shares_and_only_those(play, tmp_path, fake_mesh):
    tasks = (
        mesh_task("share", names="wan", firewall="none"),
        mesh_task("nothing", names=[]),
        mesh_task("absent", names=["wan"], state="absent"),
        mesh_task("gone", names=["lan"]),
        mesh_task("wrong", names=["Wan"]),
    )
    answers = play({**files(*tasks), **joined()}, ANSIBLE_COLLECTIONS_PATH=fake_mesh)
    given = answers.ok("db", "share")["given"]
    assert list(given["shares"]) == ["wan"] and given["shares"]["wan"]["member"] == "db"
    assert given["firewall"] == "none" and abs(given["now"] - time.time()) < 120
    assert answers.ok("db", "share")["share_digests"]["wan"].startswith("sha256:")
    assert answers.ok("db", "nothing")["given"]["shares"] == {}
    assert answers.ok("db", "absent")["given"]["shares"] == {}
    for name, said in (("gone", "mesh_join"), ("wrong", "all lower case")):
        assert (
            said in answers.found[name, "db"]["msg"]
            and answers.found[name, "db"]["failure_kind"] == "refused"
        )
    stranger = answers.found["share", "quiet"]
    assert "quiet is not in its registry" in stranger["msg"] and "swarm.node.mesh_join" in stranger["msg"]
    checked = play(files(*tasks[:1]), "--check", ANSIBLE_COLLECTIONS_PATH=fake_mesh)
    assert checked.ok("db", "share")["share_digests"] == {}  # it has not been applied


def test_a_registry_that_was_edited_wrong_stops_every_host(play, tmp_path, fake_mesh):
    path = tmp_path / "inv/mesh/wan.yml"
    wrong = {"inv/mesh/wan.yml": joined()["inv/mesh/wan.yml"].replace("ends: [bo, fra]", "ends: [bo, gone]")}
    answers = play({**files(mesh_task("share", names="wan")), **wrong}, ANSIBLE_COLLECTIONS_PATH=fake_mesh)
    for name in ("db", "fra", "bo"):
        (problem,) = answers.found["share", name]["problems"]
        assert problem["value"] == "gone" and "not in the registry" in problem["allowed"]
        assert problem["origin"].startswith(f"{path}:")


def test_two_meshes_of_a_host_that_are_in_each_others_way(play, tmp_path, fake_mesh):
    both = {**joined(), "inv/mesh/lan.yml": joined()["inv/mesh/wan.yml"].replace("mesh: wan", "mesh: lan")}
    tasks = files(mesh_task("share", names=["wan", "lan"]), JOIN)
    answers = play({**tasks, **both}, ANSIBLE_COLLECTIONS_PATH=fake_mesh)
    said = answers.found["share", "db"]["msg"]
    assert "ports apart from" in said and "a prefix apart from 10.99.0.0/16" in said
    assert "those of the mesh lan on this host" in answers.found["join", "bo"]["msg"]


def test_who_has_left_is_not_among_those_to_be_changed(play):
    told = {"applied": ["bo", "db", "fra"]}
    answers = play(
        {
            **files(registry_task("leave", "leave", members=["db"]), registry_task("end", "finish", **told)),
            **joined(),
        }
    )
    assert answers.ok("bo", "leave")["affected"] == ["bo", "db", "fra"]
    assert answers.ok("bo", "end")["affected"] == ["bo", "fra"]
    assert any("db: has left" in line for line in answers.ok("bo", "end")["report"])
