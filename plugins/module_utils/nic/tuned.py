# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tuned's active profile does to network devices, by its files. Pure but for the `read` it is given."""

from __future__ import annotations

import configparser
import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .settings import COALESCE, SHORT

DIRECTORIES = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")
ALIVE = ("/run/tuned/tuned.pid", "/etc/systemd/system/multi-user.target.wants/tuned.service")
"""tuned runs, or will at boot: either is enough."""

MAIN = "/etc/tuned/tuned-main.conf"
YES = ("1", "true", "yes", "on")
MAPS = ("features", "coalesce", "ring", "channels")
"""Options of tuned's [net] plugin that are lists of names and values."""


@dataclass(frozen=True)
class Unit:
    """A section of type net. devices: patterns; values: setting → value as text"""

    devices: tuple[str, ...] = ("*",)
    values: Mapping[str, str] = field(default_factory=dict)
    dynamic: bool = True

    def takes(self, device: str) -> bool:
        named = any(fnmatch.fnmatchcase(device, one) for one in self.devices if one[:1] != "!")
        left_out = any(fnmatch.fnmatchcase(device, one[1:]) for one in self.devices if one[:1] == "!")
        return named and not left_out


@dataclass(frozen=True)
class Tuned:
    """profile: the active one, "" for none; units: of its network devices; dynamic: tuned.conf allows it"""

    profile: str = ""
    units: tuple[Unit, ...] = ()
    dynamic: bool = False

    @property
    def slows_down(self) -> bool:
        """tuned sets devices that are idle to 100 Mbit/s."""
        return self.dynamic and any(unit.dynamic for unit in self.units)

    def held(self, device: str) -> dict[str, str]:
        """Setting → value that tuned sets on a device."""
        found: dict[str, str] = {}
        for unit in self.units:
            if unit.takes(device):
                found.update(unit.values)
        return found


def read_tuned(read: Callable[[str], str | None]) -> Tuned:
    """`read(path)` gives a file's text or None. Nothing where tuned does not run and will not at boot."""
    profile = (read("/etc/tuned/active_profile") or "").strip()
    if not profile or all(read(path) is None for path in ALIVE):
        return Tuned()
    sections: dict[str, dict[str, str]] = {}
    for name in profile.split():
        _merge(sections, name, read, set())
    units = tuple(
        _unit(options)
        for name, options in sections.items()
        if options.get("type", name) == "net" and options.get("enabled", "1").lower() in YES
    )
    return Tuned(profile, units, _is_dynamic(read(MAIN) or ""))


def _is_dynamic(text: str) -> bool:
    """tuned-main.conf's dynamic_tuning; where it does not say, tuned's own default is on."""
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() == "dynamic_tuning":
            return value.strip().lower() in YES
    return True


def _merge(
    sections: dict[str, dict[str, str]], name: str, read: Callable[[str], str | None], seen: set[str]
) -> None:
    """A profile over those it includes."""
    text = next((text for text in (read(f"{d}/{name}/tuned.conf") for d in DIRECTORIES) if text), None)
    if text is None or name in seen:
        return
    seen.add(name)
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for parent in (parser.get("main", "include", fallback="") or "").replace(",", " ").split():
        _merge(sections, parent, read, seen)
    for section in parser.sections():
        options = {key: value or "" for key, value in parser.items(section)}
        if options.get("replace", "").lower() in YES:
            sections[section] = {}
        sections.setdefault(section, {}).update(options)


def _unit(options: Mapping[str, str]) -> Unit:
    values: dict[str, str] = {}
    for option in MAPS:
        words = options.get(option, "").replace(",", " ").split()
        for name, value in zip(words[::2], words[1::2]):
            values.update(_named(option, name, value))
    if options.get("txqueuelen", "").isdigit():
        values["txqueuelen"] = options["txqueuelen"]
    devices = tuple(options.get("devices", "*").replace(",", " ").split()) or ("*",)
    return Unit(devices, values, options.get("dynamic", "1").lower() in YES)


def _named(option: str, name: str, value: str) -> dict[str, str]:
    if option == "features":
        return {f"features.{full}": value for full in SHORT.get(name, (name,))}
    if option == "coalesce" and name not in COALESCE:
        return {}
    return {f"{'rings' if option == 'ring' else option}.{name}": value}
