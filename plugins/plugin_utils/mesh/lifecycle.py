# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on a registry by name, and what they are told as plain data. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from . import finishing, joining, rotation
from .addresses import addresses
from .candidates import Candidate
from .changes import Context, Report, members_named, psk_needs, settled
from .finishing import Proof
from .registry import Pair, Registry, pair_of
from .values import Wrong, names

OPERATIONS = ("join", "leave", "rotate", "rekey", "endpoint", "replan", "seal", "finish", "show")
NEED_CANDIDATES = ("join", "rotate", "rekey", "endpoint", "seal")
"""These look at what the members' nodes said; the others at names, or at nothing."""

FRESH = 180.0
"""s: a WireGuard session is at most this old, so an older handshake proves nothing of now."""


@dataclass(frozen=True)
class Order:
    """operation: one of OPERATIONS; names: of members, for leave and show"""

    operation: str
    mesh: str
    names: Sequence[str] = ()
    candidates: Sequence[Candidate] = ()
    keep_until: str | None = None
    proofs: Collection[Proof] = ()
    applied: Collection[str] = field(default_factory=tuple)


def run(registry: Registry | None, order: Order, context: Context) -> tuple[Registry, Report]:
    """registry: None where the mesh has none yet, which only a join may find. Raises BindError."""
    if registry is None:
        if order.operation != "join":
            allowed = "a mesh with a registry: the playbook swarm.node.mesh_join makes it"
            raise BindError([Problem("mesh", order.mesh, allowed, "task")])
        registry = joining.new_registry(order.mesh, order.candidates)
    if order.operation == "join":
        return joining.join(registry, order.candidates, context)
    if order.operation == "endpoint":
        return joining.change_endpoint(registry, order.candidates, context)
    if order.operation == "rotate":
        return rotation.rotate(registry, order.candidates, context, order.keep_until)
    if order.operation == "rekey":
        return rotation.rekey(registry, order.candidates, context)
    if order.operation == "seal":
        return rotation.seal(registry, order.candidates)
    if order.operation == "leave":
        return finishing.leave(registry, order.names, context)
    if order.operation == "replan":
        return finishing.replan(registry, context)
    if order.operation == "finish":
        return finishing.finish(registry, order.proofs, order.applied, context)
    members_named(registry, order.names)
    return settled(registry, registry, Report())


def described(registry: Registry, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Member → what a playbook needs of it."""
    found = {}
    for name in wanted:
        member = registry.members.get(name)
        if member is None:
            continue
        found[name] = {
            "number": member.number,
            "addresses": list(addresses(registry.settings.prefixes, member.number)),
            "region": member.region,
            "generation": member.generation,
            "newest_generation": member.newest,
            # A rotation that was begun goes on with the key it has.
            "next_generation": member.newest + (member.newest == member.generation),
            "next_key": member.newest + 1,
            "neighbours": sorted(link.other(name) for link in registry.links_of(name)),
            "leaving": member.leaving,
            "rotating": len(member.keys) > 1,
        }
    return found


def psk_orders(registry: Registry) -> dict[str, list[dict[str, str]]]:
    """Member → what its mesh_keys is to be told as seal_for."""
    found: dict[str, list[dict[str, str]]] = {}
    for need in psk_needs(registry):
        entry = {"name": need["name"], "public_key": need["public_key"]}
        found.setdefault(need["member"], []).append(entry)
    return found


def proofs_of(mesh: str, confirmed: Any) -> tuple[set[Proof], set[str]]:
    """Handshakes seen, and the members that could say.

    confirmed: member → result of mesh_confirm (or its `tunnels`); that of one that was not reached has none.
    Raises BindError.
    """
    if not isinstance(confirmed, Mapping):
        raise BindError(
            [Problem("confirmed", confirmed, "a map of members to results of mesh_confirm", "task")]
        )
    proofs: set[Proof] = set()
    seen: set[str] = set()
    for name, result in confirmed.items():
        tunnels = result.get("tunnels") if isinstance(result, Mapping) else result
        if tunnels is None:
            continue
        seen.add(str(name))
        if not isinstance(tunnels, (list, tuple)) or not all(isinstance(item, Mapping) for item in tunnels):
            raise BindError([Problem("confirmed", result, "a result of mesh_confirm", "task", str(name))])
        for tunnel in tunnels:
            age = tunnel.get("handshake_age")
            # The other end may have taken its tunnel back since the handshake.
            if tunnel.get("sent") and not tunnel.get("answered"):
                continue
            if tunnel.get("mesh", mesh) == mesh and age is not None and float(age) <= FRESH:
                proofs.add((str(name), str(tunnel.get("interface"))))
    return proofs, seen


def latencies_of(value: Any) -> dict[Pair, float]:
    """From a list of `{ends: [a, b], ms: 12.5}`; of a pair that is in it twice the shorter. Raises BindError.

    What makes one of two measurements of a way longer is a queue.
    """
    allowed = "a list of {ends: [two members], ms: a number of ms from 0}"
    found: dict[Pair, float] = {}
    for entry in value or ():
        try:
            ends = names(entry["ends"])
            ms = float(entry["ms"])
        except (Wrong, KeyError, TypeError, ValueError):
            raise BindError([Problem("latencies", entry, allowed, "task")]) from None
        if len(ends) != 2 or not 0 <= ms < 1e6:
            raise BindError([Problem("latencies", entry, allowed, "task")])
        pair = pair_of(*ends)
        found[pair] = min(ms, found.get(pair, ms))
    return found
