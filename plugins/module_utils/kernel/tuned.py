# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tuned's active profile sets, read from its files. Pure but for the `read` it is given."""

from __future__ import annotations

import configparser
from collections.abc import Callable
from dataclasses import dataclass, field

from .sysctl_conf import at_least, canonical, normalise, numbers

PROFILE_DIRS = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")
ALIVE = ("/run/tuned/tuned.pid", "/etc/systemd/system/multi-user.target.wants/tuned.service")
"""tuned runs, or will at boot: either is enough."""

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


def read_tuned(read: Callable[[str], str | None]) -> Tuned:
    """`read(path)` gives a file's text or None. No active profile, no settings."""
    profile = (read("/etc/tuned/active_profile") or "").strip()
    # The file stays when tuned is stopped and disabled; what counts is who acts now or at the next boot.
    if not profile or all(read(path) is None for path in ALIVE):
        return Tuned()
    found = Tuned(profile=profile, reapply_sysctl=_reapplies(read("/etc/tuned/tuned-main.conf") or ""))
    for name in profile.split():
        _merge_profile(found, name, read, seen=set())
    return found


def _reapplies(text: str) -> bool:
    for line in text.splitlines():
        name, _equals, value = line.partition("=")
        if name.strip() == "reapply_sysctl":
            return value.strip().lower() in ("1", "true", "yes")
    return True


def _merge_profile(found: Tuned, name: str, read: Callable[[str], str | None], seen: set[str]) -> None:
    text = next((text for text in (read(f"{d}/{name}/tuned.conf") for d in PROFILE_DIRS) if text), None)
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
        _merge_profile(found, parent, read, seen)
    for key, value in parser.items("sysctl") if parser.has_section("sysctl") else []:
        if key not in ("type", "enabled", "replace") and value is not None and "${" not in value:
            # tuned's `=>` ("at least") and `=<` ("at most") arrive here as values beginning with the sign.
            found.sysctl[canonical(key)] = normalise(value)
    if parser.has_section("vm"):
        for option in ("transparent_hugepages", "transparent_hugepage"):
            if parser.get("vm", option, fallback=None):
                found.sysfs[THP_ENABLED] = parser.get("vm", option)
        if parser.get("vm", "transparent_hugepage.defrag", fallback=None):
            found.sysfs[THP_DEFRAG] = parser.get("vm", "transparent_hugepage.defrag")
