# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier runs left behind, made part of the plan: damaged records, journals of runs cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import NodeError
from .model import DISRUPTIONS, Change, Claim, Plan
from .store import Record, Store

FILES = ("file", "record", "journal")
"""Keys of our own files: consequences of settings, no settings."""


def check_layer(record: Record, layer: str) -> None:
    """One record serves one layer: raises NodeError where the owner's is another layer's."""
    if record.layer and record.layer != layer:
        raise NodeError(
            f"owner {record.owner!r} already holds settings of the layer {record.layer!r} on this node; "
            f"give the layer {layer!r} an owner of its own"
        )


def journal_changes(plan: Plan, old: Record) -> list[dict[str, Any]]:
    """The changes as the journal keeps them, each with what its record said was applied before."""
    entries = []
    for change in plan.changes:
        entry = {**change.as_result(), "claim": change.claim, "data": change.data}
        if change.claim in old.claims:
            entry["applied_before"] = old.claims[change.claim].applied
        entries.append(entry)
    return entries


def as_interrupted(
    record: Record, journal: dict[str, Any] | None, readback: Callable[[Change], Any]
) -> Record:
    """The record as the node is after a run that was cut off.

    The record names the values of that run as applied, before they were. Where the value applied by
    the run before is still live, that one is ours. `readback` gives the live value of a change.
    """
    changes = (journal or {}).get("changes")
    claims = dict(record.claims)
    for entry in changes if isinstance(changes, list) else []:
        if not isinstance(entry, dict) or entry.get("claim") not in claims or "applied_before" not in entry:
            continue
        change = Change(
            str(entry.get("key")),
            entry.get("before"),
            entry.get("after"),
            target=str(entry.get("target", "")),
            data=entry.get("data") or {},
        )
        try:
            live = readback(change)
        except (NodeError, OSError):
            continue
        claim = claims[entry["claim"]]
        if live == entry["applied_before"] != claim.applied:
            claims[entry["claim"]] = Claim(claim.first_seen, entry["applied_before"])
    found = Record(record.owner, claims, record.damaged)
    found.layer = record.layer
    return found


def withhold_too_much(plan: Plan, record: Record, allowed: str) -> None:
    """Takes out what disturbs more than is allowed, and what makes no sense without it."""
    before = list(plan.changes)
    for change in before:
        if DISRUPTIONS.index(change.disruption) > DISRUPTIONS.index(allowed):
            detail = f"needs {change.disruption}, allowed is {allowed} (node_max_disruption)"
            # The reason names whom it would disturb.
            detail += f"; {change.why}" if change.why else ""
            plan.withhold(change, "needs_more_disruption", detail, record.claims)
    left_out = {change.name: change for change in before if change not in plan.changes}
    for change in list(plan.changes):
        first = next((left_out[name] for name in change.relies_on if name in left_out), None)
        if first:
            detail = f"it would take away {first.label}, which needs {first.disruption}, allowed is {allowed}"
            plan.withhold(change, "needs_more_disruption", detail, record.claims)
        elif change.serves and all(name in left_out for name in change.serves):
            _not_needed(plan, change, record)
            left_out[change.name] = change  # what serves only this is not needed either
    if left_out and not plan.changes and plan.claims != record.claims:
        plan.changes.append(
            Change(
                "record",
                "out of date",
                "brought up to date",
                undo="none",
                why="nothing may be set now, but what this owner holds is not what the record says",
            )
        )


def _not_needed(plan: Plan, change: Change, record: Record) -> None:
    """A change that nobody asked for by itself: nothing is unapplied without it."""
    plan.take_out(change)
    if change.claim in record.claims:
        plan.claims[change.claim] = record.claims[change.claim]
    else:
        plan.claims.pop(change.claim, None)


def leave_as_is(plan: Plan, record: Record, reason: str, detail: str) -> None:
    """Nothing is changed: the layer is somebody else's (`managed_by`), or the node is frozen (`frozen`)."""
    for change in list(plan.changes):
        # What is given back has no claim any more, and is somebody's setting all the same.
        if change.claim or not (change.key in FILES or change.data.get("bookkeeping")):
            plan.withhold(change, reason, detail, record.claims)
            continue
        plan.take_out(change)


def plan_repairs(plan: Plan, store: Store, record: Record, interrupted: dict[str, Any] | None) -> None:
    """A damaged record and a left-over journal are put right as part of the plan, visibly."""
    path = str(store.record_path(record.owner))
    if record.damaged:
        plan.notes.append(
            f"the owner record {path} is damaged ({record.damaged}): it is kept as {path}.damaged; "
            "values that settings had before this collection changed them are no longer known, so "
            "removing those settings will not bring them back"
        )
        plan.changes.append(
            Change("record", "damaged", "rewritten", target=path, undo="none", why=record.damaged)
        )
    if interrupted is not None:
        started = interrupted.get("started", "unknown")
        plan.notes.append(f"a run started at {started} never finished; every key was checked again")
        plan.changes.append(
            Change(
                "journal",
                "unfinished",
                None,
                target=str(store.journal_path(record.owner)),
                undo="none",
                why=f"a run started at {started} was cut off",
            )
        )
