# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action `swarm.node.merge`: what is wished of this host, decided on the controller. No connection is made."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.plugins.action import ActionBase

from ..module_utils.core.errors import BindError, Problem
from ..module_utils.core.version import VERSION
from ..module_utils.gpu.settings import SETTINGS, mistakes_in
from ..plugin_utils.merge import profiles, schema
from ..plugin_utils.merge.levels import inventory_levels, play_level
from ..plugin_utils.merge.resolve import EXTRA_RANK, Level, candidates, resolve
from ..plugin_utils.merge.wishes import Merged, Validator, merge, unknown

GPU_OPTIONS = [setting.option for setting in SETTINGS.values()]


class ActionModule(ActionBase):
    """Gathers levels, merges, and answers with one set of module options per layer."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"layers": {"type": "list", "elements": "str", "required": True}}
        )
        try:
            result.update(self._merged(arguments["layers"], task_vars))
        except BindError as error:
            raise AnsibleActionFail(
                "nothing was changed, the wishes for "
                + str(task_vars.get("inventory_hostname"))
                + " are refused:\n  - "
                + "\n  - ".join(str(problem) for problem in error.problems),
                result={"layer": "merge", "problems": [vars(problem) for problem in error.problems]},
            ) from None
        return result

    def _merged(self, layers: list[str], task_vars: dict[str, Any]) -> dict[str, Any]:
        unknown_layers = sorted(set(layers) - set(schema.known_layers()))
        if unknown_layers:
            allowed = "one of " + ", ".join(schema.known_layers())
            raise BindError([Problem("layers", name, allowed, "task") for name in unknown_layers])
        levels = self._levels(layers, task_vars)
        complaints = unknown(layers, levels)
        if complaints:
            raise BindError(complaints)
        profile = self._profile(levels, task_vars)
        merged = merge(layers, levels, profile, _validators())
        run = _run(task_vars)
        return {
            "changed": False,
            "profile": profile.label if profile else None,
            "layers": {layer: _options(layer, merged, run) for layer in layers},
            "node": {key: merged.values.get(key) for key in schema.NODE_OPTIONS},
            "explain": merged.explain,
        }

    # -- levels

    def _levels(self, layers: list[str], task_vars: dict[str, Any]) -> list[Level]:
        manager = self._task.get_variable_manager()
        sources = list(task_vars.get("ansible_inventory_sources") or [])
        inventory = getattr(manager, "_inventory", None)
        if inventory is None:  # not a documented attribute: without it the inventory is read again
            inventory = InventoryManager(loader=self._loader, sources=sources)
        names = list(schema.NODE_OPTIONS)
        for layer in layers:
            names += schema.layer_options(layer)
        extra = dict(getattr(manager, "extra_vars", {}) or {})
        host = task_vars["inventory_hostname"]
        levels = inventory_levels(inventory, self._loader, sources, self._loader.get_basedir(), host)
        above = play_level(levels, task_vars, extra, names)
        suspects = {name: value for name, value in extra.items() if name not in names}
        for level in above:
            if level.origin == "extra vars":
                level.variables.update(suspects)
                suspects = {}
        if suspects:
            above.append(Level("extra vars", EXTRA_RANK, suspects))
        return [self._templated(level, names) for level in levels + above]

    def _templated(self, level: Level, names: list[str]) -> Level:
        """The level with the variables we know rendered; others are kept as they are and never looked into."""
        rendered = dict(level.variables)
        for name in names:
            if name not in rendered:
                continue
            try:
                rendered[name] = _plain(self._templar.template(rendered[name]))
            except Exception as error:  # noqa: BLE001 - whatever templating raises is the operator's to see
                allowed = f"a value or a template that renders: {error}"
                raise BindError([Problem(name, str(rendered[name]), allowed, level.origin)]) from error
        return Level(level.origin, level.rank, rendered, level.name, level.ancestors)

    # -- profile

    def _profile(self, levels: list[Level], task_vars: dict[str, Any]) -> profiles.Profile | None:
        winner = resolve("node_profile", candidates(levels, "node_profile"))
        if winner is None or winner.value in (None, "", "none"):
            return None
        directories = [Path(source) for source in self._profile_dirs(levels, task_vars)]
        return profiles.load(str(winner.value), winner.origin, directories)

    def _profile_dirs(self, levels: list[Level], task_vars: dict[str, Any]) -> list[str]:
        """The operator's own profiles: `profiles/` beside the inventory, then what the variable names."""
        beside = Path(str(task_vars.get("inventory_dir") or "."))
        chosen = resolve("node_profile_dirs", candidates(levels, "node_profile_dirs"))
        named = [beside / str(item) for item in (chosen.value if chosen and chosen.value else [])]
        missing = [item for item in named if not item.is_dir()]
        if missing and chosen:
            allowed = "directories that exist, relative to the inventory"
            raise BindError([Problem("node_profile_dirs", str(missing[0]), allowed, chosen.origin)])
        return [str(item) for item in [beside / "profiles", *named] if item.is_dir()]


def _plain(value: Any) -> Any:
    """Templated values as plain Python, so that they compare and travel like any other."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return value if kind is bool else kind(value)
    return value


def _validators() -> dict[str, Validator]:
    def of(option: str) -> Callable[[Any], list[tuple[Any, str]]]:
        return lambda value: mistakes_in(option, value)

    found: dict[str, Validator] = {f"gpu_{option}": of(option) for option in GPU_OPTIONS}
    found["node_expect"] = _expect_mistakes
    return found


def _expect_mistakes(value: dict[str, Any]) -> list[tuple[Any, str]]:
    known = {"gpu": str, "count": int, "uniform": bool}
    mistakes: list[tuple[Any, str]] = []
    for key, item in value.items():
        kind = known.get(key)
        if kind is None:
            mistakes.append((key, "only gpu (model), count (number) and uniform (true or false)"))
        elif not isinstance(item, kind) or (kind is int and (isinstance(item, bool) or item < 0)):
            mistakes.append((f"{key}: {item}", f"{key} as {kind.__name__}"))
    return mistakes


def _options(layer: str, merged: Merged, run: dict[str, Any]) -> dict[str, Any]:
    """The layer's module options that somebody asks for, without the layer's prefix."""
    prefix = f"{layer}_"
    chosen = {
        name[len(prefix) :]: value
        for name, value in merged.values.items()
        if name.startswith(prefix) and name != "kernel_allow_unknown"
    }
    chosen["origins"] = _origins(layer, merged)
    chosen["max_disruption"] = merged.values.get("node_max_disruption", "perf")
    chosen["run"] = run
    if layer == "gpu" and "node_expect" in merged.values:
        chosen["expect"] = merged.values["node_expect"]
    return chosen


def _origins(layer: str, merged: Merged) -> dict[str, str]:
    """Origins under the names the layer's module knows: options, and the keys of its maps."""
    found = {}
    for name, origin in merged.origins.items():
        if name.startswith(f"{layer}_"):
            found[name[len(layer) + 1 :]] = origin
        elif layer == "kernel" and name in merged.values.get("kernel_sysctl", {}):
            found[name] = origin
        elif layer == "gpu" and name == "node_expect":
            found["expect"] = origin
    if layer == "kernel":
        for option, key in (("thp", "thp.enabled"), ("thp_defrag", "thp.defrag")):
            if option in found:
                found[key] = found[option]
    return found


def _run(task_vars: dict[str, Any]) -> dict[str, Any]:
    """Who runs this: kept in the node's log of changes."""
    return {
        "user": getpass.getuser(),
        "controller": platform.node(),
        "job": os.environ.get("JOB_ID") or task_vars.get("awx_job_id") or task_vars.get("tower_job_id"),
        "collection": VERSION,
    }
