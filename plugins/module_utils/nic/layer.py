# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nic layer as the engine sees it: devices, what makes settings last, and the guard over a change."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from ..core.commands import Runner, execute
from ..core.contract import Port
from ..core.errors import BindError, LayerUnavailable
from ..core.model import DISRUPTIONS, Change, Plan
from ..core.store import RUN_DIR, STATE_DIR, Record
from .armed import Armed
from .ethtool import Ethtool
from .guard import KEY as GUARD_KEY
from .guard import Guard
from .learned import Learned
from .links import LINK_TIMEOUT, LinkWatch
from .managers import manager
from .model import NicState, Wish
from .persistence import BootState, Persistence
from .plan import plan_nic
from .port import NicPort
from .reading import Reader
from .setter import Setter
from .settings import PREFIX, QDISC
from .sysfs import Sysfs

NAME = "nic"


@dataclass(frozen=True)
class NicOptions:
    """What is asked for.

    confirm_seconds: the node takes a change of a device in use back unless confirmed by then; 0: no guard
    persist: settings come back after a boot; program: makes the text of what does that, and of the guard
    from_record: re-applies what an owner holds, and nothing else
    survey: whether `NicLayer.survey` is wanted
    """

    wishes: Sequence[Wish] = ()
    owner: str = NAME
    root: Path = Path("/")
    state_dir: str = STATE_DIR
    run_dir: str = RUN_DIR
    check: bool = False
    max_disruption: str = "perf"
    confirm_seconds: float = 0
    token: str = ""
    link_timeout: float = LINK_TIMEOUT
    persist: bool = True
    program: Callable[[], str] = lambda: ""
    from_record: bool = False
    survey: bool = False
    runner: Runner = execute
    ethtool: Optional[Ethtool] = None


class NicLayer:
    """A `contract.Layer`."""

    name = NAME

    def __init__(self, options: NicOptions) -> None:
        self.options = options
        self.token = options.token or uuid.uuid4().hex
        sysfs = Sysfs(options.root)
        ethtool = options.ethtool or Ethtool()
        self.learned = Learned(options.run_dir)
        self.reader = Reader(options.root, sysfs, ethtool, options.runner, self.learned)
        self.watch = LinkWatch(options.root, sysfs, options.runner, options.link_timeout)
        setter = Setter(sysfs, ethtool, options.runner, self.reader)
        self.devices = NicPort(sysfs, setter, self.watch, self.learned)
        self.guard = Guard(options.root, options.state_dir, options.run_dir, options.runner, options.program)
        self.guard.stuck = lambda: self.devices.stuck
        self.persistence = Persistence(
            options.root, options.state_dir, options.run_dir, options.program, options.persist
        )
        self.parts = LayerPort(self.devices, self.persistence, self.guard)
        self.port: Port = self.parts
        self._boot = BootState()
        self.survey: Optional[dict[str, Any]] = None
        """Once it has been read, where it was asked for."""

    def manager(self) -> str:
        return manager(self.options.root)

    def read(self) -> NicState:
        """Raises NodeError, OSError."""
        wishes = self.options.wishes
        claims = self.guard.store().load(self.options.owner).claims
        held = {name.partition(" ")[0][len(PREFIX) :] for name in claims}
        needs = {wish.name for wish in wishes} | held
        devices = {name.partition(" ")[2] for name in claims}
        selectors = {wish.selector for wish in wishes}
        state = self.reader.read(needs, selectors, devices)
        if self.options.survey:
            self.survey = self.reader.survey(state)
        state.armed = self.guard.armed()
        state.rebooted = state.armed is not None and self.guard.rebooted(state.armed)
        state.reverted = self.guard.reverted()
        self._boot = self.persistence.read()
        return state

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Raises BindError, also while another change is armed; LayerUnavailable without tc."""
        options = self.options
        self._check_tc(state)
        stale = state.armed if state.rebooted else None
        known = self._as_before(record, stale)
        plan = plan_nic(options.wishes, state, known, others, options.max_disruption)
        self.devices.notes, self.devices.after = plan.notes, plan.after
        if options.from_record:
            return plan
        if not self.persistence.lasts(self._boot):
            for detail in plan.details:
                detail.update(persistent=None, after_reboot=None)
        foreign = [name for name in others if name.startswith(PREFIX)]
        kept = [*self._kept(plan, known), *_tried(plan, state)]
        self.persistence.plan(plan, self._boot, kept, foreign)
        if stale is not None:
            plan.changes.append(self.guard.settling(stale, record.owner))
        elif state.armed is not None and plan.changes:
            raise BindError([state.armed.refusal(self.token)])
        elif state.armed is not None:
            plan.notes.append(state.armed.sentence)
        self._arm(plan, known)
        return plan

    # -- inside

    def _check_tc(self, state: NicState) -> None:
        asked = any(wish.name == QDISC for wish in self.options.wishes)
        if asked and not state.tc and not self.options.check:
            raise LayerUnavailable("tc is not installed, which sets queueing disciplines: install iproute2")

    def _as_before(self, record: Record, stale: Optional[Armed]) -> Record:
        """The record as it was before a change that nobody confirmed and a boot took back."""
        if stale is None or stale.owner != record.owner:
            return record
        found = Record(record.owner, stale.old_claims(), record.damaged)
        found.layer = record.layer
        return found

    def _may_be(self, change: Change) -> bool:
        """Whether the engine will not leave it out."""
        return DISRUPTIONS.index(change.disruption) <= DISRUPTIONS.index(self.options.max_disruption)

    def _kept(self, plan: Plan, record: Record) -> list[str]:
        """Claims of what will not be given back."""
        return [
            change.claim
            for change in plan.changes
            if change.claim in record.claims and not self._may_be(change)
        ]

    def _arm(self, plan: Plan, record: Record) -> None:
        """Puts the guard's change first where one is needed."""
        options = self.options
        risky = [change for change in plan.changes if change.data.get("risky") and self._may_be(change)]
        if not risky or not options.confirm_seconds:
            if plan.changes and self.guard.reverted() is not None:
                plan.changes.append(self.guard.forgetting(tuple(change.name for change in plan.changes)))
            return
        arming = self.guard.change(self.token, options.confirm_seconds, options.owner, record.claims)
        arming.serves = tuple(change.name for change in risky)
        self.guard.plan = plan
        plan.changes.insert(0, arming)


def _tried(plan: Plan, state: NicState) -> list[str]:
    """What was asked for and refused by the driver in this boot: it is asked for again in the next one."""
    return [
        f"{wish.key} {wish.target}"
        for wish in plan.unapplied
        if wish.reason == "unsupported" and wish.target in state.nics and state.nics[wish.target].refused
    ]


class LayerPort:
    """Hands each change to whom it belongs."""

    def __init__(self, devices: NicPort, persistence: Persistence, guard: Guard) -> None:
        self.devices = devices
        self.persistence = persistence
        self.guard = guard

    @property
    def writes(self) -> int:
        return self.devices.writes + self.persistence.writes + self.guard.writes

    def apply(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        self._of(change).apply(change)

    def undo(self, change: Change) -> None:
        self._of(change).undo(change)

    def reopen(self) -> None:
        self.devices.reopen()
        self.guard.renew()

    def readback(self, change: Change) -> Any:
        return self._of(change).readback(change)

    def half(self, change: Change) -> bool:
        """Whether it was cut off while it was made."""
        return self._of(change) is self.devices and self.devices.half(change)

    def _of(self, change: Change) -> Any:
        if change.key == GUARD_KEY:
            return self.guard
        return self.persistence if self.persistence.owns(change.key) else self.devices
