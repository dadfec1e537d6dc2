# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action `swarm.node.mesh`: gives the module of that name the host's shares, from the registries.

No other host's variables are looked at, so it is safe under --limit: what the host has is in the registry.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ..module_utils.core.errors import BindError, Problem
from ..module_utils.mesh.distant import WITNESSES, spread
from ..plugin_utils.mesh.cache import cached_share
from ..plugin_utils.mesh.places import registry_directory, share_clashes
from ..plugin_utils.mesh.registry_file import registry_path
from ..plugin_utils.mesh.wishes import mistakes_in_names, names_of

OWN = ("names", "registry_dir", "seen_shares")
"""Options that are the action's; all others go to the module as they are."""


LEFT = (
    "meshes without it: {host} has left it on {day}. The playbook swarm.node.mesh_leave takes away what it "
    "still has, or take the mesh out of mesh_name; swarm.node.mesh_join takes it in again"
)


LEFT_OUT = ("needs_more_disruption", "frozen", "managed_by")
"""Reasons for which a wish is unapplied although the node could have it."""


def _whole(digests: dict[str, str], result: dict[str, Any]) -> dict[str, str]:
    """Those of meshes of which nothing was left out: the others are not what the registry says."""
    unapplied = [wish for wish in result.get("unapplied") or () if wish.get("reason") in LEFT_OUT]
    targets = [str(wish.get("target", "")) for wish in unapplied]
    found = {}
    for mesh, digest in digests.items():
        # A sysctl or a unit may be any mesh's.
        others = [f"/{other}{end}" for other in digests if other != mesh for end in ("/", "-", " ")]
        if all(any(other in f"/{target} " for other in others) for target in targets):
            found[mesh] = digest
    return found


class ActionModule(ActionBase):
    """Reads the registries (once per run), adds `shares` and `now`, runs the module."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = {key: value for key, value in self._task.args.items() if key not in OWN}
        try:
            shares, digests, departed = self._shares(task_vars)
            self._require_the_shares_seen(digests)
        except BindError as error:
            raise AnsibleActionFail(
                f"nothing was changed, the mesh of {task_vars.get('inventory_hostname')} is refused:\n  - "
                + "\n  - ".join(str(problem) for problem in error.problems),
                result={
                    "layer": "mesh",
                    "failure_kind": "refused",
                    "problems": [vars(problem) for problem in error.problems],
                },
            ) from None
        if departed:
            # Its tunnels are mesh_leave's to take away: nobody has the other ends any more.
            return {**result, "changed": False, "changes": [], "unapplied": [], "departed": departed}
        arguments.update(shares=shares, now=time.time())
        # One run of Ansible has one such directory, so all tasks and hosts of a run share the token.
        arguments["token"] = arguments.get("token") or Path(C.DEFAULT_LOCAL_TMP).name
        if arguments.get("confirm_seconds") and not self._task.check_mode:
            arguments.update(self._witnesses(shares, task_vars))
        result.update(self._answer(arguments, task_vars))
        # Also of a module that was killed or is out of reach: what it has armed can be taken back by it.
        result.setdefault("token", arguments["token"])
        looked_only = self._task.check_mode and result.get("changes")
        failed = result.get("failed") or result.get("unreachable")
        result["share_digests"] = {} if failed or looked_only else _whole(digests, result)
        if looked_only:
            result["seen_shares"] = digests
        return result

    def _witnesses(self, shares: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The module's `witnesses`: members of this run that are no neighbours, evenly out of all of them."""
        found: dict[str, list[str]] = {}
        for mesh, share in shares.items():
            near = {share["member"], *(tunnel["peer"] for tunnel in share["tunnels"])}
            others = sorted(set(task_vars.get("ansible_play_hosts") or ()) - near)
            for _mesh, name in spread([(mesh, str(name)) for name in others], WITNESSES):
                address = self._address(mesh, name, task_vars)
                found.setdefault(mesh, []).extend([address] if address else [])
        return {"witnesses": found} if any(found.values()) else {}

    def _address(self, mesh: str, member: str, task_vars: dict[str, Any]) -> str:
        """A member's first address in the mesh; "" of a host that is none."""
        path = registry_path(self._directory(task_vars), mesh)
        try:
            other = cached_share(path, member, Path(C.DEFAULT_LOCAL_TMP))
        except BindError:
            return ""
        return str(other["share"]["addresses"][0]).partition("/")[0] if "share" in other else ""

    def _directory(self, task_vars: dict[str, Any]) -> Path:
        """Where the registries are."""
        return registry_directory(
            self._task.args.get("registry_dir"),
            task_vars.get("inventory_dir"),
            task_vars.get("ansible_inventory_sources") or [],
            self._loader.get_basedir(),
        )

    def _answer(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The module's; of a node that cannot be reached what Ansible itself makes of that."""
        try:
            return dict(
                self._execute_module(
                    module_name="swarm.node.mesh", module_args=arguments, task_vars=task_vars
                )
            )
        except AnsibleConnectionFailure as error:
            return {"unreachable": True, "msg": str(error)}

    def _require_the_shares_seen(self, digests: dict[str, str]) -> None:
        """What a pre-flight has looked at is what is applied. Raises BindError."""
        seen = self._task.args.get("seen_shares") or {}
        allowed = (
            "the registry that this run looked at before; another run has changed it since: run it again"
        )
        problems = [
            Problem("share", seen[mesh], allowed, f"registry of {mesh}")
            for mesh, found in digests.items()
            if mesh in seen and seen[mesh] != found
        ]
        if problems:
            raise BindError(problems)

    def _shares(self, task_vars: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
        """mesh → share data, mesh → its digest, mesh → day on which the host left it. Raises BindError.

        Who has left all its meshes has no share; who has left one of several is refused.
        """
        names = self._task.args.get("names")
        wrong = mistakes_in_names(names) if names not in (None, "") else []
        if wrong:
            raise BindError([Problem("mesh_name", value, allowed, "task") for value, allowed in wrong])
        wished = names_of(names) if self._task.args.get("state", "present") == "present" else []
        if not wished:
            return {}, {}, {}
        directory = self._directory(task_vars)
        shares, digests, departed, problems = {}, {}, {}, []
        paths = {mesh: registry_path(directory, mesh) for mesh in wished}
        for mesh, path in paths.items():
            try:
                found = cached_share(path, str(task_vars["inventory_hostname"]), Path(C.DEFAULT_LOCAL_TMP))
            except BindError as error:
                problems += error.problems
                continue
            if "left" in found:
                departed[mesh] = found["left"]
                continue
            shares[mesh], digests[mesh] = found["share"], found["digest"]
        if shares:
            host = str(task_vars["inventory_hostname"])
            problems += [
                Problem("mesh_name", mesh, LEFT.format(host=host, day=day), str(paths[mesh]), host)
                for mesh, day in departed.items()
            ]
        problems += share_clashes(shares, {mesh: str(path) for mesh, path in paths.items()})
        if problems:
            raise BindError(problems)
        return shares, digests, departed
