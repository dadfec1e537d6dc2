# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which base chains of a ruleset keep tunnels out. Pure.

A chain is walked for one packet, and every way that the packet may take is followed: what may
drop it is held against the chain, what only may accept it does not count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .firewall_match import BENIGN, MAYBE, NO, YES, Packet, certainty, holds
from .firewall_ranges import comment_of

ACCEPT, DROP, RETURN, FALL = "accept", "drop", "return", "fall"
DEPTH = 16
"""nftables itself allows no more jumps."""

OURS = "swarm_node_mesh_"
_SILENT = ("counter", "log", "comment", "mangle", "notrack", "ct helper", "ct timeout", "set", "map")
"""Statements that let a packet go on."""


@dataclass(frozen=True)
class Chain:
    family: str
    table: str
    name: str
    hook: str = ""
    policy: str = "accept"
    rules: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Ruleset:
    """chains: (family, table, name) → chain; sets: (family, table) → name → elements, None: not listed"""

    chains: Mapping[tuple[str, str, str], Chain] = field(default_factory=dict)
    sets: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Blocker:
    """A base chain that drops, or may drop, what opens a tunnel."""

    chain: Chain
    version: int

    @property
    def place(self) -> str:
        return f"{self.chain.family} {self.chain.table} {self.chain.name}"


def parse_ruleset(listed: Mapping[str, Any]) -> Ruleset:
    """Of `nft -j list ruleset`."""
    chains: dict[tuple[str, str, str], dict[str, Any]] = {}
    rules: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    sets: dict[tuple[str, str], dict[str, Any]] = {}
    for item in listed.get("nftables", ()):
        kind, body = next(iter(item.items()))
        if kind == "chain":
            chains[body["family"], body["table"], body["name"]] = body
        # A rule of ours goes when nobody asks for it any more: what it lets in does not count.
        elif kind == "rule" and not body.get("comment", "").startswith(comment_of("")):
            rules.setdefault((body["family"], body["table"], body["chain"]), []).append(body)
        elif kind in ("set", "map"):
            sets.setdefault((body["family"], body["table"]), {})[body["name"]] = body.get("elem", [])
    return Ruleset(
        {
            place: Chain(
                *place, body.get("hook", ""), body.get("policy", "accept"), tuple(rules.get(place, ()))
            )
            for place, body in chains.items()
        },
        sets,
    )


def blockers(
    ruleset: Ruleset, packets: Collection[Packet], passed_over: Collection[tuple[str, str]] = ()
) -> list[Blocker]:
    """Base chains at the input hook that do not let all packets through.

    passed_over: (family, table) of the manager that is asked anyhow
    """
    found: dict[tuple[str, str, str], Blocker] = {}
    for place, chain in sorted(ruleset.chains.items()):
        if chain.hook != "input" or chain.table.startswith(OURS) or place[:2] in passed_over:
            continue
        for packet in packets:
            if chain.family not in ("inet", "ip" if packet.version == 4 else "ip6"):
                continue
            if DROP in fates(ruleset, chain, packet):
                found.setdefault(place, Blocker(chain, packet.version))
    return list(found.values())


def fates(ruleset: Ruleset, chain: Chain, packet: Packet) -> set[str]:
    """What may become of the packet in a base chain: accept, drop."""
    ends = _walk(ruleset, chain, packet, DEPTH)
    if ends & {FALL, RETURN}:
        ends = (ends - {FALL, RETURN}) | {chain.policy}
    return ends


def _walk(ruleset: Ruleset, chain: Chain, packet: Packet, depth: int) -> set[str]:
    """How a walk through the chain may end; FALL: at its end."""
    if depth == 0:
        return {DROP}
    ends: set[str] = set()
    for rule in chain.rules:
        certain, outcomes = _rule(ruleset, chain, rule, packet, depth)
        if certain == NO:
            continue
        if certain == BENIGN:
            outcomes = outcomes - {DROP, RETURN}
        ends |= outcomes - {FALL}
        if certain == YES and FALL not in outcomes:
            return ends
    return ends | {FALL}


def _rule(
    ruleset: Ruleset, chain: Chain, rule: Mapping[str, Any], packet: Packet, depth: int
) -> tuple[str, set[str]]:
    """(whether it is about the packet, what it may do with it)"""
    sets = ruleset.sets.get((chain.family, chain.table), {})
    conditions: list[str] = []
    for item in rule.get("expr", ()):
        kind, body = _statement(item)
        if kind == "match":
            conditions.append(holds(body, packet, sets))
        elif kind == "limit":
            conditions.append(BENIGN)
        elif kind == "vmap":
            return _verdict_map(ruleset, chain, body, packet, conditions, depth)
        elif kind not in _SILENT:
            return certainty(conditions), _outcomes(ruleset, chain, kind, body, packet, depth)
    return certainty(conditions), {FALL}


def _statement(item: Any) -> tuple[str, Any]:
    return next(iter(item.items())) if isinstance(item, Mapping) else (str(item), None)


def _verdict_map(
    ruleset: Ruleset, chain: Chain, body: Mapping[str, Any], packet: Packet, before: list[str], depth: int
) -> tuple[str, set[str]]:
    """A rule for every entry: of a map that is not known, anything may be the outcome."""
    sets = ruleset.sets.get((chain.family, chain.table), {})
    entries = body["data"].get("set") if isinstance(body["data"], Mapping) else None
    if isinstance(body["data"], str) and body["data"].startswith("@"):
        entries = sets.get(body["data"][1:])
    if entries is None:
        return certainty([*before, MAYBE]), {DROP, ACCEPT, FALL}
    outcomes: set[str] = set()
    sure = False
    for key, verdict in entries:
        answer = holds({"op": "==", "left": body["key"], "right": key}, packet, sets)
        if answer == NO:
            continue
        kind, target = next(iter(verdict.items()))
        found = _outcomes(ruleset, chain, kind, target, packet, depth)
        outcomes |= found - {DROP, RETURN} if answer == BENIGN else found
        sure = sure or answer == YES
    return certainty(before), outcomes if sure else outcomes | {FALL}


def _outcomes(ruleset: Ruleset, chain: Chain, kind: str, body: Any, packet: Packet, depth: int) -> set[str]:
    if kind in ("accept", "drop", "return"):
        return {kind}
    if kind == "continue":
        return {FALL}
    if kind == "reject":
        return {DROP}
    if kind in ("jump", "goto"):
        target = ruleset.chains.get((chain.family, chain.table, body["target"]))
        if target is None:
            return {DROP}
        ends = _walk(ruleset, target, packet, depth - 1)
        if ends & {FALL, RETURN}:
            # Back behind the jump; from a goto, back to where this chain was called from.
            ends = (ends - {FALL, RETURN}) | {FALL if kind == "jump" else RETURN}
        return ends
    # What is not known (an extension of iptables, a queue): in doubt it drops.
    return {DROP, FALL}
