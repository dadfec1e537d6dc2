# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's network: one bridge, one network namespace per node, no way out."""

from __future__ import annotations

from lab.namespaces import Process, enter
from lab.shell import run
from lab.spec import BRIDGE_ADDRESS, NODES, PREFIX_LENGTH, Node

BRIDGE = "lab0"
NAMESPACES = "/run/lab-net"

_BRIDGE = """
set -eu
ip link show "$1" >/dev/null 2>&1 && exit 0
ip link add "$1" type bridge
ip address add "$2" dev "$1"
ip link set "$1" up
"""

# A namespace made anew has the kernel's default net.* values, as a machine has after a reboot.
_NAMESPACE = """
set -eu
path=$1 host_side=$2 bridge=$3 address=$4
if [ -e "$path" ]; then umount -l "$path" 2>/dev/null || true; fi
ip link delete "$host_side" 2>/dev/null || true
: >"$path"
unshare --net="$path" true
ip link add "$host_side" type veth peer name eth0 netns "$path"
ip link set "$host_side" master "$bridge" up
nsenter --net="$path" ip link set lo up
nsenter --net="$path" ip address add "$address" dev eth0
nsenter --net="$path" ip link set eth0 up
"""


def path(node: Node) -> str:
    """The node's network namespace, as seen inside the lab."""
    return f"{NAMESPACES}/{node.name}"


def make_bridge(holder: Process) -> None:
    """Makes the bridge unless it is there."""
    run([*enter(holder), "sh", "-c", _BRIDGE, "sh", BRIDGE, f"{BRIDGE_ADDRESS}/{PREFIX_LENGTH}"])


def make_namespace(holder: Process, node: Node) -> None:
    """Makes the node's network namespace anew."""
    host_side = f"node{NODES.index(node)}"
    address = f"{node.address}/{PREFIX_LENGTH}"
    run([*enter(holder), "sh", "-c", _NAMESPACE, "sh", path(node), host_side, BRIDGE, address])
