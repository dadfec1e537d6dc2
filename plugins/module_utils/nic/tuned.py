# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tuned's active profile does to network devices, by its files. Pure but for the `read` it is given."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.tuned import Read, active_profile, main_setting, sections
from .settings import COALESCE, SHORT

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


def read_tuned(read: Read) -> Tuned:
    """`read(path)` gives a file's text or None. Nothing where tuned does not run and will not at boot."""
    profile = active_profile(read)
    if not profile:
        return Tuned()
    merged: dict[str, dict[str, str]] = {}
    for section, values in sections(read, profile):
        options = {key: value or "" for key, value in values.items()}
        if options.get("replace", "").lower() in YES:
            merged[section] = {}
        merged.setdefault(section, {}).update(options)
    units = tuple(
        _unit(options)
        for name, options in merged.items()
        if options.get("type", name) == "net" and options.get("enabled", "1").lower() in YES
    )
    dynamic = main_setting(read, "dynamic_tuning")
    # Where it is not said, tuned's own default is on.
    return Tuned(profile, units, dynamic is None or dynamic in YES)


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
