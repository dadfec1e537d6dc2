# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads, deletes and reads the two tables of a mesh. No other table is ever touched."""

from __future__ import annotations

import json
from typing import Any, Optional

from ..core.commands import MISSING, Runner, must
from ..core.errors import NodeError
from .filter import FAMILY, Rules, rules_in
from .paths import deaf_table, table


class Tables:
    """By `nft`."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def there(self) -> bool:
        """Whether there is a program nft on the node."""
        return self.runner(["nft", "--version"]).code != MISSING

    def names(self) -> list[str]:
        """Of all tables of our family. Raises NodeError."""
        done = self.runner(["nft", "-j", "list", "tables"])
        if done.code == MISSING:
            raise NodeError("there is no program nft on this node (package nftables)")
        if not done.good:
            raise NodeError(f"nft does not work here: {done.reason}")
        found = [item["table"] for item in _json(done.out).get("nftables", ()) if "table" in item]
        return [item["name"] for item in found if item["family"] == FAMILY]

    def meshes(self, names: list[str]) -> list[str]:
        """Meshes that have one of our tables."""
        heads = (table(""), deaf_table(""))
        return sorted({name[len(head) :] for name in names for head in heads if name.startswith(head)})

    def listed(self, name: str) -> Any:
        """The table as `nft -j` has it, with its counters. Raises NodeError."""
        return _json(must(self.runner, ["nft", "-j", "list", "table", FAMILY, name]))

    def rules(self, name: str) -> Rules:
        return rules_in(self.listed(name))

    def text(self, name: str) -> str:
        return must(self.runner, ["nft", "-s", "list", "table", FAMILY, name])

    def load(self, text: str) -> None:
        """One transaction: all of it or nothing. Raises NodeError."""
        must(self.runner, ["nft", "-f", "-"], text)


def _json(text: str) -> dict[str, Any]:
    found: Optional[Any] = None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise NodeError(f"nft -j: its answer is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise NodeError("nft -j: its answer is no object")
    return found
