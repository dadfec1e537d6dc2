# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rulesets keep tunnels out: as nft itself lists them, and the old iptables."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_detect import legacy_drops
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_match import Packet
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_ruleset import blockers, parse_ruleset
from mesh_firewall_world import Namespace, listed, needs_nft

ANYWHERE = [Packet(4, (51820, 51867)), Packet(6, (51820, 51867))]
KNOWN = [Packet(4, (51820, 51867), ("203.0.113.7", "203.0.113.9"))]

CHAIN = "type filter hook input priority 0; policy {policy};"

OPEN = {
    "nothing in it": ("accept", ""),
    "policy drop, the range accepted": ("drop", "udp dport 51820-51867 accept"),
    "a wider range": ("drop", "ct state established,related accept\nudp dport 50000-60000 counter accept"),
    "in a set of ranges": ("drop", "udp dport { 53, 51000-52000 } accept"),
    "a named set": ("drop", "udp dport @ports accept"),
    "all of UDP": ("drop", "meta l4proto { tcp, udp } accept"),
    "by th": ("drop", "meta l4proto udp th dport 51820-51867 accept"),
    "in a chain of its own": ("drop", "tcp dport 22 accept\njump ours\ndrop"),
    "by a map of the state": (
        "drop",
        "ct state vmap { established : accept, invalid : drop }\nudp dport 51820-51867 accept",
    ),
    "by a map of ports": ("drop", "udp dport vmap { 51820-51867 : accept }"),
    "only others are dropped": (
        "accept",
        "ct state invalid drop\ntcp dport 25 drop\nip saddr 192.0.2.0/24 drop\nip protocol icmp drop",
    ),
    "a list of banned addresses": ("accept", "ip saddr @banned drop\nip saddr @banned counter reject"),
    "too many a second": ("accept", "udp dport 53 limit rate over 10/second drop"),
    "accepted before it is dropped": ("accept", "udp dport 51820-51867 accept\ncounter drop"),
    "what is not TCP goes on": ("accept", "meta l4proto tcp jump shut"),
}
SHUT = {
    "policy drop": ("drop", ""),
    "half of the range": ("drop", "udp dport 51820-51830 accept"),
    "TCP only": ("drop", "tcp dport 51820-51867 accept"),
    "IPv4 only": ("drop", "meta nfproto ipv4 udp dport 51820-51867 accept"),
    "established only": ("drop", "ct state established,related accept"),
    "by one device": ("drop", 'iifname "eth0" udp dport 51820-51867 accept'),
    "ends with a drop": ("accept", "tcp dport 22 accept\ncounter drop"),
    "ends with a reject": ("accept", "tcp dport 22 accept\nreject with icmpx type admin-prohibited"),
    "in a chain it jumps to": ("accept", "jump shut"),
    "in a chain it goes to": ("accept", "goto shut"),
    "in doubt, by device": ("accept", 'iifname "eth0" jump shut'),
    "everything but lo": ("accept", 'iifname != "lo" drop'),
    "all but a list of friends": ("accept", "ip saddr != @banned drop"),
    "dropped before it is accepted": ("drop", "udp dport 51820 drop\nudp dport 51820-51867 accept"),
    "returned before it is accepted": ("drop", 'iifname "eth0" return\nudp dport 51820-51867 accept'),
    "a chain that may return": ("drop", "jump maybe\ndrop"),
    "by a map of devices": ("accept", "iifname vmap { lo : accept, eth0 : jump shut }"),
    "an accept that is limited": ("drop", "udp dport 51820-51867 limit rate 10/second accept"),
}


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    found = Namespace()
    yield found
    found.close()


def ruleset(namespace: Namespace, policy: str, rules: str) -> str:
    text = f"""
flush ruleset
table inet theirs {{
    set ports {{ type inet_service; flags interval; elements = {{ 51800-51900 }}; }}
    set banned {{ type ipv4_addr; elements = {{ 192.0.2.7 }}; }}
    chain ours {{ udp dport 51820-51867 accept; }}
    chain shut {{
        drop
    }}
    chain maybe {{
        ip saddr 198.51.100.0/24 return
        iifname "eth1" return
        udp dport 51820-51867 accept
    }}
    chain input {{
        {CHAIN.format(policy=policy)}
        {rules}
    }}
}}
"""
    namespace.must("nft", "-f", "-", data=text)
    return namespace.must("nft", "-j", "list", "ruleset")


@needs_nft
@pytest.mark.parametrize("name", OPEN)
def test_what_lets_tunnels_in_is_no_blocker(namespace: Namespace, name: str) -> None:
    text = ruleset(namespace, *OPEN[name])
    assert blockers(parse_ruleset(json.loads(text)), ANYWHERE) == []


@needs_nft
@pytest.mark.parametrize("name", SHUT)
def test_what_keeps_tunnels_out_is_named(namespace: Namespace, name: str) -> None:
    text = ruleset(namespace, *SHUT[name])
    assert [one.place for one in blockers(parse_ruleset(json.loads(text)), ANYWHERE)] == ["inet theirs input"]


@needs_nft
@pytest.mark.parametrize(
    ("rules", "shut"),
    [
        ("ip saddr { 203.0.113.0/24 } udp dport 51820-51867 accept", False),
        ("ip saddr 203.0.113.7 udp dport 51820-51867 accept", True),
        ("ip saddr 198.51.100.0/24 udp dport 51820-51867 accept", True),
        ("udp dport 51820-51867 accept", False),
    ],
)
def test_sources_that_are_known_count(namespace: Namespace, rules: str, shut: bool) -> None:
    text = ruleset(namespace, "drop", rules)
    assert bool(blockers(parse_ruleset(json.loads(text)), KNOWN)) is shut


@needs_nft
def test_tables_of_the_mesh_and_of_the_manager_do_not_count(namespace: Namespace) -> None:
    text = ruleset(namespace, "drop", "")
    parsed = parse_ruleset(json.loads(text))
    assert blockers(parsed, ANYWHERE, [("inet", "theirs")]) == []
    renamed = parse_ruleset(json.loads(text.replace("theirs", "swarm_node_mesh_wan")))
    assert blockers(renamed, ANYWHERE) == []


def base(*expressions: object, family: str = "ip") -> dict[str, object]:
    """An answer of nft with one chain of policy accept, whose one rule has these expressions."""
    place = {"family": family, "table": "filter"}
    chain = {**place, "name": "INPUT", "handle": 1, "type": "filter", "hook": "input", "prio": 0}
    rule = {**place, "chain": "INPUT", "handle": 2, "expr": list(expressions)}
    return listed({"chain": {**chain, "policy": "accept"}}, {"rule": rule})


@pytest.mark.parametrize(
    ("expressions", "shut"),
    [
        # As iptables-nft writes what nft has no word for.
        (({"xt": {"type": "match", "name": "recent"}}, {"drop": None}), True),
        (({"xt": {"type": "target", "name": "LOG"}},), True),
        (({"counter": {"packets": 1, "bytes": 2}}, {"drop": None}), True),
        (({"counter": {"packets": 1, "bytes": 2}}, {"accept": None}), False),
        (({"queue": {"num": 0}},), True),
        (({"jump": {"target": "gone"}},), True),
        (({"log": {"prefix": "x"}},), False),
    ],
)
def test_what_is_not_known_is_held_against_a_chain(expressions: tuple[object, ...], shut: bool) -> None:
    assert bool(blockers(parse_ruleset(base(*expressions)), ANYWHERE)) is shut


def test_a_chain_of_ipv6_does_not_matter_to_ipv4() -> None:
    parsed = parse_ruleset(base({"drop": None}, family="ip6"))
    assert blockers(parsed, KNOWN) == []
    assert [one.version for one in blockers(parsed, ANYWHERE)] == [6]


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        ("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", "the policy of INPUT is DROP"),
        (
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j REJECT --reject-with x\nCOMMIT\n",
            "INPUT ends with REJECT",
        ),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.1/32 -j DROP\nCOMMIT\n", ""),
        ("*raw\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", ""),
    ],
)
def test_the_old_iptables(saved: str, why: str) -> None:
    assert legacy_drops(saved) == why
