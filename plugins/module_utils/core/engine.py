# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way anything is changed: read, plan, apply, verify, and undo on failure.

A call of `reconcile` is a transaction. After an error it caught, the layer has its old
state; after SIGKILL or a power cut each key is old or new, each file whole, and the
journal makes the next run say so and converge.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from .errors import TargetLost, TransactionFailed, VerifyError
from .model import DISRUPTIONS, Change, Plan, Unapplied
from .repairs import as_interrupted, check_layer, journal_changes, leave_to_manager, plan_repairs
from .store import Record, Store, now


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
            _Transaction(layer, store, request, outcome).run()
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


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A request to stop is passed over meanwhile: undoing is what would answer it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    old = {number: signal.signal(number, lambda *_arguments: None) for number in names}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class _Transaction:
    """One apply with its journal, verification and rollback."""

    BOOKKEEPING = ("record", "journal")

    def __init__(self, layer: Layer, store: Store, request: Request, outcome: Outcome) -> None:
        self.layer = layer
        self.store = store
        self.request = request
        self.outcome = outcome
        self.plan = outcome.plan
        self.old = store.load(request.owner)
        self.done: list[Change] = []
        self.lost: dict[str, str] = {}
        self.current: Change | None = None

    def run(self) -> None:
        """Applies the plan. Raises TransactionFailed after undoing; anything else likewise undone."""
        try:
            try:
                self._prepare()
                self._apply()
                self._verify()
                self._finish()
            except BaseException as error:
                with _undisturbed():
                    failure = self._rolled_back(error)
                raise failure from error
        finally:
            self.outcome.writes = self.layer.port.writes + self.store.writes

    def _prepare(self) -> None:
        """The journal, then the first-seen values reach the disk before the first change does.

        The journal first: it says what was applied before, which the new record no longer does.
        """
        owner, plan = self.request.owner, self.plan
        entry = {
            "started": now(),
            "layer": self.layer.name,
            "run": self.request.run,
            "plan_digest": plan.digest,
            "changes": journal_changes(plan, self.old),
        }
        self.store.begin(owner, entry)
        union = Record(owner, {**self.old.claims, **plan.claims}, self.old.damaged)
        if union.claims != self.old.claims or self.old.damaged:
            self.store.save(union, self.layer.name)

    def _apply(self) -> None:
        for change in self.plan.changes:
            if change.key in self.BOOKKEEPING or change.target in self.lost:
                continue
            # Noted first: a write that fails may still have happened in part.
            self.done.append(change)
            if change.implied:
                continue
            self.current = change
            try:
                self.layer.port.apply(change)
            except TargetLost as error:
                self._lose(error)
            self.current = None

    def _verify(self) -> None:
        self.layer.port.reopen()
        for change in self.done:
            if change.verify != "readback" or change.target in self.lost:
                continue
            try:
                live = self.layer.port.readback(change)
            except TargetLost as error:
                self._lose(error)
                continue
            if live != change.after:
                raise VerifyError(
                    f"{change.label}: {change.after!r} was accepted, but reads back as {live!r}; "
                    "ask for a value that is kept as it is"
                )

    def _lose(self, error: TargetLost) -> None:
        """A lost target is left out; what was planned for it is said to be unapplied."""
        self.lost[error.target] = str(error)

    def _finish(self) -> None:
        plan, owner = self.plan, self.request.owner
        # What was tried on a lost target may hold once it is back: its first value stays on record.
        tried = {item.claim: plan.claims[item.claim] for item in self.done if item.claim in plan.claims}
        for target, reason in self.lost.items():
            for change in [item for item in plan.changes if item.target == target]:
                plan.withhold(change, "lost", reason, {**self.old.claims, **tried})
                self.outcome.degraded.append(change.target_name or target)
        self.outcome.degraded = sorted(set(self.outcome.degraded))
        final = Record(owner, plan.claims)
        if final.claims != self.store.load(owner).claims:
            self.store.save(final, self.layer.name)
        self.store.log(owner, self._log_entry())
        self.store.end(owner)

    def _log_entry(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "applied": now(),
            "layer": self.layer.name,
            "owner": self.request.owner,
            "run": self.request.run,
            "plan_digest": plan.digest,
            "degraded": self.outcome.degraded,
            "changes": [change.as_result() for change in plan.changes],
        }

    # -- failure

    def _rolled_back(self, error: BaseException) -> TransactionFailed:
        """Undoes everything done so far, newest first, and says what could not be undone."""
        failing = self.current.label if self.current else ""
        undone: list[str] = []
        stuck: list[dict[str, str]] = []
        for change in reversed(self.done):
            problem = self.lost[change.target] if change.target in self.lost else self._undo(change)
            if problem:
                stuck.append({"key": change.key, "target": change.target, "error": problem})
            else:
                undone.append(change.label)
        self._restore_records(stuck)
        text = str(error) or type(error).__name__
        message = f"{failing}: {text}" if failing and failing not in text else text
        ending = (
            "every change of this run was undone"
            if not stuck
            else f"{len(stuck)} of {len(self.done)} changes could not be undone: "
            + "; ".join(f"{item['key']} {item['target']}: {item['error']}".strip() for item in stuck)
        )
        return TransactionFailed(f"{message}; {ending}", undone, stuck)

    def _undo(self, change: Change) -> str:
        """Undoes one change and looks at the result. Returns what went wrong, or "".

        What counts is the value in the end: a device that refuses every write refused the first one, too.
        """
        problem = ""
        try:
            self.layer.port.undo(change)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are still to be undone
            problem = str(error) or type(error).__name__
        if change.verify != "readback" or change.undo != "exact":
            return problem
        try:
            live = self.layer.port.readback(change)
        except Exception as error:  # noqa: BLE001 - likewise
            return problem or str(error) or type(error).__name__
        if live == change.before:
            return ""
        return problem or f"reads back {live!r} instead of {change.before!r}"

    def _restore_records(self, stuck: list[dict[str, str]]) -> None:
        """The old record comes back, unless something is not undone.

        Then journal and record stay as after a run that was cut off: they alone know the first values.
        """
        try:
            self.store.unlog()
            if stuck:
                return
            if self.old.damaged:
                self.store.put_back_damaged(self.request.owner)
            elif self.store.load(self.request.owner).claims != self.old.claims:
                self.store.save(self.old, self.layer.name)
            self.store.end(self.request.owner)
        except OSError as error:
            stuck.append({"key": "record", "target": str(self.store.state), "error": str(error)})
