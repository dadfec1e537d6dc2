# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What owner records hold of network devices, applied again: at boot, and when a device appears."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from ..core.contract import Outcome, Port, Request
from ..core.engine import reconcile
from ..core.errors import LockTimeout, NodeError
from ..core.model import Claim, Plan
from ..core.recorded import BootStore, completed
from ..core.store import Record, Store
from .layer import NAME, NicLayer, NicOptions
from .model import NicState, Wish
from .select import NAME as BY_NAME
from .settings import PREFIX, risky
from .sysfs import Sysfs
from .units import SERVICE

LOCK_WAIT = 120.0
"""Seconds: a run that is at work may wait for links. The unit has more."""

ROUNDS = 20
"""At most, one after the other: a device that comes and goes all the time must not hold a boot."""


@dataclass
class Done:
    """What came of one owner's record. failed: why not all of it holds"""

    owner: str
    changes: list[dict[str, Any]] = field(default_factory=list)
    unapplied: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.failed and not self.unapplied

    def note(self, outcome: Outcome) -> None:
        result = outcome.as_result()
        self.changes += result["changes"]
        self.unapplied += result["unapplied"]
        self.notes += result["notes"]


def reapply(
    options: NicOptions,
    check: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    harmless: bool = False,
) -> list[Done]:
    """What came of each owner: all devices at once, and device by device where that fails.

    harmless: only settings that no driver has a part in
    Raises LockTimeout, NodeError, OSError.
    """
    store = BootStore(options.state_dir, options.run_dir, LOCK_WAIT)
    guard = NicLayer(options).guard
    armed = guard.armed()
    if armed is not None and guard.rebooted(armed) and not check:
        with store.lock():
            guard.settle(armed, Store(options.state_dir, options.run_dir))
    done = []
    for owner in store.owners(NAME):
        if not stopped():
            done.append(_one(replace(options, owner=owner, check=check), store, harmless))
    return done


def rounds(
    options: NicOptions, check: bool = False, stopped: Callable[[], bool] = lambda: False
) -> Iterator[list[Done]]:
    """`reapply`, again where a device on record has appeared meanwhile.

    systemd drops the start that udev asks for while the unit is at work, so nobody else would see it.
    """
    for _round in range(ROUNDS):
        there = _present(options)
        yield reapply(options, check, stopped)
        if check or stopped() or not set(_present(options)) - set(there):
            return


def _present(options: NicOptions) -> list[tuple[str, Optional[str]]]:
    """Devices on record that are in the node, with their indexes: one that came back has another."""
    store, sysfs = BootStore(options.state_dir, options.run_dir), Sysfs(options.root)
    held = {name.partition(" ")[2] for owner in store.owners(NAME) for name in store.load(owner).claims}
    return [(name, sysfs.text(sysfs.net / name / "ifindex")) for name in sorted(held) if sysfs.exists(name)]


def _one(options: NicOptions, store: BootStore, harmless: bool) -> Done:
    done = Done(options.owner)
    record = store.load(options.owner)
    if record.damaged:
        done.failed.append(
            f"its record is damaged ({record.damaged}); the playbook's next run sets everything"
        )
        return done
    journal = store.playbook_journal(options.owner)
    claims = {
        name: claim
        for name, claim in completed(record.claims, journal).items()
        if not (harmless and risky(name.partition(" ")[0][len(PREFIX) :]))
    }
    devices = sorted({name.partition(" ")[2] for name in claims})
    error = _attempt(options, store, claims, done)
    if error is None:
        return done
    if len(devices) < 2:
        done.failed.append(error)
        return done
    for device in devices:
        own = {name: claim for name, claim in claims.items() if name.partition(" ")[2] == device}
        error = _attempt(options, store, own, done)
        if error is not None:
            done.failed.append(error)
    return done


def _attempt(options: NicOptions, store: BootStore, claims: Mapping[str, Claim], done: Done) -> Optional[str]:
    """One transaction. Returns why it failed: then nothing was changed. Raises LockTimeout."""
    layer = FromRecord(replace(options, wishes=wishes_of(claims), from_record=True, max_disruption="reboot"))
    request = Request(
        owner=options.owner,
        check=options.check,
        max_disruption="reboot",
        managed_by=layer.manager(),
        frozen=store.frozen(),
        run={"why": "boot, or a device that appeared", "by": SERVICE},
    )
    try:
        done.note(reconcile(layer, store, request))
    except LockTimeout:
        raise
    except (NodeError, OSError) as error:
        return str(error)
    return None


class FromRecord:
    """A `contract.Layer` that asks for what is on record. No claim changes: the record is the playbook's."""

    name = NAME

    def __init__(self, options: NicOptions) -> None:
        self.layer = NicLayer(options)
        self.port: Port = self.layer.port

    def manager(self) -> str:
        return self.layer.manager()

    def read(self) -> NicState:
        return self.layer.read()

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        asked = {f"{PREFIX}{wish.name} {wish.selector[len(BY_NAME) :]}" for wish in self.layer.options.wishes}
        share = Record(record.owner, {name: claim for name, claim in record.claims.items() if name in asked})
        share.layer = record.layer
        plan = self.layer.plan(state, share, others)
        plan.changes[:] = [change for change in plan.changes if change.key != "record"]
        plan.claims = {**plan.claims, **record.claims}
        return plan


def wishes_of(claims: Mapping[str, Claim]) -> list[Wish]:
    """What the claims held, as wishes for exactly that."""
    found = []
    for name, claim in sorted(claims.items()):
        key, _space, device = name.partition(" ")
        if key.startswith(PREFIX) and claim.applied is not None:
            found.append(
                Wish(BY_NAME + device, key[len(PREFIX) :], claim.applied, origin="record", exact=True)
            )
    return found
