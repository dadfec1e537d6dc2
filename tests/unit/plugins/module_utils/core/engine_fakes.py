# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer whose devices are dictionaries: what the engine is tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TargetLost
from ansible_collections.swarm.node.plugins.module_utils.core.model import Change, Claim, Plan, Unapplied
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record, Store

FIRST = {"d0": {"a": 1, "b": 2}, "d1": {"a": 1, "b": 2}}


class MemoryPort:
    """Devices with keys. `calls` has every call; `fault(name, number, change)` runs before each."""

    def __init__(self, devices: dict[str, dict[str, Any]]) -> None:
        self.devices = devices
        self.writes = 0
        self.calls: list[str] = []
        self.count: dict[str, int] = {}
        self.fault: Callable[[str, int, Change | None], None] = lambda name, number, change: None
        self.gone: set[str] = set()
        self.ignored: set[str] = set()

    def _enter(self, name: str, change: Change | None = None) -> None:
        self.count[name] = self.count.get(name, 0) + 1
        self.calls.append(f"{name} {change.target}.{change.key}" if change else name)
        self.fault(name, self.count[name], change)
        if change and change.target in self.gone:
            raise TargetLost(change.target, f"{change.target} fell off the bus")

    def apply(self, change: Change) -> None:
        self._enter("apply", change)
        self.writes += 1
        if change.key not in self.ignored:
            self.devices[change.target][change.key] = change.after

    def undo(self, change: Change) -> None:
        self._enter("undo", change)
        self.writes += 1
        self.devices[change.target][change.key] = change.before

    def reopen(self) -> None:
        self._enter("reopen")

    def readback(self, change: Change) -> Any:
        self._enter("readback", change)
        return self.devices[change.target][change.key]


class MemoryLayer:
    """Wishes: device → key → value. What is held and no longer asked for goes back."""

    name = "memory_layer"

    def __init__(self, port: MemoryPort, wishes: dict[str, dict[str, Any]], **changes: Any) -> None:
        self.port = port
        self.wishes = wishes
        self.fields = changes
        self.unapplied: list[Unapplied] = []

    def manager(self) -> str:
        return ""

    def read(self) -> dict[str, dict[str, Any]]:
        return {name: dict(keys) for name, keys in self.port.devices.items()}

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        plan = Plan(unapplied=list(self.unapplied))
        for target, keys in self.wishes.items():
            for key, value in keys.items():
                claim, live = f"{key} {target}", state[target][key]
                known = record.claims.get(claim)
                plan.before[claim], plan.after[claim] = live, value
                plan.claims[claim] = Claim(known.first_seen if known else live, value)
                if live != value:
                    plan.changes.append(self._change(key, target, live, value, claim))
        for claim, held in record.claims.items():
            key, target = claim.split()
            live = state[target][key]
            if claim not in plan.claims and live == held.applied != held.first_seen:
                plan.changes.append(self._change(key, target, live, held.first_seen, ""))
        return plan

    def _change(self, key: str, target: str, before: Any, after: Any, claim: str) -> Change:
        return Change(key, before, after, target=target, claim=claim, **self.fields)


class Node:
    """Devices, a state directory, and runs over both. Every run has a port and a store of its own."""

    def __init__(self, base: Path, owner: str = "o") -> None:
        self.base = base
        self.owner = owner
        self.devices = {name: dict(keys) for name, keys in FIRST.items()}
        self.port = MemoryPort(self.devices)
        self.store = Store(str(base / "state"), str(base / "run"))

    def fresh(self) -> Node:
        """The same node for the next run."""
        other = Node(self.base, self.owner)
        other.devices = other.port.devices = self.devices
        return other

    def run(self, wishes: dict[str, dict[str, Any]], **options: Any) -> Outcome:
        return self.run_layer(MemoryLayer(self.port, wishes), **options)

    def run_layer(self, layer: MemoryLayer, **options: Any) -> Outcome:
        return reconcile(layer, self.store, Request(self.owner, **options))

    def files(self) -> dict[str, str]:
        """Every file the collection keeps, by path below the state directory."""
        root = self.base / "state"
        return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}

    def claims(self) -> dict[str, tuple[Any, Any]]:
        record = self.store.load(self.owner)
        return {name: (claim.first_seen, claim.applied) for name, claim in record.claims.items()}
