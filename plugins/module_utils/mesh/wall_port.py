# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ports of the filter and of the firewall have in common: files, units, and what is theirs alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.commands import Runner
from ..core.managed_files import FILE, FilePort
from ..core.model import Change
from .filter_units import UNIT, UnitPort, unit_path


class WallPort:
    """A contract.Port. Whoever inherits from it does the changes of its own key, `own`."""

    own = ""

    def __init__(self, root: Path, state_dir: str, runner: Runner) -> None:
        self.files = FilePort(root, state_dir)
        self.units = UnitPort(root, runner)
        self.runner = runner
        self._writes = 0

    @property
    def writes(self) -> int:
        return self.files.writes + self.units.writes + self._writes

    def apply(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        if change.key == self.own:
            self._apply_own(change)
        elif change.key == UNIT:
            self.units.apply(change)
        else:
            self.files.apply(change)
            self._settle(change)

    def undo(self, change: Change) -> None:
        if change.key == self.own:
            self._undo_own(change)
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
        return self._live_own(change)

    # -- of whoever inherits

    def _apply_own(self, change: Change) -> None:
        raise NotImplementedError

    def _undo_own(self, change: Change) -> None:
        raise NotImplementedError

    def _live_own(self, change: Change) -> Any:
        raise NotImplementedError

    def _units_of(self, change: Change) -> Sequence[str]:
        """Units that may have the file of this change."""
        raise NotImplementedError

    # -- inside

    def _settle(self, change: Change) -> None:
        units = self._units_of(change)
        if change.target in map(unit_path, units):
            self.units.settle(units)
