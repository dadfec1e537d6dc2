# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of babeld's configuration, and what a node may be asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.marking import is_untouched
from ansible_collections.swarm.node.plugins.module_utils.routing import render
from ansible_collections.swarm.node.plugins.module_utils.routing.filter import filter_text, rules_in, rules_of
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import (
    TIMERS,
    Wish,
    member_of,
    peers,
    penalty,
    wishes_from,
)
from routing_cases import other, share, tunnel

UNIT = "sha256:0"

LEAF = """\
# mesh wan, member 64; unit sha256:0
protocol-port 6696
smoothing-half-life 1
skip-kernel-setup true
random-id true
local-path /run/swarm-node-routing/wan/babeld.sock
default type tunnel rxcost 850 hello-interval 0.15 update-interval 1 rtt-decay 128 rtt-min 1 rtt-max 1000 max-rtt-penalty 20000
interface wan-65
interface wan-65b
interface wan-66
interface wan-66b
interface wan-67
interface wan-67b
redistribute local ip 10.99.0.0/16 ge 32 allow
redistribute local ip fd5e:7a11:9c3d::/48 ge 128 allow
redistribute local deny
redistribute deny
in if wan-65 ip 10.99.0.0/16 ge 32 metric 4000
in if wan-65 ip fd5e:7a11:9c3d::/48 ge 128 metric 4000
in if wan-65b ip 10.99.0.0/16 ge 32 metric 4000
in if wan-65b ip fd5e:7a11:9c3d::/48 ge 128 metric 4000
in if wan-66 ip 10.99.0.0/16 ge 32 metric 4000
in if wan-66 ip fd5e:7a11:9c3d::/48 ge 128 metric 4000
in if wan-66b ip 10.99.0.0/16 ge 32 metric 4000
in if wan-66b ip fd5e:7a11:9c3d::/48 ge 128 metric 4000
in if wan-67 ip 10.99.0.67/32 eq 32 metric 4000
in if wan-67 ip fd5e:7a11:9c3d::43/128 eq 128 metric 4000
in if wan-67b ip 10.99.0.67/32 eq 32 metric 4000
in if wan-67b ip fd5e:7a11:9c3d::43/128 eq 128 metric 4000
in deny
out ip 10.99.0.64/32 eq 32 allow
out ip fd5e:7a11:9c3d::40/128 eq 128 allow
out deny
install ip 10.99.0.0/16 pref-src 10.99.0.64
install ip fd5e:7a11:9c3d::/48 pref-src fd5e:7a11:9c3d::40
"""  # noqa: E501 (as babeld reads it)


def body(wish: Wish) -> list[str]:
    text = render.conf(wish, UNIT)
    assert is_untouched(text)
    return text.splitlines()[1:]


def test_a_leaf() -> None:
    assert body(Wish(share())) == LEAF.splitlines()


def test_a_rotation_changes_nothing() -> None:
    """While a key is replaced there are two tunnels to a peer; both were in the file before."""
    tunnels = share().tunnels
    during = replace(share(), tunnels=(*tunnels, tunnel(65, transit=True, side="b", generation=2)))
    after = replace(share(), tunnels=(tunnel(65, transit=True, side="b"), *tunnels[1:]))
    for found in (during, after):
        assert render.conf(Wish(found), UNIT) == render.conf(Wish(share()), UNIT)
        assert rules_of(Wish(found)) == rules_of(Wish(share()))


def test_a_relay_takes_all_members_and_has_its_rank() -> None:
    lines = body(Wish(share(transit=True, rank=2)))
    assert "in if wan-65 ip 10.99.0.0/16 ge 32 allow" in lines
    assert "in if wan-67 ip 10.99.0.67/32 eq 32 allow" in lines
    assert not [line for line in lines if line.startswith("out ")]
    assert next(line for line in lines if line.startswith("default ")).startswith(
        "default type tunnel rxcost 1450 "
    )


def test_a_foreign_peer_has_no_part_in_it() -> None:
    found = share(tunnel(65, transit=True), tunnel(70, foreign=True, allowed_ips=("10.55.0.0/24",)))
    assert not [line for line in body(Wish(found)) if "wan-70" in line]
    assert not [line for line in rules_of(Wish(found))["babel"] if "wan-70" in line]


@pytest.mark.parametrize(
    ("capacity", "cost"),
    [(0, 0), (1, 5000), (2, 5000), (10, 1049), (20, 524), (100, 105), (200, 52), (1000, 0)],
)
def test_a_thin_link_is_longer(capacity: int, cost: int) -> None:
    """64 KiB take so long on it, at 20 units for a millisecond."""
    assert penalty(capacity) == cost
    lines = body(Wish(share(tunnel(65, transit=True, capacity=capacity), tunnel(67))))
    assert (f"interface wan-65 rxcost {850 + cost}" in lines) == bool(cost)
    assert ("interface wan-65" in lines) == (not cost)
    assert "interface wan-67b" in lines


@pytest.mark.parametrize("timers", TIMERS)
def test_timers_and_port_can_be_read_back(timers: str) -> None:
    text = render.conf(Wish(share(), 7000, timers), UNIT)
    assert render.hello_of(text) == TIMERS[timers].hello
    assert render.port_of(text) == 7000
    assert render.prefixes_of(text) == list(share().prefixes)
    assert f"hello-interval {TIMERS[timers].hello:g} update-interval {TIMERS[timers].update:g} " in text


@pytest.mark.parametrize("text", [None, "", "no such word\n", "default hello-interval x\nprotocol-port y\n"])
def test_nothing_can_be_read_of_another_file(text: str | None) -> None:
    assert (render.prefixes_of(text), render.port_of(text)) == ([], 0)
    assert render.hello_of(text) == TIMERS["small"].hello


def test_who_may_talk_to_the_daemon() -> None:
    rules = rules_of(Wish(share(), 6700))
    assert rules["input"] == (
        "type filter hook input priority -4; policy accept;",
        "udp dport 6700 jump babel",
    )
    assert rules["babel"][:2] == (
        'iifname "wan-65" ip6 saddr fe80::/10 return',
        'iifname "wan-65" counter drop comment "not a link-local address"',
    )
    assert rules["babel"][-1] == 'counter drop comment "not by a tunnel of the mesh"'
    assert len(rules["babel"]) == 2 * 2 * 3 + 1
    assert is_untouched(filter_text(Wish(share())))


def test_nothing_is_forwarded_to_the_neighbour_it_came_from() -> None:
    """By whichever interface of both sides of its tunnel; what has no neighbours needs no rule."""
    rules = rules_of(Wish(share(tunnel(65, transit=True), tunnel(7))))
    hook, rule = rules["forward"]
    assert hook == "type filter hook forward priority -4; policy accept;"
    pairs = [
        f'"wan-{number}{one}" . "wan-{number}{other}"'
        for number in (65, 7)
        for one in ("", "b")
        for other in ("", "b")
    ]
    begin, end = "iifname . oifname { ", ' } counter drop comment "back to the neighbour it came from"'
    assert rule == begin + ", ".join(sorted(pairs)) + end
    alone = replace(share(), tunnels=())
    assert rules_of(Wish(alone))["forward"] == (hook,)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["iifname", "iifname"], [["a", "b"]]),
        (["iifname", "oifname", "mark"], [["a", "b", "c"]]),
        (["iifname", "oifname"], [["a"]]),
        (["iifname", "oifname"], "@named"),
    ],
)
def test_another_comparison_of_pairs_is_shown_as_it_is(left: list[str], right: Any) -> None:
    """And so differs from the wanted one, instead of ending the run."""
    elements = [{"concat": one} for one in right] if isinstance(right, list) else right
    match = {
        "op": "==",
        "left": {"concat": [{"meta": {"key": one}} for one in left]},
        "right": {"set": elements} if isinstance(elements, list) else elements,
    }
    rule = {"rule": {"chain": "forward", "expr": [{"match": match}, {"drop": None}]}}
    (line,) = rules_in({"nftables": [rule]})["forward"]
    assert json.loads(line.removesuffix(" drop")) == {"match": match}


@pytest.mark.parametrize(
    ("prefix", "number"),
    [
        ("10.99.0.67/32", 67),
        ("fd5e:7a11:9c3d::43/128", 67),
        ("10.99.255.255/32", 65535),
        ("10.99.0.0/26", 0),
        ("10.98.0.67/32", 0),
        ("0.0.0.0/0", 0),
        ("::/0", 0),
        ("fd5e:7a11:9c3d::/64", 0),
        ("nonsense", 0),
    ],
)
def test_whose_host_route_it_is(prefix: str, number: int) -> None:
    assert member_of(share(), prefix) == number


def test_a_peer_is_one_whatever_its_tunnels() -> None:
    found = peers(share(tunnel(65, side="b"), tunnel(65, capacity=9), tunnel(64000)))
    assert [(one.number, one.interfaces) for one in found] == [
        (65, ("wan-65", "wan-65b")),
        (64000, ("wan-64000", "wan-64000b")),
    ]
    assert found[0].own == ("10.99.0.65/32", "fd5e:7a11:9c3d::41/128")


SHARES = {"wan": share(), "lab": other()}


@pytest.mark.parametrize(
    ("wishes", "key", "words"),
    [
        ({"ports": {"lab": 6696}}, "routing_ports", "a port of its own"),
        ({"ports": {"lab": 80}}, "routing_ports", "1024 to 65535"),
        ({"ports": {"lab": True}}, "routing_ports", "1024 to 65535"),
        ({"ports": {"lab": "6697"}}, "routing_ports", "1024 to 65535"),
        ({"ports": {"lab": 51830}}, "routing_ports", "a port that no tunnel of wan listens on"),
        ({"ports": {"LAB": 6697}}, "routing_ports", "names of meshes"),
        ({"meshes": ["no mesh"]}, "routing_meshes", "names of meshes"),
        ({"timers": "fast"}, "routing_timers", "small, large, metered"),
    ],
)
def test_what_is_refused_is_named(wishes: dict[str, Any], key: str, words: str) -> None:
    asked = {"meshes": [], "ports": {"lab": 6697}, "timers": "small", **wishes}
    _found, problems = wishes_from(SHARES, **asked, origins={key[8:]: "group all"})
    assert problems and all(problem.key == key for problem in problems)
    assert words in problems[0].allowed
    assert problems[0].origin == "group all"


def test_some_meshes_or_all() -> None:
    found, problems = wishes_from(SHARES, [], {"lab": 6697}, "large", {})
    assert problems == []
    assert {mesh: (one.port, one.timers) for mesh, one in found.items()} == {
        "wan": (6696, "large"),
        "lab": (6697, "large"),
    }
    found, problems = wishes_from(SHARES, ["wan", "gone"], {}, "small", {})
    assert list(found) == ["wan"] and problems == []
