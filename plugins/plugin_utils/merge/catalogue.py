# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctls the collection knows, and what is checked of them before a node is touched."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

from ...module_utils.core.errors import Problem
from ...module_utils.kernel.sysctl_conf import canonical, display, normalise

PATH = Path(__file__).resolve().parents[3] / "catalogue" / "sysctl.yml"

_NAME = re.compile(r"[^\s*?\[\]=#;/]+(?:/[^\s*?\[\]=#;/]+)*")
_NUMBER = re.compile(r"-?[0-9]{1,20}")


@functools.lru_cache(maxsize=1)
def load() -> dict[str, dict[str, Any]]:
    """Canonical name (perhaps with `*`) → entry of the catalogue."""
    body = yaml_load(PATH.read_text(encoding="utf-8"))
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
    """What is wrong with a wished sysctl as far as the controller can tell, or None.

    A value of None (leave alone) is fine for every name that is.
    """
    key = canonical(name)
    if not _NAME.fullmatch(key) or {".", ".."} & set(key.split("/")):
        return Problem(name, value, "the name of one sysctl, as in vm.swappiness", origin)
    entry = find(key)
    if entry is None:
        if allow_unknown:
            return None
        near = difflib.get_close_matches(display(key), [display(known) for known in load()], n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}? " if near else ""
        return Problem(
            display(key),
            value,
            f"{hint}a sysctl of the catalogue, or any with kernel_allow_unknown: true",
            origin,
        )
    allowed = "" if value is None else _refusal(entry, value, trusted)
    return Problem(display(key), value, allowed, origin) if allowed else None


def _refusal(entry: dict[str, Any], value: Any, trusted: bool) -> str:
    """What would be allowed instead, or "" if the value is fine."""
    items = value if isinstance(value, (list, tuple)) else [value]
    if not items or any(isinstance(item, (bool, dict, list)) or item is None for item in items):
        return "a number or a text (write 0 or 1, not yes or no)"
    text = normalise(value)
    floor = text.startswith(">=")
    text = text[2:].strip() if floor else text
    if floor and (entry["type"] in ("word", "text") or "choices" in entry):
        return "a value; only a quantity can have a floor (>=)"
    if entry["type"] in ("word", "text"):
        choices = entry.get("choices")
        if not text:
            return "a text that is not empty"
        return "" if not choices or text in choices else "one of " + ", ".join(choices)
    count = entry.get("count", 1)
    parts = text.split()
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        return "a whole number" if count == 1 else f"{count} whole numbers"
    if floor and "-" in text:
        return "whole numbers of 0 or more after '>='"
    return _number_refusal(entry, [int(part) for part in parts], trusted)


def _number_refusal(entry: dict[str, Any], found: list[int], trusted: bool) -> str:
    never = entry.get("never", {})
    low, high = entry.get("min"), entry.get("max")
    for number in found:
        if number in never:
            return f"anything but {number}: {never[number]}"
        if "choices" in entry and number not in entry["choices"]:
            return "one of " + ", ".join(str(choice) for choice in entry["choices"])
        if (low is not None and number < low) or (high is not None and number > high):
            return f"{'any' if low is None else low} to {'any' if high is None else high}"
        if not trusted and "trusted" in entry and number < entry["trusted"]:
            return (
                f"at least {entry['trusted']}: less weakens the isolation between tenants and needs "
                "node_trusted_tenancy: true"
            )
    return ""
