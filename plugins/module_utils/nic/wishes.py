# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module's options ask for, checked without looking at the node. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ..core.errors import BindError, Problem
from . import cpus
from .model import Wish
from .settings import (
    ADAPTIVE,
    CHANNELS,
    CLASSLESS,
    COALESCE,
    DEFAULT,
    DYNAMIC,
    GROUPS,
    IRQ,
    MQ,
    PER_QUEUE,
    PREFIX,
    QDISC,
    RINGS,
    SHORT,
    SYSFS,
)

MEMBERS: dict[str, tuple[str, ...]] = {
    "rings": RINGS,
    "channels": CHANNELS,
    "coalesce": COALESCE,
    "rss": ("equal",),
}
SINGLE = (*SYSFS, *PER_QUEUE, QDISC)
WORDS = {
    "rings": ("max",),
    "channels": ("max", "cores"),
    "rss": ("max",),
    "coalesce": (),
    "rps": ("local", "all", "off"),
    "xps": ("local", "all", "off"),
    IRQ: ("local", "all"),
}
"""Words that stand for a value each device has its own of."""

FEATURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
TRUE, FALSE = ("on", "yes", "true"), ("off", "no", "false")
MOST = 2**32 - 1
"""What an integer of ethtool's holds."""


def wishes_from(
    interfaces: Mapping[str, Any], required: Iterable[str], origins: Mapping[str, str]
) -> list[Wish]:
    """interfaces: selector → settings. Short names of features stay for the device to tell.

    required: `rings.rx`, with or without `nic.` before it and an interface behind it (the latter: `plan`)
    origins: `<selector> <setting>`, `<selector>` or `interfaces` → where it came from
    Raises BindError with every problem found.
    """
    problems: list[Problem] = []
    found: list[Wish] = []
    needed = {name[len(PREFIX) :] if name.startswith(PREFIX) else name for name in required}
    for selector, settings in interfaces.items():
        if not isinstance(settings, Mapping):
            allowed = "a map of settings, such as {rings: {rx: max}}"
            problems.append(Problem(str(selector), settings, allowed, origins.get("interfaces", "task")))
            continue
        for name, value in _flat(settings):
            origin = _origin(origins, str(selector), name)
            allowed = _allowed(name, value)
            if allowed:
                problems.append(Problem(f"{selector}: {name}", value, allowed, origin))
                continue
            plain, floor = _parsed(name, value)
            found.append(Wish(str(selector).strip(), name, plain, floor, name in needed, origin))
    problems += _contradictions(found)
    if problems:
        raise BindError(problems)
    return found


def _origin(origins: Mapping[str, str], selector: str, name: str) -> str:
    keys = (f"{selector} {name}", selector, "interfaces")
    return next((str(origins[key]) for key in keys if key in origins), "task")


def _flat(settings: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """(`rings.rx`, value) …; a setting that is null is not asked for."""
    for option, value in settings.items():
        if option in GROUPS and isinstance(value, Mapping):
            for member, inner in value.items():
                plain = str(member) if option == "features" else str(member).replace("_", "-")
                if inner is not None:
                    yield f"{option}.{plain}", inner
        elif value is not None:
            yield str(option), value


def _allowed(name: str, value: Any) -> str:
    """What is allowed instead, or "" where the name and the value's kind are right."""
    group, _dot, member = name.partition(".")
    if group in GROUPS and not member:
        return f"a map of {', '.join(MEMBERS.get(group, ('names of features',)))}"
    if group not in GROUPS and name not in SINGLE:
        return f"one of {', '.join((*GROUPS, *SINGLE))}"
    if group in MEMBERS and member not in MEMBERS[group]:
        return f"one of {', '.join(MEMBERS[group])}"
    if group == "features":
        if not FEATURE.fullmatch(member):
            return "names of features as `ethtool -k` and the kernel have them, such as rx-gro or gro"
        return "" if _truth(value) is not None else "yes or no"
    if member in ADAPTIVE:
        return "" if _truth(value) is not None else "yes or no"
    if name in PER_QUEUE:
        return _allowed_cpus(name, value)
    if name == QDISC:
        kinds = ", ".join((*CLASSLESS, f"{MQ}+<one of those>", DEFAULT))
        return "" if isinstance(value, str) and _is_qdisc(value) else f"one of {kinds}"
    return _allowed_number(group, value)


def _allowed_cpus(name: str, value: Any) -> str:
    words = WORDS[name]
    allowed = f"{', '.join(words)}, or a list of CPUs such as 0-3,8"
    if value is False and "off" in words:
        return ""  # YAML's word for it.
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return allowed
    if str(value) in words:
        return ""
    try:
        return "" if cpus.parse(str(value)) else allowed
    except ValueError:
        return allowed


def _is_qdisc(value: str) -> bool:
    root, plus, leaf = value.partition("+")
    if plus:
        return root == MQ and leaf in CLASSLESS and leaf != "noqueue"
    return root in (*CLASSLESS, DEFAULT)


def _allowed_number(group: str, value: Any) -> str:
    words = WORDS.get(group, ())
    least = 1 if group == "rss" else 0
    floors = ", or a floor such as '>=1024'" if group in ("rings", "channels") else ""
    allowed = f"{''.join(f'{word}, ' for word in words)}a whole number from {least} to {MOST}{floors}"
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return allowed
    text = str(value).strip()
    if text in words:
        return ""
    if text.startswith(">=") and floors:
        text = text[2:].strip()
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= MOST:
        return allowed
    return ""


def _truth(value: Any) -> Optional[bool]:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    return True if word in TRUE else False if word in FALSE else None


def _parsed(name: str, value: Any) -> tuple[Any, bool]:
    """(value, whether it is a floor) of what `_allowed` allows."""
    group, _dot, member = name.partition(".")
    if group == "features" or member in ADAPTIVE:
        return _truth(value), False
    if name in PER_QUEUE:
        word = cpus.OFF if value is False else str(value)
        return (word if word in WORDS[name] else cpus.text(cpus.parse(word))), False
    text = str(value).strip()
    floor = text.startswith(">=")
    text = text[2:].strip() if floor else text
    return (int(text) if text.isdigit() else text), floor


def _contradictions(wishes: list[Wish]) -> list[Problem]:
    """Two values that one device cannot have both, within one selector."""
    asked = {(wish.selector, wish.name): wish for wish in wishes}
    problems = []
    for (selector, name), wish in asked.items():
        for other in DYNAMIC.get(name.partition(".")[2], ()) if wish.value is True else ():
            fixed = asked.get((selector, f"coalesce.{other}"))
            if fixed is not None:
                allowed = f"nothing while {name} is on: the driver moves it; or {name}: false"
                problems.append(Problem(f"{selector}: coalesce.{other}", fixed.value, allowed, fixed.origin))
    names: dict[tuple[str, str], Wish] = {}
    for wish in wishes:
        for full in SHORT.get(wish.name.partition(".")[2], ()) if wish.name.startswith("features.") else ():
            names[(wish.selector, f"features.{full}")] = wish
    for (selector, name), wish in names.items():
        own = asked.get((selector, name))
        if own is not None and own.value != wish.value:
            allowed = f"{wish.value}, as {wish.name} is the same; or only one of the two"
            problems.append(Problem(f"{selector}: {name}", own.value, allowed, own.origin))
    return problems
