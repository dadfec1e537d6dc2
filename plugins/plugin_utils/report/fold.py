# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folds what is alike: the same change on eight GPUs is one line.

A folded entry is the entry itself (keys of docs/results.md) plus `count` (how many targets)
and `subject` (`8 GPUs`, a path, or "" for the node).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report.values import (
    clean,
    device_noun,
    is_device,
    mask,
)

_CHANGE = ("key", "before", "after", "unit", "when", "disruption", "verify", "undo", "origin", "why")
_PENDING = ("key", "live", "after", "when", "detail")
_UNAPPLIED = ("key", "wanted", "live", "reason", "detail", "required", "origin")

LINES_PER_KIND = 8
"""So many changes of one kind are shown one by one; the others are counted."""


def fold_changes(changes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Changes in their order, alike ones on several devices folded into the first."""
    return _fold(changes, _CHANGE)


def fold_unapplied(wishes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Unapplied wishes, folded the same way."""
    return _fold(wishes, _UNAPPLIED)


def fold_pending(waiting: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was set and waits for a reset or a reboot, folded the same way."""
    return _fold(waiting, _PENDING)


def signature(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """What must agree for two nodes' folded entries to count as identical."""
    return [str(entry["alike"]) for entry in entries]


def kind(change: Mapping[str, Any]) -> str:
    """What a change costs; changes of one kind may be condensed: `now perf undo exact`."""
    words = [str(change.get("when") or "now"), str(change.get("disruption") or "none")]
    words.append(f"undo {change.get('undo') or 'none'}")
    if change.get("verify") == "accepted":
        words.append("not read back")
    return clean(" ".join(words))


def condense(changes: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[tuple[str, int]]]:
    """`(shown, [(kind, how many more)])`: at most LINES_PER_KIND of each kind are shown."""
    seen: dict[str, int] = {}
    shown = []
    for change in changes:
        name = kind(change)
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= LINES_PER_KIND:
            shown.append(change)
    more = [(name, count - LINES_PER_KIND) for name, count in seen.items() if count > LINES_PER_KIND]
    return shown, more


def _fold(entries: Iterable[Mapping[str, Any]], fields: tuple[str, ...]) -> list[dict[str, Any]]:
    folded: dict[str, dict[str, Any]] = {}
    for entry in entries:
        target = str(entry.get("target") or "")
        device = is_device(target)
        values = {name: mask(json.dumps(entry.get(name), sort_keys=True, default=str)) for name in fields}
        alike = json.dumps([values, device_noun(target, 1) if device else target], sort_keys=True)
        known = folded.get(alike)
        if known:
            known["count"] += 1
            if device:
                known["subject"] = device_noun(target, known["count"])
            continue
        subject = clean(entry.get("target_name") or target)
        folded[alike] = {**entry, "count": 1, "subject": subject, "alike": alike}
    for entry in folded.values():
        entry["alike"] += f" x{entry['count']}"
    return list(folded.values())
