# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tuned's active profile by its files, in the order in which tuned merges them. Pure but for the `read`.

`read(path)` gives a file's text or None. What a section means, each layer knows.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable, Iterator
from typing import Optional

DIRECTORIES = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")
ALIVE = ("/run/tuned/tuned.pid", "/etc/systemd/system/multi-user.target.wants/tuned.service")
"""tuned runs, or will at boot: either is enough."""

MAIN = "/etc/tuned/tuned-main.conf"

Read = Callable[[str], Optional[str]]


def active_profile(read: Read) -> str:
    """Names with spaces between them; "" for none, and where tuned does not run and will not at boot."""
    profile = (read("/etc/tuned/active_profile") or "").strip()
    # The file stays when tuned is stopped and disabled; what counts is who acts now or at the next boot.
    return "" if not profile or all(read(path) is None for path in ALIVE) else profile


def sections(read: Read, profile: str) -> Iterator[tuple[str, dict[str, Optional[str]]]]:
    """Sections with their options; what comes later counts, and a section may come again.

    An option without a value has None. A file that is missing or makes no sense has nothing.
    """
    for name in profile.split():
        yield from _sections(read, name, set())


def main_setting(read: Read, name: str) -> Optional[str]:
    """What tuned-main.conf says, in lower case; None where it says nothing."""
    for line in (read(MAIN) or "").splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == name:
            return value.strip().lower()
    return None


def _sections(read: Read, name: str, seen: set[str]) -> Iterator[tuple[str, dict[str, Optional[str]]]]:
    """Those of the profiles that this one includes first."""
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
        yield from _sections(read, parent, seen)
    for section in parser.sections():
        yield section, dict(parser.items(section))
