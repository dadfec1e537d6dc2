# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an owner record asks for after a boot, and a layer that asks for just that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.contract import Port
from ..core.errors import NodeError
from ..core.model import Claim, Plan
from ..core.recorded import BootStore, completed
from ..core.store import Record
from .kinds import Kind, Places
from .owners import Owner

Claims = Mapping[str, Claim]


def split(name: str) -> tuple[str, str]:
    """(key, UUID) of a claim's name."""
    key, _space, uuid = name.partition(" ")
    return key, uuid


def uuids(claims: Claims) -> list[str]:
    return sorted({split(name)[1] for name in claims} - {""})


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
