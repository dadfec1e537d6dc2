# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts openings into the managers that have them, and the files and the unit that keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.managed_files import FILE, FilePort
from ..core.model import Change
from .commands import Runner
from .filter_units import UNIT, UnitPort, unit_path
from .firewall_managers import manager_of

FIREWALL = "mesh.firewall"


class FirewallPort:
    """contract.Port of the firewall part."""

    def __init__(self, root: Path, state_dir: str, runner: Runner, unit: str) -> None:
        self.files = FilePort(root, state_dir)
        self.units = UnitPort(root, runner)
        self.runner = runner
        self.unit = unit
        self._writes = 0

    @property
    def writes(self) -> int:
        return self.files.writes + self.units.writes + self._writes

    def apply(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        if change.key == FIREWALL:
            self._change(change, change.data["add"], change.data["remove"])
        elif change.key == UNIT:
            self.units.apply(change)
        else:
            self.files.apply(change)
            self._settle(change)

    def undo(self, change: Change) -> None:
        """What is not there any more is not removed again: an apply may have failed half way."""
        if change.key == FIREWALL:
            live = self.readback(change)
            data = change.data
            self._change(
                change,
                [item for item in data["remove"] if item not in live],
                [item for item in data["add"] if item in live],
            )
        elif change.key == UNIT:
            self.units.undo(change)
        else:
            self.files.undo(change)
            self._settle(change)

    def reopen(self) -> None:
        """Everything is in its place: the units can be started. Raises NodeError."""
        self.units.start_pending()

    def readback(self, change: Change) -> Any:
        """Raises NodeError, OSError."""
        if change.key == FILE:
            return self.files.readback(change)
        if change.key == UNIT:
            return self.units.readback(change)
        manager = manager_of(change.data["manager"], self.runner)
        return manager.live(manager.survey(), change.data["mesh"], change.data["watch"])

    # -- inside

    def _change(self, change: Change, add: list[str], remove: list[str]) -> None:
        if add or remove:
            self._writes += 1
            manager_of(change.data["manager"], self.runner).change(change.data["mesh"], add, remove)

    def _settle(self, change: Change) -> None:
        if change.target == unit_path(self.unit):
            self.units.settle([self.unit])
