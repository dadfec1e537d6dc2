# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the routing layer has its files on a node, and the names by which it knows its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass

HOME = "/etc/swarm_node/routing"
"""Per mesh <mesh>.conf (babeld) and <mesh>.nft (which packets it gets)."""

RUN = "/run/swarm-node-routing"
"""Per mesh a directory with what the daemon runs with, and beside it what a boot may forget."""

PROGRAM = "/usr/local/lib/swarm_node/swarm_node_routing.pyz"
BABELD = "/usr/sbin/babeld"
SYSTEMD = "/etc/systemd/system"
TEMPLATES = {
    "daemon": f"{SYSTEMD}/swarm-node-routing@.service",
    "recorder": f"{SYSTEMD}/swarm-node-routing-changes@.service",
}
WANTED_BY = {
    # A start of nftables.service begins with an empty ruleset: it starts the daemon with its table after it.
    "daemon": ("multi-user.target", "nftables.service"),
    "recorder": ("multi-user.target",),
}
DISTRIBUTION = "babeld.service"
DISTRIBUTION_CONF = "/etc/babeld.conf"
PORT = 6696
PROTOCOL = 42
"""Kernel routes of babeld carry this protocol number."""

OWN_PROTOCOL = 214
"""Of what we put into the tables of a mesh with aggregates, and of the rules that ask them."""

THROW_METRIC = 4000
"""As planned routes have it: below the daemon's routes, above what it leaves as unreachable (65535)."""

RULE = 30214
"""Priority of the rule for neighbours; that for blocks follows. Main's has 32766."""

SLOTS, FIRST_TABLE, STEP = 24, 104, 4
"""babeld cuts the number of a table that it writes, and 1.13 of one that it reads, to 8 bits."""


@dataclass(frozen=True)
class Slot:
    """The kernel's routing tables of one mesh. hosts: neighbours of other regions; blocks: other regions;
    imported: the own region's blocks, where babeld finds what it is to announce, and no packet is looked up
    """

    hosts: int
    blocks: int
    imported: int


def slot(port: int) -> Slot:
    """By the daemon's UDP port, which no two meshes of a node share; 24 in a row have tables of their own."""
    first = FIRST_TABLE + STEP * ((port - PORT) % SLOTS)
    return Slot(first, first + 1, first + 2)


def priority(table: int) -> int:
    """Of the rule that asks the table."""
    return RULE + table % STEP


def conf_path(mesh: str) -> str:
    return f"{HOME}/{mesh}.conf"


def filter_path(mesh: str) -> str:
    return f"{HOME}/{mesh}.nft"


def unit(kind: str, mesh: str) -> str:
    """kind: daemon or recorder"""
    return TEMPLATES[kind].rpartition("/")[2].replace("@", f"@{mesh}")


def link_paths(kind: str, mesh: str) -> list[str]:
    """By these a unit is enabled."""
    return [f"{SYSTEMD}/{other}.wants/{unit(kind, mesh)}" for other in WANTED_BY[kind]]


def running_conf(mesh: str) -> str:
    """The copy that the daemon was started with."""
    return f"{RUN}/{mesh}/babeld.conf"


def socket_path(mesh: str) -> str:
    return f"{RUN}/{mesh}/babeld.sock"


def changes_path(mesh: str) -> str:
    """What the recorder has seen in this boot, one JSON object a line."""
    return f"{RUN}/{mesh}.changes"


def recorder_path(mesh: str) -> str:
    """The digest of the program that the recorder runs."""
    return f"{RUN}/{mesh}.recorder"


def laid_path(mesh: str) -> str:
    """The configuration whose rules and tables the kernel has. The daemon's own copy goes with its unit."""
    return f"{RUN}/{mesh}.laid"


def drain_path(mesh: str) -> str:
    """Input of `nft -f` that makes the daemon deaf again, should it or nftables be started again."""
    return f"{RUN}/{mesh}.drain"


def table(mesh: str) -> str:
    return f"swarm_node_routing_{mesh}"


def deaf_table(mesh: str) -> str:
    return f"swarm_node_deaf_{mesh}"
