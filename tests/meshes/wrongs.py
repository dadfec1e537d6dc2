# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong changes of the mesh, each of which cuts one node of the lab off from fra-1."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CHAIN = "nft chain inet drill input"
"""The operator's chain in FIREWALLED; its rules are in RULES."""

PEER = "fra-1"
"""The neighbour that is lost. Nothing of it is changed, so that each wrong change has an end of its own."""

FIREWALLED = "ams-3"
RULES = """\
table inet drill {
    chain input {
        type filter hook input priority 0;
        ip saddr 10.77.0.21 meta l4proto udp drop
    }
}
"""
"""As an operator has it who wants tunnels from fra-1 only through what the mesh opens."""

NO_FRAGMENTS = """\
table ip drill {
    chain early {
        type filter hook prerouting priority -500;
        ip saddr 10.77.0.23 ip frag-off & 0x1fff != 0 drop
    }
}
"""
"""In fra-1: the path from fra-3 carries no fragments, as many do not."""

Registry = dict[str, Any]


@dataclass(frozen=True)
class Wrong:
    """One wrong change, as one node sees it: the run has no other.

    node: gets it
    change: edits the registry; variables: more variables of the run
    says: what the probe has to say of it
    size: bytes of data of an echo request that shows it
    """

    name: str
    node: str
    says: str
    change: Callable[[Registry], Any] = lambda registry: None
    variables: dict[str, Any] = field(default_factory=dict)
    size: int = 56


def _key(registry: Registry) -> None:
    member = registry["members"][PEER]
    member["keys"][member["generation"]] = base64.b64encode(os.urandom(32)).decode()


def _jumbo(registry: Registry) -> None:
    for name in ("fra-3", PEER):
        registry["members"][name]["underlay_mtu"] = 9000


def _own_number(registry: Registry) -> None:
    registry["members"]["ams-2"]["number"] = 40


def _ports(registry: Registry) -> None:
    _link(registry, "home-1")["slots"] = [20, 20]


def _swapped(registry: Registry) -> None:
    one, other = (registry["members"][name] for name in (PEER, "fra-2"))
    one["number"], other["number"] = other["number"], one["number"]
    # The ports stay where they are: only what is behind them is exchanged.
    first, second = (_link(registry, "home-2", name)["slots"] for name in (PEER, "fra-2"))
    first[1], second[1] = second[1], first[1]


def _link(registry: Registry, node: str, peer: str = PEER) -> dict[str, Any]:
    """The link of two nodes, of which `peer` comes first by name."""
    return next(link for link in registry["links"] if link["ends"] == [peer, node])


# What the default would refuse to do to the jobs of others.
ALLOWED = {"node_max_disruption": "peer_jobs"}

WRONGS = (
    Wrong("key", "fra-2", "to fra-1: no handshake", _key, ALLOWED),
    Wrong("mtu", "fra-3", "to fra-1: packets of the full MTU do not come back", _jumbo, size=1460),
    Wrong("address", "ams-2", "to fra-1: its mesh address does not answer", _own_number, ALLOWED),
    Wrong("firewall", FIREWALLED, "to fra-1: ", variables={"mesh_firewall": "none"}),
    Wrong("port", "home-1", "to fra-1: ", _ports, ALLOWED),
    Wrong("route", "home-2", "to fra-1: ", _swapped, ALLOWED),
)
"""Each on a node of its own, so that all can be tried at once."""
