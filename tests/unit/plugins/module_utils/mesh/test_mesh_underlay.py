# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is below the mesh: networks in use, the way out, which WireGuard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.underlay import (
    MOST_NETWORKS,
    describe_underlay,
    has_ipv6,
    read_udp_ports,
    read_underlay,
    which_wireguard,
)


def link(name: str, *addresses: str, mtu: int = 1500, kind: str = "", **more: Any) -> dict[str, Any]:
    entries = []
    for text in addresses:
        local, length = text.split("/")
        entries.append(
            {
                "family": "inet6" if ":" in local else "inet",
                "local": local,
                "prefixlen": int(length),
                "scope": "link" if local.startswith("fe80") else "host" if name == "lo" else "global",
            }
        )
    found: dict[str, Any] = {"ifname": name, "mtu": mtu, "addr_info": entries, **more}
    if kind:
        found["linkinfo"] = {"info_kind": kind}
    return found


LINKS = [
    link("lo", "127.0.0.1/8", "::1/128", mtu=65536),
    link("eth0", "192.0.2.2/24", "2001:db8::2/64", "fe80::1/64"),
    link("docker0", "172.17.0.1/16", kind="bridge"),
    link("br-100", "172.18.0.1/16", kind="bridge"),
    link("wan-12", "10.99.0.1/32", "fe80::1/64", mtu=1420, kind="wireguard"),
    link("wan-13", "10.99.0.1/32", mtu=1420, kind="tun"),
    link("wg0", "10.8.0.1/24", mtu=1420, kind="wireguard"),
    {},
]
IPV4 = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "protocol": "dhcp", "metric": 100, "flags": []},
    {"dst": "192.0.2.0/24", "dev": "eth0", "protocol": "kernel", "prefsrc": "192.0.2.2"},
    {"dst": "10.20.0.0/16", "gateway": "192.0.2.9", "dev": "eth0", "protocol": "static"},
    {"dst": "10.99.0.12", "dev": "wan-12", "protocol": "213", "metric": 4000},
    {"dst": "10.99.0.13", "dev": "wan-13", "protocol": "babel"},
    {"type": "unreachable", "dst": "10.99.0.0/16", "protocol": "213", "metric": 4294967295},
    {"type": "blackhole", "dst": "10.244.1.0/26", "protocol": "80"},
    {"dst": "198.18.5.1", "dev": "eth0", "protocol": "static"},
]
IPV6 = [
    {"dst": "2001:db8::/64", "dev": "eth0", "protocol": "kernel"},
    {"dst": "fe80::/64", "dev": "eth0", "protocol": "kernel"},
    {"dst": "default", "dev": "eth0", "metric": 1024, "metrics": [{"mtu": 1400}]},
]


def test_networks_of_others_and_not_of_the_mesh() -> None:
    assert describe_underlay(LINKS, IPV4, IPV6).networks == (
        "10.8.0.0/24",
        "10.20.0.0/16",
        "10.244.1.0/26",
        "172.17.0.0/16",
        "172.18.0.0/16",
        "192.0.2.0/24",
        "198.18.5.1/32",
        "2001:db8::/64",
    )


def test_ways_out() -> None:
    data = describe_underlay(LINKS, IPV4, IPV6).as_data()
    assert data["ipv4"] == {"device": "eth0", "address": "192.0.2.2", "mtu": 1500}
    assert data["ipv6"] == {"device": "eth0", "address": "2001:db8::2", "mtu": 1400}
    assert (data["mtu"], data["address"], data["networks_left_out"]) == (1400, "192.0.2.2", 0)


def test_no_way_out() -> None:
    data = describe_underlay([link("lo", "127.0.0.1/8")], [], []).as_data()
    assert data == {
        "networks": [],
        "networks_left_out": 0,
        "mtu": None,
        "address": None,
        "ipv4": None,
        "ipv6": None,
    }


def test_the_default_route_with_the_lowest_metric_and_of_no_tunnel() -> None:
    links = [link("eth0", "192.0.2.2/24"), link("wlan0", "192.168.1.5/24", mtu=1492), LINKS[4]]
    routes = [
        {"dst": "default", "dev": "wan-12"},
        {"dst": "default", "dev": "eth0", "metric": 600},
        {"dst": "default", "dev": "wlan0", "metric": 100, "prefsrc": "192.168.1.6"},
    ]
    way = describe_underlay(links, routes, []).ipv4
    assert way and way.as_data() == {"device": "wlan0", "address": "192.168.1.6", "mtu": 1492}


def test_a_default_route_with_several_hops() -> None:
    routes = [{"dst": "default", "nexthops": [{"gateway": "192.0.2.1", "dev": "eth0", "weight": 1}]}]
    way = describe_underlay([LINKS[1]], routes, []).ipv4
    assert way and way.device == "eth0"


def test_temporary_addresses_are_passed_over() -> None:
    eth0 = link("eth0", "2001:db8::aa/64", "2001:db8::2/64")
    eth0["addr_info"][0]["temporary"] = True
    way = describe_underlay([eth0], [], [{"dst": "default", "dev": "eth0"}]).ipv6
    assert way and way.address == "2001:db8::2"


def test_the_other_end_of_a_point_to_point_link_is_in_use() -> None:
    ppp = link("ppp0", "100.64.3.4/32", mtu=1492)
    ppp["addr_info"][0]["address"] = "203.0.113.1"
    assert describe_underlay([ppp], [], []).networks == ("100.64.3.4/32", "203.0.113.1/32")


def test_networks_in_networks_are_told_once() -> None:
    routes = [{"dst": text, "dev": "cni0"} for text in ("10.1.0.0/24", "10.1.0.7", "10.1.1.0/24")]
    assert describe_underlay([], routes, []).networks == ("10.1.0.0/23",)


def test_a_routers_table_is_cut_to_its_widest() -> None:
    routes = [{"dst": f"10.{n // 128}.{n % 128 * 2}.0/24", "dev": "eth0"} for n in range(MOST_NETWORKS)]
    found = describe_underlay([], [*routes, {"dst": "172.16.0.0/12", "dev": "eth0"}], [])
    assert (len(found.networks), found.left_out) == (MOST_NETWORKS, 1)
    assert "172.16.0.0/12" in found.networks


class Node:
    """Answers commands by their first words; everything else is no program of this node."""

    def __init__(self, answers: dict[str, Done]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        line = " ".join(argv)
        self.asked.append(line)
        found = [done for start, done in self.answers.items() if line.startswith(start)]
        return found[0] if found else Done(127, "", f"{argv[0]}: no such program")


def test_read() -> None:
    node = Node(
        {
            "ip -j -d address": Done(0, json.dumps(LINKS), ""),
            "ip -j -4 route": Done(0, json.dumps(IPV4), ""),
            "ip -j -6 route": Done(2, "", "Error: ipv6: disabled"),
        }
    )
    found = read_underlay(node)
    assert found.ipv6 is None
    assert found.ipv4 and found.ipv4.device == "eth0"


@pytest.mark.parametrize("answer", [Done(127, "", "ip: no such program"), Done(0, "1: lo: <LOOPBACK>", "")])
def test_an_ip_that_cannot_be_asked(answer: Done) -> None:
    with pytest.raises(NodeError, match="ip -j -d address show"):
        read_underlay(Node({"ip": answer}))


GOOD, BAD = Done(0, "", ""), Done(2, "", "Error: Unknown device type.")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"modprobe -n": GOOD}, "kernel"),
        ({"modprobe -n": BAD, "unshare -n ip link add": GOOD, "wireguard-go": GOOD}, "kernel"),
        ({"modprobe -n": BAD, "unshare -n ip link add": BAD, "wireguard-go": GOOD}, "userspace"),
        ({"modprobe -n": BAD, "unshare -n ip link add": BAD}, "none"),
        ({"wireguard-go": GOOD}, "userspace"),
        ({}, "none"),
    ],
)
def test_which_wireguard(tmp_path: Path, answers: dict[str, Done], expected: str) -> None:
    assert which_wireguard(Node(answers), tmp_path) == expected


def test_a_loaded_module_needs_no_probe(tmp_path: Path) -> None:
    (tmp_path / "sys/module/wireguard").mkdir(parents=True)
    node = Node({})
    assert which_wireguard(node, tmp_path) == "kernel"
    assert node.asked == []


@pytest.mark.parametrize(("text", "expected"), [("0\n", True), ("1\n", False), (None, False)])
def test_ipv6(tmp_path: Path, text: str | None, expected: bool) -> None:
    path = tmp_path / "proc/sys/net/ipv6/conf/all/disable_ipv6"
    path.parent.mkdir(parents=True)
    if text is not None:
        path.write_text(text)
    assert has_ipv6(tmp_path) is expected


SOCKETS = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  1: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 111 2 0 0
  2: 0100007F:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 112 2 0 0
  3: 00000000:CA6D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 113 2 0 0
  4: 0A00020F:D431 08080808:0035 01 00000000:00000000 00:00000000 00000000     0        0 114 2 0 0
"""


@pytest.mark.parametrize(
    ("shown", "ports"),
    [("wg0\t51821\n", [53, 51820, 51821]), ("wan-12\t51821\n", [53, 51820]), ("", [53, 51820, 51821])],
)
def test_ports_on_which_others_wait(tmp_path: Path, shown: str, ports: list[int]) -> None:
    """A tunnel of a mesh is none of the others, nor is a socket that only asks somebody."""
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    (net / "udp").write_text(SOCKETS, encoding="ascii")

    def run(argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        assert list(argv) == ["wg", "show", "all", "listen-port"]
        return Done(0 if shown else 127, shown, "")

    assert read_udp_ports(run, tmp_path) == ports
