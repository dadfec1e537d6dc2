# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where the engine meets AnsibleModule."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from .contract import Layer, Outcome, Request
from .engine import reconcile
from .errors import BindError, NodeError, TransactionFailed
from .model import Plan
from .signals import signals_as_errors
from .store import RUN_DIR, STATE_DIR, Store

COMMON_ARGUMENTS: dict[str, Any] = {
    "owner": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "manage": {"type": "str", "choices": ["auto", "manage", "report", "none"], "default": "auto"},
    "max_disruption": {
        "type": "str",
        "choices": ["none", "perf", "node_jobs", "peer_jobs", "reboot"],
        "default": "perf",
    },
    "required": {"type": "list", "elements": "str", "default": []},
    "origins": {"type": "dict", "default": {}},
    "freeze": {"type": "str", "default": ""},
    "run": {"type": "dict", "default": {}},
    "state_dir": {"type": "path", "default": STATE_DIR},
    "run_dir": {"type": "path", "default": RUN_DIR},
}
"""Options every reconciling module has; documented in the doc fragment `swarm.node.reconcile`."""


OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
"""An owner's name becomes part of file names."""


def run(module: AnsibleModule, layer_name: str, make_layer: Callable[[dict[str, Any]], Layer]) -> None:
    """Runs one transaction and leaves the module with its result; never returns.

    `make_layer` builds the layer from the module's parameters and may raise NodeError.
    """
    params = module.params
    if params["owner"] and not OWNER.fullmatch(params["owner"]):
        module.fail_json(
            msg=f"owner: {params['owner']!r} is refused; allowed: 1 to 64 letters, digits, '_', '-' and '.', "
            "beginning with a letter, a digit or '_'",
            layer=layer_name,
            owner=params["owner"],
        )
    if params["manage"] == "none":
        module.exit_json(**_nothing(layer_name, params["owner"] or layer_name))
    store = Store(params["state_dir"], params["run_dir"])
    failure = {"layer": layer_name, "owner": params["owner"] or layer_name}
    try:
        with signals_as_errors():
            layer = make_layer(params)
            request = Request(
                owner=params["owner"] or layer.name,
                check=module.check_mode,
                max_disruption=params["max_disruption"],
                managed_by=_manager(layer, params["manage"]),
                frozen=params["freeze"] or store.frozen(),
                run=params["run"],
            )
            outcome = reconcile(layer, store, request)
    except BindError as error:
        problems = [vars(problem) for problem in error.problems]
        module.fail_json(
            msg=f"nothing was changed: {error}", problems=problems, failure_kind="refused", **failure
        )
    except TransactionFailed as error:
        module.fail_json(
            msg=str(error),
            rolled_back=error.rolled_back,
            not_undone=error.not_undone,
            writes=store.writes + layer.port.writes,
            failure_kind="rolled_back",
            **failure,
        )
    except PermissionError as error:
        hint = "; this needs root: run it with become" if os.geteuid() != 0 else ""
        module.fail_json(msg=f"{error}{hint}", failure_kind="unavailable", **failure)
    except (NodeError, OSError) as error:
        module.fail_json(msg=str(error), failure_kind="unavailable", **failure)
    _answer(module, outcome)


def _answer(module: AnsibleModule, outcome: Outcome) -> None:
    missing = outcome.missing_required
    if missing:
        outcome.plan.drop_changes()
    result = outcome.as_result()
    result["diff"] = diff_of(outcome)
    if outcome.plan.unapplied:
        module.warn(_unapplied_warning(outcome))
    for note in outcome.plan.notes:
        if note.startswith(("a run started", "the owner record")):
            module.warn(note)
    if missing:
        names = ", ".join(f"{wish.key}{_on(wish)} ({wish.reason}: {wish.detail})" for wish in missing)
        module.fail_json(
            msg=f"required settings cannot be applied, so nothing was changed: {names}",
            failure_kind="required",
            **result,
        )
    if outcome.degraded:
        module.fail_json(
            msg=f"degraded: {', '.join(outcome.degraded)} left out, as it does not work{_reasons(outcome)}; "
            f"everything else is {'planned as' if module.check_mode else 'as'} asked for",
            failure_kind="degraded",
            **result,
        )
    module.exit_json(**result)


def _reasons(outcome: Outcome) -> str:
    """Why targets were left out, where that is known."""
    details = [wish.detail for wish in outcome.plan.unapplied if wish.reason == "lost" and wish.detail]
    return f" ({'; '.join(dict.fromkeys(details))})" if details else ""


def _unapplied_warning(outcome: Outcome) -> str:
    """All of it in one line, by reason: single keys with their details are in the result."""
    keys: dict[str, list[str]] = {}
    for wish in outcome.plan.unapplied:
        keys.setdefault(wish.reason, []).append(f"{wish.key}{_on(wish)}")
    reasons = "; ".join(f"{reason}: {', '.join(found)}" for reason, found in sorted(keys.items()))
    return f"{outcome.layer}: {len(outcome.plan.unapplied)} settings not applied ({reasons})"


def _on(wish: Any) -> str:
    return f" on {wish.target_name or wish.target}" if wish.target else ""


def diff_of(outcome: Outcome) -> dict[str, str]:
    """The diff shown by --diff: one line per change, files with their whole text."""
    sides: dict[str, list[str]] = {"before": [], "after": []}
    for change in outcome.plan.changes:
        for side in sides:
            value = getattr(change, side)
            whole = change.data.get(f"{side}_text")
            unit = f" {change.unit}" if change.unit and value is not None else ""
            text = "unknown" if side == "before" and change.before_unknown else value
            if f"{side}_text" in change.data:
                sides[side].append(f"{change.label}:\n{whole or ''}".rstrip("\n") + "\n")
            else:
                sides[side].append(f"{change.label}: {_plain(text)}{unit}\n")
    header = f"{outcome.layer} (owner {outcome.owner})"
    return {
        "before": "".join(sides["before"]),
        "after": "".join(sides["after"]),
        "before_header": header,
        "after_header": header,
    }


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _manager(layer: Layer, manage: str) -> str:
    """Who else manages the layer: named when found, or when the operator asked to report only."""
    if manage == "manage":
        return ""
    found = layer.manager()
    if manage == "report":
        return found or "the operator (manage: report)"
    return found


def _nothing(layer: str, owner: str) -> dict[str, Any]:
    outcome = Outcome(layer, owner, Plan())
    return {**outcome.as_result(), "diff": diff_of(outcome)}
