# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit-confirm on the node: a change is armed before its first write, and taken back unless confirmed.

The guard is a process of its own that takes what is armed over from the module, so either a guard runs and a
change is armed, or neither. Its program lies in the run directory: a boot, which takes all live values away,
takes it away as well.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.armed import TooLate, confirmable
from ..core.commands import Runner, execute
from ..core.deadline import Clock, identity, jittered, left, read_clock
from ..core.errors import NodeError
from ..core.interpreter import interpreter
from ..core.model import Change, Plan
from ..core.store import Record, Store
from .armed import Armed, Reverted, kept, parse_armed
from .guard_process import GuardProcess
from .units import places

LAYER = "nic"
KEY = "nic.guard"
OWN_KEYS = (KEY, "record", "journal")
START_WAIT = 20.0
LOCK_WAIT = 120.0
"""Seconds that confirm and revert wait for another run on this node: an undo under way, most likely."""

PAUSE = 0.05


class Guard:
    """What the module, the layer and the program do with the guard. program: makes its text"""

    def __init__(
        self,
        root: Path,
        state_dir: str,
        run_dir: str,
        runner: Runner = execute,
        program: Optional[Callable[[], str]] = None,
        clock: Optional[Callable[[], Clock]] = None,
    ) -> None:
        self.root = root
        self.state_dir = state_dir
        self.run_dir = run_dir
        self.runner = runner
        self.program = program
        self.process = GuardProcess(root, run_dir, runner)
        self.clock = clock or (lambda: read_clock(root))
        self.plan = Plan()
        """That of the run which arms: what is left out of it until then is not armed."""
        self.stuck: Callable[[], bool] = lambda: False
        self.writes = 0
        self._begun = ""

    # -- what is there

    def armed(self) -> Optional[Armed]:
        """Raises NodeError where the file cannot be read."""
        text = files.read_text(self._armed)
        return None if text is None else parse_armed(text, str(self._armed))

    def reverted(self) -> Optional[Reverted]:
        text = files.read_text(self._reverted)
        return None if text is None else Reverted.parse(text)

    def rebooted(self, armed: Armed) -> bool:
        """Whether a boot has taken the live values away since."""
        return armed.boot_id != self.clock().boot_id

    def info(self) -> Optional[dict[str, Any]]:
        """What is armed, for a result: token, deadline (Unix time), left_s."""
        armed = self.armed()
        if armed is None:
            return None
        remaining = left(armed.begun, armed.length, self.clock())
        return {"token": armed.token, "deadline": round(armed.deadline), "left_s": round(remaining)}

    def store(self) -> Store:
        return Store(self.state_dir, self.run_dir)

    # -- arming, as a change of a plan

    def change(self, token: str, seconds: float, owner: str, claims: Mapping[str, Any]) -> Change:
        """Arming as the first change of a plan. claims: what the owner holds before it"""
        return Change(
            KEY,
            None,
            f"armed for {seconds:g} s",
            why="so that the node takes back what nobody confirms",
            data={
                "bookkeeping": True,
                "token": token,
                "seconds": seconds,
                "owner": owner,
                "claims": {name: dict(vars(claim)) for name, claim in claims.items()},
            },
        )

    def apply(self, change: Change) -> None:
        """Arms, or settles. Raises NodeError, OSError; `undo` takes back what was done until then."""
        if "settle" in change.data:
            self.settle(parse_armed(change.data["settle"], "the journal"), self.store(), change.data["owner"])
            return
        if "forget" in change.data:
            self._drop(self._reverted)
            return
        new = self._new(change.data)
        try:
            self._write(self._arming, new.to_text())
            self._write(self._program, self.program() if self.program else "", 0o700)
            self._await(lambda: not self.process.is_running(), "an earlier guard does not end")
            program = str(self._program)
            argv = [interpreter(), "-I", program, "guard", *places(self.state_dir, self.run_dir)]
            self.process.start(argv)
            self._await(lambda: self._took(new.token), "it did not take the change over")
            self._begun = new.token
        except (NodeError, OSError) as error:
            raise NodeError(
                f"the guard did not start, so nothing was changed: {error}; with confirm_seconds: 0 changes "
                "are made without one"
            ) from error

    def renew(self) -> None:
        """The time to confirm what this run has armed begins now, as its changes are made. Raises OSError."""
        armed = self.armed()
        if armed is not None and armed.token == self._begun:
            self._write(self._armed, armed.since(self.clock()).to_text())

    def undo(self, change: Change) -> None:
        """Nothing is armed any more, unless something could not be put back: the guard goes on then."""
        if "settle" in change.data:
            self._write(self._armed, change.data["settle"])
            return
        if "forget" in change.data:
            self._write(self._reverted, change.data["forget"], 0o644)
            return
        if self.stuck():
            raise NodeError("kept armed, as not everything could be put back: the node tries again")
        self.lift()

    def readback(self, change: Change) -> Any:
        if "forget" in change.data:
            return change.before if self._reverted.exists() else None
        armed = self.armed()
        if armed is None:
            return None
        if "settle" in change.data:
            return change.before
        mine = armed.token == change.data["token"]
        return change.after if mine and self.process.is_running() else "armed, but no guard runs"

    # -- settling what a boot has taken back

    def settling(self, armed: Armed, owner: str) -> Change:
        """A change that says so in the records; that of `owner` is in the hands of the run it is part of."""
        why = "the node was started anew before anybody confirmed it, which took it back"
        data = {"bookkeeping": True, "settle": armed.to_text(), "owner": owner}
        return Change(KEY, "armed before the last boot", None, why=why, data=data)

    def forgetting(self, serves: tuple[str, ...]) -> Change:
        """A change that ends the story of what was taken back, as nobody has to confirm the one at hand."""
        data = {"bookkeeping": True, "forget": files.read_text(self._reverted) or ""}
        why = "a later change is made, and not to be confirmed"
        return Change(KEY, "taken back, and told", None, why=why, serves=serves, data=data)

    def settle(self, armed: Armed, store: Store, owner: str = "") -> None:
        """A boot has taken the live values back; the owner's record follows, unless it is that of `owner`.

        The caller holds the node's lock. Raises OSError.
        """
        if armed.owner != owner:
            store.save(Record(armed.owner, armed.old_claims()), LAYER)
            store.end(armed.owner)
            self.writes += store.writes
        self.note(
            Reverted(armed.token, self.clock().wall, "the node was started anew before it was confirmed")
        )

    def note(self, reverted: Reverted) -> None:
        """What was armed is taken back."""
        self._write(self._reverted, reverted.to_text(), 0o644)
        self.lift()

    def lift(self) -> None:
        """Nothing is armed any more; a guard that runs sees that and ends. Raises OSError."""
        for place in (self._arming, self._armed, self._program):
            self._drop(place)

    # -- what the controller says

    def confirm(self, token: str, check: bool = False) -> bool:
        """Whether something was armed. Raises BindError for another run's token, TooLate once taken back."""
        if check:
            return self._confirmable(token)
        with self.store().lock(LOCK_WAIT):
            found = self._confirmable(token)
            if found:
                self._drop(self._reverted)
                self.lift()
            return found

    def _confirmable(self, token: str) -> bool:
        armed = self.armed()
        found = confirmable(token, armed, self.reverted())
        if armed is not None and self.rebooted(armed):
            raise TooLate("it is too late to confirm: the node was started anew, which took the change back")
        return found

    # -- for the guard itself

    def take(self) -> Optional[Armed]:
        """What is armed, once what a module has put down for the guard is taken over."""
        text = files.read_text(self._arming)
        if text is not None:
            parse_armed(text, str(self._arming))
            self._write(self._armed, text)
            files.remove(self._arming)
        return self.armed()

    # -- inside

    @property
    def _armed(self) -> Path:
        return Path(self.state_dir) / "nic" / "armed.json"

    @property
    def _reverted(self) -> Path:
        return Path(self.state_dir) / "nic" / "reverted.json"

    @property
    def _arming(self) -> Path:
        return Path(self.run_dir) / "nic-arming.json"

    @property
    def _program(self) -> Path:
        return Path(self.run_dir) / "nic-guard.pyz"

    def _write(self, place: Path, text: str, mode: int = 0o600) -> None:
        files.write_whole(place, text, mode)
        self.writes += 1

    def _drop(self, place: Path) -> None:
        """Its directory goes with the last file of ours in it. Raises OSError."""
        if not place.exists():
            return
        files.remove(place)
        self.writes += 1
        if place.parent == self._armed.parent:
            with contextlib.suppress(OSError):
                place.parent.rmdir()

    def _new(self, data: Mapping[str, Any]) -> Armed:
        clock = self.clock()
        changes = [change for change in self.plan.changes if change.key not in OWN_KEYS]
        return Armed(
            token=data["token"],
            owner=data["owner"],
            armed_at=clock.wall,
            boot_id=clock.boot_id,
            boottime=clock.boottime,
            length=jittered(data["seconds"], identity(self.root), data["token"]),
            changes=tuple(kept(changes)),
            claims=data["claims"],
        )

    def _took(self, token: str) -> bool:
        armed = self.armed()
        return armed is not None and armed.token == token and self.process.is_running()

    def _await(self, condition: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + START_WAIT
        while not condition():
            if time.monotonic() >= end:
                raise NodeError(f"{otherwise} within {START_WAIT:g} s")
            time.sleep(PAUSE)
