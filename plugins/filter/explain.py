# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter `swarm.node.explain`: the merge's answer, and what the nodes have, as lines a person reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
---
name: explain
short_description: Say of every key what is wished, why, and what a node has
version_added: 0.1.0
author:
  - swarm.node contributors (@swarm-node)
description:
  - Turns the result of M(swarm.node.merge) into lines, one key each, with origin, source and what was beaten.
  - Given results of M(swarm.node.kernel) and M(swarm.node.gpu), says what is live, persistent, held by whom.
positional: _input, live
options:
  _input:
    description: The result of M(swarm.node.merge).
    type: dict
    required: true
  live:
    description: Results of modules that looked at the node. Results of skipped tasks are passed over.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Explain
  ansible.builtin.debug:
    msg: "{{ merged | swarm.node.explain }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def explain(merged: Mapping[str, Any], live: Iterable[Mapping[str, Any]] = ()) -> list[str]:
    """Lines for a person; `live` holds module results (docs/results.md)."""
    details = _details(live)
    lines = [f"profile: {merged.get('profile') or 'none'}"]
    shown: set[str] = set()
    for entry in merged["explain"]:
        lines.append(_wish(entry))
        if entry.get("source"):
            lines.append(f"    source: {entry['source']}")
        lines += [f"    beats {_wished(loser['value'])} of {loser['origin']}" for loser in entry["losers"]]
        for key in _keys(entry["key"]):
            lines += [f"    {_live(detail)}" for detail in details.get(key, [])]
            shown.add(key)
    for key in sorted(set(details) - shown):
        lines += [_reckoned(key, details[key]), *(f"    {_live(detail)}" for detail in details[key])]
    return lines


def _reckoned(key: str, details: Iterable[Mapping[str, Any]]) -> str:
    """A key that no variable has by its name: it follows from others, as the module's origin says."""
    asked = [detail for detail in details if detail.get("wanted") is not None and detail.get("origin")]
    if not asked:
        return f"{key}: nobody asks for it"
    return f"{key} = {_text(asked[-1]['wanted'])}  ({asked[-1]['origin']})"


def _wish(entry: Mapping[str, Any]) -> str:
    return f"{entry['key']} = {_wished(entry['value'])}  ({entry['origin']})"


def _wished(value: Any) -> str:
    return "left alone" if value is None else _text(value)


def _details(live: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for result in live:
        if not isinstance(result, Mapping):
            continue
        pending = _pending(result)
        for detail in result.get("details") or []:
            waits = (detail["key"], detail.get("target", "")) in pending
            found.setdefault(str(detail["key"]), []).append({**detail, "pending": waits})
    return found


def _pending(result: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(key, target) of settings that are not as they are wished."""
    steps = [*(result.get("changes") or []), *(result.get("unapplied") or [])]
    return {(step["key"], step.get("target", "")) for step in steps}


MODULE_KEYS = {
    "kernel_thp": ("thp.enabled",),
    "kernel_thp_defrag": ("thp.defrag",),
    "gpu_mig": ("gpu_mig.mode", "gpu_mig.layout"),
}


def _keys(variable: str) -> tuple[str, ...]:
    """The variable's name → the keys as modules name them."""
    if variable.startswith("kernel_sysctl."):
        return (variable.partition(".")[2],)
    if variable in MODULE_KEYS:
        return MODULE_KEYS[variable]
    return (variable.replace("gpu_", "gpu.", 1) if variable.startswith("gpu_") else variable,)


def _live(detail: Mapping[str, Any]) -> str:
    target = f"{detail['target_name']}: " if detail.get("target_name") else ""
    parts = [f"{target}live {_text(detail.get('live'))}"]
    if detail.get("wanted") is not None:
        parts.append(f"wanted {_text(detail['wanted'])}")
    if detail.get("pending"):
        parts.append("not applied")
    if "after_reboot" in detail:
        parts.append(f"after a reboot {_after_reboot(detail)}")
    parts.append(f"held by {detail['owner']}" if detail.get("owner") else "not held")
    return ", ".join(parts)


def _after_reboot(detail: Mapping[str, Any]) -> str:
    """`persistent` names the file that sets a key of the kernel at boot; there is none for GPUs."""
    value, file = detail["after_reboot"], detail.get("persistent")
    if isinstance(file, str) and file:
        return f"{_text(value)} ({file})"
    if value is None:
        return "whatever the kernel or driver starts with"
    volatile = file is None and detail.get("owner") and value != detail.get("live")
    return _text(value) + (" until the boot unit, or a run, sets what is held" if volatile else "")


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else json.dumps(value)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        return {"explain": explain}
