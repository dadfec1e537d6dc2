# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard at work: waits until what is armed is due, then takes it back, again and again until it worked.

It never gives up: what is armed is taken back or confirmed, or the process is stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..core.deadline import left
from ..core.errors import Interrupted, LockTimeout
from ..core.notify import NOTICE, WARNING, say
from .armed import Armed
from .guard import Guard
from .guard_process import AnotherGuard
from .undoing import UndoPort, take_back

PAUSES = (2.0, 5.0, 10.0, 20.0, 60.0)
"""Seconds after each undo that failed; the last one again and again, for nobody else does it."""

SLICE = 0.5
"""Seconds between two looks at whether it is confirmed."""

LOCK_WAIT = 600.0
START_TRIES = 40
WHY = "nobody confirmed it before its deadline"


def guard_it(
    guard: Guard,
    make_port: Callable[[], UndoPort],
    sleep: Callable[[float], None] = time.sleep,
    pauses: Sequence[float] = PAUSES,
) -> int:
    """0, once nothing is armed any more. Raises NodeError where what is armed makes no sense at first."""
    for attempt in range(START_TRIES):
        try:
            with guard.process.running():
                return _run(guard, make_port, sleep, pauses)
        except AnotherGuard:
            # A module that looks whether one runs holds the lock for a moment.
            if attempt == START_TRIES - 1:
                raise
            sleep(SLICE)
    return 0


def _run(
    guard: Guard, make_port: Callable[[], UndoPort], sleep: Callable[[float], None], pauses: Sequence[float]
) -> int:
    armed = guard.take()
    if armed is not None:
        say(armed.sentence)
    failures, said = 0, ""
    while True:
        armed = guard.armed()
        if armed is None:
            return 0
        remaining = _left(guard, armed)
        if remaining > 0:
            sleep(min(remaining, SLICE))
            continue
        try:
            _attempt(guard, make_port, armed)
        except Interrupted:
            raise
        except LockTimeout as error:
            say(f"the undo waits: {error}", WARNING)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody else takes the change back
            text = str(error) or type(error).__name__
            if text != said:
                said = text
                say(f"the undo failed, and is tried again: {text}", WARNING)
            sleep(pauses[min(failures, len(pauses) - 1)])
            failures += 1


def _left(guard: Guard, armed: Armed) -> float:
    return left(armed.begun, armed.length, guard.clock())


def _attempt(guard: Guard, make_port: Callable[[], UndoPort], armed: Armed) -> None:
    """Under the lock it is looked at again: the run may have confirmed it, or undone it itself."""
    store = guard.store()
    with store.lock(LOCK_WAIT):
        now = guard.armed()
        if now is None or now.token != armed.token or _left(guard, now) > 0:
            return
        reverted = take_back(guard, make_port(), store, now, WHY)
    say(reverted.sentence, NOTICE)
