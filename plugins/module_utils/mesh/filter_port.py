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

from ..core.commands import Runner, must
from ..core.errors import NodeError
from ..core.model import Change
from .filter_rules import FAMILY, Rules, digest_of, removal_text, rules_in
from .paths import table
from .wall_port import WallPort

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


class FilterPort(WallPort):
    """contract.Port of the filter: its files, its tables and its units."""

    own = FILTER

    def __init__(self, root: Path, state_dir: str, runner: Runner) -> None:
        super().__init__(root, state_dir, runner)
        self.tables = NftTables(runner)

    def _apply_own(self, change: Change) -> None:
        self._load(change.data["load"])

    def _undo_own(self, change: Change) -> None:
        self._load(removal_text(change.target) + change.data["before_nft"])

    def _live_own(self, change: Change) -> Any:
        live = self.tables.read().tables.get(change.target)
        return None if live is None else digest_of(live)

    def _units_of(self, change: Change) -> Sequence[str]:
        return tuple(change.data.get("units", ()))

    def _load(self, text: str) -> None:
        self._writes += 1
        self.tables.load(text)


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
