# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads, deletes and reads the meshes' own nftables tables. No other table is ever touched."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..core.errors import NodeError
from ..core.managed_files import FILE, FilePort
from ..core.model import Change
from .commands import Runner, must
from .filter_rules import FAMILY, Rules, digest_of, removal_text, rules_in
from .filter_units import UNIT, UnitPort, unit_path
from .paths import table

FILTER = "mesh.filter"
LIST = ("nft", "-s", "list", "table", FAMILY)
LIST_JSON = ("nft", "-j", "list", "table", FAMILY)


@dataclass(frozen=True)
class Live:
    """What nft says.

    missing: why there can be no table here, or ""
    tables: mesh → its rules, of the tables that are there
    texts: mesh → the same as nft writes it, so that it can be loaded again
    """

    missing: str = ""
    tables: dict[str, Rules] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


class NftTables:
    """The tables of meshes, by `nft`."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def read(self) -> Live:
        """Every table of ours. Raises NodeError, PermissionError."""
        listed = self.runner(["nft", "-j", "list", "tables"])
        if not listed.good:
            return Live(missing=why_not(listed.code, listed.err))
        tables = [item["table"] for item in _json(listed.out).get("nftables", ()) if "table" in item]
        start = table("")
        found = sorted(
            item["name"][len(start) :]
            for item in tables
            if item["family"] == FAMILY and item["name"].startswith(start)
        )
        return Live(
            tables={mesh: self.rules(mesh) for mesh in found},
            texts={mesh: must(self.runner, [*LIST, table(mesh)]) for mesh in found},
        )

    def rules(self, mesh: str) -> Rules:
        """Of a table that is there. Raises NodeError."""
        return rules_in(_json(must(self.runner, [*LIST_JSON, table(mesh)])))

    def load(self, text: str) -> None:
        """One transaction: all of it or nothing. Raises NodeError."""
        must(self.runner, ["nft", "-f", "-"], text)


class FilterPort:
    """contract.Port of the filter: its files, its tables and its units."""

    def __init__(self, root: Path, state_dir: str, runner: Runner) -> None:
        self.files = FilePort(root, state_dir)
        self.tables = NftTables(runner)
        self.units = UnitPort(root, runner)
        self._writes = 0

    @property
    def writes(self) -> int:
        return self.files.writes + self.units.writes + self._writes

    def apply(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        if change.key == FILTER:
            self._load(change.data["load"])
        elif change.key == UNIT:
            self.units.apply(change)
        else:
            self.files.apply(change)
            self._settle(change)

    def undo(self, change: Change) -> None:
        if change.key == FILTER:
            self._load(removal_text(change.target) + change.data["before_nft"])
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
        live = self.tables.read().tables.get(change.target)
        return None if live is None else digest_of(live)

    def _load(self, text: str) -> None:
        self._writes += 1
        self.tables.load(text)

    def _settle(self, change: Change) -> None:
        units: Sequence[str] = change.data.get("units", ())
        if change.target in map(unit_path, units):
            self.units.settle(units)


def why_not(code: int, said: str) -> str:
    """Why nft gives no list of tables. Raises PermissionError where only root would get one."""
    words = " ".join(said.split())
    if code == 127:
        return "there is no program nft on this node (package nftables)"
    if "not permitted" in words and os.geteuid() != 0:
        raise PermissionError(f"nft: {words}")
    return f"nft does not work here: {words or f'it returned {code}'}"


def _json(text: str) -> dict[str, Any]:
    try:
        found: Optional[Any] = json.loads(text)
    except ValueError as error:
        raise NodeError(f"nft -j: its answer is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise NodeError("nft -j: its answer is no object")
    return found
