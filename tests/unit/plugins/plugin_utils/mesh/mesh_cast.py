# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, keys and operations for tests of a mesh's registry."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.candidates import Candidate
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.changes import Context, Report
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.lifecycle import Order, psk_orders, run
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Registry, Sealed
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares

NOW = 1_800_000_000.0
TODAY = "2027-01-15"
PREFIXES = ("10.99.0.0/16", "fd12:3456:789a::/48")
NAMES = {
    "one.example": ["198.51.100.1"],
    "dual.example": ["198.51.100.1", "2001:db8::1"],
    "self.example": ["127.0.1.1"],
    "two.example": ["198.51.100.1", "198.51.100.2"],
}


def key(name: str, generation: int = 1) -> str:
    """A public key, always the same for a name and generation."""
    return base64.b64encode(hashlib.sha256(f"{name} {generation}".encode()).digest()).decode()


def context(**more: Any) -> Context:
    return Context(**{"now": NOW, "resolver": lambda name: NAMES.get(name, []), **more})


def host(name: str, generation: int = 1, **more: Any) -> Candidate:
    """One that others can call, unless it is behind NAT."""
    spot = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)
    told = {
        "public_key": key(name, generation),
        "generation": generation,
        "endpoint": "" if more.get("nat") else f"203.{spot >> 16 & 255}.{spot >> 8 & 255}.{spot & 255}",
        "underlay_mtu": 1500,
        "time": NOW,
        "settings": {"prefixes": list(PREFIXES)},
    }
    return Candidate(name, **{**told, **more})


def do(registry: Registry | None, operation: str, *hosts: Candidate, **more: Any) -> tuple[Registry, Report]:
    """`names`, `proofs` … go to the order, `with_context` to the context."""
    known = context(**more.pop("with_context", {}))
    return run(registry, Order(operation, "wan", candidates=hosts, **more), known)


def refused(*arguments: Any, **more: Any) -> str:
    """What the operation is refused with, each problem whole."""
    try:
        do(*arguments, **more)
    except BindError as error:
        for problem in error.problems:
            assert problem.key and problem.allowed and problem.origin, problem
        return "\n".join(str(problem) for problem in error.problems)
    raise AssertionError("it was not refused")


def small(**settings: Any) -> Registry:
    """Two gateways, one plain member and one at home behind NAT, fully meshed."""
    wished: dict[str, Any] = {"settings": {"prefixes": list(PREFIXES), **settings}}
    hosts = (
        host("ams", transit=True, region="ams", **wished),
        host("bo", nat=True, region="home", relays=("fra",), **wished),
        host("db", region="fra", **wished),
        host("fra", transit=True, region="fra", **wished),
    )
    return do(None, "join", *hosts)[0]


def everybody_saw(registry: Registry) -> set[tuple[str, str]]:
    """A handshake on every tunnel of every member."""
    return {(share.member, tunnel.interface) for share in Shares(registry).all() for tunnel in share.tunnels}


def finished(registry: Registry) -> Registry:
    """All members apply and shake hands until nothing is pending."""
    for _round in range(8):
        registry, _report = do(
            registry, "finish", proofs=everybody_saw(registry), applied=tuple(registry.members)
        )
    return registry


def sealed(registry: Registry) -> Registry:
    """All preshared keys that are missing, made by whom they are asked of."""
    for maker, orders in psk_orders(registry).items():
        copies = {order["name"]: Sealed("c2VhbGVk", "c2VuZGVy") for order in orders}
        registry, _report = do(registry, "seal", host(maker, sealed=copies))
    return registry
