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
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.core.errors import BindError, Problem
from ..plugin_utils.mesh.cache import cached_share
from ..plugin_utils.mesh.places import registry_directory, share_clashes
from ..plugin_utils.mesh.registry_file import registry_path
from ..plugin_utils.mesh.wishes import mistakes_in_names, names_of

OWN = ("names", "registry_dir")
"""Options that are the action's; all others go to the module as they are."""


class ActionModule(ActionBase):
    """Reads the registries (once per run), adds `shares` and `now`, runs the module."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = {key: value for key, value in self._task.args.items() if key not in OWN}
        try:
            shares, digests = self._shares(task_vars)
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
        arguments.update(shares=shares, now=time.time())
        # One run of Ansible has one such directory, so all tasks and hosts of a run share the token.
        arguments.setdefault("token", Path(C.DEFAULT_LOCAL_TMP).name)
        result.update(
            self._execute_module(module_name="swarm.node.mesh", module_args=arguments, task_vars=task_vars)
        )
        looked_only = self._task.check_mode and result.get("changes")
        result["share_digests"] = {} if result.get("failed") or looked_only else digests
        return result

    def _shares(self, task_vars: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """mesh → share data, mesh → its digest. Raises BindError."""
        names = self._task.args.get("names")
        wrong = mistakes_in_names(names) if names not in (None, "") else []
        if wrong:
            raise BindError([Problem("mesh_name", value, allowed, "task") for value, allowed in wrong])
        wished = names_of(names) if self._task.args.get("state", "present") == "present" else []
        if not wished:
            return {}, {}
        directory = registry_directory(
            self._task.args.get("registry_dir"),
            task_vars.get("inventory_dir"),
            task_vars.get("ansible_inventory_sources") or [],
            self._loader.get_basedir(),
        )
        shares, digests, problems = {}, {}, []
        paths = {mesh: registry_path(directory, mesh) for mesh in wished}
        for mesh, path in paths.items():
            try:
                found = cached_share(path, str(task_vars["inventory_hostname"]), Path(C.DEFAULT_LOCAL_TMP))
            except BindError as error:
                problems += error.problems
                continue
            shares[mesh], digests[mesh] = found["share"], found["digest"]
        problems += share_clashes(shares, {mesh: str(path) for mesh, path in paths.items()})
        if problems:
            raise BindError(problems)
        return shares, digests
