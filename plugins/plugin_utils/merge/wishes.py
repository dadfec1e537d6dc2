# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All wishes for one host: levels and profile in, one checked set per layer out. Pure but for the shipped tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from ...module_utils.kernel.sysctl_conf import canonical, display
from . import catalogue, schema
from .profiles import Profile
from .resolve import PROFILE_RANK, Candidate, Level, Resolved, candidates, resolve, split_map

MAPS: dict[str, Callable[[str], str]] = {"kernel_sysctl": lambda name: display(canonical(name))}
"""Variables merged key by key → how their keys are spelt."""

Validator = Callable[[Any], "list[tuple[Any, str]]"]


@dataclass
class Merged:
    """What is wished of one host.

    values: variable → value in force (maps already merged); absent = nobody asks for it
    origins: variable, or key of a map, → where it came from
    explain: one entry per key, with winner, losers and source
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    explain: list[dict[str, Any]] = field(default_factory=list)


def merge(
    layers: list[str], levels: list[Level], profile: Profile | None, validators: dict[str, Validator]
) -> Merged:
    """Resolves every variable of the layers. Raises BindError with every problem found.

    validators: variable → function giving (value, what is allowed) for each mistake in a value
    """
    merged, problems = Merged(), []
    options = dict(schema.NODE_OPTIONS)
    for layer in layers:
        options.update(schema.layer_options(layer))
    problems += _profile_problems(profile, layers)
    for variable, spec in options.items():
        try:
            found = _with_profile(profile, variable, candidates(levels, variable))
            if variable in MAPS:
                problems += _resolve_map(merged, variable, found)
            else:
                problems += _resolve_scalar(merged, variable, spec, found, validators.get(variable))
        except BindError as error:
            problems += error.problems
    problems += _catalogue_problems(merged)
    if problems:
        raise BindError(problems)
    return merged


def unknown(layers: list[str], levels: list[Level]) -> list[Problem]:
    """Misspelt variables, wherever they are set. `node_ignore_variables` exempts."""
    ignored = [item for found in candidates(levels, "node_ignore_variables") for item in found.value or []]
    names = sorted({name for level in levels for name in level.variables})
    problems = []
    for name in schema.unknown_variables(names, schema.known_layers(), ignored):
        found = candidates(levels, name)[-1]
        problems.append(schema.unknown_problem(name, schema.known_layers(), found.value, found.origin))
    return problems


def _with_profile(profile: Profile | None, variable: str, found: list[Candidate]) -> list[Candidate]:
    layer, _underscore, key = variable.partition("_")
    if profile is None or key not in profile.values.get(layer, {}):
        return found
    value, source = profile.values[layer][key], profile.sources[layer][key]
    item = Candidate(value, f"profile {profile.label}", PROFILE_RANK, source=source)
    return [item, *found]


def _profile_problems(profile: Profile | None, layers: list[str]) -> list[Problem]:
    """A profile may speak of layers this call is not about, never of options that do not exist."""
    if profile is None:
        return []
    problems = []
    for layer, keys in profile.values.items():
        if layer not in schema.known_layers():
            allowed = "one of " + ", ".join(schema.known_layers())
            problems.append(Problem(layer, "layer", allowed, profile.path))
            continue
        for key in keys:
            if f"{layer}_{key}" not in schema.layer_options(layer):
                problems.append(
                    schema.unknown_problem(f"{layer}_{key}", [layer], keys[key], f"profile {profile.label}")
                )
    return problems


def _resolve_scalar(
    merged: Merged,
    variable: str,
    spec: dict[str, Any],
    found: list[Candidate],
    validate: Validator | None,
) -> list[Problem]:
    problems, usable = [], []
    for item in found:
        value, problem = schema.checked(variable, spec, item.value, item.origin)
        mistakes = validate(value) if validate and value is not None and problem is None else []
        found_problems = [Problem(variable, wrong, allowed, item.origin) for wrong, allowed in mistakes]
        if problem or found_problems:
            problems += [problem] if problem else found_problems
        else:
            usable.append(Candidate(value, item.origin, item.rank, item.name, item.ancestors, item.source))
    winner = None if problems else resolve(variable, usable)
    if winner:
        _keep(merged, variable, winner)
        if winner.value is not None:
            merged.values[variable] = winner.value
    return problems


def _resolve_map(merged: Merged, variable: str, found: list[Candidate]) -> list[Problem]:
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, items in sorted(split_map(found, MAPS[variable]).items()):
        try:
            winner = resolve(key, [_with_source(item, key) for item in items])
        except BindError as error:
            problems += error.problems
            continue
        if winner is None:
            continue
        _keep(merged, key, winner, f"{variable}.{key}")
        if winner.value is not None:  # null: leave alone, whatever a lower level says
            values[key] = winner.value
    if values:
        merged.values[variable] = values
    return problems


def _with_source(item: Candidate, key: str) -> Candidate:
    """A profile's map of sources → the source of this one key."""
    sources: Any = item.source
    if not isinstance(sources, dict):
        return item
    source = next((text for name, text in sources.items() if display(canonical(name)) == key), "")
    return Candidate(item.value, item.origin, item.rank, item.name, item.ancestors, source)


def _keep(merged: Merged, key: str, winner: Resolved, shown: str = "") -> None:
    merged.origins[key] = winner.origin
    merged.explain.append({**winner.as_explained(), "key": shown or key})


def _catalogue_problems(merged: Merged) -> list[Problem]:
    allow = bool(merged.values.get("kernel_allow_unknown", False))
    trusted = bool(merged.values.get("node_trusted_tenancy", False))
    found = (
        catalogue.check(key, value, merged.origins.get(key, ""), allow, trusted)
        for key, value in merged.values.get("kernel_sysctl", {}).items()
    )
    return [problem for problem in found if problem is not None]
