# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes when a mesh has no routing any more, and the distribution's daemon: off, and on again. Pure."""

from __future__ import annotations

from ..core.model import Change, Claim, Plan
from ..core.store import Record
from .distribution import OFF as DISTRIBUTION_OFF
from .filter import removal_text
from .paths import DISTRIBUTION, conf_path, deaf_table, filter_path, running_conf, table
from .render import prefixes_of
from .state import OFF, RoutingState
from .steps import DAEMON, DRAIN, FILTER, GONE, RIVAL, UNITS, keep_file, value_of


def stop(plan: Plan, mesh: str, state: RoutingState) -> None:
    """What belongs to a daemon that may not be stopped now stays with it, here and below.

    Of a mesh that has left the node nothing passes any more: its tunnels went with its share.
    """
    passes = mesh in state.shares
    prefixes = prefixes_of(state.files.get(conf_path(mesh)) or state.files.get(running_conf(mesh)))
    for kind, key in UNITS.items():
        live = value_of(state, kind, mesh)
        if live != OFF:
            plan.changes.append(
                Change(
                    key,
                    live,
                    OFF,
                    target=mesh,
                    why=GONE,
                    disruption="perf" if passes and kind == "daemon" and live["running"] else "none",
                    relies_on=() if kind == "daemon" else (f"{DAEMON} {mesh}",),
                    data={"prefixes": prefixes, "ran": state.files.get(running_conf(mesh))},
                )
            )
    if mesh in state.deaf:
        plan.changes.append(
            Change(
                DRAIN,
                "drained",
                None,
                target=mesh,
                why=GONE,
                relies_on=(f"{DAEMON} {mesh}",),
                data={
                    "load": removal_text(deaf_table(mesh)),
                    "undo": removal_text(deaf_table(mesh)) + state.deaf[mesh],
                },
            )
        )


def remove(plan: Plan, mesh: str, state: RoutingState) -> None:
    relies = tuple(
        c.name for c in plan.changes if c.target == mesh and c.key == DAEMON and c.disruption != "none"
    )
    if mesh in state.tables:
        plan.changes.append(
            Change(
                FILTER,
                state.tables[mesh],
                None,
                target=mesh,
                why=GONE,
                relies_on=relies,
                data={
                    "load": removal_text(table(mesh)),
                    "undo": removal_text(table(mesh)) + state.texts[mesh],
                },
            )
        )
    for path in (conf_path(mesh), filter_path(mesh)):
        change = keep_file(plan, path, state.files.get(path), None, GONE)
        if change:
            change.relies_on = relies


def rival_off(plan: Plan, state: RoutingState, record: Record, brought: bool) -> None:
    """brought: this collection has installed its package, which starts it; nobody else wanted it."""
    name = f"{RIVAL} {DISTRIBUTION}"
    known = record.claims.get(name)
    if state.distribution is None:
        if known:
            plan.claims[name] = known
        return
    plan.before[name], plan.after[name] = state.distribution, DISTRIBUTION_OFF
    if known or state.distribution != DISTRIBUTION_OFF:
        first = known.first_seen if known else DISTRIBUTION_OFF if brought else state.distribution
        plan.claims[name] = Claim(first, DISTRIBUTION_OFF)
    if state.distribution != DISTRIBUTION_OFF:
        why = "it has one configuration for the whole host, and would take the port"
        plan.changes.append(
            Change(RIVAL, state.distribution, DISTRIBUTION_OFF, target=DISTRIBUTION, claim=name, why=why)
        )


def rival_back(plan: Plan, state: RoutingState, record: Record) -> None:
    known = record.claims.get(f"{RIVAL} {DISTRIBUTION}")
    if known is None or state.distribution is None or not isinstance(known.first_seen, dict):
        return
    # A run that was cut off may have done half of it; what somebody has switched on since stays on.
    wanted = {key: live or bool(known.first_seen.get(key)) for key, live in state.distribution.items()}
    if wanted != state.distribution:
        plan.changes.append(
            Change(
                RIVAL,
                state.distribution,
                wanted,
                target=DISTRIBUTION,
                # Where it has to wait, what it was like stays on record.
                claim=f"{RIVAL} {DISTRIBUTION}",
                why="as it was before this collection",
                relies_on=stops(plan),
            )
        )


def stops(plan: Plan) -> tuple[str, ...]:
    """The names of the changes that stop daemons."""
    return tuple(change.name for change in plan.changes if change.key == DAEMON and change.after == OFF)
