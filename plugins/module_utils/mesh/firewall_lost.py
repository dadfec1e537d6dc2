# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of ours is in somebody's firewall, where the owner's record was lost.

firewall.json says it in full, sets and firewalld included, whose entries carry no mark. Where that is lost
too, rules of nftables chains and of ufw are known by their comment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from ..core.commands import Runner
from ..core.managed_files import FILE
from ..core.model import Claim
from ..core.store import Record
from .filter_units import UNIT, UnitState
from .firewall_managers import manager_of
from .firewall_port import FIREWALL
from .firewall_ranges import comment_of
from .firewall_ufw import parse_added
from .share import MESH_NAME

SCHEMA = 1
_COMMENT = comment_of("")


def wish_text(wish: str, claims: Mapping[str, Claim]) -> str:
    """firewall.json: what was asked for, and what of it is ours, as the record has it."""
    opened = {
        name.partition(" ")[2]: {"applied": claim.applied, "first_seen": claim.first_seen}
        for name, claim in sorted(claims.items())
        if name.startswith(f"{FIREWALL} ")
    }
    return json.dumps({"schema": SCHEMA, "firewall": wish, "opened": opened}) + "\n"


def with_lost(
    record: Record, wish: Optional[str], unit: tuple[str, UnitState], wish_path: str, runner: Runner
) -> Record:
    """The record with claims that it has lost; as it is where it has any of its own.

    wish: text of firewall.json; unit: name and state of the unit. Asks nft and ufw where both are lost.
    """
    if any(name == f"{FILE} {wish_path}" or name.startswith(f"{FIREWALL} ") for name in record.claims):
        return record
    found = _marked(runner) if wish is None else _noted(wish)
    name, state = unit
    if state.enabled or state.active:
        found[f"{UNIT} {name}"] = Claim(None, state.value)
    return Record(record.owner, {**found, **record.claims}, record.damaged)


def _noted(text: str) -> dict[str, Claim]:
    try:
        opened = json.loads(text)["opened"]
        return {
            f"{FIREWALL} {target}": Claim(item["first_seen"], [str(one) for one in item["applied"]])
            for target, item in opened.items()
            if _is_target(target)
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_target(target: str) -> bool:
    mesh, _space, manager = target.partition(" ")
    words = manager.split()
    known = manager in ("firewalld", "ufw") or (len(words) == 5 and words[0] == "nft")
    return bool(MESH_NAME.fullmatch(mesh)) and known


def _marked(runner: Runner) -> dict[str, Claim]:
    """Rules with our comment. Raises NodeError."""
    found = {}
    for target in sorted({*_chains(runner), *_ufw(runner)}):
        mesh, _space, name = target.partition(" ")
        manager = manager_of(name, runner)
        found[f"{FIREWALL} {target}"] = Claim(None, manager.live(manager.survey(), mesh, []))
    return found


def _chains(runner: Runner) -> set[str]:
    listed = runner(["nft", "-j", "list", "ruleset"])
    try:
        items: Any = json.loads(listed.out)["nftables"] if listed.good else []
    except (ValueError, KeyError, TypeError):
        return set()
    rules = [item["rule"] for item in items if isinstance(item, Mapping) and "rule" in item]
    return {
        f"{_mesh(rule.get('comment', ''))} nft chain {rule['family']} {rule['table']} {rule['chain']}"
        for rule in rules
        if _mesh(rule.get("comment", ""))
    }


def _ufw(runner: Runner) -> set[str]:
    added = runner(["ufw", "show", "added"])
    comments = [said for _action, _rule, said in parse_added(added.out)] if added.good else []
    return {f"{_mesh(said)} ufw" for said in comments if _mesh(said)}


def _mesh(comment: str) -> str:
    """The mesh that a comment of ours names, "" for any other comment."""
    name = comment[len(_COMMENT) :] if comment.startswith(_COMMENT) else ""
    return name if MESH_NAME.fullmatch(name) else ""
