# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action `swarm.node.verify`: plans the measuring of a mesh, tells the nodes when, and judges what they
found."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ..module_utils.core.errors import BindError, Problem
from ..module_utils.mesh.share import MESH_NAME
from ..plugin_utils.mesh.places import registry_directory
from ..plugin_utils.mesh.registry_file import load, regions_of_others, registry_path
from ..plugin_utils.report import store
from ..plugin_utils.report.values import plural
from ..plugin_utils.verify import page, summary, table, timing
from ..plugin_utils.verify.budget import MEGA
from ..plugin_utils.verify.confidence import MET, MISSED, NOT_SHOWN
from ..plugin_utils.verify.judge import judge, remarks
from ..plugin_utils.verify.notes import Notes
from ..plugin_utils.verify.plan import make_plan
from ..plugin_utils.verify.timing import Clock

OPERATIONS = ("plan", "up", "start", "go", "wait", "down", "report")
ARGUMENTS = {
    "operation": {"type": "str", "required": True, "choices": list(OPERATIONS)},
    "mesh": {"type": "str", "required": True},
    "registry_dir": {"type": "str"},
    "wishes": {"type": "dict", "default": {}},
    "pulling": {"type": "list", "elements": "str", "default": []},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "abandon": {"type": "bool", "default": False},
    "report_dir": {"type": "str"},
    "keep": {"type": "int", "default": 20},
}

MODULE = "swarm.node.mesh_measure"
SAID = {
    MET: "meets its targets",
    MISSED: "misses its targets",
    NOT_SHOWN: "is not shown to meet its targets",
}

RESULTS_PATIENCE = timing.READING
SETTLED = 2.0
"""s after the end, when the quicker nodes have their results."""


class ActionModule(ActionBase):
    """Operations of the controller (plan, start, wait, report), and of each node (up, go, down)."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        operations: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
            "plan": self._plan,
            "up": self._up,
            "start": self._start,
            "go": self._go,
            "wait": self._wait,
            "down": self._down,
            "report": self._report,
        }
        try:
            if not MESH_NAME.fullmatch(arguments["mesh"]):
                allowed = "a letter, then up to 7 letters or digits, all lower case"
                raise BindError([Problem("mesh", arguments["mesh"], allowed, "task")])
            result.update(operations[arguments["operation"]](arguments, task_vars or {}))
        except BindError as error:
            raise AnsibleActionFail(
                f"nothing was measured, verify of the mesh {arguments['mesh']} is refused:\n  - "
                + "\n  - ".join(str(problem) for problem in error.problems),
                result={"layer": "verify", "problems": [vars(problem) for problem in error.problems]},
            ) from None
        return result

    # -- on the controller

    def _plan(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        directory = registry_directory(
            arguments["registry_dir"],
            task_vars.get("inventory_dir"),
            task_vars.get("ansible_inventory_sources") or [],
            self._loader.get_basedir(),
        )
        path = registry_path(directory, arguments["mesh"])
        registry, _text = load(path)
        if registry is None:
            allowed = f"a mesh with a registry: the playbook swarm.node.mesh_join makes {path}"
            raise BindError([Problem("mesh", arguments["mesh"], allowed, str(path))])
        between = any((own or {}).get("between") for own in arguments["wishes"].values())
        others = regions_of_others(directory, arguments["mesh"]) if between else set()
        plan = make_plan(registry, arguments["wishes"], arguments["pulling"], others)
        self._notes(arguments).begin(plan)
        most = max(node.bytes for node in plan.nodes.values())
        seconds = timing.longest(plan)
        said = (
            f"{plural(len(plan.pairs), 'pair')} of {len(plan.nodes)} members of {plan.mesh}, "
            f"{plural(plan.rounds, 'round')} of transfers: at most {plan.bytes / MEGA:.0f} MB, "
            f"{most / MEGA:.0f} MB of a member, in up to {seconds:.0f} s"
        )
        return {
            "changed": False,
            "tools": {name: list(node.tools) for name, node in plan.nodes.items() if node.install},
            "members": list(plan.nodes),
            "left_out": dict(plan.left_out),
            "bytes": round(plan.bytes),
            "seconds": round(seconds),
            "said": said,
        }

    def _start(self, arguments: dict[str, Any], _task_vars: dict[str, Any]) -> dict[str, Any]:
        """The moment at which all begin, and each node's job."""
        notes = self._notes(arguments)
        plan, clocks = notes.plan(), notes.clocks(arguments["hosts"])
        ahead = timing.lead(list(clocks.values()), _forks())
        begin = time.monotonic() + ahead
        jobs, when = timing.jobs(plan, clocks, begin)
        for host, job in jobs.items():
            notes.put("job", host, job)
        now = datetime.now(timezone.utc)
        moment = {"end": begin + when.end, "wall": now.timestamp() + ahead}
        notes.put("moment", "all", moment)
        doubt = max((clock.doubt for clock in clocks.values()), default=0.0)
        said = (
            f"{len(jobs)} nodes begin in {ahead:.0f} s and are done {when.end:.0f} s after that; their "
            f"clocks are known to {doubt:.1f} s, and transfers are {when.gap:.1f} s apart"
        )
        return {"changed": False, "said": said}

    def _wait(self, arguments: dict[str, Any], _task_vars: dict[str, Any]) -> dict[str, Any]:
        moment = self._notes(arguments).get("moment", "all")
        if moment is not None:
            time.sleep(max(0.0, moment["end"] + SETTLED - time.monotonic()))
        return {"changed": False}

    def _report(self, arguments: dict[str, Any], _task_vars: dict[str, Any]) -> dict[str, Any]:
        notes = self._notes(arguments)
        plan = notes.plan()
        failed = {}
        for name in plan.nodes:
            found = notes.get("failed", name)
            if found is None and notes.get("clock", name) is None:
                found = {"why": "it could not be reached, or failed before"}
            if found is not None:
                failed[name] = found["why"]
        results = {name: (notes.get("result", name) or {}).get("measured") for name in plan.nodes}
        moment = notes.get("moment", "all")
        finished = datetime.now(timezone.utc)
        started = datetime.fromtimestamp(moment["wall"], timezone.utc) if moment else finished
        run = {
            "playbook": "verify",
            "started": f"{started:%Y-%m-%dT%H:%M:%SZ}",
            "finished": f"{finished:%Y-%m-%dT%H:%M:%SZ}",
            "seconds": round((finished - started).total_seconds(), 1),
        }
        body = summary.report(plan, judge(plan, results, failed), run, failed, remarks(results))
        lines = table.lines(body)
        lines.append(self._written(arguments, body, finished))
        return {
            "changed": False,
            "verdict": body["verdict"],
            "said": f"the mesh {plan.mesh} {SAID[body['verdict']]} (verify_fail_on: {plan.wide['fail_on']})",
            "fails": summary.fails(body["verdict"], plan.wide["fail_on"]),
            "totals": body["totals"],
            "lines": lines,
        }

    def _written(self, arguments: dict[str, Any], body: dict[str, Any], finished: datetime) -> str:
        """A line about the report's files. What was measured must not depend on a disk."""
        base = os.environ.get("SWARM_NODE_REPORT_DIR") or "reports"
        directory = Path(arguments["report_dir"] or Path(base) / "verify").expanduser()
        try:
            path = store.write(directory, body, page.render(body), finished, arguments["keep"])
        except OSError as error:
            self._display.warning(f"swarm.node.verify: no report in {directory}: {error}")
            return f"no report could be written to {directory}: {error}"
        return f"report: {path} and {path.with_suffix('.json').name}"

    # -- on a node

    def _up(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        notes, host = self._notes(arguments), str(task_vars["inventory_hostname"])
        plan = notes.head()
        if host not in plan.nodes:
            return {"changed": False, "left_out": plan.left_out.get(host, "it is not in the plan")}
        node = plan.nodes[host]
        patience, most = timing.patience(len(plan.nodes), _forks()), timing.longest(plan)
        options = {
            "state": "up",
            "address": node.address,
            "port": node.port,
            "tools": list(node.tools),
            "patience": patience,
            "longest": plan.wide["window"] + 60.0,
            "limit": patience + most + timing.READING,
            "expected": {"bytes": round(node.bytes), "seconds": round(most)},
        }
        before = time.monotonic()
        answer = self._module(arguments, options, task_vars, notes)
        after = time.monotonic()
        if "clock" in answer and not answer.get("failed"):
            clock = Clock(before, after, float(answer["clock"]["now"]), float(answer["clock"]["took"]))
            notes.put("clock", host, vars(clock))
        return answer

    def _go(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        notes, host = self._notes(arguments), str(task_vars["inventory_hostname"])
        job = notes.get("job", host)
        if job is None:
            return {"changed": False}
        return self._module(arguments, {"state": "go", "job": job}, task_vars, notes)

    def _down(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        notes, host = self._notes(arguments), str(task_vars["inventory_hostname"])
        if notes.get("clock", host) is None:
            return {"changed": False}
        patience = 1.0 if arguments["abandon"] else RESULTS_PATIENCE
        answer = self._module(arguments, {"state": "down", "patience": patience}, task_vars, notes)
        measured = answer.pop("measured", None)
        notes.put("result", host, {"measured": measured})
        return {**answer, "found": measured is not None}

    def _module(
        self, arguments: dict[str, Any], options: dict[str, Any], task_vars: dict[str, Any], notes: Notes
    ) -> dict[str, Any]:
        """The module's answer. Why it failed is noted for the report."""
        host = str(task_vars["inventory_hostname"])
        # One run of Ansible has one such directory, so all tasks and hosts of a run share the token.
        own = {"mesh": arguments["mesh"], "token": Path(C.DEFAULT_LOCAL_TMP).name}
        try:
            answer = dict(
                self._execute_module(module_name=MODULE, module_args={**own, **options}, task_vars=task_vars)
            )
        except AnsibleConnectionFailure as error:
            notes.fail(host, f"it could not be reached: {error}")
            raise
        if answer.get("failed") or answer.get("unreachable"):
            notes.fail(host, " ".join(str(answer.get("msg", "")).split()))
        return answer

    def _notes(self, arguments: dict[str, Any]) -> Notes:
        return Notes(Path(C.DEFAULT_LOCAL_TMP), arguments["mesh"])


def _forks() -> int:
    return int(context.CLIARGS.get("forks") or C.DEFAULT_FORKS)
