# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's network: a bridge, one network namespace per node, NAT routers for homes, no way out.

A node with a management address has a second interface on a second bridge. Its ports are isolated:
each reaches the bridge itself, where logins come from, and no other port.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address

from lab.errors import LabError
from lab.namespaces import Process, enter
from lab.shell import run
from lab.spec import (
    BRIDGE_ADDRESS,
    MACHINE_BRIDGE_ADDRESS,
    MANAGEMENT_ADDRESS,
    PREFIX_LENGTH,
    Node,
    Router,
)

BRIDGE = "lab0"
MANAGEMENT_BRIDGE = "lab9"
NAMESPACES = "/run/lab-net"

# A new namespace may inherit the host's ip_forward; the bridges have nothing to say to each other.
_BRIDGE = """
set -eu
ip link show "$1" >/dev/null 2>&1 && exit 0
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ] || echo 0 >/proc/sys/net/ipv4/ip_forward
ip link add "$1" type bridge
ip address add "$2" dev "$1"
ip link set "$1" up
"""

# A namespace made anew has the kernel's default net.* values, as a machine has after a reboot.
_NAMESPACE = """
set -eu
: >"$1"
unshare --net="$1" true
nsenter --net="$1" ip link set lo up
"""

_REMOVE = """
path=$1
shift
if [ -e "$path" ]; then umount -l "$path" 2>/dev/null || true; fi
for link; do ip link delete "$link" 2>/dev/null || true; done
"""

_PORT = """
set -eu
path=$1 interface=$2 address=$3 host_side=$4 bridge=$5 isolated=$6 mac=$7
ip link add "$host_side" type veth peer name "$interface" address "$mac" netns "$path"
ip link set "$host_side" master "$bridge" up
ip link set "$host_side" type bridge_slave isolated "$isolated"
nsenter --net="$path" ip address add "$address" dev "$interface"
nsenter --net="$path" ip link set "$interface" up
"""

_LAN = r"""
set -eu
path=$1 address=$2 router=$3 gateway=$4 mac=$5 gateway_mac=$6
nsenter --net="$router" ip link delete lan 2>/dev/null || true
nsenter --net="$router" ip link add lan address "$gateway_mac" type veth \
    peer name eth0 address "$mac" netns "$path"
nsenter --net="$router" ip address add "$gateway" dev lan
nsenter --net="$router" ip link set lan up
nsenter --net="$path" ip address add "$address" dev eth0
nsenter --net="$path" ip link set eth0 up
nsenter --net="$path" ip route add default via "${gateway%/*}"
"""

# Every flow gets a random outside port, and what was not asked for from inside is dropped silently.
_NAT = """
set -eu
nsenter --net="$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
nsenter --net="$1" nft -f - <<'RULES'
table ip home {
    chain outgoing {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan" masquerade fully-random
    }
    chain through {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "lan" oifname "wan" accept
    }
    chain own {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname "lan" accept
    }
}
RULES
"""

_CUT = 'ip link set "$1" down'
# The link stays up and nothing comes through, as where a provider's network fails.
_CUT_SILENTLY = 'ip link set "$1" nomaster'
_RESTORE = 'ip link set "$1" master "$2" up'


def path(node: Node) -> str:
    """The node's network namespace, as seen inside the lab."""
    return f"{NAMESPACES}/{node.name}"


def router_path(node: Node) -> str:
    """The network namespace of the node's NAT router."""
    return f"{NAMESPACES}/{node.name}.router"


def uplink(node: Node) -> str:
    """The bridge's port of the node or of its router; an interface name has at most 15 characters."""
    return f"v-{node.name}"


def management_link(node: Node) -> str:
    """The management bridge's port of the node."""
    return f"m-{node.name}"


def shell(holder: Process, script: str, *words: str) -> None:
    run([*enter(holder), "sh", "-c", script, "sh", *words])


def long_address(address: str) -> str:
    return f"{address}/{PREFIX_LENGTH}"


def hardware_address(address: str) -> str:
    """An interface's own MAC address, the same after every restart: neighbours remember it for a while."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x00" + IPv4Address(address).packed)


def _plug(holder: Process, inside: str, interface: str, address: str, port: str, bridge: str) -> None:
    """Connects a namespace to a bridge."""
    isolated = "on" if bridge == MANAGEMENT_BRIDGE else "off"
    words = [inside, interface, long_address(address), port, bridge, isolated, hardware_address(address)]
    shell(holder, _PORT, *words)


def make_bridges(holder: Process, nodes: Collection[Node]) -> None:
    """Makes the bridge unless it is there, and that for management when a node needs it."""
    machines = any(node.machine for node in nodes)
    shell(holder, _BRIDGE, BRIDGE, long_address(MACHINE_BRIDGE_ADDRESS if machines else BRIDGE_ADDRESS))
    if any(node.management for node in nodes):
        shell(holder, _BRIDGE, MANAGEMENT_BRIDGE, long_address(MANAGEMENT_ADDRESS))


def make_router(holder: Process, node: Node) -> None:
    """Makes the node's NAT router anew; nothing to do for a node without."""
    if node.router is None:
        return
    inside = router_path(node)
    shell(holder, _REMOVE, inside, uplink(node))
    shell(holder, _NAMESPACE, inside)
    _plug(holder, inside, "wan", node.router.outside, uplink(node), BRIDGE)
    try:
        shell(holder, _NAT, inside)
    except LabError as error:
        raise LabError(
            f"{node.name}: no NAT router; the kernel needs nf_tables with masquerade, the host nft: {error}"
        ) from error


def make_namespace(holder: Process, node: Node) -> None:
    """Makes the node's network namespace anew and ends a cut; a router keeps its state."""
    remove_namespace(holder, node)
    inside = path(node)
    shell(holder, _NAMESPACE, inside)
    if node.router is None:
        _plug(holder, inside, "eth0", node.address, uplink(node), BRIDGE)
    else:
        _plug_into_router(holder, node, node.router)
        restore(holder, node)
    if node.management:
        _plug(holder, inside, "eth9", node.management, management_link(node), MANAGEMENT_BRIDGE)


def _plug_into_router(holder: Process, node: Node, router: Router) -> None:
    addresses = (node.address, router.inside)
    words = [path(node), long_address(node.address), router_path(node), long_address(router.inside)]
    shell(holder, _LAN, *words, *(hardware_address(address) for address in addresses))


def remove_namespace(holder: Process, node: Node) -> None:
    """Takes the node off the network; a router stays."""
    own = [management_link(node)] if node.router else [uplink(node), management_link(node)]
    shell(holder, _REMOVE, path(node), *own)


def cut(holder: Process, node: Node, silent: bool = False) -> None:
    """Cuts the node's underlay, a home's at its router; logins by a management address go on.

    The node sees its link go down; with `silent`, or behind a router, it does not. Lasts until
    `restore` or a restart of the node.
    """
    shell(holder, _CUT_SILENTLY if silent else _CUT, uplink(node))


def restore(holder: Process, node: Node) -> None:
    """Ends what `cut` did."""
    shell(holder, _RESTORE, uplink(node), BRIDGE)
