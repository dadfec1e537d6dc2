# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be set of a network device: names, their order, what a change disturbs. Tables; pure."""

from __future__ import annotations

import re

PREFIX = "nic."
"""Before each name below in keys of changes: `nic.rings.rx`."""

RINGS = ("rx", "rx-mini", "rx-jumbo", "tx")
CHANNELS = ("rx", "tx", "combined")
ADAPTIVE = ("adaptive-rx", "adaptive-tx")
COALESCE = (
    "rx-usecs",
    "rx-frames",
    "rx-usecs-irq",
    "rx-frames-irq",
    "tx-usecs",
    "tx-frames",
    "tx-usecs-irq",
    "tx-frames-irq",
    "stats-block-usecs",
    *ADAPTIVE,
    "pkt-rate-low",
    "rx-usecs-low",
    "rx-frames-low",
    "tx-usecs-low",
    "tx-frames-low",
    "pkt-rate-high",
    "rx-usecs-high",
    "rx-frames-high",
    "tx-usecs-high",
    "tx-frames-high",
    "sample-interval",
)
"""In the order of struct ethtool_coalesce, by ethtool's names."""

DYNAMIC = {"adaptive-rx": ("rx-usecs", "rx-frames"), "adaptive-tx": ("tx-usecs", "tx-frames")}
"""While the first is on, the driver moves the others by itself."""

SYSFS = {
    "txqueuelen": "tx_queue_len",
    "napi_defer_hard_irqs": "napi_defer_hard_irqs",
    "gro_flush_timeout": "gro_flush_timeout",
}
"""Numbers that are files below /sys/class/net/<interface>."""

RSS, RPS, XPS, IRQ, QDISC = "rss.equal", "rps", "xps", "irq_affinity", "qdisc"
PER_QUEUE = (RPS, XPS, IRQ)
GROUPS = ("rings", "channels", "coalesce", "features", "rss")
"""Options that are maps. The driver sets all of a group but features and rss by one call."""

SHORT = {
    "rx": ("rx-checksum",),
    "tx": (
        "tx-checksum-ipv4",
        "tx-checksum-ip-generic",
        "tx-checksum-ipv6",
        "tx-checksum-fcoe-crc",
        "tx-checksum-sctp",
    ),
    "sg": ("tx-scatter-gather", "tx-scatter-gather-fraglist"),
    "tso": ("tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp6-segmentation"),
    "ufo": ("tx-udp-fragmentation",),
    "gso": ("tx-generic-segmentation",),
    "gro": ("rx-gro",),
    "lro": ("rx-lro",),
    "rxvlan": ("rx-vlan-hw-parse",),
    "txvlan": ("tx-vlan-hw-insert",),
    "ntuple": ("rx-ntuple-filter",),
    "rxhash": ("rx-hashing",),
}
"""ethtool's short names → names of the kernel. `tso` leaves tx-tcp-mangleid-segmentation alone, which breaks
flows that rely on the IP identification and is off unless somebody wants it."""

HARMLESS = re.compile(
    r"rx-gro|rx-gro-list|rx-udp-gro-forwarding|tx-(?!vlan|nocache).*|tx-nocache-copy|highdma"
)
"""Features of the kernel's own stack, and flags per packet: no driver sets its device up anew for them."""

GENTLE = ("mlx5_core", "virtio_net", "veth", "netdevsim")
"""Drivers that exchange queues with the link up: mlx5 opens the new ones before it closes the old
(mlx5e_safe_switch_params), virtio_net resets a queue at a time, veth and netdevsim have no link."""

ROUNDS = ("rings", "coalesce")
"""Groups of which drivers round a value up to what the device can have."""

CLASSLESS = ("fq", "fq_codel", "fq_pie", "pfifo_fast", "pfifo", "bfifo", "sfq", "codel", "noqueue")
"""Queueing disciplines that may be asked for, and replaced: they hold nothing an operator has built."""

DEFAULT = "default"
MQ = "mq"


def group_of(name: str) -> str:
    """`rings.rx` → rings; a name without a group is its own."""
    return name.partition(".")[0]


def member_of(name: str) -> str:
    return name.partition(".")[2]


def resets(name: str) -> bool:
    """Whether drivers commonly stop the device to change it."""
    group = group_of(name)
    return group in ("rings", "channels") or (group == "features" and not HARMLESS.fullmatch(member_of(name)))


def risky(name: str) -> bool:
    """Whether the driver has a part in it, so that it could hang or lose the link."""
    return group_of(name) in GROUPS


def disruption(name: str, driver: str, in_use: bool) -> str:
    """What changing it disturbs. in_use: the device is up and has a carrier."""
    if resets(name) and in_use and driver not in GENTLE:
        return "peer_jobs"
    return "perf"


_FIRST = ("channels", "rings", "coalesce", "features", "rss")
_LAST = ("txqueuelen", "napi_defer_hard_irqs", "gro_flush_timeout", RPS, XPS, IRQ, QDISC)


def place(name: str, shrinks: bool = False) -> tuple[int, str]:
    """Sorts the settings of one device: what makes queues before what hangs on them.

    shrinks: fewer channels than now; then RSS goes first, as the kernel refuses to take a queue away that it
    points to.
    """
    order = [*_FIRST, *_LAST]
    if shrinks:
        order.remove("rss")
        order.insert(0, "rss")
    return order.index(group_of(name) if group_of(name) in order else name), name
