# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what makes a node's routing what is asked for. Pure.

The order: the distribution's daemon off; ours noted as to be started; files; tables. Started is when all of
that is in its place, so that an undo, which goes backwards, starts what was there with the files that were.
What goes is stopped first, and the distribution's daemon comes back last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..core.errors import BindError, Problem
from ..core.managed_files import FILE, digest
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from .distribution import version_note
from .filter import as_lines, digest_of, filter_text, removal_text, rules_of
from .leaving import remove, rival_back, rival_off, stop, stops
from .paths import (
    PROGRAM,
    TEMPLATES,
    conf_path,
    filter_path,
    running_conf,
    table,
    unit,
)
from .render import conf
from .settings import Wish
from .state import RoutingState
from .steps import DAEMON, FILTER, GONE, LOSS, UNITS, WHY, keep_file, value_of

UNREADABLE = (
    "the share of the mesh on this node cannot be read, so nobody knows what its routing should be: "
    "swarm.node.mesh_apply writes it again"
)


def plan_routing(
    wishes: Mapping[str, Wish],
    texts: Mapping[str, str],
    state: RoutingState,
    record: Record,
    required: tuple[str, ...] = (),
    unknown: Sequence[str] = (),
    brought: bool = False,
) -> Plan:
    """texts: path → text of the program and the units; brought: this collection installed babeld's package.
    Raises BindError.

    unknown: meshes of which nobody can say what is wished; all of theirs stays as it is
    """
    plan = Plan()
    usable = _usable(plan, wishes, state, required)
    for mesh in unknown:
        _leave(plan, mesh, "unsupported", UNREADABLE, state, required)
    problems = _refused(usable, state)
    if problems:
        raise BindError(problems)
    if (wishes or unknown) and not usable:
        plan.claims.update(record.claims)
        return plan
    gone = sorted(set(state.meshes) - set(wishes) - set(unknown))
    for mesh in gone:
        stop(plan, mesh, state)
    if usable:
        rival_off(plan, state, record, brought)
    starts = {mesh: _start(plan, mesh, wish, texts, state) for mesh, wish in usable.items()}
    _programs(plan, texts if usable else dict.fromkeys(texts), state)
    for mesh, wish in usable.items():
        _keep(plan, mesh, wish, texts, state, starts[mesh])
    for mesh in gone:
        remove(plan, mesh, state)
    if not usable:
        rival_back(plan, state, record)
    if usable and state.version is not None and version_note(state.version):
        _attend(plan, version_note(state.version))
    for mesh in {*wishes, *unknown} - set(usable):
        plan.claims.update({name: claim for name, claim in record.claims.items() if _is_of(name, mesh)})
    _say_lost(plan, record, state)
    return plan


# -- what may be


def _usable(
    plan: Plan, wishes: Mapping[str, Wish], state: RoutingState, required: tuple[str, ...]
) -> dict[str, Wish]:
    """Those that this node can have; of the others it is said why not, and nothing of theirs is touched."""
    reason = ""
    if not state.systemd:
        reason = "systemd does not run on this node (there is no /run/systemd/system)"
    elif not state.ipv6:
        reason = "IPv6 is switched off on this node, and Babel talks by IPv6 link-local addresses"
    found = {}
    for mesh, wish in wishes.items():
        masked = [name for name in state.masked if name.endswith((f"@{mesh}.service", "@.service"))]
        why = reason or (f"somebody has masked {masked[0]}" if masked else "")
        if not why:
            found[mesh] = wish
            continue
        what = "shadowed_by" if masked and not reason else "unsupported"
        _leave(plan, mesh, what, why, state, required)
    return found


def _leave(
    plan: Plan, mesh: str, reason: str, why: str, state: RoutingState, required: tuple[str, ...]
) -> None:
    """Says why nothing of a mesh is touched."""
    live = value_of(state, "daemon", mesh)
    plan.unapplied.append(
        Unapplied(DAEMON, "running", reason, why, live=live, target=mesh, required=DAEMON in required)
    )


def _refused(usable: Mapping[str, Wish], state: RoutingState) -> list[Problem]:
    """Ports that another program has. The distribution's daemon is not another one: it goes."""
    rival = state.distribution is not None and state.distribution["active"]
    problems = []
    for mesh, wish in usable.items():
        if wish.port in state.taken and not rival:
            allowed = "a UDP port that no other program on the node has (ss -lunp says which has it)"
            problems.append(Problem("routing_ports", f"{mesh}: {wish.port}", allowed))
    return problems


# -- what is there


def _start(
    plan: Plan, mesh: str, wish: Wish, texts: Mapping[str, str], state: RoutingState
) -> Optional[Change]:
    """Daemon and recorder are to run with what is asked for. Returns the daemon's change, if there is one."""
    text = conf_of(wish, texts)
    changes = {}
    for kind, started_with in (("daemon", digest(text)), ("recorder", digest(texts[PROGRAM]))):
        live = value_of(state, kind, mesh)
        wanted = {"enabled": True, "running": True, "started_with": started_with}
        name = f"{UNITS[kind]} {mesh}"
        plan.claims[name] = Claim(None, wanted)
        plan.before[name], plan.after[name] = live, wanted
        if live == wanted:
            continue
        changes[kind] = Change(
            UNITS[kind],
            live,
            wanted,
            target=mesh,
            claim=name,
            disruption="perf" if kind == "daemon" and _runs_otherwise(live, wanted) else "none",
            why=_why(kind, live, wanted),
            data={"ran": state.files.get(running_conf(mesh)), "unit": unit(kind, mesh)},
        )
        plan.changes.append(changes[kind])
    return changes.get("daemon")


def _runs_otherwise(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return bool(live["running"]) and live["started_with"] != wanted["started_with"]


def _why(kind: str, live: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if _runs_otherwise(live, wanted):
        return LOSS if kind == "daemon" else "it runs an older program"
    if live["running"]:
        return "so that it comes at boot"
    if live["enabled"]:
        return "it does not run, or does not answer" if kind == "daemon" else "it does not run"
    return WHY if kind == "daemon" else "so that changes of route are known afterwards"


def _programs(plan: Plan, texts: Mapping[str, Optional[str]], state: RoutingState) -> None:
    for path, text in texts.items():
        change = keep_file(plan, path, state.files.get(path), text, WHY if text else GONE)
        if change and text is None:
            change.relies_on = stops(plan)


def _keep(
    plan: Plan,
    mesh: str,
    wish: Wish,
    texts: Mapping[str, str],
    state: RoutingState,
    start: Optional[Change],
) -> None:
    """Files and the table. They stay as they are where the start that they belong to may not be."""
    relies = (start.name,) if start is not None and start.disruption != "none" else ()
    for path, text in ((filter_path(mesh), filter_text(wish)), (conf_path(mesh), conf_of(wish, texts))):
        change = keep_file(plan, path, state.files.get(path), text, WHY)
        if change:
            change.relies_on = relies
    rules = rules_of(wish)
    name, after, before = f"{FILTER} {mesh}", digest_of(rules), state.tables.get(mesh)
    plan.claims[name] = Claim(None, after)
    plan.before[name], plan.after[name] = before, after
    if before != after:
        plan.changes.append(
            Change(
                FILTER,
                before,
                after,
                target=mesh,
                claim=name,
                why="so that only neighbours talk to the daemon",
                relies_on=relies,
                data={
                    "load": filter_text(wish),
                    "undo": removal_text(table(mesh)) + state.texts.get(mesh, ""),
                    "before_text": state.texts.get(mesh, ""),
                    "after_text": "\n".join(as_lines(rules)),
                },
            )
        )


def conf_of(wish: Wish, texts: Mapping[str, str]) -> str:
    return conf(wish, str(digest(texts[TEMPLATES["daemon"]])))


# -- inside


def _is_of(claim: str, mesh: str) -> bool:
    key, _space, target = claim.partition(" ")
    return target in ((conf_path(mesh), filter_path(mesh)) if key == FILE else (mesh,))


def _attend(plan: Plan, detail: str) -> None:
    plan.notes.append(detail)
    plan.attention.append(
        {
            "target": "babeld",
            "target_name": "babeld",
            "what": "routing_untried",
            "detail": detail,
            "severity": "warning",
        }
    )


def _say_lost(plan: Plan, record: Record, state: RoutingState) -> None:
    """There is routing of ours, and nothing says what this owner holds."""
    if record.claims or record.damaged or not state.meshes or not plan.claims:
        return
    why = f"the owner record of {record.owner!r} was lost: what is ours was found again by its names"
    plan.notes.append(why)
    if not plan.changes:
        plan.changes.append(Change("record", None, "written again", undo="none", why=why))
