# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way anything is changed: read, plan, apply, verify, and undo on failure.

A call of `reconcile` is a transaction. After an error it caught, the layer has its old
state; after SIGKILL or a power cut each key is old or new, each file whole, and the
journal makes the next run say so and converge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from .model import DISRUPTIONS, Change, Plan, Unapplied
from .repairs import as_interrupted, check_layer, leave_to_manager, plan_repairs
from .store import Record, Store
from .transaction import Transaction


class Port(Protocol):
    """The only code of a layer that touches the machine."""

    writes: int

    def apply(self, change: Change) -> None:
        """Makes the change. May raise anything; TargetLost leaves its target out."""

    def undo(self, change: Change) -> None:
        """Puts `change.before` back, or the device's default where that is unknown."""

    def reopen(self) -> None:
        """Closes and opens the device, so that verification sees what outlives this process."""

    def readback(self, change: Change) -> Any:
        """The live value of the changed key, in the form of `change.after`."""


class Layer(Protocol):
    """What the engine needs of a layer."""

    name: str
    port: Port

    def read(self) -> Any:
        """Everything `plan` needs to know of the node. Writes nothing."""

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Pure. `others`: claim name → owner, for keys held by other owners. Raises BindError."""

    def manager(self) -> str:
        """Who else manages this layer on this node ("GPU Operator", …), or ""."""


@dataclass
class Request:
    """How a transaction is to be run."""

    owner: str
    check: bool = False
    max_disruption: str = "perf"
    managed_by: str = ""
    run: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What happened. `as_result()` is the public shape of docs/results.md."""

    layer: str
    owner: str
    plan: Plan
    writes: int = 0
    interrupted: dict[str, Any] | None = None
    degraded: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.plan.changes)

    @property
    def missing_required(self) -> list[Unapplied]:
        return [wish for wish in self.plan.unapplied if wish.required]

    def as_result(self) -> dict[str, Any]:
        return {
            "changed": self.changed,
            "layer": self.layer,
            "owner": self.owner,
            "changes": [change.as_result() for change in self.plan.changes],
            "unapplied": [wish.as_result() for wish in self.plan.unapplied],
            "before": self.plan.before,
            "after": self.plan.after,
            "details": self.plan.details,
            "notes": self.plan.notes,
            "reboot_required": self.plan.reboot_required,
            "plan_digest": self.plan.digest,
            "writes": self.writes,
            "interrupted": self.interrupted,
            "degraded": self.degraded,
        }


def reconcile(layer: Layer, store: Store, request: Request) -> Outcome:
    """Brings the layer to its wishes, or in check mode says what that would take.

    Raises BindError, LayerUnavailable, RecordTooNew before any write; LockTimeout;
    TransactionFailed after a rollback. An Outcome with `missing_required` changed nothing.
    """
    if request.check or request.managed_by:
        return _planned(layer, store, request)
    with store.lock():
        outcome = _planned(layer, store, request)
        if outcome.changed and not outcome.missing_required:
            Transaction(layer, store, request, outcome).run()
        return outcome


def _planned(layer: Layer, store: Store, request: Request) -> Outcome:
    record = store.load(request.owner)
    check_layer(record, layer.name)
    interrupted = store.unfinished(request.owner)
    state = layer.read()
    if interrupted is not None:
        record = as_interrupted(record, interrupted, layer.port.readback)
    plan = layer.plan(state, record, store.other_claims(request.owner))
    for change in [item for item in plan.changes if _too_much(item, request.max_disruption)]:
        plan.withhold(
            change,
            "needs_more_disruption",
            f"needs {change.disruption}, allowed is {request.max_disruption} (node_max_disruption)",
            record.claims,
        )
    if request.managed_by:
        leave_to_manager(plan, record, request.managed_by)
    else:
        plan_repairs(plan, store, record, interrupted)
    return Outcome(layer.name, request.owner, plan, interrupted=interrupted)


def _too_much(change: Change, allowed: str) -> bool:
    return DISRUPTIONS.index(change.disruption) > DISRUPTIONS.index(allowed)
