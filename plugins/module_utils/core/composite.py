# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several parts as one layer: one record, one transaction, one round trip.

Each part reads and plans by itself and sees only its own claims. What one part refuses, all are
refused; when one fails, all are undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .contract import Port
from .errors import BindError, Problem
from .model import Change, Plan
from .store import Record


class Part(Protocol):
    """A layer within a layer. `owns` says whether a key, of a change or a claim, is this part's."""

    port: Port

    def owns(self, key: str) -> bool: ...

    def read(self) -> Any: ...

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan: ...


class Composite:
    """The parts as a `contract.Layer`. Their changes are applied in the parts' order."""

    def __init__(self, name: str, parts: Sequence[Part], manager: Callable[[], str]) -> None:
        self.name = name
        self.parts = parts
        self.port: Port = CompositePort(parts)
        self.planned = Plan()
        """While planning: what the parts before the one that asks have planned."""
        self._manager = manager

    def manager(self) -> str:
        return self._manager()

    def read(self) -> list[Any]:
        return [part.read() for part in self.parts]

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Raises BindError with the problems of all parts."""
        plan, problems = Plan(), []
        self.planned = plan
        for part, own in zip(self.parts, state):
            try:
                plan.extend(part.plan(own, _share(record, part), others))
            except BindError as error:
                problems += error.problems
        if problems:
            raise BindError(_distinct(problems))
        # What no part here owns was claimed by a part that another program has: it stays.
        plan.claims.update(
            {
                name: claim
                for name, claim in record.claims.items()
                if not any(p.owns(name) for p in self.parts)
            }
        )
        return plan


class CompositePort:
    """Hands each change to the part whose key it is."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts

    @property
    def writes(self) -> int:
        return sum(part.port.writes for part in self.parts)

    def apply(self, change: Change) -> None:
        self._port(change).apply(change)

    def undo(self, change: Change) -> None:
        self._port(change).undo(change)

    def reopen(self) -> None:
        for part in self.parts:
            part.port.reopen()

    def readback(self, change: Change) -> Any:
        return self._port(change).readback(change)

    def _port(self, change: Change) -> Port:
        name = change.claim or f"{change.key} {change.target}".strip()
        return next(part.port for part in self.parts if part.owns(name))


def _share(record: Record, part: Part) -> Record:
    """The record as the part may see it: its own claims."""
    claims = {name: claim for name, claim in record.claims.items() if part.owns(name)}
    share = Record(record.owner, claims, record.damaged)
    share.layer = record.layer
    return share


def _distinct(problems: list[Problem]) -> list[Problem]:
    return [problem for place, problem in enumerate(problems) if problem not in problems[:place]]
