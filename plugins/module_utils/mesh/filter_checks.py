# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a packet filter would cut the node off, so that it is refused. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ..core.errors import Problem
from .share import Share


def overlaps(shares: Mapping[str, Share]) -> list[Problem]:
    """Two meshes with one address: each would take the other's packets for forged ones."""
    seen: list[tuple[str, Any]] = []
    problems = []
    for mesh, share in sorted(shares.items()):
        for prefix in share.prefixes:
            network = ipaddress.ip_network(prefix)
            clash = [name for name, other in seen if _overlap(network, other) and name != mesh]
            if clash:
                allowed = f"a prefix that the mesh {clash[0]} has no address of"
                problems.append(Problem("mesh_settings prefixes", prefix, allowed, target=mesh))
            seen.append((mesh, network))
    return problems


def in_use(shares: Mapping[str, Share], networks: tuple[tuple[str, str], ...]) -> list[Problem]:
    """Networks of the node outside the mesh: their packets would be dropped as forged ones."""
    problems = []
    for mesh, share in sorted(shares.items()):
        own = {ipaddress.ip_interface(address).ip for address in share.addresses}
        for device, text in networks:
            address = ipaddress.ip_interface(text)
            if device == "lo" or device.startswith(f"{mesh}-") or address.ip in own:
                continue
            for prefix in share.prefixes:
                if _overlap(address.network, ipaddress.ip_network(prefix)):
                    allowed = f"a prefix that the node's {device} ({text}) is not in"
                    problems.append(Problem("mesh_settings prefixes", prefix, allowed, target=mesh))
    return problems


def _overlap(one: Any, other: Any) -> bool:
    return bool(one.version == other.version and one.overlaps(other))
