# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values, names and host lists as a person reads them. Pure functions over strings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

DEVICE = re.compile(
    r"\b(?:GPU|MIG)-[0-9a-fA-F]{4,}(?:-[0-9a-fA-F]+)*(?:/\d+)*|\b[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.\d\b"
)
"""A device's own name: a GPU's or MIG instance's UUID, a PCI address."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIGITS = re.compile(r"\d+")


def clean(text: Any, limit: int = 0) -> str:
    """One line without control characters (a node's words must not steer a terminal)."""
    line = _CONTROL.sub("", " ".join(str(text).split()))
    return line[: limit - 1] + "…" if limit and len(line) > limit else line


def mask(text: Any) -> str:
    """Text with device names made alike, to compare what nodes say."""
    return DEVICE.sub("<device>", str(text))


def is_device(target: str) -> bool:
    return bool(DEVICE.fullmatch(target))


def device_noun(target: str, count: int) -> str:
    """`8 GPUs`, `1 MIG device`, `2 devices`."""
    noun = {"GPU-": "GPU", "MIG-": "MIG device"}.get(target[:4], "device")
    return f"{count} {noun}{'' if count == 1 else 's'}"


def show(value: Any, none: str = "unknown", limit: int = 80) -> str:
    """A value in words; `none` is what null means at this place."""
    if value is None:
        return none
    if value == "":
        return '""'
    if isinstance(value, str):
        return clean(value, limit)
    if isinstance(value, (list, tuple)) and all(isinstance(entry, (str, int)) for entry in value):
        return clean(",".join(str(entry) for entry in value) or "[]", limit)
    return clean(json.dumps(value, ensure_ascii=False, default=str, sort_keys=True), limit)


def span(change: Mapping[str, Any], limit: int = 80) -> str:
    """`700 -> 630 W`; a value that goes away reads `gone`.

    No value before means that the key has no getter (`unknown`), or that it was not there (`none`).
    """
    before = show(change.get("before"), "unknown" if change.get("verify") == "accepted" else "none", limit)
    after, unit = change.get("after"), change.get("unit", "")
    text = f"{before} -> {show(after, 'gone', limit)}"
    return f"{text} {clean(unit)}" if unit and after is not None else text


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def hosts_text(names: Iterable[str]) -> str:
    """`h100-[001-003,005].fra, x1`: names that differ in one number only are folded."""
    families: dict[tuple[str, str, int], list[str]] = {}
    plain: list[str] = []
    for name in sorted(set(names)):
        found = list(_DIGITS.finditer(name))
        if not found:
            plain.append(name)
            continue
        last = found[-1]
        # A number with leading zeros only goes with numbers of its width.
        width = len(last.group()) if last.group().startswith("0") else 0
        families.setdefault((name[: last.start()], name[last.end() :], width), []).append(last.group())
    merged = _join_widths(families)
    folded = [
        head + (numbers[0] if len(numbers) == 1 else f"[{_ranges(numbers)}]") + tail
        for (head, tail), numbers in merged
    ]
    return clean(", ".join(sorted(folded + plain)))


def _join_widths(families: dict[tuple[str, str, int], list[str]]) -> list[tuple[tuple[str, str], list[str]]]:
    """`h08`, `h09` (padded to 2) take in `h10`: the same width, without a leading zero."""
    joined: list[tuple[tuple[str, str], list[str]]] = []
    for (head, tail, width), numbers in sorted(families.items(), key=lambda item: -item[0][2]):
        if width:
            free = families.get((head, tail, 0), [])
            taken = [number for number in free if len(number) == width]
            free[:] = [number for number in free if len(number) != width]
            numbers = numbers + taken
        if numbers:
            joined.append(((head, tail), numbers))
    return joined


def _ranges(numbers: list[str]) -> str:
    """`001-003,005` from numbers of one family."""
    ordered = sorted(numbers, key=int)
    runs: list[list[str]] = []
    for number in ordered:
        if runs and int(number) == int(runs[-1][-1]) + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
