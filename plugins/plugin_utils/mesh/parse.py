# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a registry's text to a Registry, or to a list of everything that is wrong with it, with lines."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from ...module_utils.core.errors import BindError
from ...module_utils.mesh.share import MAX_CAPACITY, MESH_NAME
from . import values, yaml_text
from .check import Mistake, Where, mistakes
from .registry import (
    SCHEMA,
    Departed,
    Foreign,
    Identity,
    Link,
    LinkPsk,
    Member,
    Registry,
    Sealed,
    Settings,
    Way,
    pair_of,
)
from .values import Convert, Wrong

SETTINGS: dict[str, Convert] = {
    "prefixes": values.networks,
    "port": values.whole(1, 65535),
    "full_mesh_up_to": values.whole(0, 1000),
    "neighbours": values.whole(2, 1000),
    "max_degree": values.whole(2, 1000),
    "keepalive": values.whole(0, 65535),
    "mtu": values.mtu,
    "preshared_keys": values.truth,
    "aggregate_above": values.whole(0, 65535),
}
MEMBER: dict[str, Convert] = {
    "number": values.whole(1, 65535),
    "region": values.region,
    "endpoint": values.endpoint,
    "local_endpoint": values.endpoint,
    "port": values.whole(1, 65535),
    "nat": values.truth,
    "transit": values.truth,
    "relays": values.names,
    "underlay_mtu": values.whole(576, 65535),
    "underlay": values.networks,
    "capacity": values.whole(0, MAX_CAPACITY),
    "generation": values.whole(1, 9999),
    "keys": values.keys,
    "retire": values.dates,
    "leaving": values.truth,
    "fresh": values.truth,
    "stops": values.truth,
    "held": values.truth,
}
FOREIGN: dict[str, Convert] = {
    "number": values.whole(1, 65535),
    "public_key": values.public_key,
    "endpoint": values.endpoint,
    "allowed": values.networks,
    "via": values.names,
    "slots": values.per_member(values.whole(0, 999)),
    "generations": values.per_member(values.whole(1, 9999)),
}
DEPARTED: dict[str, Convert] = {"number": values.whole(1, 65535), "left": values.date}
TOP = ("schema", "mesh", "settings", "regions", "members", "foreign", "links", "ways", "departed")

_GENERATIONS = values.two(values.whole(1, 9999), "two generations, in the order of the ends")
LINK: dict[str, Convert] = {
    "ends": values.two(values.member_name, "two members' names"),
    "slots": values.two(values.whole(0, 999), "two slots, in the order of the ends"),
    "generations": _GENERATIONS,
    "side": values.whole(0, 1),
    "leaving": values.truth,
    "fresh": values.truth,
    "held": values.truth,
    "ms": values.number_or_none,
    "psk": lambda value: value,
    "next": lambda value: value,
    "old": lambda value: value,
}
WAY: dict[str, Convert] = {
    "at": values.member_name,
    "by": values.member_name,
    "to": values.ranges(1, 65535),
    "blocks": values.ranges(0, 1023),
    "kept": values.truth,
}
IDENTITY: dict[str, Convert] = {"generations": _GENERATIONS, "psk": lambda value: value}
PSK: dict[str, Convert] = {"name": values.member_name, "sealed": lambda value: value}
SEALED: dict[str, Convert] = {"sealed": values.base64, "sender": values.base64}


def parse_registry(text: str, path: str) -> Registry:
    """path: of the file, for the origin of what is wrong. Raises BindError with every mistake."""
    data = yaml_text.load(text, path)
    reader = _Reader()
    registry = reader.registry(data, yaml_text.header(text))
    if registry is not None and not reader.wrong:
        reader.wrong += mistakes(registry)
    if registry is None or reader.wrong:
        lines = yaml_text.lines_of(text)
        raise BindError([mistake.problem(f"{path}:{lines(mistake.where)}") for mistake in reader.wrong])
    return registry


def parse_settings(data: Any, origin: str) -> Settings:
    """The settings of a mesh that is made new. Raises BindError."""
    reader = _Reader()
    found = reader.fields(("mesh_settings",), data, SETTINGS, ("prefixes",))
    if reader.wrong or found is None:
        raise BindError([mistake.problem(origin) for mistake in reader.wrong])
    return Settings(**found)


class _Reader:
    """Reads data into a Registry; what is wrong is kept in `wrong`, and reading goes on."""

    def __init__(self) -> None:
        self.wrong: list[Mistake] = []

    def registry(self, data: Any, header: str) -> Registry | None:
        if not isinstance(data, Mapping):
            self.wrong.append(Mistake((), type(data).__name__, "a map of " + ", ".join(TOP)))
            return None
        if data.get("schema") != SCHEMA or isinstance(data.get("schema"), bool):
            self._refuse_schema(data.get("schema"))
            return None
        self._unknown((), data, TOP)
        mesh = data.get("mesh")
        if not isinstance(mesh, str) or not MESH_NAME.fullmatch(mesh):
            allowed = "a letter, then up to 7 letters or digits, all lower case"
            self.wrong.append(Mistake(("mesh",), mesh, allowed))
        settings = self.fields(("settings",), data.get("settings"), SETTINGS, ("prefixes",))
        regions = self._each("regions", data, lambda where, item: self._one(where, item, values.blocks))
        port = (settings or {}).get("port", Settings.port)
        members = self._each("members", data, lambda where, item: self._member(where, item, port))
        foreign = self._each("foreign", data, self._foreign)
        departed = self._each("departed", data, self._departed)
        links = self._links(data.get("links"))
        ways = self._ways(data.get("ways"))
        if self.wrong or settings is None:
            return None
        return Registry(
            str(mesh), Settings(**settings), regions, members, foreign, links, departed, header, ways
        )

    def _refuse_schema(self, found: Any) -> None:
        newer = isinstance(found, int) and found > SCHEMA
        more = "; this file was written by a newer version of the collection: update it here" if newer else ""
        self.wrong.append(Mistake(("schema",), found, f"{SCHEMA}{more}"))

    def _each(
        self, section: str, data: Mapping[str, Any], read: Callable[[Where, Any], Any]
    ) -> dict[str, Any]:
        entries = data.get(section)
        if entries is None:
            return {}
        if not isinstance(entries, Mapping):
            self.wrong.append(Mistake((section,), entries, "a map of names"))
            return {}
        found = {}
        for name, item in entries.items():
            checked = values.region if section == "regions" else values.member_name
            if self._one((section, name), name, checked) is not None:
                found[name] = read((section, name), item)
        return found

    def _member(self, where: Where, item: Any, port: int) -> Member | None:
        found = self.fields(where, item, MEMBER, ("number", "keys"))
        if found is None:
            return None
        found.setdefault("port", port)
        found.setdefault("generation", max(found["keys"]))
        return Member(name=where[-1], **found)

    def _foreign(self, where: Where, item: Any) -> Foreign | None:
        found = self.fields(where, item, FOREIGN, ("number", "public_key", "allowed", "via", "slots"))
        return None if found is None else Foreign(name=where[-1], **found)

    def _departed(self, where: Where, item: Any) -> Departed | None:
        found = self.fields(where, item, DEPARTED, tuple(DEPARTED))
        return None if found is None else Departed(**found)

    def _links(self, entries: Any) -> dict[tuple[str, str], Link]:
        if entries is None:
            return {}
        if not isinstance(entries, list):
            self.wrong.append(Mistake(("links",), entries, "a list of links"))
            return {}
        found: dict[tuple[str, str], Link] = {}
        for index, item in enumerate(entries):
            link = self._link(("links", index), item)
            if link is None:
                continue
            if link.ends in found:
                self.wrong.append(Mistake(("links", index, "ends"), list(link.ends), "each pair once"))
            found[link.ends] = link
        return found

    def _ways(self, entries: Any) -> tuple[Way, ...]:
        if entries is not None and not isinstance(entries, list):
            self.wrong.append(Mistake(("ways",), entries, "a list of ways"))
            return ()
        read = [
            self.fields(("ways", index), item, WAY, ("at", "by")) for index, item in enumerate(entries or ())
        ]
        return tuple(Way(**found) for found in read if found is not None)

    def _link(self, where: Where, item: Any) -> Link | None:
        found = self.fields(where, item, LINK, ("ends", "slots", "generations"))
        if found is None:
            return None
        one, other = found.pop("ends")
        if one == other:
            self.wrong.append(Mistake((*where, "ends"), [one, other], "two different members"))
            return None
        turned = one > other
        identity: dict[str, Any] = {key: found.pop(key) for key in ("generations", "psk") if key in found}
        found["slots"] = found["slots"][::-1] if turned else found["slots"]
        return Link(
            ends=pair_of(one, other),
            current=self._identity(where, identity, turned),
            next=self._beside((*where, "next"), found.pop("next", None), turned),
            old=self._beside((*where, "old"), found.pop("old", None), turned),
            **found,
        )

    def _beside(self, where: Where, item: Any, turned: bool) -> Identity | None:
        if item is None:
            return None
        found = self.fields(where, item, IDENTITY, ("generations",))
        return None if found is None else self._identity(where, found, turned)

    def _identity(self, where: Where, found: Mapping[str, Any], turned: bool) -> Identity:
        first, second = found["generations"]
        generations = (second, first) if turned else (first, second)
        psk = found.get("psk")
        return Identity(generations, None if psk is None else self._psk((*where, "psk"), psk))

    def _psk(self, where: Where, item: Any) -> LinkPsk | None:
        found = self.fields(where, item, PSK, ("name",))
        if found is None:
            return None
        sealed = found.get("sealed") or {}
        if not isinstance(sealed, Mapping):
            self.wrong.append(Mistake((*where, "sealed"), sealed, "a map of members' names"))
            return None
        copies = {}
        for name, copy in sealed.items():
            parts = self.fields((*where, "sealed", name), copy, SEALED, tuple(SEALED))
            if parts is not None:
                copies[str(name)] = Sealed(**parts)
        return LinkPsk(found["name"], copies)

    def fields(
        self, where: Where, data: Any, table: Mapping[str, Convert], required: tuple[str, ...]
    ) -> dict[str, Any] | None:
        """The known keys, converted; None where one is wrong."""
        if not isinstance(data, Mapping):
            self.wrong.append(Mistake(where, data, "a map of " + ", ".join(table)))
            return None
        before = len(self.wrong)
        self._unknown(where, data, tuple(table))
        for name in required:
            if data.get(name) is None:
                self.wrong.append(Mistake((*where, name), None, "a value: it has to be there"))
        found = {
            name: self._one((*where, name), data[name], convert)
            for name, convert in table.items()
            if data.get(name) is not None
        }
        return None if len(self.wrong) > before else found

    def _one(self, where: Where, value: Any, convert: Convert) -> Any:
        try:
            return convert(value)
        except Wrong as wrong:
            self.wrong.append(Mistake(where, wrong.value, wrong.allowed))
            return None

    def _unknown(self, where: Where, data: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        for name in data:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                self.wrong.append(Mistake((*where, name), name, f"{hint}one of " + ", ".join(known)))
