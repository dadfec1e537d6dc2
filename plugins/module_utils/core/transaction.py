# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One apply: its journal, its verification, its rollback."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from .contract import Layer, Outcome, Request
from .errors import NotOffered, TargetLost, TransactionFailed, VerifyError
from .model import Change
from .repairs import journal_changes
from .store import Record, Store, now


class Transaction:
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
        self.unoffered: list[tuple[Change, str]] = []
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
            except NotOffered as error:
                if change.required:
                    raise
                self.done.remove(change)
                self.unoffered.append((change, str(error)))
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
                plan.degraded.append(change.target_name or target)
        for change, reason in self.unoffered:
            plan.withhold(change, "unsupported", reason, self.old.claims)
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
