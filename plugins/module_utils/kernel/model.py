# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Knobs, wishes and the state of the kernel layer. Pure data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BindError, Problem
from .boot import BootFiles
from .sysctl_conf import canonical, display, normalise, numbers
from .tuned import THP_DEFRAG, THP_ENABLED, Tuned

SYSFS = {"thp.enabled": THP_ENABLED, "thp.defrag": THP_DEFRAG}
"""Keys that are not sysctls: key → file."""

CONGESTION = "net/ipv4/tcp_congestion_control"
DEFAULT_QDISC = "net/core/default_qdisc"

EXCLUSIVE = {
    "vm.dirty_ratio": "vm.dirty_bytes",
    "vm.dirty_bytes": "vm.dirty_ratio",
    "vm.dirty_background_ratio": "vm.dirty_background_bytes",
    "vm.dirty_background_bytes": "vm.dirty_background_ratio",
}
"""Writing the one sets the other to 0 (mm/page-writeback.c)."""

NAME = re.compile(r"[^\s=*?\[\]#;/-][^\s=*?\[\]]*")
"""A sysctl's name as it can stand in sysctl.d without meaning something else there."""


@dataclass(frozen=True)
class Knob:
    """One key of the kernel. `key` as people and records know it, `name` as boot files match it."""

    key: str

    @property
    def is_sysctl(self) -> bool:
        return self.key not in SYSFS

    @property
    def path(self) -> str:
        return SYSFS.get(self.key) or f"/proc/sys/{canonical(self.key)}"

    @property
    def name(self) -> str:
        return SYSFS.get(self.key) or canonical(self.key)


@dataclass(frozen=True)
class Wish:
    """What is asked for of one knob. With `at_least`, `value` is a floor that is never lowered to."""

    knob: Knob
    value: str
    at_least: bool = False
    required: bool = False
    origin: str = ""


@dataclass(frozen=True)
class Live:
    """A knob as the node has it.

    value: None if there is no such key or it cannot be read
    choices: the words the kernel offers (`always madvise never`), empty for free values
    """

    exists: bool = False
    value: str | None = None
    writable: bool = False
    choices: tuple[str, ...] = ()


@dataclass
class KernelState:
    """Everything the plan looks at.

    files: our own files, path → text or None; congestion: congestion controls the kernel offers or can load
    qdiscs: queueing disciplines it offers or can load; () where that cannot be told
    """

    live: dict[str, Live] = field(default_factory=dict)
    sysctl_boot: BootFiles = field(default_factory=BootFiles)
    tmpfiles_boot: BootFiles = field(default_factory=BootFiles)
    tuned: Tuned = field(default_factory=Tuned)
    files: dict[str, str | None] = field(default_factory=dict)
    congestion: tuple[str, ...] = ()
    qdiscs: tuple[str, ...] = ()


def wishes_from(
    sysctl: dict[str, Any], sysfs: dict[str, Any], required: list[str], origins: dict[str, str]
) -> list[Wish]:
    """Wishes from a module's options. sysctl: name in either spelling → value, list or `>=value`.

    sysfs: key of SYSFS → word or None. Raises BindError for values of a wrong type and for two
    spellings of one key that disagree.
    """
    problems: list[Problem] = []
    found: dict[str, Wish] = {}
    needed = {display(canonical(name)) for name in required}
    for name, raw in list(sysctl.items()) + [item for item in sysfs.items() if item[1] is not None]:
        key = name if name in SYSFS else display(canonical(str(name)))
        origin = origins.get(name) or origins.get(key) or "task"
        problem = _type_problem(key, raw, origin)
        if problem:
            problems.append(problem)
            continue
        text = normalise(raw)
        floor = text.startswith(">=")
        wish = Wish(Knob(key), text[2:].strip() if floor else text, floor, key in needed, origin)
        if key in found and (found[key].value, found[key].at_least) != (wish.value, floor):
            allowed = f"one value; it is also asked to be {found[key].value!r} (from {found[key].origin})"
            problems.append(Problem(key, raw, allowed, origin))
        found[key] = wish
    if problems:
        raise BindError(problems)
    return list(found.values())


def _type_problem(key: str, raw: Any, origin: str) -> Problem | None:
    parts = canonical(key).split("/")
    if key not in SYSFS and (not NAME.fullmatch(key) or any(part in ("", ".", "..") for part in parts)):
        allowed = "names of sysctls, such as vm.swappiness or net/ipv4/conf/eth0.1/rp_filter"
        return Problem(key, raw, allowed, origin)
    items = raw if isinstance(raw, (list, tuple)) else [raw]
    if isinstance(raw, dict) or any(isinstance(item, (bool, dict, list)) or item is None for item in items):
        allowed = "a number, a text or a list of numbers (write 0 or 1, not yes or no)"
        return Problem(key, raw, allowed, origin)
    if not items or any(not str(item).strip() or "\n" in str(item) for item in items):
        return Problem(key, raw, "a value that is not empty and has no line break", origin)
    text = normalise(raw)
    if text.startswith(">=") and numbers(text[2:]) is None:
        return Problem(key, raw, "whole numbers after '>='", origin)
    return None
