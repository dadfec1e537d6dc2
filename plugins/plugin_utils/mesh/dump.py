# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry as text: the same registry always gives the same text, one line per member and link."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import yaml

from .registry import (
    AGGREGATE_ABOVE,
    SCHEMA,
    Foreign,
    Identity,
    Link,
    LinkPsk,
    Member,
    Registry,
    Settings,
    Way,
)

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_ALWAYS = ("number", "region", "port", "generation", "keys", "prefixes")
_RESOLVER = yaml.resolver.Resolver()


def dump_registry(registry: Registry) -> str:
    lines = [registry.header, f"schema: {SCHEMA}\n"]
    lines.append(f"mesh: {_scalar(registry.mesh)}\n")
    lines.append(f"settings: {_flow(_settings(registry.settings))}\n")
    lines.append(
        f"regions: {_flow({name: list(registry.regions[name]) for name in sorted(registry.regions)})}\n"
    )
    lines += _section("members", {name: _member(found) for name, found in registry.members.items()})
    if registry.foreign:
        lines += _section("foreign", {name: _plain(found) for name, found in registry.foreign.items()})
    lines.append("links:\n" if registry.links else "links: []\n")
    lines += [f"  - {_flow(_link(registry.links[pair]))}\n" for pair in sorted(registry.links)]
    if registry.ways:
        lines += ["ways:\n", *(f"  - {_flow(_way(way))}\n" for way in registry.ways)]
    if registry.departed:
        lines += _section("departed", {name: _plain(found) for name, found in registry.departed.items()})
    return "".join(lines)


def _section(title: str, entries: Mapping[str, Any]) -> list[str]:
    if not entries:
        return [f"{title}: {{}}\n"]
    return [f"{title}:\n"] + [f"  {_scalar(name)}: {_flow(entries[name])}\n" for name in sorted(entries)]


def _settings(settings: Settings) -> dict[str, Any]:
    found = {item.name: getattr(settings, item.name) for item in fields(settings)}
    found["mtu"] = settings.mtu or "auto"
    if settings.aggregate_above == AGGREGATE_ABOVE:
        # It came later: files of before stay as they are.
        del found["aggregate_above"]
    return found


def _member(member: Member) -> dict[str, Any]:
    return _plain(member)


def _plain(item: Member | Foreign | Any) -> dict[str, Any]:
    """Its fields, without the name and without what is as it would be anyway."""
    found: dict[str, Any] = {}
    for known in fields(item):
        value = getattr(item, known.name)
        empty = value in ("", (), False) or value == {}
        if known.name == "name" or (known.name not in _ALWAYS and empty):
            continue
        found[known.name] = dict(sorted(value.items())) if isinstance(value, Mapping) else value
    return found


def _link(link: Link) -> dict[str, Any]:
    found: dict[str, Any] = {"ends": link.ends, "slots": link.slots, **_identity(link.current)}
    found["side"] = link.side
    for name, identity in (("next", link.next), ("old", link.old)):
        if identity is not None:
            found[name] = _identity(identity)
    for name in ("leaving", "fresh", "held"):
        if getattr(link, name):
            found[name] = True
    if link.ms is not None:
        found["ms"] = link.ms
    return found


def _way(way: Way) -> dict[str, Any]:
    found: dict[str, Any] = {"at": way.at, "by": way.by}
    if way.to:
        found["to"] = _ranges(way.to)
    if way.blocks:
        found["blocks"] = _ranges(way.blocks)
    if way.kept:
        found["kept"] = True
    return found


def _ranges(numbers: Sequence[int]) -> list[Any]:
    """Ascending numbers, three and more in a row as `5-8`."""
    found: list[Any] = []
    start = 0
    for at, number in enumerate(numbers):
        if at + 1 < len(numbers) and numbers[at + 1] == number + 1:
            continue
        row = numbers[start : at + 1]
        found += [f"{row[0]}-{row[-1]}"] if len(row) > 2 else row
        start = at + 1
    return found


def _identity(identity: Identity) -> dict[str, Any]:
    found: dict[str, Any] = {"generations": identity.generations}
    if identity.psk is not None:
        found["psk"] = _psk(identity.psk)
    return found


def _psk(psk: LinkPsk) -> dict[str, Any]:
    sealed = {
        name: {"sealed": psk.sealed[name].sealed, "sender": psk.sealed[name].sender}
        for name in sorted(psk.sealed)
    }
    return {"name": psk.name, "sealed": sealed}


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else str(value)


@lru_cache(maxsize=65536)
def _text(value: str) -> str:
    """Plain where YAML reads a plain word as just this text; else as JSON has it, which is YAML too."""
    if _PLAIN.fullmatch(value):
        tag = _RESOLVER.resolve(yaml.ScalarNode, value, (True, False))
        if tag == "tag:yaml.org,2002:str":
            return value
    return json.dumps(value, ensure_ascii=False)
