# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctls the collection knows, and what is checked of them before a node is touched."""

from __future__ import annotations

import difflib
import fnmatch
import functools
from pathlib import Path
from typing import Any

import yaml

from ...module_utils.core.errors import Problem
from ...module_utils.kernel.sysctl_conf import canonical, display, normalise, numbers

PATH = Path(__file__).resolve().parents[3] / "catalogue" / "sysctl.yml"


@functools.lru_cache(maxsize=1)
def load() -> dict[str, dict[str, Any]]:
    """Canonical name (perhaps with `*`) → entry of the catalogue."""
    body = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return {canonical(name): entry for name, entry in body.items()}


def find(key: str) -> dict[str, Any] | None:
    """The entry for a canonical name; an exact one before one with `*`."""
    known = load()
    if key in known:
        return known[key]
    parts = key.count("/")
    return next(
        (
            entry
            for name, entry in known.items()
            if "*" in name and name.count("/") == parts and fnmatch.fnmatchcase(key, name)
        ),
        None,
    )


def check(name: str, value: Any, origin: str, allow_unknown: bool, trusted: bool) -> Problem | None:
    """What is wrong with a wished sysctl as far as the controller can tell, or None."""
    key = canonical(name)
    entry = find(key)
    if entry is None:
        if allow_unknown:
            return None
        near = difflib.get_close_matches(display(key), [display(known) for known in load()], n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}? " if near else ""
        return Problem(
            display(key), value, f"{hint}a sysctl of the catalogue, or any with kernel_allow_unknown: true", origin
        )
    allowed = _refusal(entry, value, trusted)
    return Problem(display(key), value, allowed, origin) if allowed else None


def _refusal(entry: dict[str, Any], value: Any, trusted: bool) -> str:
    """What would be allowed instead, or "" if the value is fine."""
    if isinstance(value, (bool, dict)) or value is None:
        return "a number or a text (write 0 or 1, not yes or no)"
    text = normalise(value)
    floor = text.startswith(">=")
    text = text[2:].strip() if floor else text
    if entry["type"] in ("word", "text"):
        if floor:
            return "a word; only numbers can be a floor (>=)"
        choices = entry.get("choices")
        return "" if not choices or text in choices else "one of " + ", ".join(choices)
    found = numbers(text)
    count = entry.get("count", 1)
    if found is None or len(found) != count:
        return "a whole number" if count == 1 else f"{count} whole numbers"
    return _number_refusal(entry, found, trusted)


def _number_refusal(entry: dict[str, Any], found: list[int], trusted: bool) -> str:
    never = entry.get("never", {})
    for number in found:
        if number in never:
            return f"anything but {number}: {never[number]}"
        if "choices" in entry and number not in entry["choices"]:
            return "one of " + ", ".join(str(choice) for choice in entry["choices"])
        low, high = entry.get("min"), entry.get("max")
        if (low is not None and number < low) or (high is not None and number > high):
            return f"{'' if low is None else low} to {'any' if high is None else high}"
        if not trusted and "trusted" in entry and number < entry["trusted"]:
            return (
                f"at least {entry['trusted']}: less weakens the isolation between tenants and needs "
                "node_trusted_tenancy: true"
            )
    return ""
