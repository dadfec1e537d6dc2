# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action `swarm.node.mesh_report`: looks at members, puts together what they say, and reports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ..module_utils.core.errors import BindError, Problem
from ..module_utils.mesh.share import MESH_NAME
from ..plugin_utils.mesh.places import registry_directory
from ..plugin_utils.mesh.registry import Registry
from ..plugin_utils.mesh.registry_file import load, regions_of_others, registry_path
from ..plugin_utils.mesh_report import lines, measured, page
from ..plugin_utils.mesh_report.answers import number, routing_of
from ..plugin_utils.mesh_report.body import Answer, Known, mesh_report, run_report
from ..plugin_utils.mesh_report.notes import Notes
from ..plugin_utils.mesh_report.problems import WRONG
from ..plugin_utils.report import mesh, store
from ..plugin_utils.verify.settings import Wishes, combined, wishes_of

ARGUMENTS = {
    "operation": {"type": "str", "required": True, "choices": ["look", "report"]},
    "mesh": {"type": "str"},
    "listen": {"type": "float"},
    "meshes": {"type": "dict", "default": {}},
    "registry_dir": {"type": "str"},
    "targets": {"type": "dict", "default": {}},
    "pulling": {"type": "list", "elements": "str", "default": []},
    "refused": {"type": "list", "elements": "str", "default": []},
    "report_dir": {"type": "str"},
    "keep": {"type": "int", "default": 20},
}

MODULE = "swarm.node.mesh_look"


class ActionModule(ActionBase):
    """`look` on each member, then `report` once."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        operations: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
            "look": self._look,
            "report": self._report,
        }
        try:
            result.update(operations[arguments["operation"]](arguments, task_vars or {}))
        except BindError as error:
            raise AnsibleActionFail(
                "no report of the mesh was made:\n  - "
                + "\n  - ".join(str(problem) for problem in error.problems),
                result={"layer": "mesh", "problems": [vars(problem) for problem in error.problems]},
            ) from None
        return result

    # -- on a member

    def _look(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What it says is noted, and not a result: a thousand times a thousand routes are no variables."""
        host, notes = str(task_vars["inventory_hostname"]), Notes(Path(C.DEFAULT_LOCAL_TMP))
        options = {key: arguments[key] for key in ("mesh", "listen") if arguments[key] is not None}
        try:
            answer = dict(self._execute_module(module_name=MODULE, module_args=options, task_vars=task_vars))
        except AnsibleConnectionFailure as error:
            notes.put(host, {"why": f"it could not be reached: {error}"})
            raise
        if answer.get("failed") or answer.get("unreachable"):
            why = " ".join(str(answer.get("msg") or "the module failed").split())
            notes.put(host, {"why": why})
            return answer
        found = {"meshes": mesh.fields(answer), "routing": routing_of(answer)}
        now = number(answer.pop("now", None))
        notes.put(host, {**found, "now": time.time() if now is None else now})
        for key in ("meshes", "routing", "invocation"):
            answer.pop(key, None)
        return {**answer, "looked_at": sorted(found["meshes"])}

    # -- on the controller

    def _report(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        began = datetime.now(timezone.utc)
        meshes = {}
        for name, hosts in sorted(arguments["meshes"].items()):
            if not MESH_NAME.fullmatch(str(name)):
                allowed = "a letter, then up to 7 letters or digits, all lower case"
                raise BindError([Problem("mesh", name, allowed, "task")])
            answers = {host: self._answer(host) for host in hosts}
            known = self._known(str(name), hosts, arguments, task_vars, began)
            meshes[str(name)] = mesh_report(str(name), answers, known)
        finished = datetime.now(timezone.utc)
        run = {
            "playbook": "mesh_report",
            "finished": f"{finished:%Y-%m-%dT%H:%M:%SZ}",
            "seconds": round((finished - began).total_seconds(), 1),
        }
        body = run_report(meshes, run)
        return {
            "changed": False,
            "verdict": body["verdict"],
            "wrong": body["verdict"] == WRONG,
            "said": lines.wrongs(body),
            "totals": body["totals"],
            "lines": [*lines.lines(body), self._written(arguments, body, finished)],
        }

    @staticmethod
    def _answer(host: str) -> Answer:
        missing = Answer("it could not be reached, or failed before")
        return Notes(Path(C.DEFAULT_LOCAL_TMP)).get(host) or missing

    def _known(
        self,
        name: str,
        hosts: list[str],
        arguments: dict[str, Any],
        task_vars: dict[str, Any],
        now: datetime,
    ) -> Known:
        directory = registry_directory(
            arguments["registry_dir"],
            task_vars.get("inventory_dir"),
            task_vars.get("ansible_inventory_sources") or [],
            self._loader.get_basedir(),
        )
        registry, _text = load(registry_path(directory, name))
        members = dict(registry.members) if registry else {}
        regions = {member: one.region for member, one in members.items()}
        targets = {host: dict(arguments["targets"].get(host) or {}) for host in hosts}
        known = set(regions.values())
        if any(own.get("between") for own in targets.values()):
            known |= regions_of_others(directory, name)
        if registry is None:
            targets = {host: {**own, "between": None} for host, own in targets.items()}
        wishes = wishes_of(targets, known)
        return Known(
            members={
                member: {"number": one.number, "region": one.region, "transit": one.is_hub}
                for member, one in members.items()
            },
            links=_links(registry),
            absent={member: _absence(member, arguments) for member in members if member not in hosts},
            target=_targets(wishes, regions),
            measured=measured.newest(_reports(None) / "verify", name, now),
        )

    def _written(self, arguments: dict[str, Any], body: dict[str, Any], finished: datetime) -> str:
        """A line about the report's files. What was seen must not depend on a disk."""
        directory = _reports(arguments["report_dir"])
        if not arguments["report_dir"]:
            directory /= "mesh"
        try:
            path = store.write(directory, body, page.render(body), finished, arguments["keep"])
        except OSError as error:
            self._display.warning(f"swarm.node.mesh_report: no report in {directory}: {error}")
            return f"no report could be written to {directory}: {error}"
        return f"report: {path} and {path.with_suffix('.json').name}"


def _reports(chosen: str | None) -> Path:
    return Path(chosen or os.environ.get("SWARM_NODE_REPORT_DIR") or "reports").expanduser()


def _absence(member: str, arguments: Mapping[str, Any]) -> str:
    """Why nobody asked it."""
    if member in arguments["pulling"]:
        return "nobody can log in to it (mesh_pull)"
    return "its variables are refused" if member in arguments["refused"] else "no host of this run"


def _links(registry: Registry | None) -> dict[tuple[str, str], float | None]:
    """Those that carry routes."""
    if registry is None:
        return {}
    return {pair: link.ms for pair, link in registry.links.items() if link.carries}


def _targets(wishes: Wishes, regions: Mapping[str, str]) -> Callable[[str, str], float]:
    """ms of a pair; of a member that is no host of the run the other end's counts."""
    usual = wishes_of({"": {}}, ()).hosts[""]

    def own(member: str) -> float | None:
        values = wishes.hosts.get(member)
        return None if values is None else float(values["latency_ms"])

    known: dict[tuple[str, str], float] = {}

    def target(one: str, other: str) -> float:
        between = regions.get(one, ""), regions.get(other, "")
        if wishes.between and all(between) and {one, other} <= wishes.hosts.keys():
            key = (one, other)
            if key not in known:
                known[key] = combined(wishes, key, between)["latency_ms"]
            return known[key]
        values = [value for value in (own(one), own(other)) if value is not None]
        return max(values, default=float(usual["latency_ms"]))

    return target
