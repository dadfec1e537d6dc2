# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognises the collection's results among all task results and keeps their documented keys.

`docs/results.md` says what the keys mean. Nothing else of a result is ever kept, so that a
value no one declared reportable cannot get into a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HIDDEN = "(hidden by no_log)"

CONTROLLER_ONLY = frozenset(
    {
        "add_host", "assert", "debug", "fail", "group_by", "import_playbook", "import_role",
        "import_tasks", "include", "include_role", "include_tasks", "include_vars", "meta", "pause",
        "set_fact", "set_stats", "validate_argument_spec",
    }
)  # fmt: skip
"""Actions of ansible.builtin that run no module on the node."""

MERGE = "swarm.node.merge"
NIC = "nic"
REGISTRY = "swarm.node.mesh_registry"

_BUILTIN = ("ansible.builtin.", "ansible.legacy.")
_LISTS = ("changes", "unapplied", "details", "pending", "attention")
_STRING_LISTS = ("notes", "degraded", "rolled_back")


@dataclass(frozen=True)
class Event:
    """One task (or loop item) result, free of Ansible's classes.

    outcome: ok | failed | unreachable | skipped | retry (an attempt that will be repeated)
    check: the task ran in check mode
    item: what tells a loop's items apart, "" outside of loops
    delegated: the task ran on another host than the one it is about
    """

    host: str
    action: str
    task: str
    outcome: str
    result: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    ignored: bool = False
    delegated: bool = False
    item: str = ""


def runs_module(action: str) -> bool:
    """Whether `action` (short or full name) runs a module on the host it is about."""
    for prefix in _BUILTIN:
        action = action.removeprefix(prefix)
    return action not in CONTROLLER_ONLY and action not in (MERGE, REGISTRY)


def is_layer_result(result: Mapping[str, Any], failed: bool = False) -> bool:
    """A result of one of our modules; a failed one may have no changes to speak of."""
    layer = result.get("layer")
    return isinstance(layer, str) and bool(layer) and (failed or isinstance(result.get("changes"), list))


def is_merge_result(result: Mapping[str, Any]) -> bool:
    """A result of the merge action: what each key's value is and where it comes from."""
    return "layers" in result and "profile" in result and isinstance(result.get("explain"), list)


def layer_fields(result: Mapping[str, Any]) -> dict[str, Any]:
    """The documented keys of a layer's result; missing or misshapen ones become empty."""
    fields: dict[str, Any] = {
        "layer": str(result.get("layer") or ""),
        "owner": str(result.get("owner") or ""),
        "changed": bool(result.get("changed")),
        "reboot_required": bool(result.get("reboot_required")),
        "plan_digest": str(result.get("plan_digest") or ""),
        "writes": writes_of(result),
        "interrupted": _mapping(result.get("interrupted")) or None,
        "before": _mapping(result.get("before")),
        "after": _mapping(result.get("after")),
        "not_undone": [_undone(entry) for entry in _list(result.get("not_undone"))],
    }
    for name in _LISTS:
        fields[name] = [dict(entry) for entry in _list(result.get(name)) if isinstance(entry, Mapping)]
    for name in _STRING_LISTS:
        fields[name] = [str(entry) for entry in _list(result.get(name))]
    return fields


def devices_taken_back(result: Mapping[str, Any]) -> str:
    """Why the change of network devices before is undone, by a result of module nic; "" where it is not."""
    if result.get("layer") != NIC:
        return ""
    if result.get("failure_kind") == "reverted":
        return message_of(result)
    if not result.get("changed") or not _list(result.get("undone")):
        return ""
    return "; ".join(str(note) for note in _list(result.get("notes"))) or "it was reverted"


def merge_fields(result: Mapping[str, Any]) -> dict[str, Any]:
    """`{profile, explain: [{key, value, origin, source, losers: [{value, origin}]}]}`."""
    explain = []
    for entry in _list(result.get("explain")):
        if isinstance(entry, Mapping) and entry.get("key"):
            losers = [lost for lost in _list(entry.get("losers")) if isinstance(lost, Mapping)]
            explain.append(
                {
                    "key": str(entry["key"]),
                    "value": entry.get("value"),
                    "origin": str(entry.get("origin") or ""),
                    "source": str(entry.get("source") or ""),
                    "losers": [
                        {"value": lost.get("value"), "origin": str(lost.get("origin") or "")}
                        for lost in losers
                    ],
                }
            )
    profile = result.get("profile")
    return {"profile": profile if isinstance(profile, str) else str(profile or ""), "explain": explain}


def writes_of(result: Mapping[str, Any]) -> int:
    """How many writes a result says the module made on the node."""
    writes = result.get("writes")
    return writes if isinstance(writes, int) and not isinstance(writes, bool) and writes > 0 else 0


def message_of(result: Mapping[str, Any]) -> str:
    """What a failed or unreachable result says; a censored one says only that it is hidden."""
    if result.get("censored"):
        return HIDDEN
    return str(result.get("msg") or "failed without a message").strip()


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _mapping(value: Any) -> dict[str, Any]:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, Mapping) else {}


def _undone(entry: Any) -> dict[str, str]:
    """`{key, target, error}`, also from a bare key."""
    if isinstance(entry, Mapping):
        return {name: str(entry.get(name) or "") for name in ("key", "target", "error")}
    return {"key": str(entry), "target": "", "error": ""}
