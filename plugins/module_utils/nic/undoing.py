# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of what is armed: as a transaction undoes itself, newest first, only later."""

from __future__ import annotations

from typing import Optional, Protocol

from ..core.contract import Port
from ..core.errors import BindError, NodeError, TargetLost
from ..core.model import Change
from ..core.store import Record, Store, now
from .armed import Armed, Reverted
from .guard import LAYER, LOCK_WAIT, Guard

OURS, UNTOUCHED = "ours", "untouched"


class UndoPort(Port, Protocol):
    """A port that also knows a change that was cut off while it was made."""

    def half(self, change: Change) -> bool: ...


def take_back(guard: Guard, port: UndoPort, store: Store, armed: Armed, why: str) -> Reverted:
    """Puts back what still is as the change has left it, and the owner's record. The caller holds the lock.

    Raises NodeError where something could not be put back: the change stays armed then.
    """
    undone: list[str] = []
    left_out: list[str] = []
    failed: list[str] = []
    # Looked at before anything is put back: what one call of a driver sets goes back by one, too.
    for change, found in [(change, _look(port, change)) for change in reversed(armed.restored())]:
        if found == OURS:
            try:
                _put_back(port, change)
                undone.append(change.label)
            except (NodeError, OSError) as error:
                failed.append(f"{change.label}: {error}")
        elif found != UNTOUCHED:
            left_out.append(f"{change.label}: {found}")
    if failed:
        raise NodeError("; ".join(failed))
    store.save(Record(armed.owner, armed.old_claims()), LAYER)
    store.end(armed.owner)
    entry = {
        "applied": now(),
        "layer": LAYER,
        "owner": armed.owner,
        "run": {"token": armed.token, "why": why},
    }
    store.log(armed.owner, {**entry, "undone": undone, "left_out": left_out})
    reverted = Reverted(armed.token, guard.clock().wall, why, tuple(undone), tuple(left_out))
    guard.note(reverted)
    return reverted


def _look(port: UndoPort, change: Change) -> str:
    """OURS, UNTOUCHED where it never was made or is undone, or why it stays."""
    try:
        live = port.readback(change)
    except TargetLost as error:
        return str(error)
    except (NodeError, OSError):
        return OURS  # Putting it back says what is wrong.
    if live == change.before:
        return UNTOUCHED
    return OURS if live == change.after or port.half(change) else "somebody has set it since"


def _put_back(port: Port, change: Change) -> None:
    """Raises NodeError, OSError."""
    port.undo(change)
    if change.undo == "exact" and change.verify == "readback":
        found = port.readback(change)
        if found != change.before:
            raise NodeError(f"reads back {found!r} instead of {change.before!r}")


def revert(guard: Guard, port: UndoPort, why: str, token: str = "") -> Optional[Reverted]:
    """Takes back now what is armed; None where nothing is. Raises BindError for another run's token."""
    store = guard.store()
    with store.lock(LOCK_WAIT):
        armed = guard.armed()
        if armed is None:
            return None
        if token and armed.token != token:
            raise BindError([armed.refusal(token)])
        if not guard.rebooted(armed):
            return take_back(guard, port, store, armed, why)
        guard.settle(armed, store)
        return guard.reverted()
