# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts openings into the managers that have them, and the files and the unit that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.commands import Runner
from ..core.model import Change
from .firewall_managers import manager_of
from .wall_port import WallPort

FIREWALL = "mesh.firewall"


class FirewallPort(WallPort):
    """contract.Port of the firewall part."""

    own = FIREWALL

    def __init__(self, root: Path, state_dir: str, runner: Runner, unit: str) -> None:
        super().__init__(root, state_dir, runner)
        self.unit = unit

    def _apply_own(self, change: Change) -> None:
        self._change(change, change.data["add"], change.data["remove"])

    def _undo_own(self, change: Change) -> None:
        """What is not there any more is not removed again: an apply may have failed half way."""
        live, data = self._live_own(change), change.data
        self._change(
            change,
            [item for item in data["remove"] if item not in live],
            [item for item in data["add"] if item in live],
        )

    def _live_own(self, change: Change) -> Any:
        manager = manager_of(change.data["manager"], self.runner)
        return manager.live(manager.survey(), change.data["mesh"], change.data["watch"])

    def _units_of(self, change: Change) -> Sequence[str]:
        return (self.unit,)

    def _change(self, change: Change, add: list[str], remove: list[str]) -> None:
        if add or remove:
            self._writes += 1
            manager_of(change.data["manager"], self.runner).change(change.data["mesh"], add, remove)
