# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard at work: waits until what is armed is due, then undoes it, again and again until it worked.

It never gives up: what is armed is undone or confirmed, or the unit is stopped. After a boot it begins again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core import files
from ..core.deadline import left
from ..core.errors import Interrupted, LockTimeout
from ..core.notify import NOTICE, WARNING, say, tell_ready, tell_status
from .armed import Armed
from .guard import Guard
from .undoing import undo

SEEN = "mesh-guard.json"
"""In the run directory: when the guard first ran in this boot."""

PAUSES = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0)
"""Seconds after each undo that failed; the last one again and again, for nobody else undoes the change."""

SAY_AGAIN = 3600.0
"""Seconds after which a failure is said again that is still the same: the journal is not flooded."""

LOCK_WAIT = 600.0
"""Seconds after which the wait for a run that holds the node is said, and begins again."""

SLICE = 5.0
"""Seconds between two looks at the file: a run may have extended the deadline, or confirmed."""

WHY = "nobody confirmed it before its deadline"


class Watch:
    """One run of the guard. sleep, pauses, slice_: shorter in tests."""

    def __init__(
        self,
        guard: Guard,
        sleep: Callable[[float], None] = time.sleep,
        pauses: Sequence[float] = PAUSES,
        slice_: float = SLICE,
    ) -> None:
        self.guard = guard
        self.sleep = sleep
        self.pauses = pauses
        self.slice = slice_
        self.seen = 0.0
        self.failures = 0
        self.said = ("", 0.0)

    def run(self) -> int:
        """0, once nothing is armed any more. Raises NodeError where what is armed makes no sense at first."""
        armed = self.guard.take()
        if armed is None:
            say("nothing is armed")
            tell_ready()
            return 0
        self.seen = self._first_look()
        say(armed.sentence)
        tell_ready()
        while True:
            try:
                if not self._wait():
                    return 0
                self._attempt()
            except LockTimeout as error:
                say(f"the undo waits: {error}", WARNING)
            except Interrupted:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else undoes the change
                self._failed(error)

    # -- inside

    def _failed(self, error: Exception) -> None:
        """Says why, where that is new or long ago, and waits."""
        pause = self.pauses[min(self.failures, len(self.pauses) - 1)]
        self.failures += 1
        text, now = str(error) or type(error).__name__, self.guard.clock().boottime
        if text != self.said[0] or now - self.said[1] >= SAY_AGAIN:
            self.said = (text, now)
            count = f" {self.failures} times" if self.failures > 1 else ""
            say(
                f"the undo failed{count}, and is tried again, in {pause:g} s and for ever (or run "
                f"swarm.node.mesh_confirm with action: revert): {text}",
                WARNING,
            )
        tell_status(f"undo failed {self.failures} times: {text}")
        self.sleep(pause)

    def _wait(self) -> bool:
        """Waits until it is due; False once nothing is armed."""
        told = 0.0
        while True:
            armed = self.guard.armed()
            if armed is None:
                return False
            if armed.deadline != told:
                told = armed.deadline
                tell_status(armed.sentence)
            remaining = self._left(armed)
            if remaining <= 0:
                return True
            self.sleep(min(remaining, self.slice))

    def _left(self, armed: Armed) -> float:
        return left(armed.begun, armed.length, self.guard.clock(), self.seen)

    def _attempt(self) -> None:
        armed = self.guard.armed()
        if armed is None:
            return
        tell_status(f"undoing the change by run {armed.token!r}")
        outcome = undo(self.guard, armed, WHY, LOCK_WAIT, due=lambda now: self._left(now) <= 0)
        if outcome is None:
            return
        labels = ", ".join(change.label for change in outcome.plan.changes) or "nothing had been changed"
        say(f"the change by run {armed.token!r} is undone, as {WHY}: {labels}", NOTICE)
        for wish in outcome.plan.unapplied:
            say(f"not undone: {wish.key} {wish.target}: {wish.detail}", WARNING)

    def _first_look(self) -> float:
        """The boottime at which the guard first ran in this boot."""
        place, clock = Path(self.guard.run_dir) / SEEN, self.guard.clock()
        try:
            body = json.loads(files.read_text(place) or "{}")
            if body["boot_id"] == clock.boot_id and 0 <= body["boottime"] <= clock.boottime:
                return float(body["boottime"])
        except (KeyError, TypeError, ValueError):
            pass
        body = {"boot_id": clock.boot_id, "boottime": clock.boottime}
        files.write_whole(place, json.dumps(body) + "\n", 0o600)
        return clock.boottime
