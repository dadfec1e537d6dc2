# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a part of the mesh layer: there while the timer for names or the firewall's unit is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner, must
from ..core.contract import Port
from ..core.managed_files import FILE, FilePort, digest, file_change
from ..core.marking import is_untouched
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from .paths import PROGRAM
from .refresh import has_name
from .share import Share
from .tunnel import UNIT
from .units import REFRESH, REFRESH_TIMER, Program, link_path, texts, unit_path

PATHS = (PROGRAM, unit_path(REFRESH), unit_path(REFRESH_TIMER))
UP, DOWN = "up", None
WHY = "so that endpoints that are names are looked up again"
GONE = "no endpoint is a name any more"


class Opaque(str):
    """A text nobody wants to read: diffs show how long it is."""

    def __str__(self) -> str:
        return f"({len(self)} characters)"


@dataclass(frozen=True)
class ProgramState:
    """files: path → text; timer: up (enabled and active), None, or half; masked: units that are links"""

    files: Mapping[str, Optional[str]]
    timer: Optional[str] = None
    masked: tuple[str, ...] = ()
    systemd: bool = True


class ProgramPort:
    """Files and the timer, below `root`."""

    def __init__(self, root: Path, state_dir: str, runner: Runner) -> None:
        self.files = FilePort(root, state_dir)
        self.runner = runner
        self._writes = 0

    @property
    def writes(self) -> int:
        return self.files.writes + self._writes

    def timer(self) -> Optional[str]:
        enabled = self._link.is_symlink()
        active = self.runner(["systemctl", "is-active", "--quiet", REFRESH_TIMER]).good
        return UP if enabled and active else "half" if enabled or active else DOWN

    def apply(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        if change.key == FILE:
            self.files.apply(change)
        else:
            self._set(change.after == UP)

    def undo(self, change: Change) -> None:
        if change.key == FILE:
            self.files.undo(change)
        else:
            self._set(change.before == UP)

    def reopen(self) -> None:
        """Nothing stays open."""

    def readback(self, change: Change) -> Any:
        return self.files.readback(change) if change.key == FILE else self.timer()

    # -- inside

    @property
    def _link(self) -> Path:
        return self.files.at(link_path(REFRESH_TIMER))

    def _set(self, up: bool) -> None:
        self._writes += 1
        if not up:
            self._link.unlink(missing_ok=True)
            self.runner(["systemctl", "stop", REFRESH_TIMER])
            return
        if not self._link.is_symlink():
            self._link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._link.symlink_to(unit_path(REFRESH_TIMER))
        shown = self.runner(["systemctl", "show", "--property=LoadState,NeedDaemonReload", REFRESH_TIMER]).out
        if "LoadState=not-found" in shown or "NeedDaemonReload=yes" in shown:
            must(self.runner, ["systemctl", "daemon-reload"])
        must(self.runner, ["systemctl", "start", REFRESH_TIMER])


class ProgramPart:
    """A `composite.Part` that plans nothing by itself: `add_to` does, once the whole plan is known."""

    def __init__(
        self, shares: Mapping[str, Share], root: Path, state_dir: str, runner: Runner, program: Program
    ) -> None:
        self.shares = shares
        self.program = program
        self.root = root
        self._port = ProgramPort(root, state_dir, runner)
        self.port: Port = self._port
        self.state = ProgramState({})

    def owns(self, key: str) -> bool:
        name, _space, target = key.partition(" ")
        return (name == FILE and target in PATHS) or (name == UNIT and target == REFRESH_TIMER)

    def read(self) -> ProgramState:
        """Asks systemd only where a unit of ours is or will be. Raises OSError."""
        files = {path: self._port.files.read(path) for path in PATHS}
        systemd = (self.root / "run/systemd/system").is_dir()
        needed = systemd and (self.needs_names or files[unit_path(REFRESH_TIMER)] is not None)
        masked = tuple(path for path in PATHS if self._port.files.at(path).is_symlink())
        self.state = ProgramState(files, self._port.timer() if needed else DOWN, masked, systemd)
        return self.state

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        return Plan()

    @property
    def needs_names(self) -> bool:
        return any(has_name(tunnel.endpoint) for share in self.shares.values() for tunnel in share.tunnels)

    def add_to(self, plan: Plan, record: Record, armed: bool) -> None:
        """Puts what is installed before all else of the plan, and what goes behind it.

        armed: whether a change is armed or about to be; then the guard removes the program, not the plan
        """
        # Of our own units these two run it; what the firewall's part plans stands in the claims.
        firewall = any(name.startswith(f"{UNIT} swarm-node-mesh-firewall") for name in plan.claims)
        names = self.needs_names and self.state.systemd and not self.state.masked
        if self.needs_names and not names:
            plan.unapplied.append(self._not_looked_up())
        wanted = texts(self.program, names, armed, program=names or firewall)
        first: list[Change] = []
        last: list[Change] = []
        for path, text in wanted.items():
            change = self._file(plan, record, path, text)
            if change is not None:
                (first if text is not None else last).append(change)
        timer = self._timer(plan, record, names)
        if timer is not None:
            (first if names else last).insert(len(first) if names else 0, timer)
        plan.changes[:] = [*first, *plan.changes, *last]

    # -- inside

    def _file(self, plan: Plan, record: Record, path: str, text: Optional[str]) -> Optional[Change]:
        name, live = f"{FILE} {path}", self.state.files[path]
        if text is not None:
            plan.claims[name] = Claim(None, digest(text))
        elif name not in record.claims and not (live is not None and is_untouched(live)):
            return None  # Nothing of ours; what is ours goes also where the record was lost.
        edited = live is not None and not is_untouched(live)
        mode = 0o755 if path == PROGRAM else 0o644
        change = file_change(path, live, text, edited, WHY if text else GONE, mode)
        if change is None:
            return None
        change.claim = name if text is not None else ""
        if path == PROGRAM:
            for side in ("before_text", "after_text"):
                found = change.data[side]
                change.data[side] = None if found is None else Opaque(found)
        return change

    def _timer(self, plan: Plan, record: Record, wanted: bool) -> Optional[Change]:
        name, live = f"{UNIT} {REFRESH_TIMER}", self.state.timer
        lost = live != DOWN and is_untouched(self.state.files[unit_path(REFRESH_TIMER)] or "")
        if not wanted and name not in record.claims and not lost:
            return None
        after = UP if wanted else DOWN
        if wanted:
            plan.claims[name] = Claim(None, UP)
            plan.before[name], plan.after[name] = live, after
        if live == after:
            return None
        why = WHY if wanted else GONE
        undo = "exact" if live in (UP, DOWN) else "to_default"
        return Change(
            UNIT, live, after, target=REFRESH_TIMER, undo=undo, claim=name if wanted else "", why=why
        )

    def _not_looked_up(self) -> Unapplied:
        masked = ", ".join(self.state.masked)
        detail = f"somebody has masked {masked}" if masked else "systemd does not run on this node"
        reason = "shadowed_by" if masked else "unsupported"
        return Unapplied(
            UNIT,
            UP,
            reason,
            f"{detail}: endpoints that are names are looked up when a tunnel is set, and not again",
            target=REFRESH_TIMER,
        )
