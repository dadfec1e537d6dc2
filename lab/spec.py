# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of: pure data. A lab holds one of the sets of nodes.

The static inventories `inventories/lab/hosts.yml` (set default), `inventories/lab-mesh/hosts.yml`
(sets mesh and mesh-three) and `inventories/lab-vm/hosts.yml` (sets vm and vm-pair) name the same nodes
and addresses; unit tests hold them together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import LabError

BRIDGE_ADDRESS = "10.77.0.1"
# Logins of a set whose underlay is cut on purpose; no node reaches another one here.
MANAGEMENT_ADDRESS = "10.78.0.1"
# The underlay of virtual machines.
MACHINE_BRIDGE_ADDRESS = "10.79.0.1"
PREFIX_LENGTH = 24
DRIVER_VERSION = "550.163.01"

# One Debian release per Python and per generation of pynvml in the field.
SUITES = ("bookworm", "trixie")

# Every node starts with these; what a role installs is left out.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "fping",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "irtt",
    "kmod",
    "nftables",
    "openssh-server",
    "openssl",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "wireguard-go",
    "wireguard-tools",
)

# Offered by the node's local apt repository, not installed. Libraries: what babeld needs.
REPOSITORY_PACKAGES = ("babeld", "libb2-1", "libgomp1", "python3-psutil", "python3-pynvml")


@dataclass(frozen=True)
class Router:
    """The NAT router of a home: `outside` on the bridge, `inside` is the node's gateway."""

    outside: str
    inside: str


@dataclass(frozen=True)
class Node:
    """One node: `boards` is in the notation of `nvml-sim init --boards`, empty for a node without GPU.

    `address` is that of the underlay (eth0), behind `router` if there is one. With `management` the
    node has a second interface (eth9) for logins only.

    A `machine` is a virtual machine with a kernel of its own instead of a container. It always has a
    management address, and there the order is that of real machines: eth0 for logins, eth1 the underlay.
    """

    name: str
    suite: str
    address: str
    boards: str = ""
    user: str = "root"
    management: str = ""
    router: Router | None = None
    machine: bool = False

    @property
    def login(self) -> str:
        """The address that ssh uses."""
        return self.management or self.address


NODES = (
    Node("h100-1", "bookworm", "10.77.0.11", boards="h100:8"),
    Node("mixed-1", "trixie", "10.77.0.12", boards="l40s:4,t4:2", user="ops"),
    Node("cpu-1", "trixie", "10.77.0.13"),
)

# Two data centres, two homes behind NAT, two nodes to be added later.
MESH_NODES = (
    Node("fra-1", "bookworm", "10.77.0.21", management="10.78.0.21"),
    Node("fra-2", "trixie", "10.77.0.22", management="10.78.0.22"),
    Node("fra-3", "bookworm", "10.77.0.23", management="10.78.0.23"),
    Node("ams-1", "trixie", "10.77.0.31", management="10.78.0.31"),
    Node("ams-2", "bookworm", "10.77.0.32", management="10.78.0.32"),
    Node("ams-3", "trixie", "10.77.0.33", management="10.78.0.33"),
    Node(
        "home-1",
        "bookworm",
        "192.168.101.10",
        management="10.78.0.41",
        router=Router(outside="10.77.0.41", inside="192.168.101.1"),
    ),
    Node(
        "home-2",
        "trixie",
        "192.168.102.10",
        management="10.78.0.42",
        router=Router(outside="10.77.0.42", inside="192.168.102.1"),
    ),
    Node("spare-1", "trixie", "10.77.0.51", management="10.78.0.51"),
    Node("spare-2", "bookworm", "10.77.0.52", management="10.78.0.52"),
)

# Both releases twice, each with the stock kernel of its own.
MACHINE_NODES = (
    Node("vm-1", "bookworm", "10.79.0.11", management="10.78.0.11", machine=True),
    Node("vm-2", "trixie", "10.79.0.12", management="10.78.0.12", machine=True),
    Node("vm-3", "bookworm", "10.79.0.13", management="10.78.0.13", machine=True),
    Node("vm-4", "trixie", "10.79.0.14", management="10.78.0.14", machine=True),
)

DEFAULT_SET = "default"
SETS = {
    DEFAULT_SET: NODES,
    "mesh": MESH_NODES,
    "mesh-three": MESH_NODES[:3],
    "vm": MACHINE_NODES,
    "vm-pair": MACHINE_NODES[:2],
}

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def node_set(name: str) -> tuple[Node, ...]:
    """The nodes of that set; LabError names the known sets."""
    if name not in SETS:
        raise LabError(f"no set of nodes {name!r}; sets: {', '.join(SETS)}")
    return SETS[name]


def node(name: str, nodes: Sequence[Node] = NODES) -> Node:
    """The node of that name; LabError names the known ones."""
    for candidate in nodes:
        if candidate.name == name:
            return candidate
    raise LabError(f"no node {name!r} in the lab; nodes: {', '.join(n.name for n in nodes)}")


def check_lab_name(name: str) -> str:
    """Returns the name when it can serve as a directory, a cgroup and part of a label."""
    if not _NAME.fullmatch(name):
        raise LabError(f"lab name {name!r}: allowed are a-z, 0-9 and '-', at most 32 characters")
    return name
