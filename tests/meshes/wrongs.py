# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong changes of the mesh, each of which cuts one node of the lab off from one of its neighbours."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CHAIN = "nft chain inet drill input"
"""The operator's chain in FIREWALLED; its rules are in RULES."""

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
"""In ams-3: the path from fra-3 carries no fragments, as many do not."""

Registry = dict[str, Any]


@dataclass(frozen=True)
class Wrong:
    """One wrong change, as one node sees it: the run has no other.

    node: gets it; peer: is cut off by it, and has no part in another wrong change's link
    change: edits the registry; variables: more variables of the run
    says: what the probe has to say of it
    size: bytes of data of an echo request that shows it
    """

    name: str
    node: str
    peer: str
    says: str
    change: Callable[[Registry], Any] = lambda registry: None
    variables: dict[str, Any] = field(default_factory=dict)
    size: int = 56


def _key(registry: Registry) -> None:
    member = registry["members"]["ams-2"]
    member["keys"][member["generation"]] = base64.b64encode(os.urandom(32)).decode()


def _jumbo(registry: Registry) -> None:
    for name in ("fra-3", "ams-3"):
        registry["members"][name]["underlay_mtu"] = 9000


def _own_number(registry: Registry) -> None:
    registry["members"]["ams-2"]["number"] = 40


def _ports(registry: Registry) -> None:
    for link in registry["links"]:
        if link["ends"] == ["fra-1", "home-1"]:
            link["slots"] = [20, 20]


def _swapped(registry: Registry) -> None:
    one, other = (registry["members"][name] for name in ("fra-2", "fra-3"))
    one["number"], other["number"] = other["number"], one["number"]
    # The ports stay where they are: only what is behind them is exchanged.
    links = [link for link in registry["links"] if link["ends"] in (["fra-2", "home-2"], ["fra-3", "home-2"])]
    links[0]["slots"][1], links[1]["slots"][1] = links[1]["slots"][1], links[0]["slots"][1]


# What the default would refuse to do to the jobs of others.
ALLOWED = {"node_max_disruption": "peer_jobs"}

WRONGS = (
    Wrong("key", "fra-2", "ams-2", "to ams-2: no handshake", _key, ALLOWED),
    Wrong("mtu", "fra-3", "ams-3", "to ams-3: packets of the full MTU do not come back", _jumbo, size=1460),
    Wrong("address", "ams-2", "fra-1", "to fra-1: its mesh address does not answer", _own_number, ALLOWED),
    Wrong("firewall", FIREWALLED, "fra-1", "to fra-1: ", variables={"mesh_firewall": "none"}),
    Wrong("port", "home-1", "fra-1", "to fra-1: ", _ports, ALLOWED),
    Wrong("route", "home-2", "fra-2", "the other end does not answer", _swapped, ALLOWED),
)
"""Each on a node of its own, so that all can be tried at once."""
