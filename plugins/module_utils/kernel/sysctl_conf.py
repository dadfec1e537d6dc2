# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctl.d language: names, values, lines. Pure.

A name has one canonical form here, the path below /proc/sys (`net/ipv4/conf/eth0.100/rp_filter`),
and one form for people, dotted where that is unambiguous, else with slashes.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")


def canonical(name: str) -> str:
    """`net.ipv4.conf.eth0/100.rp_filter` → `net/ipv4/conf/eth0.100/rp_filter`, as sysctl.d(5) says.

    The first separator decides: a dot means dots separate and slashes stand for dots.
    """
    name = name.strip()
    dot, slash = name.find("."), name.find("/")
    if dot != -1 and (slash == -1 or dot < slash):
        name = name.translate(str.maketrans("./", "/."))
    return name.strip("/")


def display(path: str) -> str:
    """The canonical path as a person writes it; `canonical(display(p)) == p`."""
    if "." not in path:
        return path.replace("/", ".")
    # Where a dot comes before any slash, a leading slash says that slashes separate.
    return path if -1 < path.find("/") < path.find(".") else f"/{path}"


def normalise(value: object) -> str:
    """A value as it compares: tabs and runs of blanks are one blank, lists are joined by blanks."""
    if isinstance(value, (list, tuple)):
        return " ".join(normalise(item) for item in value)
    return " ".join(str(value).split())


def numbers(value: str) -> list[int] | None:
    """The integers of a value such as `4096 87380 6291456`, or None if it is not only integers.

    Only what the kernel prints itself: it reads `010` as octal and does not know `1_000`.
    """
    parts = value.split()
    if not parts or not all(NUMBER.fullmatch(part) for part in parts):
        return None
    return [int(part) for part in parts]


def at_least(live: str, wanted: str) -> str:
    """The larger of the two, number by number. Falls back to `wanted` where they do not compare."""
    have, want = numbers(live), numbers(wanted)
    if have is None or want is None or len(have) != len(want):
        return wanted
    return " ".join(str(max(pair)) for pair in zip(have, want))


@dataclass(frozen=True)
class Entry:
    """One assignment (or, with value None, an exclusion from a glob) in a sysctl.d file."""

    key: str
    value: str | None
    line: int
    ignore_errors: bool = False

    @property
    def is_glob(self) -> bool:
        return any(mark in self.key for mark in "*?[")

    def matches(self, key: str) -> bool:
        if not self.is_glob:
            return self.key == key
        return self.key.count("/") == key.count("/") and fnmatch.fnmatchcase(key, self.key)


def parse(text: str) -> list[Entry]:
    """The entries of a sysctl.d file in order. Lines that mean nothing to systemd-sysctl are passed over."""
    entries = []
    for number, raw in enumerate(re.split("\r\n?|\n", text), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        ignore = line.startswith("-")
        name, equals, value = line[1 if ignore else 0 :].partition("=")
        key = canonical(name)
        if not key:
            continue
        if equals:
            entries.append(Entry(key, normalise(value), number, ignore))
        elif ignore:
            entries.append(Entry(key, None, number, True))
    return entries


HEADER = """\
# Written by swarm.node for owner "{owner}". It is replaced whole by the next run:
# change the inventory, not this file.
"""


def render(owner: str, values: dict[str, str]) -> str:
    """The text of our own file for canonical key → value, sorted; "" when there is nothing to keep."""
    if not values:
        return ""
    lines = [f"{display(key)} = {value}\n" for key, value in sorted(values.items())]
    return HEADER.format(owner=owner) + "".join(lines)
