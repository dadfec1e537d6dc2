# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: named, versioned sets of values, each beside its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ...module_utils.core.errors import BindError, Problem

SHIPPED = Path(__file__).resolve().parents[3] / "profiles"


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


def available(directories: list[Path]) -> dict[str, dict[int, Path]]:
    """Name → version → file. A name in one directory must not come again in another.

    Raises BindError naming both places.
    """
    found: dict[str, dict[int, Path]] = {}
    for directory in [SHIPPED, *directories]:
        for path in sorted(directory.glob("*/*.yml")):
            if not path.stem.isdigit():
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
    names = ", ".join(f"{known}@{number}" for known in sorted(found) for number in sorted(found[known]))
    if name not in found or (at and (not version.isdigit() or int(version) not in found[name])):
        raise BindError([Problem("node_profile", wish, f"one of {names}, or a profile of your own", origin)])
    path = found[name][int(version) if at else max(found[name])]
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BindError([Problem("node_profile", wish, f"a readable YAML file: {error}", str(path))]) from error
    return parse(body, path)


def parse(body: Any, path: Path) -> Profile:
    """A profile's YAML as Profile. Raises BindError for anything that is not of the form."""
    if not isinstance(body, dict):
        raise BindError([Problem("profile", body, "a dictionary with name, version and layers", str(path))])
    expected = (path.parent.name, int(path.stem))
    if (body.get("name"), body.get("version")) != expected:
        allowed = f"name {expected[0]} and version {expected[1]}, as the path says"
        raise BindError([Problem("profile", f"{body.get('name')}@{body.get('version')}", allowed, str(path))])
    profile = Profile(expected[0], expected[1], str(path))
    for layer, keys in body.items():
        if layer in ("name", "version", "summary"):
            continue
        profile.values[layer], profile.sources[layer] = _layer(layer, keys, path)
    return profile


def _layer(layer: str, keys: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    values: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    if not isinstance(keys, dict):
        raise BindError([Problem(layer, keys, "a dictionary of settings", str(path))])
    for key, entry in keys.items():
        if not isinstance(entry, dict) or not entry:
            raise BindError([Problem(f"{layer}.{key}", entry, "value and source", str(path))])
        if set(entry) == {"value", "source"}:
            values[key], sources[key] = entry["value"], str(entry["source"])
            continue
        values[key], sources[key] = {}, {}
        for name, inner in entry.items():
            if not isinstance(inner, dict) or set(inner) != {"value", "source"}:
                raise BindError([Problem(f"{layer}.{key}.{name}", inner, "value and source", str(path))])
            values[key][name], sources[key][name] = inner["value"], str(inner["source"])
    return values, sources
