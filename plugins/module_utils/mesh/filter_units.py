# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd that are there while a mesh is: their files, the links that enable them, a start.

One change `mesh.unit` per unit, beside the change of its file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner, must
from ..core.managed_files import digest, file_change
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record

UNIT = "mesh.unit"
SYSTEMD = "/etc/systemd/system"
WANTED_BY = ("multi-user.target", "nftables.service")
"""A start of nftables.service begins with an empty ruleset, so it starts our units after it."""

ON = {"enabled": True, "active": True}
OFF = {"enabled": False, "active": False}


@dataclass(frozen=True)
class UnitState:
    """text: of its file, None where there is none; shared by all instances of a template"""

    text: Optional[str] = None
    enabled: bool = False
    active: bool = False
    masked: bool = False

    @property
    def value(self) -> dict[str, bool]:
        return {"enabled": self.enabled, "active": self.active}


def unit_path(unit: str) -> str:
    """Where the unit's file is: that of the template for an instance."""
    name, at, _instance = unit.partition("@")
    return f"{SYSTEMD}/{name}@.service" if at else f"{SYSTEMD}/{unit}"


def link_paths(unit: str) -> list[str]:
    return [f"{SYSTEMD}/{other}.wants/{unit}" for other in WANTED_BY]


class UnitPort:
    """Reads and changes units below `root`; systemctl through `runner`."""

    def __init__(self, root: Path, runner: Runner) -> None:
        self.root = root
        self.runner = runner
        self.writes = 0
        self.pending: list[str] = []

    @property
    def systemd(self) -> bool:
        return self.at("/run/systemd/system").is_dir()

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def read(self, unit: str, text: Optional[str]) -> UnitState:
        """Raises NodeError where systemctl does not answer."""
        masked = any(_is_null(self.at(path)) for path in (unit_path(unit), f"{SYSTEMD}/{unit}"))
        return UnitState(text, self._enabled(unit), self._active(unit), masked)

    def apply(self, change: Change) -> None:
        """A start waits for `start_pending`: what the unit runs may come later. Raises NodeError, OSError."""
        self._enable(change.target, change.after["enabled"])
        if change.after["active"]:
            self.pending.append(change.target)
        else:
            self._run(change.target, False)

    def undo(self, change: Change) -> None:
        self.pending = [unit for unit in self.pending if unit != change.target]
        self._enable(change.target, change.before["enabled"])
        self._run(change.target, change.before["active"])

    def start_pending(self) -> None:
        """Once everything of the run is in its place. Raises NodeError."""
        while self.pending:
            self._run(self.pending.pop(0), True)

    def readback(self, change: Change) -> Any:
        return {"enabled": self._enabled(change.target), "active": self._active(change.target)}

    def settle(self, units: Sequence[str]) -> None:
        """Lets systemd read unit files again, only where it has to. Raises NodeError.

        Some container runtimes lose their GPUs by a reload.
        """
        shown = [self._shown(unit) for unit in units] if self.systemd else []
        if any(
            unit.get("NeedDaemonReload") == "yes" or unit.get("LoadState") == "not-found" for unit in shown
        ):
            self.writes += 1
            must(self.runner, ["systemctl", "daemon-reload"])

    # -- inside

    def _enable(self, unit: str, wanted: bool) -> None:
        for path in link_paths(unit):
            self._link(path, unit, wanted)

    def _run(self, unit: str, wanted: bool) -> None:
        if wanted == self._active(unit):
            return
        if wanted:
            self.settle([unit])
        self.writes += 1
        must(self.runner, ["systemctl", "start" if wanted else "stop", unit])

    def _link(self, path: str, unit: str, wanted: bool) -> None:
        place = self.at(path)
        if wanted == place.is_symlink():
            return
        if wanted:
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            place.symlink_to(unit_path(unit))
        else:
            place.unlink()
            if place.parent.name.startswith("nftables."):
                with contextlib.suppress(OSError):
                    place.parent.rmdir()
        self.writes += 1

    def _enabled(self, unit: str) -> bool:
        return all(self.at(path).is_symlink() for path in link_paths(unit))

    def _active(self, unit: str) -> bool:
        return self._shown(unit).get("ActiveState") == "active"

    def _shown(self, unit: str) -> dict[str, str]:
        if not self.systemd:
            return {}
        words = ["systemctl", "show", "--property=LoadState,ActiveState,NeedDaemonReload", unit]
        return dict(line.partition("=")[::2] for line in must(self.runner, words).splitlines())


def plan_units(
    wanted: Sequence[str],
    text: str,
    states: dict[str, UnitState],
    record: Record,
    systemd: bool,
    why: str,
) -> Plan:
    """Units of one file: enabled and started, or given up where the record has them and nobody asks. Pure.

    text: of the file; states: every unit that is wanted or held; systemd: whether it runs here
    """
    plan = Plan()
    held = [name.partition(" ")[2] for name in record.claims if name.startswith(f"{UNIT} ")]
    gone = [unit for unit in held if unit not in wanted]
    for unit in gone:
        _give_up(plan, unit, states[unit])
    if not wanted:
        for path in sorted({unit_path(unit) for unit in gone}):
            _file(plan, path, next(states[unit] for unit in gone if unit_path(unit) == path), None, record)
        return plan
    if not systemd:
        plan.unapplied += [_no_systemd(unit) for unit in wanted]
        return plan
    path = unit_path(wanted[0])
    if not any(states[unit].masked for unit in wanted):
        _file(plan, path, states[wanted[0]], text, record)
    for unit in wanted:
        _keep(plan, unit, states[unit], why)
    return plan


def _keep(plan: Plan, unit: str, state: UnitState, why: str) -> None:
    name = f"{UNIT} {unit}"
    if state.masked:
        plan.unapplied.append(
            Unapplied(
                UNIT,
                ON,
                "shadowed_by",
                f"somebody has masked it; `systemctl unmask {unit}` lets it run",
                live=state.value,
                target=unit,
            )
        )
        return
    plan.claims[name] = Claim(None, ON)
    plan.before[name], plan.after[name] = state.value, ON
    if state.value != ON:
        plan.changes.append(Change(UNIT, state.value, ON, target=unit, claim=name, why=why))


def _give_up(plan: Plan, unit: str, state: UnitState) -> None:
    if state.enabled or state.active:
        plan.changes.append(Change(UNIT, state.value, OFF, target=unit, why="no longer asked for"))


def _file(plan: Plan, path: str, state: UnitState, text: Optional[str], record: Record) -> None:
    claim = record.claims.get(f"file {path}")
    edited = state.text is not None and (claim is None or digest(state.text) != claim.applied)
    change = file_change(path, state.text, text, edited, "" if text else "no longer asked for")
    if change:
        change.claim = f"file {path}" if text else ""
        plan.changes.append(change)
    if text is not None:
        plan.claims[f"file {path}"] = Claim(None, digest(text))


def _no_systemd(unit: str) -> Unapplied:
    detail = (
        "systemd does not run on this node (there is no /run/systemd/system): after a reboot this is gone "
        "until the next run"
    )
    return Unapplied(UNIT, ON, "unsupported", detail, live=OFF, target=unit)


def _is_null(place: Path) -> bool:
    try:
        return str(place.readlink()) == "/dev/null"
    except OSError:
        return False
