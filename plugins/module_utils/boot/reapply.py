# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owner records brought back to the GPUs: all GPUs at once, and GPU by GPU where that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..core.contract import Request
from ..core.engine import reconcile
from ..core.errors import LayerUnavailable, LockTimeout, NodeError
from ..core.model import Claim
from ..core.recorded import BootStore, completed
from ..core.store import Record
from ..gpu.managers import find_manager
from ..gpu.state import NodeState
from .kinds import KINDS, Kind, Places, settings_layer
from .owners import Owner
from .record import FromRecord, split, uuids
from .status import APPLIED, BUSY, FAILED, FROZEN, MANAGED, NOTHING, PARTLY, UNAVAILABLE, UNCHANGED

MAX_DISRUPTION = "node_jobs"
"""After a boot or a load of the driver no job runs on a GPU; one that is in use refuses by itself."""


@dataclass(frozen=True)
class Run:
    """How a run is made. `stopped`: whether the process was told to stop meanwhile."""

    store: BootStore
    places: Places
    frozen: str
    why: str
    stopped: Callable[[], bool]


@dataclass
class Done:
    """What came of one owner's record.

    failures: {target, error}, target "" for all; away: UUIDs on record that are not in this node
    """

    owner: str
    outcome: str = UNCHANGED
    detail: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    unapplied: list[dict[str, Any]] = field(default_factory=list)
    pending: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def settle(self) -> Done:
        """The outcome, from what happened."""
        if self.outcome != UNCHANGED:
            return self
        if self.failures or self.unapplied:
            self.outcome = PARTLY if self.changes else FAILED
        elif self.changes:
            self.outcome = APPLIED
        return self

    def fail(self, target: str, error: object) -> None:
        self.failures.append({"target": target, "error": str(error) or type(error).__name__})


def reapply(owners: Sequence[Owner], run: Run) -> list[Done]:
    """What came of each owner; what went wrong is in the answers."""
    works = [_Work(owner, run) for owner in owners]
    for work in works:
        work.step(work.prepare)
    for kind in KINDS:
        for work in works:
            if work.targets and not run.stopped():
                work.step(partial(work.apply, kind))
            if work.done.outcome == BUSY:  # One wait is enough: the others would wait for the same run.
                for other in works:
                    other.give_up(work.done.detail)
    return [work.done.settle() for work in works]


class _Work:
    """One owner's record. `targets`: UUIDs of the GPUs on record that answer; empty when it is done with."""

    def __init__(self, owner: Owner, run: Run) -> None:
        self.owner = owner
        self.run = run
        self.done = Done(owner.name)
        self.held: dict[str, Claim] = {}
        self.targets: list[str] = []

    def step(self, action: Callable[[], None]) -> None:
        """Does it; an error that concerns all GPUs ends the work for this owner."""
        try:
            action()
        except LayerUnavailable as error:
            self._end(UNAVAILABLE, str(error))
        except LockTimeout as error:
            self._end(BUSY, str(error))
        except (NodeError, OSError) as error:
            self._end(FAILED, str(error))

    def give_up(self, detail: str) -> None:
        if self.targets:
            self._end(BUSY, detail)

    # -- before anything is changed

    def prepare(self) -> None:
        """Finds what is held and which of its GPUs are there. Raises NodeError."""
        store, done = self.run.store, self.done
        record = store.load(self.owner.name)
        if record.damaged:
            return self._end(
                FAILED,
                f"its record is damaged ({record.damaged}), so what was set is not known; it stays as it is "
                "for the playbook's next run, which sets everything again",
            )
        self.held = self._claims(record)
        if not self.held:
            return self._end(NOTHING)
        if self.run.frozen:
            return self._end(FROZEN, self.run.frozen)
        found = "" if self.owner.manage == "manage" else find_manager(self.run.places.root)
        if found:
            return self._end(MANAGED, f"{found} manages the GPUs of this node")
        state = self._gpus()
        wanted, present = set(uuids(self.held)), {gpu.uuid for gpu in state.gpus}
        for uuid in sorted(wanted - present):
            _not_there(uuid, state, done)
        self.targets = sorted(wanted & present)
        return None

    def _claims(self, record: Record) -> dict[str, Claim]:
        journal = self.run.store.playbook_journal(record.owner)
        if journal is not None:
            started = journal.get("started", "unknown")
            self.done.notes.append(
                f"a playbook's run of {started} was cut off; what the run before it had set counts"
            )
        held = {
            name: claim
            for name, claim in completed(record.claims, journal).items()
            if any(kind.owns(name) for kind in KINDS)
        }
        unknown = sorted(name for name, claim in held.items() if claim.applied is None)
        if unknown:
            names = ", ".join(unknown)
            self.done.notes.append(f"{names}: the record does not say what was set; run the playbook")
        return {name: claim for name, claim in held.items() if claim.applied is not None}

    def _gpus(self) -> NodeState:
        """Raises LayerUnavailable."""
        layer = settings_layer(self.owner, self.run.places)
        try:
            state = layer.read()
        except NodeError as error:
            raise LayerUnavailable(str(error)) from error
        finally:
            layer.close()
        if state.unavailable:
            raise LayerUnavailable(state.unavailable)
        return state

    def _end(self, outcome: str, detail: str = "") -> None:
        self.done.outcome, self.done.detail = outcome, detail
        self.targets = []

    # -- changing

    def apply(self, kind: Kind) -> None:
        """All GPUs in one transaction; if it fails, each in its own. Raises LayerUnavailable, LockTimeout."""
        targets = [
            uuid for uuid in self.targets if any(kind.owns(n) and split(n)[1] == uuid for n in self.held)
        ]
        if not targets:
            return
        error = self._attempt(kind, targets)
        if error is None:
            return
        if len(targets) == 1 or self.run.stopped():
            self.done.fail(targets[0] if len(targets) == 1 else "", error)
            return
        for uuid in targets:
            error = None if self.run.stopped() else self._attempt(kind, [uuid])
            if error is not None:
                self.done.fail(uuid, error)

    def _attempt(self, kind: Kind, targets: Sequence[str]) -> NodeError | None:
        """One transaction, noted in `done`. Returns why it failed: then nothing was changed."""
        run = self.run
        layer = FromRecord(kind, self.owner, run.store, run.places, frozenset(targets))
        request = Request(
            owner=self.owner.name,
            check=run.places.check,
            max_disruption=MAX_DISRUPTION,
            run={"why": run.why, "by": "swarm-node-gpu.service"},
        )
        try:
            outcome = reconcile(layer, run.store, request)
        except (LayerUnavailable, LockTimeout):
            raise
        except NodeError as error:
            return error
        finally:
            layer.close()
        self._note(outcome.as_result(), targets)
        return None

    def _note(self, result: dict[str, Any], targets: Sequence[str]) -> None:
        done = self.done
        done.changes += result["changes"]
        done.unapplied += [wish for wish in result["unapplied"] if wish["target"] in ("", *targets)]
        done.pending += result["pending"]
        # The layer sees the claims of some GPUs only; which are away was said before.
        notes = [note for note in result["notes"] if "stays on record" not in note]
        done.notes += [note for note in notes if note not in done.notes]


def _not_there(uuid: str, state: NodeState, done: Done) -> None:
    """A GPU that does not answer is a failure; one that was taken out of the node is not."""
    lost = next((gpu for gpu in state.lost if gpu.uuid == uuid), None)
    mute = [gpu.why for gpu in state.lost if not gpu.uuid]
    if lost is not None:
        done.fail(uuid, lost.why)
    elif mute:
        done.fail(uuid, f"a GPU of this node does not tell its UUID, and may be this one: {mute[0]}")
    elif state.unseen:
        where = ", ".join(state.unseen)
        done.fail(uuid, f"NVML does not know it; it may be the GPU at {where}, which only the PCI bus shows")
    else:
        done.away.append(uuid)
        done.notes.append(f"{uuid} is on record and not in this node; its entries stay")
