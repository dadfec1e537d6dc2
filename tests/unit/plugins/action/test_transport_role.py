# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role transport, and its place in the playbooks: which modules are called, with what. They are stand-ins."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

MODULE = """#!/usr/bin/python
# WANT_JSON
import json
import sys
from pathlib import Path

NAME, PLACE = "NAME_HERE", Path("PLACE_HERE")
params = json.loads(Path(sys.argv[1]).read_text())
options = {key: value for key, value in params.items() if not key.startswith("_ansible")}
check = params["_ansible_check_mode"]
label = "{} {} {}".format(NAME, options.get("owner"), "look" if check else options.get("state", "present"))
with (PLACE / "asked").open("a") as said:
    said.write(json.dumps([label, options]) + "\\n")
number = sum(json.loads(line)[0] == label for line in (PLACE / "asked").read_text().splitlines())
told = json.loads((PLACE / "answers").read_text())
answer = {
    "changed": False, "changes": [], "unapplied": [], "notes": [], "degraded": [], "layer": NAME,
    "owner": options.get("owner"), "yielded": [], "other_owners": [], "armed": None,
    "token": options.get("token"),
    "survey": {"devices": {"eth0": 10000}, "memory": 1 << 36, "page_size": 4096},
}
answer.update(told.get("{} {}".format(label, number), told.get(label, {})))
if answer["armed"] == "mine":
    answer["armed"] = {"token": options["token"]}
if answer.get("other_token"):
    answer["armed"] = {"token": "another run's"}
print(json.dumps(answer))
"""

LOOK_NIC, LOOK = "nic transport_nic look", "kernel transport look"
SET_NIC, SET = "nic transport_nic present", "kernel transport present"
CONFIRM, REVERT = "nic transport_nic confirmed", "nic transport_nic reverted"
CHANGE = [{"key": "x"}]
ROLE = "- hosts: all\n  gather_facts: false\n  roles: [swarm.node.transport]\n"
OPTIMIZE = "- ansible.builtin.import_playbook: swarm.node.optimize\n"
UNINSTALL = "- ansible.builtin.import_playbook: swarm.node.uninstall\n"
WISH: dict[str, Any] = {"transport_rtt_ms": 80, "transport_congestion_control": "bbr"}


class Node:
    """One node whose modules answer as told; `asked` is what they were called with, in order."""

    def __init__(self, tmp_path: Path, play: Callable[..., Any], fake: str) -> None:
        self.place, self.play, self.fake = tmp_path, play, fake

    hosts: tuple[str, ...] = ("n1",)

    def run(self, book: str, answers: Mapping[str, Any] | None = None, *words: str, **host: Any) -> Any:
        (self.place / "answers").write_text(json.dumps(answers or {}))
        (self.place / "asked").unlink(missing_ok=True)
        own = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **host}
        files = {
            "pb/play.yml": book,
            "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": dict.fromkeys(self.hosts, own)}}),
        }
        return self.play(files, *words, ANSIBLE_COLLECTIONS_PATH=self.fake)

    @property
    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        place = self.place / "asked"
        lines = place.read_text().splitlines() if place.exists() else []
        return [(label, options) for label, options in map(json.loads, lines)]

    @property
    def ours(self) -> list[str]:
        """Calls for this layer's owners."""
        return [label for label, _options in self.asked if "transport" in label]

    def options(self, label: str) -> dict[str, Any]:
        return next(options for found, options in self.asked if found == label)


@pytest.fixture
def node(tmp_path: Path, play: Any, collections_path: Path) -> Node:
    """A collection of the same name, with the real roles, playbooks, merge and filters."""
    real = collections_path / "ansible_collections/swarm/node"
    fake = tmp_path / "fake/ansible_collections/swarm/node"
    (fake / "plugins/modules").mkdir(parents=True)
    for name in ("action", "filter", "module_utils", "plugin_utils", "callback"):
        (fake / "plugins" / name).symlink_to(real / "plugins" / name)
    for name in ("galaxy.yml", "meta", "profiles", "roles", "catalogue", "playbooks"):
        (fake / name).symlink_to(real / name)
    for path in (real / "plugins/modules").glob("*.py"):
        text = MODULE.replace("NAME_HERE", path.stem).replace("PLACE_HERE", str(tmp_path))
        (fake / "plugins/modules" / path.name).write_text(text)
    return Node(tmp_path, play, str(tmp_path / "fake"))


def said(answers: Any) -> str:
    """What the node failed with in the end."""
    (message,) = [
        answer["msg"]
        for (task, _host), answer in answers.found.items()
        if task.endswith("Say what went wrong")
    ]
    return str(message)


# -- the role alone


def test_a_node_where_nothing_is_to_change_is_asked_twice(node: Node) -> None:
    answers = node.run(ROLE, **WISH)
    assert node.ours == [LOOK_NIC, SET] and "changed=0" in answers.output, answers.output
    assert node.options(LOOK_NIC)["interfaces"] == {"default_route": {"qdisc": "mq+fq"}}
    assert node.options(LOOK_NIC)["survey"] is True and node.options(LOOK_NIC)["confirm_seconds"] == 120
    made = node.options(SET)
    assert made["sysctl"]["net.ipv4.tcp_rmem"] == [4096, 131072, 191 << 20]
    assert made["sysctl"]["net.ipv4.tcp_congestion_control"] == "bbr" and made["yields_to"] == ["kernel"]
    assert made["origins"]["net.ipv4.tcp_rmem"] == (
        "transport_rtt_ms (host n1): 80 ms at 10000 Mbit/s (of eth0)"
    )


def test_a_change_of_devices_comes_last_and_is_confirmed_by_the_runs_token(node: Node) -> None:
    told = {LOOK_NIC: {"changes": CHANGE}, SET_NIC: {"changes": CHANGE, "changed": True, "armed": "mine"}}
    answers = node.run(ROLE, told, transport_confirm_seconds=33, **WISH)
    assert node.ours == [LOOK_NIC, SET, SET_NIC, CONFIRM], answers.output
    token = node.options(SET_NIC)["token"]
    assert token and node.options(CONFIRM)["token"] == token and "changed=1" in answers.output
    assert node.options(SET_NIC)["confirm_seconds"] == 33


def test_the_time_to_confirm_lasts_as_long_as_a_batch_takes(node: Node) -> None:
    """Every node of it is changed before the first one is confirmed."""
    node.hosts = ("n1", "n2", "n3")
    node.run(ROLE, {}, "--forks", "1", **WISH)
    assert node.options(LOOK_NIC)["confirm_seconds"] == 240
    node.run(ROLE, {}, "--forks", "1", transport_confirm_seconds=0, **WISH)
    assert node.options(LOOK_NIC)["confirm_seconds"] == 0


def test_what_is_not_armed_or_is_armed_by_another_run_is_not_confirmed(node: Node) -> None:
    for said in ({}, {"other_token": True}):
        node.run(ROLE, {LOOK_NIC: {"changes": CHANGE}, SET_NIC: {"changes": CHANGE, **said}}, **WISH)
        assert node.ours == [LOOK_NIC, SET, SET_NIC]


def test_a_change_that_cannot_be_confirmed_is_taken_back_and_fails_the_node(node: Node) -> None:
    told = {
        LOOK_NIC: {"changes": CHANGE},
        SET_NIC: {"changes": CHANGE, "armed": "mine"},
        CONFIRM: {"failed": True, "msg": "it is too late to confirm", "failure_kind": "reverted"},
    }
    answers = node.run(ROLE, told, **WISH)
    assert node.ours == [LOOK_NIC, SET, SET_NIC, CONFIRM, REVERT]
    assert node.options(REVERT)["token"] == node.options(SET_NIC)["token"]
    assert said(answers) == "it is too late to confirm"
    assert "failed=1" in answers.output


def test_a_change_that_fails_is_taken_back_unless_nothing_was_done(node: Node) -> None:
    for kind, calls in (("unavailable", [REVERT]), ("refused", []), ("required", [])):
        failed = {"failed": True, "msg": "no such luck", "failure_kind": kind}
        answers = node.run(ROLE, {LOOK_NIC: {"changes": CHANGE}, SET_NIC: failed}, **WISH)
        assert node.ours == [LOOK_NIC, SET, SET_NIC, *calls], answers.output
        assert said(answers) == "no such luck"


def test_check_mode_only_looks(node: Node) -> None:
    told = {LOOK_NIC: {"changes": CHANGE, "changed": True}, LOOK: {"changes": CHANGE, "changed": True}}
    answers = node.run(ROLE, told, "--check", **WISH)
    assert node.ours == [LOOK_NIC, LOOK] and "changed=2" in answers.output


def test_absent_reaches_both_modules(node: Node) -> None:
    told = {LOOK_NIC: {"changes": CHANGE}}
    node.run(ROLE, told, transport_state="absent")
    assert node.ours == [LOOK_NIC, "kernel transport absent", "nic transport_nic absent"]


def test_misspelt_and_wrong_wishes_are_refused_before_a_connection(node: Node) -> None:
    answers = node.run(ROLE, transport_rtt=80, transport_speed="quick")
    assert node.asked == [] and "did you mean transport_rtt_ms?" in answers.output
    assert "transport_speed: 'quick'" in answers.output


# -- in the playbooks


def test_who_asks_for_nothing_costs_no_round_trip(node: Node) -> None:
    answers = node.run(OPTIMIZE)
    assert node.ours == [] and len(node.asked) == 4, answers.output


def test_two_round_trips_where_it_is_asked_for(node: Node) -> None:
    node.run(OPTIMIZE, **WISH)
    assert node.ours == [LOOK_NIC, LOOK] and len(node.asked) == 6


def test_who_asks_for_nothing_any_more_gets_back_what_was_set(node: Node) -> None:
    held = {"kernel kernel look": {"other_owners": ["gpu", "transport_nic"]}}
    node.run(OPTIMIZE, {**held, LOOK: {"changes": CHANGE}})
    assert node.ours == [LOOK_NIC, LOOK, SET] and node.options(SET)["sysctl"] == {}


def test_optimize_sets_sysctls_before_devices_and_confirms(node: Node) -> None:
    told = {
        LOOK_NIC: {"changes": CHANGE},
        LOOK: {"changes": CHANGE},
        SET_NIC: {"changes": CHANGE, "armed": "mine"},
    }
    answers = node.run(OPTIMIZE, told, **WISH)
    assert node.ours == [LOOK_NIC, LOOK, SET, SET_NIC, CONFIRM], answers.output
    assert node.options(SET)["sysctl"] == node.options(LOOK)["sysctl"], "reckoned from what was seen first"


def test_a_key_goes_from_the_kernel_layer_to_this_one_in_one_run(node: Node) -> None:
    told = {"kernel kernel look": {"changes": CHANGE}, LOOK: {"yielded": ["net.ipv4.tcp_rmem"]}}
    node.run(OPTIMIZE, told, **WISH)
    labels = [label for label, _options in node.asked]
    assert node.ours == [LOOK_NIC, LOOK, SET]
    assert labels.index("kernel kernel present") < labels.index(SET)


def test_a_key_goes_from_this_layer_to_the_kernel_layer_in_one_run(node: Node) -> None:
    told = {"kernel kernel look": {"yielded": ["net.ipv4.tcp_rmem"]}, LOOK: {"changes": CHANGE}}
    node.run(OPTIMIZE, told, kernel_sysctl={"net.ipv4.tcp_rmem": [4096, 4096, 9999]}, **WISH)
    labels = [label for label, _options in node.asked]
    assert "net.ipv4.tcp_rmem" not in node.options(SET)["sysctl"]
    assert labels.index(SET) < labels.index("kernel kernel present")


def test_a_required_key_on_its_way_is_insisted_on_by_the_last_call_alone(node: Node) -> None:
    told = {
        "kernel kernel look": {"changes": CHANGE, "yielded": ["x"]},
        LOOK: {"changes": CHANGE, "yielded": ["y"]},
    }
    node.run(OPTIMIZE, told, **WISH)
    found = [(label, options["may_wait"]) for label, options in node.asked if label.startswith("kernel ")]
    kernel = "kernel kernel present"
    assert found == [
        ("kernel kernel look", True),
        (LOOK, True),
        (kernel, True),
        (SET, False),
        (kernel, False),
    ]
    node.run(ROLE, {LOOK: {"changes": CHANGE}}, **WISH)
    assert node.options(SET)["may_wait"] is False, "nobody gives anything back after the role alone"


def test_an_unconfirmed_change_fails_the_node_in_optimize(node: Node) -> None:
    told = {
        LOOK_NIC: {"changes": CHANGE},
        SET_NIC: {"changes": CHANGE, "armed": "mine"},
        CONFIRM: {"failed": True, "msg": "gone"},
    }
    answers = node.run(OPTIMIZE, told, **WISH)
    assert node.ours[-1] == REVERT and "failed=1" in answers.output


def test_a_node_out_of_reach_just_when_it_is_to_confirm_fails(node: Node) -> None:
    """It takes the change back by itself later, so it is not as asked for, whoever answers by then."""
    told = {
        LOOK_NIC: {"changes": CHANGE},
        SET_NIC: {"changes": CHANGE, "armed": "mine"},
        CONFIRM: {"unreachable": True, "msg": "timed out"},
    }
    answers = node.run(OPTIMIZE, told, **WISH)
    assert "failed=1" in answers.output, answers.output
    assert any("went away while its settings" in str(a.get("msg")) for a in answers.found.values())


def test_a_node_out_of_reach_for_the_kernel_layer_fails_though_a_later_step_of_it_is_left_out(
    node: Node,
) -> None:
    gone = {"unreachable": True, "msg": "timed out"}
    answers = node.run(
        OPTIMIZE, {"kernel kernel look": {"changes": CHANGE}, "kernel kernel present": gone}, **WISH
    )
    assert "failed=1" in answers.output and "timed out" in answers.output, answers.output


def test_uninstall_gives_sysctls_back_before_devices(node: Node) -> None:
    told = {"nic transport_nic absent": {"changes": CHANGE, "armed": "mine"}}
    answers = node.run(UNINSTALL, told)
    assert node.ours == ["kernel transport absent", "nic transport_nic absent", CONFIRM], answers.output
    assert node.options("nic transport_nic absent")["max_disruption"] == "perf"


# -- who wins


def test_explain_says_what_the_kernel_layer_names_itself(node: Node) -> None:
    book = "- hosts: all\n  gather_facts: false\n  tasks:\n"
    book += "    - {name: merge, swarm.node.merge: {layers: [kernel, transport]}}\n"
    answers = node.run(book, kernel_sysctl={"net.ipv4.tcp_rmem": [4096, 4096, 9999]}, **WISH)
    entry = answers.explained("n1", "kernel_sysctl.net.ipv4.tcp_rmem")
    assert entry["losers"] == [{"value": "transport_rtt_ms: 80.0", "origin": "host n1"}]
    layer = answers.ok("n1")["layers"]["transport"]
    assert layer["left_to_kernel"] == ["net.ipv4.tcp_rmem"] and layer["asked"] is True
    assert layer["rtt_ms"] == 80.0 and layer["origins"]["rtt_ms"] == "host n1"
