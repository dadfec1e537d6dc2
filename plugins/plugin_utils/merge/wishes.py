# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All wishes for one host: levels and profile in, one checked set out. Pure but for the shipped tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from ...module_utils.kernel.model import SYSFS
from ...module_utils.kernel.sysctl_conf import canonical, display, normalise
from . import catalogue, schema
from .profiles import Profile
from .resolve import (
    PROFILE_RANK,
    Candidate,
    Level,
    Resolved,
    Unrendered,
    candidates,
    outranked,
    resolve,
    split_map,
)

MAPS: dict[str, Callable[[str], str]] = {"kernel_sysctl": lambda name: display(canonical(name))}
"""Variables merged key by key → how their keys are spelt."""

Validator = Callable[[Any], "list[tuple[Any, str]]"]


@dataclass
class Merged:
    """What is wished of one host.

    values: variable → value in force (maps already merged); absent = nobody asks for it
    origins: variable, or key of a map, → where it came from
    explain: one entry per key, with winner, losers and source
    named: map → every key anybody names, those to be left alone too
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    explain: list[dict[str, Any]] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)


def merge(
    layers: list[str], levels: list[Level], profile: Profile | None, validators: dict[str, Validator]
) -> Merged:
    """Resolves every variable of the layers. Raises BindError with every problem found.

    validators: variable → function giving (value, what is allowed) for each mistake in a value
    """
    merged, problems = Merged(), _profile_problems(profile)
    options = dict(schema.NODE_OPTIONS)
    for layer in layers:
        options.update(schema.layer_options(layer))
    for variable, spec in options.items():
        found = _with_profile(profile, variable, candidates(levels, variable))
        try:
            if variable in MAPS:
                problems += _resolve_map(merged, variable, _usable(variable, spec, found))
            else:
                _resolve_scalar(merged, variable, _usable(variable, spec, found, validators.get(variable)))
        except BindError as error:
            problems += error.problems
    problems += _catalogue_problems(merged)
    if problems:
        raise BindError([_with_path(problem, profile) for problem in problems])
    return merged


def _with_path(problem: Problem, profile: Profile | None) -> Problem:
    """A mistake in a profile is mended in its file, so the file is named."""
    if profile is None or problem.origin != f"profile {profile.label}":
        return problem
    return replace(problem, origin=f"{problem.origin}, {profile.path}")


def decide(levels: list[Level], variable: str) -> Resolved | None:
    """One of `NODE_OPTIONS` by itself, for what has to be known before the rest. Raises BindError."""
    return resolve(variable, _usable(variable, schema.NODE_OPTIONS[variable], candidates(levels, variable)))


def unknown(levels: list[Level]) -> list[Problem]:
    """Misspelt variables, wherever they are set. `node_ignore_variables` exempts."""
    try:
        spec = schema.NODE_OPTIONS["node_ignore_variables"]
        lists = _usable("node_ignore_variables", spec, candidates(levels, "node_ignore_variables"))
    except BindError as error:
        return error.problems
    ignored = [name for item in lists for name in item.value or []]
    names = sorted({str(name) for level in levels for name in level.variables})
    layers = schema.known_layers()
    problems = []
    for name in schema.unknown_variables(names, layers, ignored):
        found = candidates(levels, name)[-1]
        problems.append(schema.unknown_problem(name, layers, found.value, found.origin))
    return problems


def _with_profile(profile: Profile | None, variable: str, found: list[Candidate]) -> list[Candidate]:
    if profile is None:
        return found
    return [
        Candidate(value, f"profile {profile.label}", PROFILE_RANK, source=profile.sources[layer][key])
        for layer, keys in profile.values.items()
        for key, value in keys.items()
        if f"{layer}_{key}" == variable
    ] + found


def _profile_problems(profile: Profile | None) -> list[Problem]:
    """A profile may speak of layers this call is not about, never of options that do not exist."""
    if profile is None:
        return []
    problems = []
    for layer, keys in profile.values.items():
        if layer not in schema.known_layers():
            allowed = "a layer: " + ", ".join(schema.known_layers())
            problems.append(Problem(str(layer), sorted(map(str, keys)), allowed, profile.path))
            continue
        for key, value in keys.items():
            name = f"{layer}_{key}"
            if name not in schema.layer_options(layer):
                problems.append(schema.unknown_problem(name, [layer], value, profile.path))
    return problems


def _usable(
    variable: str, spec: dict[str, Any], found: list[Candidate], validate: Validator | None = None
) -> list[Candidate]:
    """The candidates with their values as the option's type. Raises BindError with all that are not.

    A template that does not render for this host is no mistake where another level decides anyway: plain
    Ansible would never have looked at it. Every level of a map counts, so there it is one.
    """
    problems, usable = [], []
    for item in found:
        if isinstance(item.value, Unrendered):
            if variable in MAPS or not outranked(item, found):
                allowed = f"a value or a template that renders: {item.value.error}"
                problems.append(Problem(variable, item.value.text, allowed, item.origin))
            else:
                usable.append(replace(item, value=item.value.text))
            continue
        value, problem = schema.checked(variable, spec, item.value, item.origin)
        mistakes = validate(value) if validate and value is not None else []
        problems += [problem] if problem else []
        problems += [Problem(variable, wrong, allowed, item.origin) for wrong, allowed in mistakes]
        usable.append(replace(item, value=value))
    if problems:
        raise BindError(problems)
    return usable


def _resolve_scalar(merged: Merged, variable: str, usable: list[Candidate]) -> None:
    winner = resolve(variable, usable)
    if winner:
        _keep(merged, variable, winner)
        if winner.value is not None:
            merged.values[variable] = winner.value


def _resolve_map(merged: Merged, variable: str, usable: list[Candidate]) -> list[Problem]:
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, items in sorted(split_map(usable, MAPS[variable], normalise).items()):
        try:
            winner = resolve(key, [_with_source(item, key) for item in items], normalise)
        except BindError as error:
            problems += error.problems
            continue
        if winner is None:
            continue
        _keep(merged, key, winner, f"{variable}.{key}")
        values[key] = winner.value  # null: leave alone, whatever a lower level says
    merged.named[variable] = list(values)
    kept = {key: value for key, value in values.items() if value is not None}
    if kept:
        merged.values[variable] = kept
    return problems


def _with_source(item: Candidate, key: str) -> Candidate:
    """A profile's map of sources → the source of this one key."""
    sources: Any = item.source
    if not isinstance(sources, dict):
        return item
    source = next((text for name, text in sources.items() if display(canonical(name)) == key), "")
    return replace(item, source=source)


def _keep(merged: Merged, key: str, winner: Resolved, shown: str = "") -> None:
    merged.origins[key] = winner.origin
    merged.explain.append({**winner.as_explained(), "key": shown or key})


def _catalogue_problems(merged: Merged) -> list[Problem]:
    allow = bool(merged.values.get("kernel_allow_unknown", False))
    trusted = bool(merged.values.get("node_trusted_tenancy", False))
    values = merged.values.get("kernel_sysctl", {})
    found = (
        catalogue.check(key, values.get(key), merged.origins.get(key, ""), allow, trusted)
        for key in merged.named.get("kernel_sysctl", [])
    )
    return [problem for problem in found if problem is not None] + _required_problems(merged, allow)


def _required_problems(merged: Merged, allow: bool) -> list[Problem]:
    """A misspelt name in `kernel_required` would silently require nothing."""
    wished = merged.named.get("kernel_sysctl", [])
    origin = merged.origins.get("kernel_required", "")
    problems = []
    for name in merged.values.get("kernel_required", []):
        key = MAPS["kernel_sysctl"](str(name))
        if key in wished or name in SYSFS:
            continue
        problem = catalogue.check(key, None, origin, allow, trusted=True)
        if problem:
            problems.append(replace(problem, key="kernel_required", value=name))
    return problems
