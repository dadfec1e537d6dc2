# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit-confirm on the node: a change is armed before its first live write, and undone unless confirmed.

<state>/mesh/armed.json      what is armed (mode 0600)
<state>/mesh/reverted.json   what was undone last, until a later change is confirmed
<run>/mesh-arming.json       what the guard is to take over as armed when it starts

The guard itself makes armed.json: so either a guard runs and a change is armed, or neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.armed import confirmable
from ..core.commands import Runner, execute_allowed
from ..core.deadline import Clock, identity, jittered, read_clock
from ..core.errors import BindError, NodeError
from ..core.model import Change
from ..core.store import Store
from .armed import Armed, Reverted, parse_armed
from .firewall import WISH
from .guard_unit import GuardUnit
from .paths import STATE
from .probe import quick_look
from .units import ARMED, ARMING, Program, no_program

KEY = "mesh.guard"
REVERTED = "reverted.json"
LOCK_WAIT = 120.0
"""Seconds that confirm and revert wait for another run on this node: an undo under way, most likely."""


class Guard:
    """What a module, the layer and the program do with the guard.

    look: what answers now, as `probe.quick_look` says it; quick, for it is asked before each change
    program: makes the text of the program that the guard runs; needed where a change is armed
    witnesses: mesh → addresses that are tried before a change is armed, besides those that the share tells
    """

    def __init__(
        self,
        root: Path,
        state_dir: str,
        run_dir: str,
        runner: Runner = execute_allowed,
        look: Optional[Callable[[], Sequence[str]]] = None,
        clock: Optional[Callable[[], Clock]] = None,
        program: Program = no_program,
        witnesses: Optional[Mapping[str, Sequence[str]]] = None,
    ) -> None:
        self.root = root
        self.state_dir = state_dir
        self.run_dir = run_dir
        self.runner = runner
        self.program = program
        self.unit = GuardUnit(root, state_dir, run_dir, runner, program)
        self.clock = clock or (lambda: read_clock(root))
        self._look = look
        self._witnesses = witnesses
        self._writes = 0

    @property
    def writes(self) -> int:
        return self._writes + self.unit.writes

    # -- what is there

    def armed(self) -> Optional[Armed]:
        """What is armed now. Raises NodeError where the file cannot be read."""
        return self._read(self._place(ARMED))

    def reverted(self) -> Optional[Reverted]:
        text = files.read_text(self._place(REVERTED))
        return None if text is None else Reverted.parse(text)

    def notes(self) -> list[str]:
        """What a run has to say of earlier ones."""
        found = self.reverted()
        return [] if found is None else [found.sentence]

    def attention(self) -> list[dict[str, str]]:
        """The same as entries of the result's `attention`."""
        found = self.reverted()
        return [] if found is None else [found.attention]

    # -- arming, as a change of a plan

    def change(
        self,
        token: str,
        seconds: float,
        snapshot: Mapping[str, Optional[dict[str, Any]]],
        settings: Mapping[str, Any],
    ) -> Change:
        """Arming as the first change of a plan. Raises BindError while another run's change is armed.

        snapshot: mesh → its share as it is now (`as_data`), None where it is new
        settings: what else the undo needs: fields of layer.MeshOptions, and the record's owner
        """
        armed = self.armed()
        if armed is not None and armed.token != token:
            raise BindError([armed.refusal(token)])
        return Change(
            KEY,
            None if armed is None else "armed",
            f"armed for {seconds:g} s",
            why="so that the node undoes what nobody confirms",
            data={
                "bookkeeping": True,
                "token": token,
                "seconds": seconds,
                "snapshot": dict(snapshot),
                "settings": dict(settings),
                "old": None if armed is None else armed.to_text(),
            },
        )

    def apply(self, change: Change) -> None:
        """Arms. Raises NodeError, OSError; `undo` takes back what was done until then."""
        old, new = self.armed(), self._new(change.data)
        if old is not None:
            new = new.after(old)
            if self.unit.is_active():
                self._write(self._place(ARMED), new.to_text())
                return
        else:
            new = replace(new, worked=tuple(self._what_works()))
        try:
            self.unit.install()
            self._write(self._arming, new.to_text())
            self.unit.start()
            found = self.armed()
            if found is None or found.token != new.token:
                raise NodeError("the guard ran and did not take the change over")
        except (NodeError, OSError) as error:
            raise NodeError(f"the guard did not start, so nothing was changed: {error}") from error

    def undo(self, change: Change) -> None:
        """Takes the arming back: the change it was for is undone or was never made."""
        old = change.data["old"]
        if old is None:
            self.lift()
            return
        self._remove(self._arming)
        self._write(self._place(ARMED), old)

    def reopen(self) -> None:
        """Nothing stays open."""

    def readback(self, change: Change) -> Any:
        armed = self.armed()
        if armed is None:
            return None
        if armed.to_text() == change.data["old"]:
            return change.before
        if armed.token == change.data["token"] and self.unit.is_enabled() and self.unit.is_active():
            return change.after
        return "armed, but no guard runs"

    # -- what the controller says

    def confirm(self, token: str, check: bool = False) -> bool:
        """Whether something was armed. Raises BindError for another run's token, TooLate once undone."""
        if check:
            return confirmable(token, self.armed(), self.reverted())
        with self.store().lock(LOCK_WAIT):
            found = confirmable(token, self.armed(), self.reverted())
            if found:
                self._remove(self._place(ARMED))
                self._remove(self._place(REVERTED))
            self._tidy()
            return found

    def still_armed(self) -> Optional[Armed]:
        """What is armed once no other run is at work; where nothing is, the guard goes.

        Raises LockTimeout, NodeError, OSError.
        """
        with self.store().lock(LOCK_WAIT):
            self._tidy()
            return self.armed()

    # -- for the program

    def take(self) -> Optional[Armed]:
        """What is armed, once what a module has put down for the guard is taken over."""
        text = files.read_text(self._arming)
        if text is not None:
            parse_armed(text, str(self._arming))
            self._write(self._place(ARMED), text)
            self._remove(self._arming)
        return self.armed()

    def settle(self, reverted: Reverted) -> None:
        """Notes that what was armed is undone. The caller holds the node's lock."""
        self._write(self._place(REVERTED), reverted.to_text(), 0o644)
        self._remove(self._place(ARMED))
        self._remove(self._arming)
        self.unit.remove()

    def lift(self) -> None:
        """Nothing is armed any more, and nothing of the guard stays. Raises NodeError, OSError."""
        self._remove(self._arming)
        self._remove(self._place(ARMED))
        self.unit.stop()
        self.unit.remove()

    def store(self) -> Store:
        return Store(self.state_dir, self.run_dir)

    # -- inside

    def _tidy(self) -> None:
        """The guard goes where nothing is armed, also what a run that was killed has left of it."""
        if self.armed() is None and self.unit.is_enabled():
            self.lift()

    @property
    def _arming(self) -> Path:
        return Path(self.run_dir) / ARMING

    def _place(self, name: str) -> Path:
        return Path(self.state_dir) / STATE / name

    def _read(self, place: Path) -> Optional[Armed]:
        text = files.read_text(place)
        return None if text is None else parse_armed(text, str(place))

    def _write(self, place: Path, text: str, mode: int = 0o600) -> None:
        files.write_whole(place, text, mode)
        self._writes += 1

    def _remove(self, place: Path) -> None:
        if place.exists():
            files.remove(place)
            self._writes += 1

    def _new(self, data: Mapping[str, Any]) -> Armed:
        clock = self.clock()
        return Armed(
            token=data["token"],
            armed_at=clock.wall,
            boot_id=clock.boot_id,
            boottime=clock.boottime,
            length=jittered(data["seconds"], identity(self.root), data["token"]),
            snapshot=data["snapshot"],
            settings={**data["settings"], **self._stored_wish()},
        )

    def _stored_wish(self) -> dict[str, str]:
        """The firewall that was asked for before; nothing where there was no mesh."""
        text = files.read_text(self.root / WISH.lstrip("/"))
        try:
            return {} if text is None else {"firewall": str(json.loads(text)["firewall"])}
        except (ValueError, KeyError, TypeError) as error:
            raise NodeError(f"{WISH} cannot be read ({type(error).__name__}: {error})") from error

    def _what_works(self) -> Sequence[str]:
        if self._look is not None:
            return self._look()
        return quick_look(self.root, self.runner, witnesses=self._witnesses)
