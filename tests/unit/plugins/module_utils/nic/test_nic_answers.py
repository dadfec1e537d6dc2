# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tc and ip say, as it is read: by examples of theirs, and by what nobody thought of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.nic import answers, qdisc
from ansible_collections.swarm.node.plugins.module_utils.nic.answers import Hop
from ansible_collections.swarm.node.plugins.module_utils.nic.qdisc import Qdisc
from ansible_collections.swarm.node.plugins.module_utils.nic.reading import equal, outgoing
from hypothesis import given, settings
from hypothesis import strategies as st


def item(kind: str, handle: str = "0:", parent: str = "", dev: str = "eth0") -> dict[str, Any]:
    found: dict[str, Any] = {"kind": kind, "handle": handle, "dev": dev, "options": {}}
    return {**found, "parent": parent} if parent else {**found, "root": True}


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([item("noqueue")], Qdisc("noqueue")),
        ([item("fq_codel")], Qdisc("fq_codel")),
        ([item("fq", "8001:")], Qdisc("fq", True)),
        ([item("mq"), item("fq_codel", parent=":1"), item("fq_codel", parent=":2")], Qdisc("mq+fq_codel")),
        ([item("mq", "5a:"), item("fq", "2:", "5a:1")], Qdisc("mq+fq", True, marked=True)),
        (
            [item("mq", "1:"), item("fq", "2:", "1:1"), item("pfifo_fast", "0:", "1:2")],
            Qdisc("mq+fq,pfifo_fast", True),
        ),
        ([item("mq"), item("clsact", "ffff:", "ffff:fff1")], Qdisc("mq")),
    ],
)
def test_disciplines(items, found):
    assert qdisc.parse(json.dumps(items)) == {"eth0": found}


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([item("htb", "1:"), item("fq_codel", "10:", "1:10")], "set htb (1:) with fq_codel below it"),
        ([item("htb", "1:")], "set htb (1:)"),
        ([item("cake", "8001:")], "set cake"),
        ([item("tbf", "8001:")], "set tbf"),
        ([item("mq", "1:"), item("cake", "2:", "1:1")], "set cake below mq"),
        ([item("fq_codel", "1:"), item("pfifo", "2:", "1:1")], "with pfifo below it"),
    ],
)
def test_what_an_operator_has_built_is_not_ours(items, words):
    assert words in qdisc.parse(json.dumps(items))["eth0"].foreign


def test_devices_are_told_apart_and_one_without_a_root_has_no_queue():
    found = qdisc.parse(
        json.dumps([item("fq", dev="a"), item("mq", dev="b"), item("ingress", "ffff:", "x", "b")])
    )
    assert found == {"a": Qdisc("fq"), "b": Qdisc("mq")}
    assert qdisc.parse(json.dumps([item("pfifo", parent="1:1", dev="c")])) == {"c": Qdisc("noqueue")}
    assert qdisc.parse("") == {}


def test_commands():
    assert qdisc.command("eth0", "default", 4) == (["tc", "qdisc", "del", "dev", "eth0", "root"], "")
    assert qdisc.command("eth0", "fq", 4) == (["tc", "qdisc", "replace", "dev", "eth0", "root", "fq"], "")
    argv, lines = qdisc.command("eth0", "mq+fq", 17)
    assert argv == ["tc", "-batch", "-"]
    assert lines.splitlines()[0] == "qdisc replace dev eth0 root handle 5a: mq"
    assert (
        lines.splitlines()[-1] == "qdisc replace dev eth0 parent 5a:11 fq" and len(lines.splitlines()) == 18
    )
    assert qdisc.command("eth0", "mq+fq,pfifo", 2)[1] == "qdisc replace dev eth0 root handle 5a: mq\n"


LINKS = [
    {
        "ifname": "eth0",
        "addr_info": [
            {"family": "inet", "local": "10.0.0.1", "prefixlen": 24},
            {"family": "inet6", "local": "2001:db8::5", "prefixlen": 64, "temporary": True},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "tentative": True},
        ],
    },
    {"ifname": "eth1", "addr_info": [{"local": "10.0.1.1", "prefixlen": 24}]},
    {},
]
ROUTES = [
    {"dst": "default", "gateway": "10.0.0.254", "dev": "eth0", "metric": 100},
    {"dst": "default", "gateway": "10.9.0.254", "dev": "eth0", "table": "77"},
    {
        "dst": "default",
        "nexthops": [{"gateway": "fe80::fe", "dev": "eth0"}, {"gateway": "fe80::ff", "dev": "eth1"}],
    },
    {"dst": "10.0.0.0/24", "dev": "eth0"},
    {"dst": "10.0.5.0/24", "dev": "eth0", "flags": ["linkdown"]},
    {"dst": "10.0.6.0/24", "dev": "eth0", "protocol": "redirect"},
    {"dst": "10.0.7.0/24", "via": {"family": "inet6", "host": "fe80::7"}, "dev": "eth0"},
    {"type": "local", "dst": "10.0.0.1", "dev": "eth0", "table": "local"},
]


@pytest.mark.parametrize("protocol", ["bgp", "bird", "186", 12])
def test_what_a_daemon_has_learnt_of_other_nodes_is_no_part_of_this_one(protocol):
    learnt = [{"dst": "10.1.0.7", "gateway": "10.0.0.254", "dev": "eth0", "protocol": protocol}]
    way_out = {"dst": "default", "gateway": "10.0.0.254", "dev": "eth0", "protocol": protocol}
    own = {"dst": "10.0.0.0/24", "dev": "eth0", "protocol": "kernel"}
    assert answers.routes(json.dumps([*learnt, way_out, own]), ["eth0"]) == [
        "main default via 10.0.0.254 dev eth0",
        "main 10.0.0.0/24 dev eth0",
    ]


def test_addresses_and_routes_of_a_device():
    assert answers.addresses(json.dumps(LINKS), ["eth0"]) == ["eth0 10.0.0.1/24", "eth0 fe80::1/64"]
    assert answers.routes(json.dumps(ROUTES), ["eth0"]) == [
        "main default via 10.0.0.254 dev eth0 metric 100",
        "77 default via 10.9.0.254 dev eth0",
        "main default via fe80::fe dev eth0",
        "main 10.0.0.0/24 dev eth0",
        "main 10.0.7.0/24 via fe80::7 dev eth0",
        "local local 10.0.0.1 dev eth0",
    ]


def test_who_has_to_answer():
    found = answers.gateways(json.dumps(ROUTES), ["eth0"])
    assert [hop.address for hop in found] == ["10.0.0.254", "fe80::fe"]
    there = json.dumps([{"dst": "192.0.2.9", "gateway": "10.0.0.254", "dev": "eth0"}])
    assert answers.hop_to(there, "192.0.2.9", ["eth0"]) == Hop(
        "10.0.0.254", "eth0", "on the way to 192.0.2.9, who is logged in"
    )
    near = json.dumps([{"dst": "10.0.0.7", "dev": "eth0"}])
    assert answers.hop_to(near, "10.0.0.7", ["eth0"]).address == "10.0.0.7"
    assert answers.hop_to(near, "10.0.0.7", ["eth1"]) is None
    assert (
        answers.hop_to(json.dumps([{"type": "local", "dst": "10.0.0.1", "dev": "lo"}]), "10.0.0.1", ["lo"])
        is None
    )


def test_neighbours():
    text = json.dumps([{"dst": "10.0.0.2", "lladdr": "52:54:00:00:00:01", "state": ["STALE"]}])
    assert answers.neighbour(text) == {"lladdr": "52:54:00:00:00:01", "state": "STALE"}
    assert answers.neighbour("[]") == answers.neighbour("") == {}
    assert answers.neighbour('[{"dst": "10.0.0.2"}]') == {"lladdr": "", "state": ""}


def test_ways_out():
    assert outgoing(json.dumps(ROUTES[:3])) == ["eth0", "eth1"]
    assert outgoing("") == []
    for text in ("{", "[1]", '{"a": 1}'):
        with pytest.raises(NodeError, match="ip -j route"):
            outgoing(text)


@pytest.mark.parametrize("text", ["{", "{}", "3", '"x"'])
def test_what_makes_no_sense_is_an_error(text):
    with pytest.raises(NodeError, match="ip -j"):
        answers.routes(text, ["eth0"])
    with pytest.raises(ValueError, match=r"no list|Expecting|property name"):
        qdisc.parse(text)


leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
value = (
    leaf
    | st.lists(leaf, max_size=2)
    | st.dictionaries(st.sampled_from(["gateway", "dev", "host"]), leaf, max_size=2)
)
names = [
    "ifname",
    "addr_info",
    "local",
    "dst",
    "dev",
    "nexthops",
    "flags",
    "via",
    "kind",
    "root",
    "handle",
    "parent",
]
objects = st.lists(st.dictionaries(st.sampled_from(names), value, max_size=6) | leaf, max_size=4)


@settings(max_examples=120, deadline=None)
@given(objects)
def test_no_answer_makes_the_parsers_fall_over(found):
    text = json.dumps(found)
    for parse in (lambda: answers.routes(text, ["x"]), lambda: qdisc.parse(text), lambda: outgoing(text)):
        try:
            parse()
        except (NodeError, ValueError) as error:
            assert str(error)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 16), st.sampled_from([64, 128, 40]))
def test_an_even_table_is_its_number_of_queues(count, size):
    table = [index % count for index in range(size)]
    assert equal(table) == count
    assert equal([*table[:-1], table[-1] + count]) != count
