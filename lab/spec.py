# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab consists of: pure data.

The static inventory `inventories/lab/hosts.yml` names the same nodes and addresses; a unit test
holds the two together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.errors import LabError

BRIDGE_ADDRESS = "10.77.0.1"
PREFIX_LENGTH = 24
DRIVER_VERSION = "550.163.01"

# One Debian release per Python and per generation of pynvml in the field.
SUITES = ("bookworm", "trixie")

# Every node starts with these; what a role installs (python3-pynvml, python3-psutil) is left out.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "wireguard-go",
    "wireguard-tools",
)

# Offered by the node's local apt repository, not installed.
REPOSITORY_PACKAGES = ("python3-psutil", "python3-pynvml")


@dataclass(frozen=True)
class Node:
    """One node: `boards` is in the notation of `nvml-sim init --boards`, empty for a node without GPU."""

    name: str
    suite: str
    address: str
    boards: str = ""
    user: str = "root"


NODES = (
    Node("h100-1", "bookworm", "10.77.0.11", boards="h100:8"),
    Node("mixed-1", "trixie", "10.77.0.12", boards="l40s:4,t4:2", user="ops"),
    Node("cpu-1", "trixie", "10.77.0.13"),
)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def node(name: str) -> Node:
    """The node of that name; LabError names the known ones."""
    for candidate in NODES:
        if candidate.name == name:
            return candidate
    raise LabError(f"no node {name!r} in the lab; nodes: {', '.join(n.name for n in NODES)}")


def check_lab_name(name: str) -> str:
    """Returns the name when it can serve as a directory, a cgroup and part of a label."""
    if not _NAME.fullmatch(name):
        raise LabError(f"lab name {name!r}: allowed are a-z, 0-9 and '-', at most 32 characters")
    return name
