# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module does with `state: confirmed` and `state: reverted`, apart from AnsibleModule."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.armed import TooLate
from ..core.contract import Outcome
from ..core.errors import BindError, NodeError, Problem
from ..core.model import Plan
from ..core.signals import signals_as_errors
from .layer import NAME, NicLayer, NicOptions
from .program import program_text
from .undoing import revert

WHY = "an operator or the controller asked for it"

Answer = tuple[bool, dict[str, Any]]
"""(whether it worked, the module's result)."""


def confirmed_or_reverted(params: Mapping[str, Any], check: bool) -> Answer:
    """Never raises what a module turns into an answer."""
    owner = params["owner"] or NAME
    try:
        with signals_as_errors():
            return True, _done(params, owner, check)
    except BindError as error:
        problems = [vars(problem) for problem in error.problems]
        return False, _failed(error, "refused", owner, problems=problems)
    except TooLate as error:
        return False, _failed(error, "reverted", owner)
    except PermissionError as error:
        hint = "; this needs root: run it with become" if os.geteuid() != 0 else ""
        return False, _failed(f"{error}{hint}", "unavailable", owner)
    except (NodeError, OSError) as error:
        return False, _failed(error, "unavailable", owner)


def _done(params: Mapping[str, Any], owner: str, check: bool) -> dict[str, Any]:
    layer = NicLayer(
        NicOptions(
            owner=owner,
            root=Path(params["root"]),
            state_dir=params["state_dir"],
            run_dir=params["run_dir"],
            link_timeout=params["link_timeout"],
            program=program_text,
        )
    )
    guard, token = layer.guard, params["token"]
    outcome = Outcome(NAME, owner, Plan()).as_result()
    if params["state"] == "confirmed":
        if not token:
            raise BindError([Problem("token", "", "the token of the run that made the change")])
        return {
            **outcome,
            "changed": guard.confirm(token, check),
            "writes": guard.writes,
            **_rest(layer, token),
        }
    armed = guard.armed()
    if check:
        if armed is not None and token and armed.token != token:
            raise BindError([armed.refusal(token)])
        undone = [change.label for change in reversed(armed.restored())] if armed else []
        return {**outcome, "changed": armed is not None, "undone": undone, **_rest(layer, token)}
    found = revert(guard, layer.parts, WHY, token)
    return {
        **outcome,
        "changed": found is not None,
        "undone": list(found.undone) if found else [],
        "notes": [found.sentence] if found else ["nothing is armed"],
        "writes": layer.port.writes,
        **_rest(layer, token),
    }


def _rest(layer: NicLayer, token: str) -> dict[str, Any]:
    return {"token": token, "armed": layer.guard.info()}


def _failed(error: object, kind: str, owner: str, **more: Any) -> dict[str, Any]:
    return {"msg": str(error), "failure_kind": kind, "layer": NAME, "owner": owner, **more}
