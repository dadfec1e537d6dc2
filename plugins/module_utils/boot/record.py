# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an owner record asks for after a boot, and a layer that asks for just that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from ..core.contract import Port
from ..core.errors import NodeError
from ..core.model import Claim, Plan
from ..core.store import Record, Store
from .kinds import Kind, Places
from .owners import Owner

LOCK_WAIT = 60.0
"""Seconds a run waits for another one on this node."""

Claims = Mapping[str, Claim]


class BootStore(Store):
    """The node's records, with a journal of our own.

    The journal of a playbook's run that was cut off stays for the next playbook's run, which reports it.
    """

    def journal_path(self, owner: str) -> Path:
        return self.state / "journal" / "boot" / f"{owner}.json"

    @contextlib.contextmanager
    def lock(self, timeout: float = LOCK_WAIT) -> Iterator[None]:
        """Raises LockTimeout."""
        with super().lock(timeout):
            yield

    def playbook_journal(self, owner: str) -> Optional[dict[str, Any]]:
        """The journal of a playbook's run that has not ended, or None."""
        return Store(str(self.state), str(self.run)).unfinished(owner)


def completed(claims: Claims, journal: Optional[Mapping[str, Any]]) -> dict[str, Claim]:
    """The claims as the last run that came to its end left them.

    A run that was cut off has put down what it was about to set, and nobody has seen that work: what was
    applied before counts, and a key it was the first to set is left alone.
    """
    found = dict(claims)
    for entry in _entries(journal):
        name = entry.get("claim")
        if name not in found:
            continue
        if "applied_before" in entry:
            found[name] = Claim(found[name].first_seen, entry["applied_before"])
        else:
            del found[name]
    return found


def split(name: str) -> tuple[str, str]:
    """(key, UUID) of a claim's name."""
    key, _space, uuid = name.partition(" ")
    return key, uuid


def uuids(claims: Claims) -> list[str]:
    return sorted({split(name)[1] for name in claims} - {""})


def _entries(journal: Optional[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    changes = (journal or {}).get("changes")
    for entry in changes if isinstance(changes, list) else []:
        if isinstance(entry, dict):
            yield entry


class FromRecord:
    """A `contract.Layer` that asks for what the record holds of some GPUs.

    Nothing is given back and no claim changes: what is on record is the playbook's, not ours.
    """

    def __init__(
        self, kind: Kind, owner: Owner, store: BootStore, places: Places, targets: frozenset[str]
    ) -> None:
        self.kind = kind
        self.owner = owner
        self.store = store
        self.targets = targets
        self.layer = kind.layer(owner, places)
        self.port: Port = self.layer.port
        self.name = store.load(owner.name).layer

    def manager(self) -> str:
        return str(self.layer.manager())

    def read(self) -> Any:
        return self.layer.read()

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Raises what the layer's own plan raises; NodeError where the record was damaged meanwhile."""
        if record.damaged:
            raise NodeError(f"the record of owner {record.owner!r} is damaged ({record.damaged})")
        held = self._held(record)
        self.kind.aim(self.layer, self.owner, held)
        share = Record(record.owner, held)
        share.layer = record.layer
        plan: Plan = self.layer.plan(state, share, others)
        plan.changes = [change for change in plan.changes if change.key != "record"]
        plan.claims = {**plan.claims, **record.claims}
        return plan

    def close(self) -> None:
        self.layer.close()

    def _held(self, record: Record) -> dict[str, Claim]:
        claims = completed(record.claims, self.store.playbook_journal(record.owner))
        return {
            name: claim
            for name, claim in claims.items()
            if claim.applied is not None and self.kind.owns(name) and split(name)[1] in self.targets
        }
