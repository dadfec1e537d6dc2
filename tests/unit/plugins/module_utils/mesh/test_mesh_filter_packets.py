# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets through the kernel's filter, between two network namespaces.

The interfaces are veth pairs with the names of tunnels: the filter looks at names. A table behind
all others counts what got through.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mesh_firewall_world import GATEWAY, SHARE, Machine, Namespace, needs_nft, run

pytestmark = needs_nft

LINKS = ("wan-2", "wan-3", "wan-70", "eth0")
TARGETS = (
    "10.99.0.1",
    "10.99.0.3",
    "10.55.0.4",
    "198.51.100.1",
    "192.0.2.50",
    "fe80::1",
    "fd12:3456:789a::1",
)
AFTER_ALL = """
table inet probe {
    chain input { type filter hook input priority 500; udp dport 1024-65535 counter; }
    chain forward { type filter hook forward priority 500; meta l4proto udp counter; }
}
"""
SEND = """
import socket, sys
device, source, target, port = sys.argv[1:]
family = socket.AF_INET6 if ":" in target else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
scope = (0, socket.if_nametoindex(device)) if family == socket.AF_INET6 else ()
if device != "lo":
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
bound, _dash, own = source.partition("#")
sender.bind((bound, int(own or 0), *scope))
sender.sendto(b"x", (target, int(port), *scope))
"""


class Wire:
    """The node, and everything around it in one other namespace."""

    def __init__(self, tmp_path: Path) -> None:
        self.node, self.other = Namespace(), Namespace()
        self.machine = Machine(tmp_path, self.node)
        self.tmp_path = tmp_path
        for space in (self.node, self.other):
            space.must("ip", "link", "set", "lo", "up")
        for name in LINKS:
            peer = f"to-{name}"
            self.node.must(
                "ip", "link", "add", name, "type", "veth", "peer", peer, "netns", str(self.other.process.pid)
            )
            for space, device in ((self.node, name), (self.other, peer)):
                space.must("ip", "link", "set", device, "addrgenmode", "none")
                space.must("ip", "link", "set", device, "up")
            self._neighbours(name, peer)
        self._addresses()
        script = "echo 1 > /proc/sys/net/ipv4/ip_forward; for f in /proc/sys/net/ipv4/conf/*/rp_filter; "
        self.node.must("sh", "-c", script + "do echo 0 > $f; done")
        self.node.must("nft", "-f", "-", data=AFTER_ALL)

    def _neighbours(self, name: str, peer: str) -> None:
        mac = json.loads(self.node.must("ip", "-j", "link", "show", name))[0]["address"]
        for target in TARGETS:
            self.other.must("ip", "neigh", "add", target, "lladdr", mac, "dev", peer)

    def _addresses(self) -> None:
        node, other = self.node, self.other
        for address in ("10.99.0.1/32", "fd12:3456:789a::1/128"):
            node.must("ip", "addr", "add", address, "dev", "wan-2", *(["nodad"] if ":" in address else []))
        node.must("ip", "addr", "add", "fe80::1/64", "dev", "wan-2", "nodad")
        node.must("ip", "addr", "add", "198.51.100.1/24", "dev", "eth0")
        node.must("ip", "route", "add", "10.99.0.2/32", "dev", "wan-2")
        node.must("ip", "route", "add", "10.99.0.3/32", "dev", "wan-3")
        node.must("ip", "route", "add", "10.55.0.0/24", "dev", "wan-70")
        node.must("ip", "route", "add", "default", "dev", "eth0")
        for address in ("10.99.0.2", "192.0.2.66", "198.51.100.2", "10.55.0.9", "172.17.0.2"):
            other.must("ip", "addr", "add", f"{address}/32", "dev", "lo")
        for address in ("fd12:3456:789a::2", "2001:db8::66"):
            other.must("ip", "addr", "add", f"{address}/128", "dev", "lo")
        other.must("ip", "addr", "add", "fe80::2/64", "dev", "to-wan-2", "nodad")
        for name in LINKS:
            other.must(
                "ip", "route", "add", "default", "dev", f"to-{name}", "metric", str(LINKS.index(name) + 1)
            )
        other.must("ip", "-6", "route", "add", "default", "dev", "to-wan-2")

    def close(self) -> None:
        self.node.close()
        self.other.close()

    def send(self, device: str, source: str, target: str, port: int = 5555) -> None:
        space, name = (self.node, "lo") if device == "lo" else (self.other, f"to-{device}")
        space.must(sys.executable, "-c", SEND, name, source, target, str(port))

    def passed(self, device: str, source: str, target: str, port: int = 5555, chain: str = "input") -> int:
        """How many packets got behind all filters when one was sent."""
        before = self.counted("probe", chain)
        self.send(device, source, target, port)
        return self.counted("probe", chain) - before

    def counted(self, table: str, chain: str) -> int:
        """Packets in all counters of a chain."""
        listed = json.loads(self.node.must("nft", "-j", "list", "chain", "inet", table, chain))["nftables"]
        return sum(
            part["counter"]["packets"]
            for item in listed
            for part in item.get("rule", {}).get("expr", ())
            if "counter" in part
        )


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    found = Wire(tmp_path)
    yield found
    found.close()


INPUT = [
    ("wan-2", "10.99.0.2", "10.99.0.1", 1),
    ("wan-2", "192.0.2.66", "10.99.0.1", 0),
    ("wan-2", "fd12:3456:789a::2", "fd12:3456:789a::1", 1),
    ("wan-2", "2001:db8::66", "fd12:3456:789a::1", 0),
    ("wan-2", "fe80::2", "fe80::1", 1),
    ("wan-2", "fe80::2", "ff02::1", 1),
    ("eth0", "10.99.0.2", "10.99.0.1", 0),
    ("eth0", "10.99.0.2", "198.51.100.1", 0),
    ("eth0", "198.51.100.2", "198.51.100.1", 1),
    ("lo", "10.99.0.1", "10.99.0.1", 1),
    ("lo", "10.99.0.1", "198.51.100.1", 1),
    ("wan-70", "10.55.0.9", "10.99.0.1", 1),
    ("wan-70", "10.99.0.2", "10.99.0.1", 0),
    ("wan-2", "10.55.0.9", "10.99.0.1", 0),
]


def test_only_members_come_out_of_tunnels_and_never_from_elsewhere(wire: Wire) -> None:
    assert [wire.passed(*case[:3]) for case in INPUT] == [1] * len(INPUT), "every packet arrives without us"
    run(wire.machine, wire.tmp_path, {"wan": GATEWAY})
    assert [(*case[:3], wire.passed(*case[:3])) for case in INPUT] == INPUT
    table = "swarm_node_mesh_wan"
    assert wire.counted(table, "source") == 4
    assert wire.counted(table, "outside") == 2


@pytest.mark.parametrize("share", [SHARE, GATEWAY], ids=["member", "gateway"])
def test_what_is_forwarded(wire: Wire, share: object) -> None:
    assert isinstance(share, type(SHARE))
    transit = 1 if share.transit else 0
    cases = [
        ("wan-2", "10.99.0.2", "10.99.0.3", transit),
        ("wan-2", "192.0.2.66", "10.99.0.3", 0),
        ("wan-2", "10.99.0.2", "192.0.2.50", 0),
        ("wan-2", "10.99.0.2", "10.55.0.4", transit),
        ("eth0", "10.99.0.2", "10.99.0.3", 0),
        ("eth0", "172.17.0.2", "10.99.0.3", 1),
    ]
    assert [wire.passed(*case[:3], chain="forward") for case in cases] == [1] * len(cases)
    run(wire.machine, wire.tmp_path, {"wan": share})
    assert [(*case[:3], wire.passed(*case[:3], chain="forward")) for case in cases] == cases


NAT = """
table ip nat {
    chain prerouting {
        type nat hook prerouting priority -100;
        iifname "wan-2" udp dport 8080 dnat to 172.17.0.2:80
    }
    chain postrouting {
        type nat hook postrouting priority 100;
        ip saddr 172.17.0.0/16 oifname "wan-*" masquerade
    }
}
"""


def test_containers_publish_ports_and_get_answers(wire: Wire) -> None:
    wire.node.must("nft", "-f", "-", data=NAT)
    run(wire.machine, wire.tmp_path, {"wan": SHARE})
    assert wire.passed("wan-2", "10.99.0.2", "10.99.0.1", 8080, "forward") == 1
    assert wire.passed("wan-2", "10.99.0.2", "172.17.0.2", 80, "forward") == 0
    # From a container to a member, and the answer.
    assert wire.passed("eth0", "172.17.0.2#4444", "10.99.0.3", 7777, "forward") == 1
    wire.other.must("ip", "addr", "add", "10.99.0.3/32", "dev", "lo")
    assert wire.passed("wan-3", "10.99.0.3#7777", "10.99.0.1", 4444, "forward") == 1
    assert wire.passed("wan-3", "10.99.0.3#7778", "10.99.0.1", 4444, "forward") == 0


POLICY = "table inet theirs {\n chain input { type filter hook input priority 0; policy drop; }\n}\n"


def test_their_chain_opens_for_tunnels_and_for_nothing_else(wire: Wire) -> None:
    wire.node.must("nft", "-f", "-", data=POLICY)
    probes = [("198.51.100.2", 51820), ("198.51.100.2", 51867), ("198.51.100.2", 51868), ("192.0.2.66", 5555)]
    everything = [wire.passed("eth0", source, "198.51.100.1", port) for source, port in probes]
    assert everything == [0, 0, 0, 0]
    run(wire.machine, wire.tmp_path, {"wan": SHARE}, "nft chain inet theirs input")
    assert [wire.passed("eth0", source, "198.51.100.1", port) for source, port in probes] == [1, 1, 0, 0]
    assert wire.counted("theirs", "input") == 2
    run(wire.machine, wire.tmp_path, {})
    assert [wire.passed("eth0", source, "198.51.100.1", port) for source, port in probes] == [0, 0, 0, 0]
