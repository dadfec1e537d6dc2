# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written for wg-quick and ip, and what is read of ip, /proc and systemctl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.core.marking import is_untouched
from ansible_collections.swarm.node.plugins.module_utils.mesh.guard import Guard
from ansible_collections.swarm.node.plugins.module_utils.mesh.parse import (
    parse_active,
    parse_links,
    parse_ports,
    parse_routes,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.part import TunnelsPart
from ansible_collections.swarm.node.plugins.module_utils.mesh.peer_plan import canonical
from ansible_collections.swarm.node.plugins.module_utils.mesh.render import (
    Written,
    aggregates,
    conf,
    is_ours,
    parse_conf,
    routes,
    share_text,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Psk, parse_share
from ansible_collections.swarm.node.plugins.module_utils.mesh.sysctls import (
    sysctl_change,
    sysctl_path,
)
from hypothesis import given
from hypothesis import strategies as st
from mesh_cases import key, share, tunnel
from mesh_fake_node import FakeNode

ENDPOINTS = st.sampled_from(["", "192.0.2.7:51820", "[2001:db8::7]:1", "gw.example.org:51820"])
PSKS = st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._@=-]{0,20}", fullmatch=True).map(Psk))


@given(endpoint=ENDPOINTS, psk=PSKS, keepalive=st.integers(0, 65535), mtu=st.integers(1280, 9000))
def test_a_conf_says_what_it_was_written_from(
    endpoint: str, psk: Psk | None, keepalive: int, mtu: int
) -> None:
    one = tunnel(endpoint=endpoint, psk=psk, keepalive=keepalive, mtu=mtu)
    text = conf(share(one), one, True)
    assert parse_conf(text) == Written(one.public_key, endpoint, psk.name if psk else "")
    assert is_ours(text) and is_untouched(text)
    assert ("PersistentKeepalive" in text) == bool(keepalive)
    assert not is_untouched(text.replace(f"MTU = {mtu}", f"MTU = {mtu + 1}"))


def test_a_conf_reads_keys_from_their_files_and_sets_no_route_by_itself() -> None:
    one = tunnel(psk=Psk("a-b"))
    text = conf(share(one, transit=True), one, True)
    assert "PostUp = wg set %i private-key /etc/swarm_node/mesh/wan/keys/1.key\n" in text
    assert f"PostUp = wg set %i peer {key('b')} preshared-key /etc/swarm_node/mesh/wan/psk/a-b.key\n" in text
    assert "Table = off\n" in text and "PrivateKey" not in text and "PresharedKey" not in text
    assert "conf/%i/forwarding" in text and "conf/%i/forwarding" not in conf(share(one), one, True)


def test_files_of_routes() -> None:
    one = share()
    assert routes(one, "wan-2", True).splitlines()[1:] == [
        "route replace 10.99.0.2/32 dev wan-2 proto 213 metric 4000 src 10.99.0.1",
        "route replace fd12:3456:789a::2/128 dev wan-2 proto 213 metric 4000 src fd12:3456:789a::1",
    ]
    assert aggregates(one, False).splitlines()[1:] == [
        "route replace unreachable 10.99.0.0/16 proto 213 metric 4294967295"
    ]


def test_a_share_survives_its_file() -> None:
    one = share(tunnel(psk=Psk("x", "c2VhbA==", "c2VuZGVy")), transit=True)
    assert parse_share(json.loads(share_text(one))) == one


def test_routes_of_both_families_as_ip_says_them() -> None:
    found = parse_routes(
        json.dumps(
            [
                {"dst": "default", "gateway": "192.0.2.254", "dev": "eth0", "protocol": "16", "flags": []},
                {"dst": "default", "gateway": "fe80::1", "dev": "eth0", "protocol": "9", "pref": "medium"},
                {
                    "dst": "10.99.0.2",
                    "dev": "wan-2",
                    "protocol": "213",
                    "prefsrc": "10.99.0.1",
                    "metric": 4000,
                },
                {"type": "7", "dst": "10.99.0.0/16", "protocol": "213", "metric": 4294967295},
                {"type": "7", "dst": "fd00::/48", "dev": "lo", "protocol": "213", "metric": 4294967295},
                {"type": "2", "dst": "192.0.2.1", "dev": "eth0", "table": "255", "protocol": "2"},
                {"type": "5", "dst": "ff00::/8", "dev": "eth0", "table": "255", "protocol": "2"},
                {"dst": "198.51.100.0/24", "protocol": "16", "nexthops": [{"dev": "a"}, {"dev": "b"}]},
            ]
        )
    )
    assert [(r.destination, r.device, r.protocol, r.kind) for r in found] == [
        ("0.0.0.0/0", "eth0", 16, "unicast"),
        ("::/0", "eth0", 9, "unicast"),
        ("10.99.0.2/32", "wan-2", 213, "unicast"),
        ("10.99.0.0/16", "", 213, "unreachable"),
        ("fd00::/48", "", 213, "unreachable"),
        ("198.51.100.0/24", "", 16, "unicast"),
    ]
    assert found[2].is_planned("10.99.0.1") and not found[2].is_planned("10.99.0.9")
    assert [route.is_aggregate for route in found] == [False, False, False, True, True, False]


def test_links_as_ip_says_them() -> None:
    text = json.dumps(
        [
            {
                "ifname": "wan-2",
                "mtu": 1420,
                "flags": ["UP"],
                "linkinfo": {"info_kind": "tun"},
                "addr_info": [{"local": "fd12:3456::1", "prefixlen": 128}, {"family": "inet"}],
            },
            {},
        ]
    )
    link = parse_links(text)["wan-2"]
    assert (link.kind, link.mtu, link.up, link.addresses) == ("tun", 1420, True, ("fd12:3456::1/128",))


def test_an_ip_that_knows_no_json_is_named() -> None:
    with pytest.raises(NodeError, match="iproute2"):
        parse_links("Option -j is unknown")


def test_ports_with_their_sockets() -> None:
    head = "sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode\n"
    four = "12: 00000000:CA6C 00000000:0000 07 0:0 00:0 0 0 0 4711 2 0\n"
    six = f"13: {'0' * 32}:CA6C {'0' * 32}:0000 07 0:0 00:0 0 0 0 0 2 0\n"
    assert parse_ports(head + four, head + six, "") == {51820: {"4711", "0"}}


def test_states_of_units() -> None:
    text = "Id=a.service\nActiveState=active\n\nActiveState=inactive\nId=b.service\n"
    assert parse_active(text) == {"a.service": "active", "b.service": "inactive"}


@pytest.mark.parametrize("path", ["net/ipv4/conf/wan-2/rp_filter", "net/ipv6/conf/eth0.100/accept_ra"])
def test_a_sysctl_is_found_again_by_its_name(path: str) -> None:
    assert sysctl_path(sysctl_change(path, "0", "1", "").target) == path


@pytest.mark.parametrize(
    ("endpoint", "same"),
    [
        ("[2001:DB8::0:7]:5", "[2001:db8::7]:5"),
        ("192.0.2.7:5", "192.0.2.7:5"),
        ("Gw.example.org:5", "Gw.example.org:5"),
        ("[fe80::1%eth0]:5", "[fe80::1%eth0]:5"),
        ("", ""),
    ],
)
def test_endpoints_in_one_form(endpoint: str, same: str) -> None:
    assert canonical(endpoint) == same


def test_which_files_and_keys_are_the_tunnels_part(tmp_path: Path) -> None:
    part = TunnelsPart({}, tmp_path, "", FakeNode(tmp_path), Guard(tmp_path, "", "", FakeNode(tmp_path)))
    assert all(
        part.owns(name)
        for name in (
            "file /etc/wireguard/wan-12b.conf",
            "file /etc/swarm_node/mesh/wan/share.json",
            "file /etc/swarm_node/mesh/wan/mesh.routes",
            "mesh.unit wg-quick@wan-2.service",
            "mesh.key wan/1",
        )
    )
    assert not any(
        part.owns(name)
        for name in (
            "file /etc/wireguard/wg0.conf",
            "file /etc/swarm_node/mesh/wan/filter.nft",
            "mesh.unit swarm-node-mesh@wan.service",
            "mesh.filter wan",
            "mesh.guard",
        )
    )
