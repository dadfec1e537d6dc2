# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine asks of a layer, how a transaction is requested, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from .model import Change, Plan, Unapplied
from .store import Record


class Port(Protocol):
    """The only code of a layer that touches the machine."""

    @property
    def writes(self) -> int:
        """How many writes were made so far."""

    def apply(self, change: Change) -> None:
        """Makes the change. TargetLost leaves its target out, NotOffered the change; all else undoes all."""

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
    """How a transaction is to be run. `frozen`: why nothing on this node may be changed, or ""."""

    owner: str
    check: bool = False
    max_disruption: str = "perf"
    managed_by: str = ""
    frozen: str = ""
    run: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What happened. `as_result()` is the public shape of docs/results.md."""

    layer: str
    owner: str
    plan: Plan
    writes: int = 0
    interrupted: dict[str, Any] | None = None

    @property
    def degraded(self) -> list[str]:
        return sorted(set(self.plan.degraded))

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
            "pending": self.plan.pending,
            "attention": self.plan.attention,
            "reboot_required": self.plan.reboot_required,
            "plan_digest": self.plan.digest,
            "writes": self.writes,
            "interrupted": self.interrupted,
            "degraded": self.degraded,
        }
