# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of regions: babeld's filters, read here as babeld reads them; the kernel's tables and rules."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import BLOCK, Share
from ansible_collections.swarm.node.plugins.module_utils.routing.blocks import (
    block_of,
    is_foreign,
    may_announce,
    networks,
    numbers_of,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.info import routes
from ansible_collections.swarm.node.plugins.module_utils.routing.lookup import clear, is_laid, lay, lookup_of
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import (
    conf_path,
    laid_path,
    priority,
    running_conf,
    slot,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.prepare import prepare, take_down
from ansible_collections.swarm.node.plugins.module_utils.routing.render import conf, prefixes_of
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import (
    Wish,
    host_routes,
    peers,
    wishes_from,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_cases import PREFIXES, other, region, share, tunnel
from routing_node import RoutingNode
from routing_regions import planned, shares_of
from test_routing_node_program import put, tables

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

SMALL = {"own_blocks": (1,), "other_blocks": (2,)}
NEAR_AND_FAR = (tunnel(65, transit=True, near=True), tunnel(66, near=True), tunnel(129, transit=True))


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


# -- tables and rules


class Kernel:
    """`ip`, as far as tables and rules go."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], set[str]] = {}
        self.rules: list[str] = []
        self.calls: list[str] = []
        self.broken = ""

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        words = list(argv)
        self.calls.append(" ".join(words))
        if words[0] != "ip":
            return Done(0, "", "")
        if words[2:] == ["-batch", "-"]:
            for line in data.splitlines():
                if self.broken and self.broken in line:
                    return Done(1, "", "RTNETLINK answers: Operation not permitted")
                self._line(line)
        elif words[2:4] == ["rule", "del"]:
            text = " ".join(words[4:])
            if text not in self.rules:
                return Done(2, "", "RTNETLINK answers: No such file or directory")
            self.rules.remove(text)
        elif words[1:3] == ["-N", "-j"]:
            return Done(0, json.dumps([self._shown(rule) for rule in self.rules]), "")
        elif words[1] == "-N":
            found = [one for (table, _p), many in self.routes.items() for one in many if table == words[-1]]
            return Done(0, "".join(f"{one}\n" for one in found if (":" in one) == (words[2] == "-6")), "")
        elif "table" in words:
            place = words[words.index("table") + 1], words[-1]
            keep = {one for one in self.routes.get(place, set()) if (":" in one) != (words[1] == "-6")}
            self.routes[place] = keep
        return Done(0, "", "")

    def _line(self, line: str) -> None:
        words = line.split()
        if words[0] == "rule":
            self.rules.append(" ".join(words[2:-2]))
            assert words[-2:] == ["protocol", "214"]
            return
        assert words[:2] == ["route", "replace"] and words[-2:] == ["metric", "4000"], line
        place = words[words.index("table") + 1], words[words.index("proto") + 1]
        self.routes.setdefault(place, set()).add(" ".join(words[2:4]))

    @staticmethod
    def _shown(rule: str) -> dict[str, Any]:
        _to, prefix, _lookup, table, _pref, at = rule.split()
        address, _slash, bits = prefix.partition("/")
        return {"priority": int(at), "src": "all", "dst": address, "dstlen": int(bits), "table": table}

    @property
    def empty(self) -> bool:
        return not self.rules and not any(self.routes.values())


TEXT = conf(Wish(share(*NEAR_AND_FAR, transit=True, **SMALL)), "x")


def test_what_is_made_and_taken_away() -> None:
    kernel = Kernel()
    lay(TEXT, kernel)
    assert kernel.routes == {
        ("104", "214"): {"throw 10.99.0.129/32", "throw fd5e:7a11:9c3d::81/128"},
        ("105", "214"): {"throw 10.99.0.128/26", "throw fd5e:7a11:9c3d::80/122"},
        ("106", "214"): {"unreachable 10.99.0.64/26", "unreachable fd5e:7a11:9c3d::40/122"},
    }
    assert kernel.rules == [
        "to 10.99.0.0/16 lookup 104 pref 30214",
        "to 10.99.0.0/16 lookup 105 pref 30215",
        "to fd5e:7a11:9c3d::/48 lookup 104 pref 30214",
        "to fd5e:7a11:9c3d::/48 lookup 105 pref 30215",
    ]
    assert is_laid(TEXT, kernel)
    gone = kernel.rules.pop()
    assert not is_laid(TEXT, kernel)
    kernel.rules += [gone, gone]
    kernel.routes["105", "42"] = {"10.99.0.128/26 via x"}
    clear(TEXT, kernel)
    assert kernel.empty and not is_laid(TEXT, kernel)


@pytest.mark.parametrize("text", [None, "", conf(Wish(share()), "x")])
def test_a_mesh_without_blocks_needs_nothing(text: str | None) -> None:
    kernel = Kernel()
    lay(text or "", kernel)
    clear(text, kernel)
    assert is_laid(text, kernel) and kernel.calls == []
    assert prefixes_of(TEXT) == list(PREFIXES), "not what goes to tables of its own"


@pytest.mark.parametrize("answer", ["no json", "{}", "[1]", '[{"dst": 5, "priority": "x"}]'])
def test_an_answer_that_makes_no_sense_is_no_rule(answer: str) -> None:
    assert not is_laid(TEXT, lambda argv, data="", timeout=60.0: Done(0, answer, ""))
    assert not is_laid(TEXT, lambda argv, data="", timeout=60.0: Done(1, "", "no"))


def test_a_start_clears_what_another_port_or_share_has_left(tmp_path: Path) -> None:
    kernel = Kernel()
    put(tmp_path, conf_path("wan"), TEXT)
    prepare(tmp_path, "wan", kernel)
    first = (list(kernel.rules), dict(kernel.routes))
    # Killed, and not cleared; then with another port, which has other tables; then below the limit.
    put(tmp_path, conf_path("wan"), conf(Wish(region(transit=True), 6700), "x"))
    prepare(tmp_path, "wan", kernel)
    assert {rule.split()[3] for rule in kernel.rules} == {"120", "121"}
    put(tmp_path, conf_path("wan"), TEXT)
    prepare(tmp_path, "wan", kernel)
    prepare(tmp_path, "wan", kernel)
    assert kernel.rules == first[0]
    put(tmp_path, conf_path("wan"), conf(Wish(share()), "x"))
    prepare(tmp_path, "wan", kernel)
    assert kernel.empty
    put(tmp_path, conf_path("wan"), TEXT)
    prepare(tmp_path, "wan", kernel)
    # The daemon's copy goes with its unit, also where what comes after its end was killed.
    (tmp_path / conf_path("wan")[1:]).unlink()
    (tmp_path / running_conf("wan")[1:]).unlink()
    take_down(tmp_path, "wan", kernel)
    assert kernel.empty and not (tmp_path / laid_path("wan")[1:]).exists()
    take_down(tmp_path, "wan", kernel)


def test_a_start_that_fails_half_way_leaves_what_its_end_takes_away(tmp_path: Path) -> None:
    kernel = Kernel()
    put(tmp_path, conf_path("wan"), TEXT)
    for broken in ("throw", "unreachable", "rule add", "::/48 lookup 105"):
        kernel.broken = broken
        with pytest.raises(NodeError, match="Operation not permitted"):
            prepare(tmp_path, "wan", kernel)
        take_down(tmp_path, "wan", kernel)
        assert kernel.empty, broken


def test_a_table_that_somebody_else_uses_is_named() -> None:
    kernel = Kernel()
    kernel.routes["105", "static"] = {"192.0.2.0/24 dev eth0"}
    with pytest.raises(NodeError, match=r"table 105 is somebody else's \(192\.0\.2\.0/24 dev eth0\)"):
        lay(TEXT, kernel)
    clear(TEXT, kernel)
    assert kernel.routes["105", "static"] and not kernel.rules


def test_no_two_meshes_share_a_table() -> None:
    found = [slot(port) for port in range(6696, 6720)]
    numbers = [number for one in found for number in (one.hosts, one.blocks, one.imported)]
    assert len(set(numbers)) == len(numbers) == 72 and min(numbers) >= 100 and max(numbers) < 200
    assert all(priority(one.hosts) < priority(one.blocks) < 32766 for one in found)
    two = {"wan": region(), "lab": other(own_blocks=(0,), other_blocks=(1,))}
    for port, good in ((6697, True), (6719, True), (6720, False), (6744, False)):
        _wishes, problems = wishes_from(two, [], {"lab": port}, "small", {"ports": "group all"})
        assert (problems == []) == good, port
        if not good:
            assert "multiple of 24" in problems[0].allowed and problems[0].origin == "group all"
    plain = {"wan": region(), "lab": other()}
    assert wishes_from(plain, [], {"lab": 6720}, "small", {})[1] == []


# -- the module, and what is said


@pytest.fixture
def node(tmp_path: Path) -> RoutingNode:
    return RoutingNode(tmp_path, region(transit=True))


def test_a_run_a_second_one_and_back_below_the_limit(node: RoutingNode) -> None:
    before = node.installed()
    node.good()
    assert "import-table 106" in str(node.text(running_conf("wan")))
    assert not node.good()["changed"]
    node.store(share(transit=True))
    made = node.good()
    assert [change["disruption"] for change in made["changes"] if change["key"] == "routing.daemon"] == [
        "perf"
    ]
    assert "table 10" not in str(node.text(running_conf("wan"))) and not node.good()["changed"]
    node.store(region(transit=True))
    node.good()
    node.good(state="absent")
    assert node.installed() == before and node.live()["units"] == []


def test_rules_that_somebody_took_away_are_made_again(node: RoutingNode) -> None:
    node.good()
    node.set(unruled=True)
    looked = node.good(check=True)
    assert [f"{change['key']} {change['target']}" for change in looked["changes"]] == ["routing.daemon wan"]
    assert looked["changes"][0]["before"]["running"] is False
    assert node.good()["changed"] and not node.good()["changed"]


def test_routes_of_blocks_are_said_with_their_numbers() -> None:
    found = region()
    known = tables(
        ("a", "10.99.0.128/26", "yes", 900, "wan-129"),
        ("b", "10.99.0.66/32", "yes", 800, "wan-66"),
        ("c", "10.99.0.0/26", "no", 65535, "wan-129"),
    )
    said = routes(found, known, {name: peer for peer in peers(found) for name in peer.interfaces})
    assert [(one["prefix"], one["number"], one["numbers"], one["via"], one["metric"]) for one in said] == [
        ("10.99.0.0/26", None, [0, 63], "node-129", None),
        ("10.99.0.66/32", 66, None, "node-66", 800),
        ("10.99.0.128/26", None, [128, 191], "node-129", 900),
    ]
