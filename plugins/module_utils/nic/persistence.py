# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes settings last: the program, the unit that runs it, the rule for devices that come later."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..core.interpreter import interpreter
from ..core.managed_files import FILE, FilePort, file_change
from ..core.marking import is_untouched
from ..core.model import Change, Plan, Unapplied
from .settings import PREFIX
from .units import LINK, PROGRAM, SERVICE, SYSTEMD, UDEV_RULE, UNIT, service, udev_rule

KEY = "nic.boot"
PATHS = (PROGRAM, UNIT, UDEV_RULE)
WHY = "so that the settings come back after a reboot, and with a device that appears later"
GONE = "nothing is held on record that a reboot would take away"
Program = Callable[[], str]


class Opaque(str):
    """A text nobody wants to read: diffs show how long it is. The journal has the whole of it."""

    def __str__(self) -> str:
        return f"({len(self)} characters)"


@dataclass(frozen=True)
class BootState:
    """systemd: it runs here; files: path → text or None; masked: the unit's file is a link; enabled: it is"""

    systemd: bool = True
    files: Mapping[str, Optional[str]] = field(default_factory=dict)
    masked: bool = False
    enabled: bool = False


class Persistence:
    """Reads, plans and changes what is above. `wanted`: False where settings are not to last"""

    def __init__(
        self, root: Path, state_dir: str, run_dir: str, program: Program, wanted: bool = True
    ) -> None:
        self.root = root
        self.state_dir = state_dir
        self.run_dir = run_dir
        self.program = program
        self.wanted = wanted
        self.files = FilePort(root, state_dir)
        self._writes = 0

    @property
    def writes(self) -> int:
        return self._writes + self.files.writes

    def owns(self, key: str) -> bool:
        return key in (FILE, KEY)

    def read(self) -> BootState:
        """Raises OSError."""
        return BootState(
            (self.root / SYSTEMD).is_dir(),
            {path: self.files.read(path) for path in PATHS},
            self._at(UNIT).is_symlink(),
            self._at(LINK).is_symlink(),
        )

    # -- pure, but for the program's text

    def lasts(self, state: BootState) -> bool:
        """Whether what is held comes back after a boot."""
        return self.wanted and state.systemd and not state.masked

    def plan(self, plan: Plan, state: BootState, kept: Sequence[str], others: Sequence[str]) -> None:
        """Adds to the plan what its claims need.

        kept: claim names that stay, or may come; others: those of other owners
        """
        names = [name for name in (*plan.claims, *kept, *others) if name.startswith(PREFIX)]
        devices = {name.partition(" ")[2] for name in names} - {""}
        if not self.wanted and others:
            return  # What is there is theirs.
        if not devices or not self.wanted:
            self._remove(plan, state)
            return
        if not state.systemd:
            self._unapplied(
                plan, "unsupported", "systemd does not run on this node: a reboot takes the settings"
            )
            return
        texts = {
            PROGRAM: self.program(),
            UNIT: service(interpreter(), self.state_dir, self.run_dir),
            UDEV_RULE: udev_rule(devices),
        }
        if state.masked:
            self._unapplied(
                plan, "shadowed_by", f"somebody has masked it; `systemctl unmask {SERVICE}` lets it run"
            )
            del texts[UNIT]
        added = [self._file(path, state, text) for path, text in texts.items()]
        if not state.masked and not state.enabled:
            added.append(_link(True))
        self._add(plan, added, () if others or kept else tuple(plan.claims))

    def _remove(self, plan: Plan, state: BootState) -> None:
        added: list[Optional[Change]] = [_link(False)] if state.enabled else []
        for path in reversed(PATHS):
            live = state.files.get(path)
            if live is not None and not (path == UNIT and state.masked):
                added.append(self._file(path, state, None))
        self._add(plan, added, ())

    def _add(self, plan: Plan, changes: Sequence[Optional[Change]], serves: tuple[str, ...]) -> None:
        for change in changes:
            if change is not None:
                change.serves = serves
                plan.changes.append(change)

    def _file(self, path: str, state: BootState, text: Optional[str]) -> Optional[Change]:
        live = state.files.get(path)
        edited = live is not None and not is_untouched(live)
        mode = 0o755 if path == PROGRAM else 0o644
        change = file_change(path, live, text, edited, WHY if text is not None else GONE, mode)
        if change is not None and path == PROGRAM:
            for side in ("before_text", "after_text"):
                found = change.data[side]
                change.data[side] = None if found is None else Opaque(found)
        return change

    def _unapplied(self, plan: Plan, reason: str, detail: str) -> None:
        plan.unapplied.append(Unapplied(KEY, True, reason, detail, False, SERVICE))

    # -- contract.Port

    def apply(self, change: Change) -> None:
        """Raises OSError."""
        if change.key == FILE:
            self.files.apply(change)
            self._tidy(change.target)
        else:
            self._link(bool(change.after))

    def undo(self, change: Change) -> None:
        if change.key == FILE:
            self.files.undo(change)
            self._tidy(change.target)
        else:
            self._link(bool(change.before))

    def readback(self, change: Change) -> Any:
        return self.files.readback(change) if change.key == FILE else self._at(LINK).is_symlink()

    # -- inside

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _link(self, there: bool) -> None:
        place = self._at(LINK)
        if there == place.is_symlink():
            return
        if there:
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            place.symlink_to(UNIT)
        else:
            place.unlink(missing_ok=True)
        self._writes += 1

    def _tidy(self, path: str) -> None:
        """The program's directory goes with the last file in it."""
        if path == PROGRAM and not self._at(path).exists():
            with contextlib.suppress(OSError):
                self._at(path).parent.rmdir()


def _link(wanted: bool) -> Change:
    why = WHY if wanted else GONE
    return Change(KEY, not wanted, wanted, target=SERVICE, why=why, data={"bookkeeping": True})
