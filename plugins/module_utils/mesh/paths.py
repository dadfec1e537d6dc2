# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the mesh layer has its files on a node, and the names by which it knows its own in the kernel."""

from __future__ import annotations

HOME = "/etc/swarm_node/mesh"
"""One directory per mesh: share.json, keys/, psk/, *.routes, filter.nft."""

WIREGUARD = "/etc/wireguard"
"""One <interface>.conf per tunnel, for wg-quick@<interface>.service. No secret is in it."""

STATE = "mesh"
"""Directory below the state directory (/var/lib/swarm_node): what is armed, and what to go back to."""

PROGRAM = "/usr/local/lib/swarm_node/mesh.pyz"
GUARD = "swarm-node-mesh-guard.service"
"""Enabled only while a change is armed: undoes it at its deadline, also after a reboot."""

UNIT = "swarm-node-mesh@{mesh}.service"
"""Loads the mesh's own nftables table and its unreachable aggregates at boot, before the tunnels."""

PROTOCOL = 213
"""Kernel routes of ours carry this protocol number; no other is touched. No routing daemon uses it."""

METRIC = 4000
"""Metric of planned routes: those of a routing daemon (0 to 1024) win while it runs."""

UNREACHABLE_METRIC = 4294967295
"""The last resort: packets for the mesh never leak to the default route."""


def mesh_dir(mesh: str) -> str:
    return f"{HOME}/{mesh}"


def share_path(mesh: str) -> str:
    """What the controller sent last. No secret is in it."""
    return f"{HOME}/{mesh}/share.json"


def key_path(mesh: str, generation: int) -> str:
    """The node's private key of that generation: mode 0600, made here. wg reads it, and openssl to open a
    preshared key that was sealed for it."""
    return f"{HOME}/{mesh}/keys/{generation}.key"


def psk_path(mesh: str, name: str) -> str:
    return f"{HOME}/{mesh}/psk/{name}.key"


def routes_path(mesh: str, name: str) -> str:
    """Input of `ip -batch`: the routes through the interface `name`, or "mesh" for the aggregates."""
    return f"{HOME}/{mesh}/{name}.routes"


def filter_path(mesh: str) -> str:
    """The mesh's own nftables table, input of `nft -f`."""
    return f"{HOME}/{mesh}/filter.nft"


def table(mesh: str) -> str:
    """Name of that table, family inet."""
    return f"swarm_node_mesh_{mesh}"


def conf_path(interface: str) -> str:
    return f"{WIREGUARD}/{interface}.conf"


def quick_unit(interface: str) -> str:
    return f"wg-quick@{interface}.service"
