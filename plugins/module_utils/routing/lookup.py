# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's rules and tables of a mesh with aggregates: what is made before a daemon, and goes with it.

What there is to be is read from the daemon's configuration alone: the copy that it runs with says what to
take away. Tables have a `throw` for each route that the daemon may have there: babeld leaves `unreachable`
routes where it has lost a way, and a lookup would end at these; so it goes on to the next table.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Optional

from ..core.commands import Runner, must
from ..core.errors import NodeError
from .paths import OWN_PROTOCOL, PROTOCOL, THROW_METRIC, priority
from .render import prefixes_of

_INSTALLED = re.compile(r"^install ip (\S+) eq \d+ table (\d+) ", re.MULTILINE)
_IMPORTED = re.compile(r"^import-table (\d+)$", re.MULTILINE)
_OWN = re.compile(rf"^redistribute ip (\S+) eq \d+ proto {OWN_PROTOCOL} allow$", re.MULTILINE)
MOST_RULES = 8
"""Times that one rule is taken away: a run that was cut off may have made it twice."""


@dataclass(frozen=True)
class Lookup:
    """prefixes: of the mesh; thrown: (network, table); own: what the relay announces, in `imported`"""

    prefixes: tuple[str, ...]
    thrown: tuple[tuple[str, int], ...]
    own: tuple[str, ...]
    imported: int

    @property
    def asked(self) -> list[int]:
        """Tables that rules ask, the first first."""
        return sorted({table for _network, table in self.thrown})

    @property
    def tables(self) -> list[int]:
        return [*self.asked, *([self.imported] if self.imported else [])]

    @property
    def rules(self) -> list[tuple[str, int]]:
        """(prefix, table)"""
        return [(prefix, table) for prefix in self.prefixes for table in self.asked]


def lookup_of(text: Optional[str]) -> Lookup:
    """Of a configuration of ours; an empty one where the mesh has no aggregates."""
    imported = _IMPORTED.search(text or "")
    return Lookup(
        tuple(prefixes_of(text)),
        tuple((network, int(table)) for network, table in _INSTALLED.findall(text or "")),
        tuple(_OWN.findall(text or "")),
        int(imported[1]) if imported else 0,
    )


def lay(text: str, runner: Runner) -> None:
    """Makes it; rules last. Raises NodeError, also for a table that somebody else uses."""
    found = lookup_of(text)
    for table in found.tables:
        _refuse_taken(table, runner)
    for v6 in (False, True):
        lines = [line for six, line in _lines(found) if six == v6]
        if lines:
            must(runner, ["ip", "-6" if v6 else "-4", "-batch", "-"], "".join(f"{line}\n" for line in lines))


def _lines(found: Lookup) -> list[tuple[bool, str]]:
    """(whether of IPv6, line of `ip -batch`)"""
    routes = [("throw", network, table) for network, table in found.thrown]
    routes += [("unreachable", network, found.imported) for network in found.own]
    form = f"proto {OWN_PROTOCOL} metric {THROW_METRIC}"
    return [
        *((":" in one, f"route replace {kind} {one} table {table} {form}") for kind, one, table in routes),
        *(
            (":" in one, f"rule add {_selector(one, table)} protocol {OWN_PROTOCOL}")
            for one, table in found.rules
        ),
    ]


def clear(text: Optional[str], runner: Runner) -> None:
    """Takes it away, rules first; what is not there is passed over."""
    found = lookup_of(text)
    for prefix, table in found.rules:
        for _time in range(MOST_RULES):
            words = ["ip", _version(prefix), "rule", "del", *_selector(prefix, table).split()]
            if not runner(words).good:
                break
    for table in found.tables:
        for version in ("-4", "-6"):
            for protocol in (PROTOCOL, OWN_PROTOCOL):
                runner(["ip", version, "route", "flush", "table", str(table), "proto", str(protocol)])


def is_laid(text: Optional[str], runner: Runner) -> bool:
    """Whether every rule is there: some programs take away what they do not know."""
    wanted = lookup_of(text).rules
    if not wanted:
        return True
    found = set()
    for version in ("-4", "-6"):
        done = runner(["ip", "-N", "-j", version, "rule", "show"])
        found |= {_rule(item) for item in _items(done.out)} if done.good else set()
    return {(prefix, str(table), priority(table)) for prefix, table in wanted} <= found


def _rule(item: dict[str, Any]) -> tuple[str, str, int]:
    dst, bits = str(item.get("dst", "")), item.get("dstlen")
    whole = dst if bits is None else f"{dst}/{bits}"
    priority = item.get("priority", 0)
    return whole, str(item.get("table", "")), priority if isinstance(priority, int) else 0


def _items(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _refuse_taken(table: int, runner: Runner) -> None:
    """Whatever of ours was left is gone by now."""
    for version in ("-4", "-6"):
        done = runner(["ip", "-N", version, "route", "show", "table", str(table)])
        lines = done.out.splitlines() if done.good else []
        if lines:
            raise NodeError(
                f"the kernel's routing table {table} is somebody else's ({lines[0].strip()}); with "
                "another port (routing_ports) the mesh's routing daemon has other tables"
            )


def _selector(prefix: str, table: int) -> str:
    return f"to {prefix} lookup {table} pref {priority(table)}"


def _version(prefix: str) -> str:
    return "-6" if ":" in prefix else "-4"
