# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tuned's active profile sets, read from its files. Pure but for the `read` it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from ..core.tuned import Read, active_profile, main_setting, sections
from .sysctl_conf import at_least, canonical, normalise, numbers

THP_ENABLED = "/sys/kernel/mm/transparent_hugepage/enabled"
THP_DEFRAG = "/sys/kernel/mm/transparent_hugepage/defrag"


@dataclass
class Tuned:
    """The active profile and the settings it holds.

    sysctl, sysfs: canonical key or path → value; a leading ">" or "<" is tuned's floor or ceiling
    reapply_sysctl: tuned applies sysctl.d again after its own values, so that sysctl.d wins.
    """

    profile: str = ""
    sysctl: dict[str, str] = field(default_factory=dict)
    sysfs: dict[str, str] = field(default_factory=dict)
    reapply_sysctl: bool = True


def after_tuned(held: str, value: str) -> str:
    """What is in force once tuned has applied `held` over `value`."""
    bound = held[1:].strip()
    if held[:1] == ">":
        return at_least(value, bound)
    if held[:1] == "<":
        have, most = numbers(value), numbers(bound)
        return value if have and most and len(have) == len(most) == 1 and have <= most else bound
    return held


def read_tuned(read: Read) -> Tuned:
    """`read(path)` gives a file's text or None. No active profile, no settings."""
    profile = active_profile(read)
    if not profile:
        return Tuned()
    reapplies = main_setting(read, "reapply_sysctl")
    found = Tuned(profile=profile, reapply_sysctl=reapplies is None or reapplies in ("1", "true", "yes"))
    for section, options in sections(read, profile):
        if section == "sysctl":
            found.sysctl.update(_sysctl(options))
        elif section == "vm":
            found.sysfs.update(_huge_pages(options))
    return found


def _sysctl(options: Mapping[str, Optional[str]]) -> dict[str, str]:
    """tuned's `=>` ("at least") and `=<` ("at most") arrive here as values beginning with the sign."""
    return {
        canonical(key): normalise(value)
        for key, value in options.items()
        if key not in ("type", "enabled", "replace") and value is not None and "${" not in value
    }


def _huge_pages(options: Mapping[str, Optional[str]]) -> dict[str, str]:
    found = {}
    for option, path in (
        ("transparent_hugepages", THP_ENABLED),
        ("transparent_hugepage", THP_ENABLED),
        ("transparent_hugepage.defrag", THP_DEFRAG),
    ):
        value = options.get(option)
        if value:
            found[path] = value
    return found
