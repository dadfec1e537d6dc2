# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares for tests of the routing layer: member 64, a leaf, with the relays 65 and 66 and the leaf 67."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel

PREFIXES = ("10.99.0.0/16", "fd5e:7a11:9c3d::/48")


def tunnel(number: int, **wishes: Any) -> Tunnel:
    mesh = wishes.pop("mesh", "wan")
    side = wishes.pop("side", "")
    known: dict[str, Any] = {
        "interface": f"{mesh}-{number}{side}",
        "peer": f"node-{number}",
        "peer_number": number,
        "generation": 1,
        "listen_port": 51820 + number,
        "public_key": base64.b64encode(bytes([number % 256]) * 32).decode(),
        "endpoint": f"192.0.2.{number % 250}:51820",
    }
    return Tunnel(**{**known, **wishes})


def share(*tunnels: Tunnel, **wishes: Any) -> Share:
    found = tunnels or (
        tunnel(65, transit=True),
        tunnel(66, transit=True),
        tunnel(67),
    )
    number = wishes.get("number", 64)
    prefixes = wishes.get("prefixes", PREFIXES)
    known: dict[str, Any] = {
        "mesh": "wan",
        "member": f"node-{number}",
        "number": number,
        "addresses": (f"10.99.{number // 256}.{number % 256}/32", f"fd5e:7a11:9c3d::{number:x}/128"),
        "prefixes": prefixes,
        "ports": (51820, 51867),
        "keys": {1: base64.b64encode(b"o" * 32).decode()},
        "tunnels": found,
        "routes": {},
    }
    return Share(**{**known, **wishes})


def other(name: str = "lab", **wishes: Any) -> Share:
    """A second mesh of the node."""
    base = share(tunnel(2, mesh=name), mesh=name, number=1, prefixes=("10.98.0.0/16",))
    return replace(base, addresses=("10.98.0.1/32",), ports=(52820, 52867), **wishes)


def region(transit: bool = False, **wishes: Any) -> Share:
    """Of a mesh with regions: member 64, with a relay and a member of its own region, the same of another,
    and a relay of one whose members are announced one by one.
    """
    found = (
        tunnel(65, transit=True, near=True),
        tunnel(66, near=True),
        tunnel(129, transit=True),
        tunnel(130),
        tunnel(200, transit=True),
    )
    return share(*found, transit=transit, **{"own_blocks": (1, 4), "other_blocks": (0, 2), **wishes})


SMALL = {"own_blocks": (1,), "other_blocks": (2,)}
NEAR_AND_FAR = (tunnel(65, transit=True, near=True), tunnel(66, near=True), tunnel(129, transit=True))
"""A region of one block, another region of one, and neighbours in both."""
