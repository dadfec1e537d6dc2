# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook mesh_report as a whole: nodes are played by a script that prints what the module would say."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import (
    Identity,
    Link,
    Member,
    Registry,
    Settings,
)

sys.path.append(str(Path(__file__).parents[1] / "plugin_utils" / "mesh_report"))

from mesh_report_cases import NOW, World, ordered, small

PLAY = "- import_playbook: swarm.node.mesh_report\n"
LOOK = "Look at this member"
REPORT = "Put together what all have said"


class Fleet:
    def __init__(self, base: Path, world: World, play: Callable[..., Any]) -> None:
        self.base, self.world, self._play = base, world, play
        self.hosts: dict[str, dict[str, Any]] = {name: self._host(name) for name in world.numbers}

    def _host(self, name: str) -> dict[str, Any]:
        """A host whose Python is a script that says what the node would."""
        script = self.base / f"{name}-python"
        script.write_text(f"#!/bin/sh\ncat {self.base}/{name}.json\n")
        script.chmod(0o755)
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(script),
            "mesh_name": "wan",
        }

    def registry(self) -> str:
        def key(number: int) -> str:
            return base64.b64encode(bytes([number]) * 32).decode()

        numbers = {**self.world.numbers, "eve": 66}
        members = {
            name: Member(
                name,
                number,
                "main",
                endpoint=f"192.0.2.{number}",
                keys={1: key(number)},
                transit=name in self.world.hubs,
            )
            for name, number in numbers.items()
        }
        links = {
            ordered(*pair): Link(ordered(*pair), (at, at), Identity((1, 1)))
            for at, pair in enumerate([*self.world.links, ("eve", "gw1")])
        }
        return dump_registry(
            Registry("wan", Settings(("10.99.0.0/16",)), {"main": (0, 1)}, members, links=links)
        )

    def lab(self) -> str:
        """Another mesh's registry, with regions of its own."""
        blocks = {"muc": (0,), "ham": (1,)}
        members = {}
        for region, (block,) in blocks.items():
            key = base64.b64encode(bytes([block]) * 32).decode()
            members[region] = Member(region, 64 * block + 1, region, nat=True, keys={1: key})
        return dump_registry(Registry("lab", Settings(("10.98.0.0/16",)), blocks, members))

    def run(self, *arguments: str, **variables: Any) -> Any:
        for name, said in self.world.said.items():
            (self.base / f"{name}.json").write_text(json.dumps({"changed": False, **said}))
        files = {
            "pb/play.yml": PLAY,
            "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": self.hosts}}),
            "inv/mesh/wan.yml": self.registry(),
            "inv/mesh/lab.yml": self.lab(),
        }
        return self._play(files, "-e", json.dumps(variables), *arguments)

    def reports(self) -> list[dict[str, Any]]:
        found = sorted((self.base / "reports" / "mesh").glob("2*-mesh_report*.json"))
        return [json.loads(path.read_text()) for path in found]


@pytest.fixture
def fleet(tmp_path: Path, play: Callable[..., Any]) -> Fleet:
    return Fleet(tmp_path, small(), play)


def test_a_report_of_a_mesh_in_one_round_trip(fleet: Fleet) -> None:
    answers = fleet.run(verify_latency_ms=18)
    (body,) = fleet.reports()
    assert body["verdict"] == "fine", answers.output
    assert body["totals"]["seen"] == 4 and body["totals"]["members"] == 5
    assert body["meshes"]["wan"]["members"]["eve"]["why"] == "no host of this run"
    assert [one["target_ms"] for one in body["meshes"]["wan"]["over_target"]] == [18, 18]
    assert "eve: no host of this run" in answers.output
    assert "failed=0" in answers.output and "failed=1" not in answers.output
    # No node's word is a variable of the run; and each was asked once.
    assert set(answers.found[LOOK, "ann"]) & {"meshes", "routing", "invocation"} == set()
    assert len([task for task, host in answers.found if host == "bob" and task == LOOK]) == 1
    assert (fleet.base / "reports/mesh/latest.html").is_file()


def test_who_does_not_answer_is_named_and_what_is_wrong_fails_the_run(fleet: Fleet) -> None:
    fleet.hosts["gw2"] |= {
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_port": 1,
        "ansible_ssh_retries": 0,
    }
    (fleet.base / "bob-python").write_text("#!/bin/sh\necho 'no such memory' >&2; exit 9\n")
    fleet.hosts["eve"] = {"mesh_name": "wan", "mesh_pull": True}
    fleet.world.routing("gw1")["dropped"]["foreign"] = [{"peer": "bob", "prefix": "0.0.0.0/0", "at": NOW}]
    answers = fleet.run()
    (body,) = fleet.reports()
    members = body["meshes"]["wan"]["members"]
    assert {name: one["state"] for name, one in members.items()} == {
        "gw1": "seen",
        "gw2": "no answer",
        "ann": "seen",
        "bob": "no answer",
        "eve": "not asked",
    }
    assert members["eve"]["why"] == "nobody can log in to it (mesh_pull)"
    assert "could not be reached" in members["gw2"]["why"]
    wrong = [one["what"] for one in body["meshes"]["wan"]["problems"] if one["severity"] == "wrong"]
    assert wrong == ["no answer", "foreign prefixes announced, and not taken"]
    assert "Fail where something is wrong" in answers.output and "failed=1" in answers.output
    assert "0.0.0.0/0 from bob" in answers.output


def test_members_outside_of_the_limit_are_named(fleet: Fleet) -> None:
    answers = fleet.run("--limit", "ann,gw1")
    (body,) = fleet.reports()
    assert body["verdict"] == "fine", answers.output
    absent = {name for name, one in body["meshes"]["wan"]["members"].items() if one["state"] == "not asked"}
    assert absent == {"gw2", "bob", "eve"}


def test_a_host_with_wrong_variables_is_named(fleet: Fleet) -> None:
    fleet.hosts["bob"]["mesh_prot"] = 7
    answers = fleet.run()
    (body,) = fleet.reports()
    bob = body["meshes"]["wan"]["members"]["bob"]
    assert (bob["state"], bob["why"]) == ("not asked", "its variables are refused"), answers.output
    assert "failed=1" in answers.output


def test_a_wrong_target_is_refused(fleet: Fleet) -> None:
    answers = fleet.run(verify_latency_ms=-1)
    assert fleet.reports() == []
    assert "verify_latency_ms: -1" in answers.output and "ms, above 0" in answers.output


def test_targets_between_regions_of_another_mesh_are_no_mistake(fleet: Fleet) -> None:
    """A node in two meshes has one `verify_between` for both; a region of none of them is one."""
    answers = fleet.run(verify_between={"ham muc": {"latency_ms": 1}, "main main": {"latency_ms": 18}})
    (body,) = fleet.reports()
    assert [one["target_ms"] for one in body["meshes"]["wan"]["over_target"]] == [18, 18], answers.output
    refused = fleet.run(verify_between={"ham mars": {"latency_ms": 1}})
    assert len(fleet.reports()) == 1 and "ham mars" in refused.output
