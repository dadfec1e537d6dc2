# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways beside the planned ones: in the file, in shares, and how a member begins and ceases to forward."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh import passage
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import (
    Identity,
    Link,
    Member,
    Pair,
    Registry,
    Settings,
    Way,
    pair_of,
)
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.routes import Destination
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.switching import expendable
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.tables import Tables
from mesh_cast import PREFIXES, do, everybody_saw, finished, host, key, small


def meshed(links: str) -> Registry:
    """Links as `a-b:12`, round trip in ms; who has a capital letter forwards. Each in a region of its own."""
    members: dict[str, Member] = {}
    found: dict[Pair, Link] = {}
    for word in links.split():
        ends, ms = word.split(":")
        one, other = ends.split("-")
        for name in (one, other):
            number = 64 * (ord(name.lower()) - ord("a") + 1)
            region, transit = f"r{name.lower()}", name.isupper()
            members[name] = Member(name, number, region, "192.0.2.1", transit=transit, keys={1: key(name)})
        pair = pair_of(one, other)
        at = [sum(end in linked for linked in found) for end in pair]
        found[pair] = Link(pair, (at[0], at[1]), Identity((1, 1)), ms=float(ms))
    regions = {member.region: (member.number // 64,) for member in members.values()}
    return Registry("wan", Settings(PREFIXES), regions, members, links=found)


# d hangs on A and on B; what is nearer changes, so that A and B swap.
NEAR_A = meshed("A-B:10 A-C:10 B-E:10 C-E:10 C-d:5 E-d:90")
NEAR_B = meshed("A-B:10 A-C:10 B-E:10 C-E:10 C-d:90 E-d:5")
D = Destination("member", 64 * 4)


def moved(before: Registry, after: Registry, *applied: str) -> Registry:
    return replace(after, ways=passage.ways(Tables(before), Tables(after), applied))


def hop(registry: Registry, name: str) -> str:
    return Tables(registry).effective(name)[D]


def test_two_that_swap_do_so_one_after_the_other() -> None:
    before = meshed("A-B:1 A-C:1 B-E:9 C-d:1 E-d:1")
    after = meshed("A-B:1 A-C:9 B-E:1 C-d:9 E-d:1")
    assert (hop(before, "A"), hop(before, "B")) == ("C", "A")
    assert (hop(after, "A"), hop(after, "B")) == ("B", "E")
    first = moved(before, after)
    # B may turn at once; A sends to C until B has said that it no longer sends to A.
    assert (hop(first, "A"), hop(first, "B")) == ("C", "E")
    assert Way("A", "C", (256,), (), kept=True) in first.ways
    assert Way("B", "A", (256,)) in first.ways
    assert moved(first, after).ways == first.ways
    assert hop(moved(first, after, "A"), "A") == "C"
    second = moved(first, after, "B")
    assert (hop(second, "A"), hop(second, "B")) == ("B", "E")
    assert moved(second, after, "A", "B").ways == ()


def test_what_is_kept_is_in_the_share_instead_of_what_is_planned() -> None:
    before = meshed("A-B:1 A-C:1 B-E:9 C-d:1 E-d:1")
    after = meshed("A-B:1 A-C:9 B-E:1 C-d:9 E-d:1")
    shares = [Shares(item).of("A") for item in (before, moved(before, after), after)]
    address = "10.99.1.0/32"
    ways = [[name for name, found in share.routes.items() if address in found] for share in shares]
    assert ways == [["wan-192"], ["wan-192"], ["wan-128"]]


def test_nothing_is_noted_where_nothing_moves() -> None:
    assert moved(NEAR_A, NEAR_A).ways == ()
    assert moved(NEAR_A, NEAR_B).ways
    assert small().ways == ()


def test_a_way_over_a_link_that_is_gone_is_not_kept() -> None:
    before = meshed("A-B:1 A-C:1 B-E:9 C-d:1 E-d:1")
    after = meshed("A-B:1 B-E:1 C-d:9 C-E:1 E-d:1")
    assert not [way for way in moved(before, after).ways if way.by == "C" and way.at == "A"]


def test_links_stay_where_those_that_are_to_replace_them_wait_for_slots() -> None:
    registry = meshed("A-B:1 A-C:1 B-C:1 C-d:1")
    going = [("A", "B"), ("A", "C"), ("C", "d")]
    assert expendable(registry, going) == [("A", "B")]
    assert expendable(registry, going[1:]) == [("A", "C")]


# -- in the file

LINES = """\
ways:
  - {at: ams, by: fra, to: [64, 128-129], blocks: [2]}
  - {at: fra, by: ams, to: [64], kept: true}
"""


def test_ways_are_lines_of_the_file() -> None:
    text = dump_registry(small()) + LINES
    registry = parse_registry(text, "wan.yml")
    assert registry.ways == (
        Way("ams", "fra", (64, 128, 129), (2,)),
        Way("fra", "ams", (64,), (), kept=True),
    )
    assert parse_registry(dump_registry(registry), "wan.yml") == registry
    many = replace(registry, ways=(replace(registry.ways[0], to=(1, 64, 128, 129), blocks=(0, 1, 2)),))
    assert "blocks: [0-2]" in dump_registry(many)
    assert parse_registry(dump_registry(many), "wan.yml") == many


@pytest.mark.parametrize(
    ("wrong", "key", "allowed"),
    [
        ("ways: 5", "ways", "a list of ways"),
        ("ways: [{at: ams}]", "by", "it has to be there"),
        ("ways: [{at: ams, by: fra, too: [1]}]", "too", "did you mean to?"),
        ("ways: [{at: ams, by: fra, to: [0]}]", "to", "from 1 to 65535"),
        ("ways: [{at: ams, by: fra, to: [129-128]}]", "to", "ascending"),
        ("ways: [{at: ams, by: fra, to: [129, 128]}]", "to", "ascending"),
        ("ways: [{at: ams, by: fra, to: [true]}]", "to", "whole numbers"),
        ("ways: [{at: db, by: fra, to: [64]}]", "at", "transit: true"),
        ("ways: [{at: ams, by: who, to: [64]}]", "by", "a member that ams has a link with"),
        ("ways: [{at: ams, by: fra, to: [63]}]", "to", "nobody has this one"),
        ("ways: [{at: ams, by: fra, blocks: [9]}]", "blocks", "nobody has this one"),
        (
            "ways: [{at: ams, by: fra, to: [64], kept: true}, {at: ams, by: db, to: [64], kept: true}]",
            "to",
            "ams keeps fra for it already",
        ),
    ],
)
def test_a_wrong_way_is_refused_with_its_line(wrong: str, key: str, allowed: str) -> None:
    text = dump_registry(small()) + wrong + "\n"
    with pytest.raises(BindError) as caught:
        parse_registry(text, "wan.yml")
    problem = caught.value.problems[0]
    assert key in problem.key and allowed in problem.allowed, problem
    assert problem.origin == f"wan.yml:{len(text.splitlines())}"


# -- a member that begins or ceases to forward


def transit(registry: Registry, wished: bool) -> Registry:
    return do(registry, "endpoint", host("db", region="fra", transit=wished))[0]


def state(registry: Registry) -> str:
    member = registry.members["db"]
    words = [name for name in ("transit", "fresh", "stops", "held") if getattr(member, name)]
    return " ".join(words)


def step(registry: Registry, applied: tuple[str, ...]) -> Registry:
    return do(registry, "finish", proofs=everybody_saw(registry), applied=applied)[0]


def test_who_begins_to_forward_does_so_before_others_send_over_it() -> None:
    on = transit(small(), True)
    assert state(on) == "transit fresh"
    assert Shares(on).of("db").transit
    assert state(step(on, ("ams", "bo", "fra"))) == "transit fresh"
    assert state(step(on, ("db",))) == "transit"
    assert transit(on, True) == on


def test_who_ceases_to_forward_does_so_when_nobody_sends_over_it() -> None:
    on = finished(transit(small(), True))
    off = transit(on, False)
    assert state(off) == "held"
    assert Shares(off).of("db").transit
    assert state(step(off, ("db", "ams", "bo"))) == "held"  # fra may still send over it
    done = step(off, ("ams", "bo", "fra"))
    assert state(done) == "" and not Shares(done).of("db").transit
    assert state(transit(off, True)) == "transit fresh"


def test_others_send_over_it_until_what_is_new_carries_routes() -> None:
    joined = do(finished(transit(small(), True)), "join", host("new", region="fra", transit=True))[0]
    off = transit(joined, False)
    assert joined.members["new"].fresh and state(off) == "transit stops"
    assert state(transit(off, True)) == "transit"
    assert state(finished(off)) == "" and not finished(off).members["new"].fresh
