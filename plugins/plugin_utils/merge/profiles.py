# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: named, versioned sets of values, each beside its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.yaml import SafeLoader

from ...module_utils.core.errors import BindError, Problem

SHIPPED = Path(__file__).resolve().parents[3] / "profiles"

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_PAIR = {"value", "source"}


@dataclass
class Profile:
    """`values` and `sources`: layer → key → value/source; the map `sysctl` nests one level deeper."""

    name: str
    version: int
    path: str
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


class _UniqueKeys(SafeLoader):
    """Refuses a key that stands twice in one mapping, where YAML silently takes the later."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for name, _value in node.value:
            key = (name.tag, name.value) if isinstance(name, yaml.ScalarNode) else None
            if key in seen:
                problem = f"the key {name.value!r} stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, name.start_mark)
            seen.update([key] if key else [])
        return super().construct_mapping(node, deep)


def available(directories: list[Path]) -> dict[str, dict[int, Path]]:
    """Name → version → file. A name in one directory must not come again in another.

    Raises BindError naming both places.
    """
    found: dict[str, dict[int, Path]] = {}
    for directory in dict.fromkeys([SHIPPED, *(item.resolve() for item in directories)]):
        for path in sorted(directory.glob("*/*.yml")):
            if not _VERSION.fullmatch(path.stem):
                continue
            versions = found.setdefault(path.parent.name, {})
            rival = next(iter(versions.values()), None)
            if rival is not None and rival.parent != path.parent:
                allowed = f"a name of its own; {rival.parent} has this name already"
                raise BindError([Problem("node_profile", path.parent.name, allowed, str(path.parent))])
            versions[int(path.stem)] = path
    return found


def load(wish: str, origin: str, directories: list[Path]) -> Profile:
    """The profile `training@1`, or the newest version of `training`. Raises BindError."""
    found = available(directories)
    name, at, version = str(wish).partition("@")
    versions = found.get(name, {})
    chosen = int(version) if _VERSION.fullmatch(version) else max(versions, default=0)
    if chosen not in versions or (at and version != str(chosen)):
        names = ", ".join(f"{known}@{number}" for known in sorted(found) for number in sorted(found[known]))
        own = "or a profile of your own (profiles/<name>/<version>.yml beside the inventory)"
        raise BindError([Problem("node_profile", wish, f"one of {names}, {own}", origin)])
    path = versions[chosen]
    try:
        body = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BindError(
            [Problem("node_profile", wish, f"a readable YAML file: {reason}", str(path))]
        ) from error
    return parse(body, path)


def parse(body: Any, path: Path) -> Profile:
    """A profile's YAML as Profile. Raises BindError with everything that is not of the form."""
    if not isinstance(body, dict):
        raise BindError([Problem("profile", body, "a dictionary with name, version and layers", str(path))])
    profile = Profile(path.parent.name, int(path.stem), str(path))
    problems = []
    if (body.get("name"), body.get("version")) != (profile.name, profile.version):
        allowed = f"name {profile.name} and version {profile.version}, as the path says"
        written = f"{body.get('name')}@{body.get('version')}"
        problems.append(Problem("profile", written, allowed, str(path)))
    for layer, keys in body.items():
        if layer in ("name", "version", "summary"):
            continue
        if not isinstance(keys, dict):
            problems.append(Problem(str(layer), keys, "a dictionary of settings", str(path)))
            continue
        values, sources = profile.values.setdefault(layer, {}), profile.sources.setdefault(layer, {})
        for key, entry in keys.items():
            mistakes = [
                Problem(name, wrong, allowed, str(path))
                for name, wrong, allowed in _mistakes(layer, key, entry)
            ]
            problems += mistakes
            if not mistakes:
                values[key], sources[key] = _split(entry)
    if problems:
        raise BindError(problems)
    return profile


def _split(entry: dict[str, Any]) -> tuple[Any, Any]:
    """(value, source) of an entry, or both as maps for one that has an entry per key."""
    if _is_pair(entry):
        return entry["value"], entry["source"]
    return (
        {name: inner["value"] for name, inner in entry.items()},
        {name: inner["source"] for name, inner in entry.items()},
    )


def _mistakes(layer: str, key: str, entry: Any) -> Iterator[tuple[str, Any, str]]:
    """(key, value, what is allowed) for everything in an entry that is not of the form."""
    if not isinstance(entry, dict) or not entry:
        yield f"{layer}.{key}", entry, "value and source"
        return
    pairs = (
        [(f"{layer}.{key}", entry)]
        if _PAIR & set(entry)
        else [(f"{layer}.{key}.{name}", inner) for name, inner in entry.items()]
    )
    for name, pair in pairs:
        if not _is_pair(pair):
            yield name, pair, "value and source"
        elif not isinstance(pair["source"], str) or not pair["source"].strip():
            yield f"{name}.source", pair["source"], "a text that says where the value was taken from"


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and set(entry) == _PAIR
