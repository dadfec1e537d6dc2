# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel layer as the engine sees it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..core.contract import Port
from ..core.model import Plan
from ..core.store import Record, Store
from .model import EXCLUSIVE, KernelState, Wish
from .plan import plan_kernel
from .port import KernelPort, keys_to_read


class KernelLayer:
    """Sysctls and transparent huge pages of one owner.

    yields_to: owners whose keys are left to them; may_wait: so are required ones
    `yielded` (those keys) and `other_owners` (who else holds anything here) are known once it has planned.
    """

    name = "kernel"

    def __init__(
        self,
        port: KernelPort,
        store: Store,
        owner: str,
        wishes: list[Wish],
        yields_to: Collection[str] = (),
        may_wait: bool = False,
    ) -> None:
        self.port: Port = port
        self._kernel = port
        self.store = store
        self.owner = owner
        self.wishes = wishes
        self.yields_to = yields_to
        self.may_wait = may_wait
        self.yielded: list[str] = []
        self.other_owners: list[str] = []

    def manager(self) -> str:
        """None holds the whole layer: tuned holds single keys, which the plan reports one by one."""
        return ""

    def read(self) -> KernelState:
        claims = self.store.load(self.owner).claims
        wished = [wish.knob.key for wish in self.wishes]
        return self._kernel.read(self.owner, keys_to_read(wished, claims, EXCLUSIVE))

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        held = {key for key, owner in others.items() if owner in self.yields_to}
        self.yielded = [wish.knob.key for wish in self.wishes if wish.knob.key in held]
        self.other_owners = sorted(set(others.values()))
        return plan_kernel(self.wishes, state, record, others, self.yields_to, self.may_wait)
