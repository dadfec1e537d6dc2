# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action `swarm.node.merge`: what is wished of this host, decided on the controller, without a connection."""

from __future__ import annotations

import getpass
import os
import platform
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.plugins.action import ActionBase

from ..module_utils.core.errors import BindError, Problem
from ..module_utils.core.version import VERSION
from ..module_utils.gpu.settings import RESET, SETTINGS, mistakes_in
from ..module_utils.gpu_mig.wishes import mistakes_in_layout, mistakes_in_layouts
from ..module_utils.gpu_topology.nccl_part import mistakes_in_nccl
from ..plugin_utils.merge import profiles, schema
from ..plugin_utils.merge.levels import inventory_levels, play_level
from ..plugin_utils.merge.resolve import EXTRA_RANK, PLAY_RANK, Level, Unrendered
from ..plugin_utils.merge.wishes import Merged, Validator, decide, merge, unknown
from ..plugin_utils.mesh import wishes as mesh_wishes
from ..plugin_utils.transport import wishes as transport_wishes

BATCH = re.compile(r"[1-9][0-9]*|([1-9][0-9]?|100)%")
"""One size in `node_batches`."""

GPU_OPTIONS = [*(setting.option for setting in SETTINGS.values()), RESET]


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
        problems, profile, merged = unknown(levels), None, Merged()
        try:
            profile = self._profile(levels, task_vars)
        except BindError as error:
            problems += error.problems
        try:
            merged = merge(layers, levels, profile, _validators())
        except BindError as error:
            problems += [problem for problem in error.problems if problem not in problems]
        problems += _layout_problems(merged)
        if problems:
            raise BindError(problems)
        run = _run(task_vars)
        chosen = {layer: _options(layer, merged, run) for layer in layers}
        if "transport" in chosen:
            _note_beaten(merged, chosen["transport"])
        return {
            "changed": False,
            "profile": profile.label if profile else None,
            "layers": chosen,
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
        above += _suspects(levels, task_vars, extra, names)
        return [self._templated(level, names) for level in levels + above]

    def _templated(self, level: Level, names: list[str]) -> Level:
        """The level with the variables we know rendered; others are kept as they are, never looked into."""
        rendered = dict(level.variables)
        for name in names:
            if name not in rendered:
                continue
            try:
                rendered[name] = _plain(self._templar.template(rendered[name]))
            except Exception as error:  # noqa: BLE001 - whatever templating raises is the operator's to see
                rendered[name] = Unrendered(str(rendered[name]), str(error))
        return replace(level, variables=rendered)

    # -- profile

    def _profile(self, levels: list[Level], task_vars: dict[str, Any]) -> profiles.Profile | None:
        winner = decide(levels, "node_profile")
        if winner is None or winner.value in (None, "", "none"):
            return None
        return profiles.load(winner.value, winner.origin, self._profile_dirs(levels, task_vars))

    def _profile_dirs(self, levels: list[Level], task_vars: dict[str, Any]) -> list[Path]:
        """The operator's own profiles: `profiles/` beside the inventory, then what the variable names.

        What lies in an inventory directory Ansible reads as inventory, so beside it counts too.
        An inventory that is no file (`-i host,`) has nothing beside it; names are relative to the playbook.
        """
        inventory = task_vars.get("inventory_dir")
        base = Path(str(inventory or self._loader.get_basedir()))
        chosen = decide(levels, "node_profile_dirs")
        named = [base / item for item in (chosen.value if chosen and chosen.value else [])]
        missing = [item for item in named if not item.is_dir()]
        if missing and chosen:
            allowed = "directories that exist, relative to the inventory"
            raise BindError(
                [Problem("node_profile_dirs", str(item), allowed, chosen.origin) for item in missing]
            )
        sources = [Path(str(item)).resolve() for item in task_vars.get("ansible_inventory_sources") or []]
        places = [base, base.parent] if base.resolve() in sources else [base]
        beside = [place / "profiles" for place in places if inventory and (place / "profiles").is_dir()]
        return [*beside, *named]


def _suspects(
    levels: list[Level], task_vars: dict[str, Any], extra: dict[str, Any], names: list[str]
) -> list[Level]:
    """What may be a misspelt variable of ours above the inventory.

    Among extra vars any name may be; play vars and registered results have names of their own, so there
    only near misses count.
    """
    inventory = {name for level in levels for name in level.variables}
    others = [name for name in task_vars if name not in inventory and name not in extra]
    near = schema.near_misses(others, schema.known_layers())
    found = [Level("play or role", PLAY_RANK, {name: task_vars[name] for name in near})] if near else []
    given = {name: value for name, value in extra.items() if name not in names}
    return [*found, Level("extra vars", EXTRA_RANK, given)] if given else found


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


def _user() -> str:
    """The account by name, or by number where it has none, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"


def _validators() -> dict[str, Validator]:
    def of(option: str) -> Callable[[Any], list[tuple[Any, str]]]:
        return lambda value: mistakes_in(option, value)

    found: dict[str, Validator] = {f"gpu_{option}": of(option) for option in GPU_OPTIONS}
    found["node_expect"] = _expect_mistakes
    found["node_batches"] = _batch_mistakes
    found["node_freeze"] = _freeze_mistakes
    found["gpu_nccl"] = mistakes_in_nccl
    found["gpu_mig_layouts"] = mistakes_in_layouts
    found.update(mesh_wishes.validators())
    found.update(transport_wishes.validators())
    return found


def _layout_problems(merged: Merged) -> list[Problem]:
    """Layouts may be named, and what a name stands for may be said at another level."""
    mistakes = mistakes_in_layout(merged.values.get("gpu_mig"), merged.values.get("gpu_mig_layouts"))
    origin = merged.origins.get("gpu_mig", "")
    return [Problem("gpu_mig", value, allowed, origin) for value, allowed in mistakes]


def _batch_mistakes(value: list[Any]) -> list[tuple[Any, str]]:
    """Ansible takes 0 and what is below for "all at once", and fails on words after the pre-flight."""
    if value and all(BATCH.fullmatch(str(item)) for item in value):
        return []
    return [(value, "a list that is not empty, of whole numbers from 1 or shares from 1% to 100%")]


def _freeze_mistakes(value: Any) -> list[tuple[Any, str]]:
    good = isinstance(value, (bool, str))
    return [] if good else [(value, "true, false, or the reason in words")]


def _expect_mistakes(value: dict[str, Any]) -> list[tuple[Any, str]]:
    known: dict[str, tuple[type, str]] = {
        "gpu": (str, "a model"),
        "count": (int, "a whole number"),
        "uniform": (bool, "true or false"),
    }
    mistakes: list[tuple[Any, str]] = []
    for key, item in value.items():
        if key not in known:
            mistakes.append((key, "only gpu (model), count (number) and uniform (true or false)"))
            continue
        kind, allowed = known[key]
        number = isinstance(item, int) and not isinstance(item, bool) and item >= 0
        if not (number if kind is int else isinstance(item, kind)):
            mistakes.append((f"{key}: {item}", f"{key} as {allowed}"))
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
    chosen["freeze"] = _freeze(merged)
    if layer == "gpu" and "node_expect" in merged.values:
        chosen["expect"] = merged.values["node_expect"]
    if layer == "transport":
        chosen.update(transport_wishes.additions(chosen, merged.values.get("kernel_sysctl", {})))
    return chosen


def _note_beaten(merged: Merged, wishes: dict[str, Any]) -> None:
    """What `kernel_sysctl` names outright beats what would be reckoned; `explain` says so."""
    for entry in merged.explain:
        key = entry["key"].removeprefix("kernel_sysctl.")
        if key != entry["key"] and key in wishes["left_to_kernel"]:
            entry["losers"] = [*transport_wishes.beaten(wishes, wishes["origins"], key), *entry["losers"]]


def _freeze(merged: Merged) -> str:
    """Why the node must stay as it is, with where that was said; "" where nobody says so."""
    reason = str(merged.values.get("node_freeze") or "").strip()
    if reason.lower() in ("", "false", "no", "off"):  # Of -e node_freeze=false comes a text.
        return ""
    said = "" if reason.lower() in ("true", "yes", "on") else f": {reason}"
    return f"node_freeze ({merged.origins['node_freeze']}){said}"


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
        "user": _user(),
        "controller": platform.node(),
        "job": os.environ.get("JOB_ID") or task_vars.get("awx_job_id") or task_vars.get("tower_job_id"),
        "collection": VERSION,
    }
