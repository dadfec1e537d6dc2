# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module mesh_confirm does, apart from AnsibleModule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner, execute_allowed
from ..core.deadline import left
from ..core.errors import BindError, NodeError, Problem
from .guard import Guard
from .ping import Ping, ping
from .probe import Probe
from .probe_checks import FAILED
from .program import program_text
from .share import Share
from .stored import stored_shares
from .undoing import revert as undo_now

__all__ = ["ProbeFailed", "armed_info", "check_options", "make_guard", "probe", "revert"]

LONGEST = 300
"""Seconds a probe may take."""

REVERT_WHY = "an operator or the controller asked for it"


class ProbeFailed(NodeError):
    """Tunnels or members do not work that have to. `found`: all that was probed, as the module returns it."""

    def __init__(self, message: str, found: dict[str, list[dict[str, Any]]]) -> None:
        self.found = found
        super().__init__(message)


def check_options(params: Mapping[str, Any]) -> None:
    """Raises BindError."""
    problems = []
    if params["action"] == "confirm" and not params["token"]:
        problems.append(Problem("token", "", "the token of the run that made the change"))
    if not 1 <= params["timeout"] <= LONGEST:
        problems.append(Problem("timeout", params["timeout"], f"1 to {LONGEST} s"))
    for mesh, peers in params["expect"].items():
        if not isinstance(peers, list) or not all(isinstance(peer, str) for peer in peers):
            problems.append(Problem(f"expect {mesh}", peers, "a list of names of peers"))
    if problems:
        raise BindError(problems)


def armed_info(guard: Guard) -> Optional[dict[str, Any]]:
    """What is armed, for a result: token, deadline (Unix time), left_s. None for nothing."""
    armed = guard.armed()
    if armed is None:
        return None
    clock = guard.clock()
    remaining = left(armed.begun, armed.length, clock, clock.boottime)
    return {"token": armed.token, "deadline": round(armed.deadline), "left_s": round(remaining)}


def probe(
    guard: Guard,
    token: str,
    meshes: Sequence[str],
    expect: Mapping[str, Sequence[str]],
    timeout: float,
    runner: Runner = execute_allowed,
    pinger: Ping = ping,
) -> dict[str, list[dict[str, Any]]]:
    """tunnels: what came of each; distant: of members that are no neighbours. Raises ProbeFailed, BindError,
    NodeError.

    meshes: only these; all where there are none
    """
    armed = guard.armed()
    if armed is not None and token and armed.token != token:
        raise BindError([armed.refusal(token)])
    shares = stored_shares(guard.root)
    _check_names(meshes, shares)
    wanted = {name: share for name, share in shares.items() if not meshes or name in meshes}
    work = Probe(
        wanted,
        runner,
        worked=armed.worked if armed else (),
        armed_at=armed.armed_at if armed else None,
        expect=expect,
        pinger=pinger,
    )
    tunnels = work.run(timeout)
    distant, said = work.witnessed(), []
    failed = [item for item in tunnels if item["state"] == FAILED]
    if failed:
        words = "; ".join(f"{item['interface']} to {item['peer']}: {_missing(item)}" for item in failed)
        said.append(f"{len(failed)} of {len(tunnels)} tunnels do not work: {words}")
    lost = [item["address"] for item in distant if not item["ok"]]
    if lost:
        said.append(f"members answered before the change and do not now: {', '.join(lost)}")
    found = {"tunnels": tunnels, "distant": distant}
    if said:
        raise ProbeFailed("; ".join(said), found)
    return found


def revert(guard: Guard, token: str, check: bool, why: str = "") -> dict[str, Any]:
    """The result of the undo, in the shape of docs/results.md where there was something to undo."""
    outcome = undo_now(guard, why or REVERT_WHY, token, check)
    if outcome is None:
        return {"changed": False, "undone": [], "changes": [], "unapplied": [], "notes": ["nothing is armed"]}
    result = outcome.as_result()
    undone = [change.label for change in outcome.plan.changes]
    return {
        "changed": True,
        "undone": undone,
        **{name: result[name] for name in ("changes", "unapplied", "notes", "writes")},
    }


def make_guard(params: Mapping[str, Any]) -> Guard:
    """With the program in it: an undo may have to keep what runs it."""
    return Guard(Path(params["root"]), params["state_dir"], params["run_dir"], program=program_text)


def _check_names(meshes: Sequence[str], shares: Mapping[str, Share]) -> None:
    known = ", ".join(sorted(shares)) or "none: this node is in no mesh"
    unknown = [name for name in meshes if name not in shares]
    if unknown:
        raise BindError([Problem("meshes", name, f"a mesh of this node ({known})") for name in unknown])


def _missing(item: Mapping[str, Any]) -> str:
    return ", ".join(item["missing"])
