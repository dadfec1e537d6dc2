# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices a selector names, and which of several selectors has its way. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..core.errors import BindError, Problem
from .model import Nic, NicState, Wish
from .settings import SHORT

ALL, DEFAULT_ROUTE, DRIVER, NAME = "all", "default_route", "driver:", "name:"
WILD = "*?["
LOOPBACK = "lo"

Chosen = dict[str, dict[str, Wish]]
"""Device → setting → what is asked of it."""


def rank(selector: str) -> int:
    """The more a selector says, the higher: a name beats a pattern, which beats a driver."""
    if selector == ALL:
        return 0
    if selector == DEFAULT_ROUTE:
        return 1
    if selector.startswith(DRIVER):
        return 2
    return 3 if is_pattern(selector) else 4


def is_pattern(selector: str) -> bool:
    return not selector.startswith((DRIVER, NAME)) and any(sign in selector for sign in WILD)


def is_name(selector: str) -> bool:
    return rank(selector) == 4


def plain(selector: str) -> str:
    """The name or pattern without what tells it from a word."""
    return selector[len(NAME) :] if selector.startswith(NAME) else selector


def matching(selector: str, state: NicState) -> list[str]:
    """Names of devices, sorted; none where nothing fits."""
    if selector == DEFAULT_ROUTE:
        return sorted(name for name in state.default_route if name in state.nics)
    return sorted(name for name, nic in state.nics.items() if _fits(selector, nic))


def could_name(selector: str, name: str) -> bool:
    """Whether it may name a device that is not in the node now."""
    if rank(selector) < 3:
        return True
    return fnmatch.fnmatchcase(name, selector) if is_pattern(selector) else plain(selector) == name


def _fits(selector: str, nic: Nic) -> bool:
    if selector == ALL:
        return nic.physical
    if selector.startswith(DRIVER):
        return bool(nic.driver) and fnmatch.fnmatchcase(nic.driver, selector[len(DRIVER) :])
    if not is_pattern(selector):
        return nic.name == plain(selector)
    if nic.name == LOOPBACK or (selector[0] in WILD and not nic.physical):
        return False  # `*` means devices; `veth*` names what it means.
    return fnmatch.fnmatchcase(nic.name, selector)


def choose(wishes: Sequence[Wish], state: NicState, record: Iterable[str] = ()) -> Chosen:
    """What is asked of each device. Raises BindError for a name that does not exist, and for a draw.

    record: names whose absence is no error: wishes of a record ask for devices that may be gone
    """
    problems: list[Problem] = []
    chosen: Chosen = {}
    found = {selector: matching(selector, state) for selector in {wish.selector for wish in wishes}}
    for selector in sorted(found):
        if is_name(selector) and not found[selector] and plain(selector) not in record:
            origin = next(wish.origin for wish in wishes if wish.selector == selector)
            there = ", ".join(sorted(state.nics)) or "none"
            problems.append(Problem("interfaces", selector, f"an interface of this node ({there})", origin))
    for wish in wishes:
        for device in found[wish.selector]:
            asked = chosen.setdefault(device, {})
            for one in expanded(wish):
                problem = _take(asked, one, device)
                if problem is not None:
                    problems.append(problem)
    if problems:
        raise BindError(problems)
    return chosen


def expanded(wish: Wish) -> list[Wish]:
    """A short name of a feature as the kernel's names."""
    group, _dot, member = wish.name.partition(".")
    if group != "features" or member not in SHORT:
        return [wish]
    short = member if len(SHORT[member]) > 1 else ""
    return [replace(wish, name=f"features.{full}", short=short) for full in SHORT[member]]


def _take(asked: dict[str, Wish], wish: Wish, device: str) -> Problem | None:
    """Puts the wish down, unless one that says more is there already."""
    other = asked.get(wish.name)
    if other is None or rank(other.selector) < rank(wish.selector):
        asked[wish.name] = wish
        return None
    equal = (other.value, other.floor) == (wish.value, wish.floor)
    if rank(other.selector) > rank(wish.selector) or equal:
        return None
    allowed = f"one value; {other.selector} asks for {other.text!r} (from {other.origin}) and says as much"
    return Problem(f"{wish.selector}: {wish.name}", wish.text, allowed, wish.origin, device)
