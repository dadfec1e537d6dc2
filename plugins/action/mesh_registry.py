# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action `swarm.node.mesh_registry`: changes a mesh's registry on the controller, without a connection."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.core.errors import BindError, LockTimeout, Problem
from ..module_utils.mesh.share import MESH_NAME
from ..plugin_utils.mesh import lifecycle
from ..plugin_utils.mesh.candidates import Candidate, from_host, from_request
from ..plugin_utils.mesh.changes import Context, Report
from ..plugin_utils.mesh.dump import dump_registry
from ..plugin_utils.mesh.latency_file import load_latency, save_latency
from ..plugin_utils.mesh.lifecycle import Order
from ..plugin_utils.mesh.measuring import targets
from ..plugin_utils.mesh.places import registry_directory
from ..plugin_utils.mesh.receipts import applied_by, read_receipts, sealed_by
from ..plugin_utils.mesh.registry import Registry
from ..plugin_utils.mesh.registry_file import load, load_others, locked, registry_path, save
from ..plugin_utils.mesh.shares import Shares, digest

ARGUMENTS = {
    "operation": {"type": "str", "required": True, "choices": list(lifecycle.OPERATIONS)},
    "mesh": {"type": "str", "required": True},
    "registry_dir": {"type": "str"},
    "members": {"type": "list", "elements": "str", "default": []},
    "request": {"type": "raw"},
    "keep_until": {"type": "str"},
    "confirmed": {"type": "raw"},
    "applied": {"type": "list", "elements": "str", "default": []},
    "receipts": {"type": "list", "elements": "str", "default": []},
    "latencies": {"type": "list", "elements": "dict", "default": []},
    "since": {"type": "float"},
    "targets": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Reads the registry under a lock, runs the operation, writes the file whole if anything changed."""

    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        try:
            result.update(self._done(arguments, task_vars))
        except (BindError, LockTimeout) as error:
            problems = error.problems if isinstance(error, BindError) else []
            said = "\n  - ".join(str(problem) for problem in problems) if problems else str(error)
            raise AnsibleActionFail(
                f"nothing was changed, {arguments['operation']} of the mesh {arguments['mesh']} "
                f"is refused:\n  - {said}",
                result={"layer": "mesh", "problems": [vars(problem) for problem in problems]},
            ) from None
        return result

    def _done(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        mesh = arguments["mesh"]
        if not MESH_NAME.fullmatch(mesh):
            allowed = "a letter, then up to 7 letters or digits, all lower case"
            raise BindError([Problem("mesh", mesh, allowed, "task")])
        writes = not self._task.check_mode and arguments["operation"] != "show"
        directory = registry_directory(
            arguments["registry_dir"],
            task_vars.get("inventory_dir"),
            task_vars.get("ansible_inventory_sources") or [],
            self._loader.get_basedir(),
            make=arguments["operation"] == "join",
        )
        if not directory.is_dir():
            if arguments["operation"] != "join":
                allowed = f"a mesh with a registry: the playbook swarm.node.mesh_join makes {directory}"
                raise BindError([Problem("mesh", mesh, allowed, str(directory))])
            if not writes:
                return self._changed(arguments, task_vars, directory, write=False)
            self._made(directory)
        if not writes:
            return self._changed(arguments, task_vars, directory, write=False)
        with locked(directory):
            return self._changed(arguments, task_vars, directory, write=True)

    def _made(self, directory: Path) -> None:
        try:
            directory.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            allowed = f"a directory that can be made: {error.strerror}"
            raise BindError([Problem("mesh_registry_dir", str(directory), allowed, "task")]) from error

    def _changed(
        self, arguments: dict[str, Any], task_vars: dict[str, Any], directory: Path, write: bool
    ) -> dict[str, Any]:
        path = registry_path(directory, arguments["mesh"])
        before, text = load(path)
        order = self._order(arguments, task_vars, before)
        others = load_others(directory, arguments["mesh"]) if order.candidates else {}
        context = Context(
            now=time.time(),
            resolver=resolve,
            since=arguments["since"],
            others=tuple(others.values()),
            latency=lifecycle.latencies_of(arguments["latencies"]),
            remembered=load_latency(path) if arguments["operation"] == "replan" else {},
        )
        after, report = lifecycle.run(before, order, context)
        changed = after != before and bool(after.members or before)
        new_text = text
        if changed:
            new_text = save(path, after) if write else dump_registry(after)
        if write and report.latency is not None:
            save_latency(path, report.latency)
        answer = _answer(path, text, new_text, changed, after, order, report)
        if arguments["targets"]:
            answer["targets"] = {name: targets(after, name) for name in answer["members"]}
        return answer

    def _order(self, arguments: dict[str, Any], task_vars: dict[str, Any], before: Registry | None) -> Order:
        operation, mesh = arguments["operation"], arguments["mesh"]
        names = list(dict.fromkeys(arguments["members"]))
        candidates: list[Candidate] = []
        receipts = read_receipts(arguments["receipts"])
        if operation in lifecycle.NEED_CANDIDATES:
            candidates = self._candidates(mesh, names, arguments["request"], task_vars)
            if operation == "seal" and before is not None:
                candidates += sealed_by(receipts, before)
            if not candidates and not receipts:
                raise BindError([Problem("members", names, "one host or more", "task")])
        proofs, seen = lifecycle.proofs_of(mesh, arguments["confirmed"] or {})
        applied = seen | set(arguments["applied"])
        if operation == "finish" and before is not None:
            shares = Shares(before)
            applied = _with_present_share(shares, applied, task_vars.get("hostvars") or {})
            applied |= applied_by(receipts, shares)
        return Order(operation, mesh, names, candidates, arguments["keep_until"], proofs, applied)

    def _candidates(
        self, mesh: str, names: list[str], request: Any, task_vars: dict[str, Any]
    ) -> list[Candidate]:
        hostvars = task_vars.get("hostvars") or {}
        found, problems = [], list[Problem]()
        asked = from_request(request, mesh, {}).name if request else None
        for name in dict.fromkeys([*names, *([asked] if asked else [])]):
            try:
                if name == asked:
                    found.append(from_request(request, mesh, _wishes(hostvars, name) or {}))
                    continue
                wishes = _wishes(hostvars, name)
                if wishes is None:
                    allowed = "a host of the inventory whose wishes were merged in this run (merge)"
                    problems.append(Problem("members", name, allowed, "task"))
                    continue
                found.append(from_host(name, mesh, wishes, hostvars[name].get("__mesh_keys")))
            except BindError as error:
                problems += error.problems
        if problems:
            raise BindError(problems)
        return found


def resolve(name: str) -> list[str]:
    """A name's addresses by the controller's resolver; empty where it has none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


def _wishes(hostvars: Any, name: str) -> dict[str, Any] | None:
    if name not in hostvars:
        return None
    merged = hostvars[name].get("__mesh_merged")
    layers = merged.get("layers") if merged else None
    return dict(layers["mesh"]) if layers and "mesh" in layers else None


def _with_present_share(shares: Shares, applied: set[str], hostvars: Any) -> set[str]:
    """Of those who are said to have applied their share, the ones of which nothing says otherwise.

    `__mesh_result` is what the role's module answered in this run; it has the digest of what it applied.
    """
    found = set()
    for name in applied & set(shares.registry.members):
        result = hostvars[name].get("__mesh_result") if name in hostvars else None
        digests = (result.get("share_digests") or {}) if result else None
        if digests is None or digests.get(shares.registry.mesh) == digest(shares.of(name).as_data()):
            found.add(name)
    return found


def _answer(
    path: Path, text: str, new_text: str, changed: bool, registry: Registry, order: Order, report: Report
) -> dict[str, Any]:
    named = [*order.names, *(item.name for item in order.candidates)]
    if order.operation == "show" and not named:
        named = sorted(registry.members)
    return {
        "changed": changed,
        "mesh": registry.mesh,
        "registry": str(path),
        # Who has left has no share any more that could be applied.
        "affected": sorted(report.affected & set(registry.members)),
        "report": report.lines,
        "pending": report.pending,
        "seal_for": lifecycle.psk_orders(registry),
        "members": lifecycle.described(registry, dict.fromkeys(named)),
        "departed": {name: item.left for name, item in registry.departed.items()},
        "diff": {
            "before": text,
            "after": new_text,
            "before_header": str(path),
            "after_header": str(path),
        },
    }
