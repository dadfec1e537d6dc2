# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of regions: babeld's filters, read here as babeld reads them, and what they let pass."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import BLOCK, Share
from ansible_collections.swarm.node.plugins.module_utils.routing.blocks import (
    block_of,
    is_foreign,
    may_announce,
    networks,
    numbers_of,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.lookup import lookup_of
from ansible_collections.swarm.node.plugins.module_utils.routing.render import conf
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import (
    Wish,
    host_routes,
    peers,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_cases import NEAR_AND_FAR, PREFIXES, SMALL, region, share, tunnel
from routing_regions import planned, shares_of

LEAF = """\
redistribute local deny
redistribute deny
in if wan-65 ip 10.99.0.65/32 eq 32 metric 4000
in if wan-65 ip fd5e:7a11:9c3d::41/128 eq 128 metric 4000
in if wan-65b ip 10.99.0.65/32 eq 32 metric 4000
in if wan-65b ip fd5e:7a11:9c3d::41/128 eq 128 metric 4000
in if wan-66 ip 10.99.0.66/32 eq 32 metric 4000
in if wan-66 ip fd5e:7a11:9c3d::42/128 eq 128 metric 4000
in if wan-66 deny
in if wan-66b ip 10.99.0.66/32 eq 32 metric 4000
in if wan-66b ip fd5e:7a11:9c3d::42/128 eq 128 metric 4000
in if wan-66b deny
in if wan-129 ip 10.99.0.129/32 eq 32 metric 4000
in if wan-129 ip fd5e:7a11:9c3d::81/128 eq 128 metric 4000
in if wan-129b ip 10.99.0.129/32 eq 32 metric 4000
in if wan-129b ip fd5e:7a11:9c3d::81/128 eq 128 metric 4000
in ip 10.99.0.128/26 eq 26 metric 4000
in ip 10.99.0.128/26 deny
in ip fd5e:7a11:9c3d::80/122 eq 122 metric 4000
in ip fd5e:7a11:9c3d::80/122 deny
in if wan-65 ip 10.99.0.0/16 ge 32 metric 4000
in if wan-65 ip fd5e:7a11:9c3d::/48 ge 128 metric 4000
in if wan-65b ip 10.99.0.0/16 ge 32 metric 4000
in if wan-65b ip fd5e:7a11:9c3d::/48 ge 128 metric 4000
in ip 10.99.0.64/26 deny
in ip fd5e:7a11:9c3d::40/122 deny
in ip 10.99.0.0/16 ge 32 metric 4000
in ip fd5e:7a11:9c3d::/48 ge 128 metric 4000
in deny
out ip 10.99.0.64/32 eq 32 allow
out ip fd5e:7a11:9c3d::40/128 eq 128 allow
out deny
install ip 10.99.0.129/32 eq 32 table 104 pref-src 10.99.0.64
install ip 10.99.0.128/26 eq 26 table 105 pref-src 10.99.0.64
install ip fd5e:7a11:9c3d::81/128 eq 128 table 104 pref-src fd5e:7a11:9c3d::40
install ip fd5e:7a11:9c3d::80/122 eq 122 table 105 pref-src fd5e:7a11:9c3d::40
install ip 10.99.0.0/16 pref-src 10.99.0.64
install ip fd5e:7a11:9c3d::/48 pref-src fd5e:7a11:9c3d::40
"""

RELAY = """\
redistribute local deny
import-table 106
redistribute ip 10.99.0.64/26 eq 26 proto 214 allow
redistribute ip fd5e:7a11:9c3d::40/122 eq 122 proto 214 allow
redistribute deny
"""

SAID = """\
out ip 10.99.0.128/26 eq 26 allow
out ip 10.99.0.128/26 deny
out ip fd5e:7a11:9c3d::80/122 eq 122 allow
out ip fd5e:7a11:9c3d::80/122 deny
out if wan-65 ip 10.99.0.0/16 ge 32 allow
out if wan-65 ip fd5e:7a11:9c3d::/48 ge 128 allow
out if wan-65 deny
out if wan-65b ip 10.99.0.0/16 ge 32 allow
out if wan-65b ip fd5e:7a11:9c3d::/48 ge 128 allow
out if wan-65b deny
out ip 10.99.0.64/32 eq 32 allow
out ip fd5e:7a11:9c3d::40/128 eq 128 allow
out ip 10.99.0.64/26 eq 26 allow
out ip 10.99.0.64/26 deny
out ip fd5e:7a11:9c3d::40/122 eq 122 allow
out ip fd5e:7a11:9c3d::40/122 deny
"""


def lines_of(share: Share, port: int = 6696) -> list[str]:
    return conf(Wish(share, port), "x").splitlines()


def test_a_leaf_of_a_region() -> None:
    lines = lines_of(share(*NEAR_AND_FAR, **SMALL))
    assert lines[lines.index("redistribute local deny") :] == LEAF.splitlines()


def test_a_relay_of_a_region() -> None:
    lines = lines_of(share(NEAR_AND_FAR[0], NEAR_AND_FAR[2], transit=True, **SMALL))
    begin = lines.index("redistribute local deny")
    assert lines[begin : begin + 5] == RELAY.splitlines()
    assert [line for line in lines if line.startswith("out ")] == SAID.splitlines()


def test_who_is_in_a_region_that_is_not_announced_as_a_whole_announces_none() -> None:
    lines = lines_of(region(transit=True, own_blocks=()))
    assert not [line for line in lines if "import-table" in line or "proto 214" in line]
    assert "in ip 10.99.0.0/16 ge 32 allow" in lines


def test_networks_and_blocks() -> None:
    found = region()
    assert networks(found, (2,)) == ["10.99.0.128/26", "fd5e:7a11:9c3d::80/122"]
    assert block_of(found, "10.99.0.128/26") == 2 and block_of(found, "fd5e:7a11:9c3d::80/122") == 2
    for text in ("10.99.0.128/27", "10.98.0.128/26", "nonsense", "10.99.0.129/32", "::/0"):
        assert block_of(found, text) is None
    assert numbers_of(found, "10.99.0.128/26") == [128, 191] and numbers_of(found, "10.99.0.129/32") is None
    assert numbers_of(share(), "10.99.0.128/26") is None, "a mesh without blocks"
    tiny = replace(found, prefixes=("10.99.0.0/28",))
    assert networks(tiny, (0,)) == ["10.99.0.0/28"] and block_of(tiny, "10.99.0.0/28") == 0


# -- filters, as babeld reads them


def verdict(lines: Sequence[str], kind: str, interface: str, prefix: str) -> bool:
    """Whether the first filter that fits allows it; what none fits is allowed."""
    return _verdict(tuple(_filter(line) for line in lines if line.startswith(f"{kind} ")), interface, prefix)


Filter = tuple[str, int, int, int, int, int, bool]


@cache
def _filter(line: str) -> Filter:
    """(interface, version, address, length, least, most, whether it allows); "" and 0 for any"""
    words, interface, allows = line.split(), "", not line.endswith(" deny")
    if words[1] == "if":
        interface = words[2]
        del words[1:3]
    if words[1] != "ip":
        return interface, 0, 0, 0, 0, 0, allows
    version, address, length = _network(words[2])
    least, most = length, 128
    if words[3] in ("eq", "ge"):
        least = int(words[4])
        most = least if words[3] == "eq" else 128
    return interface, version, address, length, least, most, allows


@cache
def _network(text: str) -> tuple[int, int, int]:
    found = ipaddress.ip_network(text)
    return found.version, int(found.network_address), found.prefixlen


def _verdict(filters: Sequence[Filter], interface: str, prefix: str) -> bool:
    version, address, length = _network(prefix)
    bits = 32 if version == 4 else 128
    for name, of, there, long, least, most, allows in filters:
        if name in ("", interface) and (
            not of or (of == version and least <= length <= most and (address ^ there) >> (bits - long) == 0)
        ):
            return allows
    return True


NUMBERS = st.integers(1, 6 * BLOCK - 1)


@st.composite
def regions(draw: Any) -> Share:
    own = draw(st.sets(st.integers(0, 5), max_size=3))
    others = draw(st.sets(st.integers(0, 5), max_size=4)) - own
    ends = draw(
        st.lists(st.tuples(NUMBERS, st.booleans(), st.booleans()), max_size=4, unique_by=lambda e: e[0])
    )
    return share(
        *(tunnel(number, transit=transit, near=near) for number, transit, near in ends),
        transit=draw(st.booleans()),
        own_blocks=tuple(sorted(own)),
        other_blocks=tuple(sorted(others)),
    )


def prefixes() -> st.SearchStrategy[str]:
    hosts = NUMBERS.flatmap(lambda number: st.sampled_from(host_routes(share(), number)))
    blocks = st.integers(0, 6).flatmap(lambda block: st.sampled_from(networks(share(), (block,))))
    odd = st.sampled_from(
        [
            "0.0.0.0/0",
            "::/0",
            "10.99.0.0/16",
            "10.99.0.128/25",
            "10.99.0.64/27",
            "10.98.0.1/32",
            "192.0.2.0/26",
        ]
    )
    return st.one_of(hosts, blocks, odd)


@settings(max_examples=300, deadline=None)
@given(regions(), prefixes())
def test_filters_accept_what_a_neighbour_may_announce(found: Share, prefix: str) -> None:
    lines = lines_of(found)
    for peer in peers(found):
        for name in peer.interfaces:
            assert verdict(lines, "in", name, prefix) == may_announce(found, peer, prefix), (name, prefix)
        if may_announce(found, peer, prefix):
            assert not is_foreign(found, peer, prefix)


@settings(max_examples=200, deadline=None)
@given(regions(), prefixes())
def test_nobody_of_a_region_believes_others_about_it(found: Share, prefix: str) -> None:
    """A relay of another region announces no member of this one, and no block of it, but itself."""
    own = any(
        _verdict([_filter(f"in ip {one} allow"), _filter("in deny")], "", prefix)
        for one in networks(found, found.own_blocks)
    )
    for peer in peers(found):
        if own and not peer.near and prefix not in peer.own:
            assert not may_announce(found, peer, prefix)
        if not peer.transit and prefix not in peer.own:
            assert is_foreign(found, peer, prefix)


@pytest.mark.parametrize(
    ("number", "prefix", "foreign"),
    [
        (65, "10.99.0.70/32", False),
        (65, "10.99.0.128/26", False),
        (65, "10.99.0.130/32", True),
        (66, "10.99.0.128/26", True),
        (66, "10.99.0.64/26", True),
        (129, "10.99.0.129/32", False),
        (129, "10.99.0.130/32", True),
        (129, "10.99.0.128/26", False),
        (129, "10.99.0.64/26", False),
        (129, "10.99.0.70/32", True),
        (129, "10.99.0.201/32", False),
        (129, "10.99.1.64/26", True),
        (200, "10.99.0.201/32", False),
        (200, "10.99.0.192/26", True),
        (130, "10.99.0.130/32", False),
        (130, "10.99.0.128/26", True),
    ],
)
def test_what_is_foreign(number: int, prefix: str, foreign: bool) -> None:
    """A relay announces all blocks it knows, also back to their region, where they are not accepted."""
    found = region()
    (peer,) = [one for one in peers(found) if one.number == number]
    assert is_foreign(found, peer, prefix) == foreign


# -- a whole mesh by the planner, its announcements passed on until nothing changes


def spread(shares: Mapping[int, Share]) -> dict[int, set[str]]:
    """Member → what its daemon has a route to, by the filters of all."""
    text = {number: lines_of(one) for number, one in shares.items()}
    filters = {
        (number, kind): tuple(_filter(line) for line in text[number] if line.startswith(f"{kind} "))
        for number in shares
        for kind in ("in", "out")
    }
    own = {number: set(one.addresses) for number, one in shares.items()}
    for number, _one in shares.items():
        own[number] |= set(lookup_of("\n".join(text[number])).own)
    known: dict[int, set[str]] = {number: set() for number in shares}
    todo = list(shares)
    while todo:
        here = todo.pop()
        said = own[here] | (known[here] if shares[here].transit else set())
        for peer in peers(shares[here]):
            there = peer.number
            new = {
                one
                for one in said - known[there] - own[there]
                if _verdict(filters[here, "out"], f"wan-{there}", one)
                and _verdict(filters[there, "in"], f"wan-{here}", one)
            }
            if new:
                known[there] |= new
                todo.append(there)
    return known


WORLDS: dict[str, tuple[dict[str, tuple[int, int]], dict[str, Any]]] = {
    "two": ({"a": (2, 3), "b": (2, 3)}, {}),
    "three, one without two relays": ({"a": (2, 2), "b": (3, 2), "c": (1, 2)}, {}),
    "one without a relay": ({"a": (2, 2), "b": (2, 2), "c": (0, 3)}, {}),
    "regions of one member": ({"a": (2, 2), "b": (2, 0), "c": (0, 1), "d": (1, 0)}, {}),
    "two blocks": ({"a": (3, 70), "b": (2, 2)}, {}),
}


@pytest.mark.parametrize("case", WORLDS)
def test_everybody_has_a_way_to_all_with_few_routes(case: str) -> None:
    regions, wished = WORLDS[case]
    registry = planned(regions, **wished)
    shares = shares_of(registry)
    known = spread(shares)
    for number, found in shares.items():
        blocks = {one for one in known[number] if numbers_of(found, one)}
        assert blocks == set(networks(found, found.other_blocks)), "all of other regions, none of its own"
        near = {peer.number for peer in peers(found)}
        for there in shares:
            routed = set(host_routes(found, there)) <= known[number]
            if there // BLOCK in found.other_blocks:
                assert routed == (there in near), (number, there)
            elif there != number:
                assert routed, (number, there)


def test_how_many_routes_a_member_of_200_in_four_regions_has() -> None:
    """Of each address family: 49 of its region, three blocks, and its neighbours in other regions."""
    registry = planned(dict.fromkeys("abcd", (4, 46)), neighbours=6, max_degree=60)
    shares = shares_of(registry)
    one = shares[next(number for number, found in shares.items() if not found.transit)]
    near = sum(peer.number // BLOCK in one.other_blocks for peer in peers(one))
    plain = replace(registry, settings=replace(registry.settings, aggregate_above=0))
    reckoned = {49 + 3 + near: shares, 199: shares_of(plain)}
    for count, told in reckoned.items():
        found = spread({number: replace(told[number], prefixes=PREFIXES[:1]) for number in told})
        own = [prefix for prefix in found[one.number] if "." in prefix]
        assert len(own) == count


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_a_relay_keeps_to_itself_nobody_would_take(data: Any) -> None:
    shares = shares_of(planned({"a": (2, 2), "b": (3, 2), "c": (1, 2)}))
    here = data.draw(st.sampled_from([one for one in shares.values() if one.transit]))
    prefix = data.draw(prefixes())
    for peer in peers(here):
        there = shares[peer.number]
        (me,) = [one for one in peers(there) if one.number == here.number]
        if not verdict(lines_of(here), "out", peer.interfaces[0], prefix):
            assert not may_announce(there, me, prefix), (here.number, peer.number, prefix)
