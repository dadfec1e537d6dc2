# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables exist, and what they may hold: read from the roles' argument specs."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ansible.module_utils.common.validation import (
    check_type_bool,
    check_type_dict,
    check_type_float,
    check_type_int,
    check_type_list,
    check_type_str,
)
from ansible.module_utils.common.yaml import yaml_load

from ...module_utils.core.errors import Problem

ROLES = Path(__file__).resolve().parents[3] / "roles"

NODE_OPTIONS: dict[str, dict[str, Any]] = {
    "node_profile": {"type": "str"},
    "node_profile_dirs": {"type": "list", "elements": "str"},
    "node_expect": {"type": "dict"},
    "node_max_disruption": {
        "type": "str",
        "choices": ["none", "perf", "node_jobs", "peer_jobs", "reboot"],
    },
    "node_trusted_tenancy": {"type": "bool"},
    "node_ignore_variables": {"type": "list", "elements": "str"},
    "node_batches": {"type": "list"},
    "node_freeze": {"type": "raw"},
}
"""Variables that belong to no single layer; docs/variables.md describes them."""

_CHECKS: dict[str, Callable[[Any], Any]] = {
    "bool": check_type_bool,
    "dict": check_type_dict,
    "float": check_type_float,
    "int": check_type_int,
    "list": check_type_list,
    "path": check_type_str,
    "raw": lambda value: value,
    "str": lambda value: check_type_str(value, allow_conversion=False),
}


@functools.lru_cache(maxsize=32)
def layer_options(layer: str) -> dict[str, dict[str, Any]]:
    """Variable → its argument spec entry, for one layer. Raises FileNotFoundError for an unknown layer."""
    path = ROLES / layer / "meta" / "argument_specs.yml"
    body = yaml_load(path.read_text(encoding="utf-8"))
    return dict(body["argument_specs"]["main"]["options"])


def known_layers() -> list[str]:
    """Layers that have a role with an argument spec."""
    return sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml"))


def unknown_variables(names: list[str], layers: list[str], ignore: list[str]) -> list[str]:
    """Variables that begin with a layer's name and are none of its options.

    A misspelt option would otherwise do nothing and say nothing. `node_` begins variables of many
    other tools, so there only what nearly spells one of ours counts.
    """
    known = _known(layers)
    prefixes = tuple(f"{layer}_" for layer in layers)

    def suspicious(name: str) -> bool:
        if name.startswith("node_"):
            return bool(difflib.get_close_matches(name, NODE_OPTIONS, n=1, cutoff=0.85))
        return name.startswith(prefixes)

    return sorted(name for name in names if name not in known and name not in ignore and suspicious(name))


def near_misses(names: Iterable[str], layers: list[str]) -> list[str]:
    """Names that nearly spell a variable of ours, for places full of names that are not our business."""
    known = _known(layers)
    prefixes = ("node_", *(f"{layer}_" for layer in layers))
    return [
        name
        for name in names
        if name.startswith(prefixes)
        and name not in known
        and difflib.get_close_matches(name, known, n=1, cutoff=0.9)
    ]


def _known(layers: list[str]) -> set[str]:
    return {*NODE_OPTIONS, *(option for layer in layers for option in layer_options(layer))}


def unknown_problem(name: str, layers: list[str], value: Any, origin: str) -> Problem:
    """The complaint about an unknown variable, with the nearest known one.

    The variable may be another tool's and a secret (what comes out of a vaulted file is plain text here):
    of its value only the kind is said.
    """
    if value is not None and not isinstance(value, (bool, int, float)):
        value = "a text" if isinstance(value, str) else f"a {type(value).__name__.lstrip('_')}"
    near = difflib.get_close_matches(name, sorted(_known(layers)), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}? " if near else ""
    allowed = f"{hint}an option of the role; another tool's name goes into node_ignore_variables"
    return Problem(name, value, allowed, origin)


def checked(name: str, spec: dict[str, Any], value: Any, origin: str) -> tuple[Any, Problem | None]:
    """The value as the option's type, or what is wrong with it. None means "leave alone"."""
    if value is None:
        return None, None
    kind = spec.get("type", "str")
    try:
        converted = _CHECKS[kind](value)
    except (TypeError, ValueError):
        return None, Problem(name, value, f"a value of type {kind}", origin)
    if kind == "list" and "elements" in spec:
        try:
            converted = [_CHECKS[spec["elements"]](item) for item in converted]
        except (TypeError, ValueError):
            return None, Problem(name, value, f"a list of type {spec['elements']}", origin)
    choices = spec.get("choices")
    if choices and converted not in choices:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return None, Problem(name, value, "one of " + ", ".join(map(str, choices)) + hint, origin)
    return converted, None
