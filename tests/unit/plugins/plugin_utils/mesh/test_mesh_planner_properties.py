# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of the mesh and its routes, on fleets that nobody thought of."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import NamedTuple

from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.topology import (
    Limits,
    Links,
    Spot,
    plan_links,
    possible,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mesh_planner_cases import all_possible, apart, degrees, walk

modest = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

REGIONS = ("fra", "ams", "home", "x")
LATENCIES = st.sampled_from([0.0, 0.0001, 0.4, 5.0, 7.5, 80.0, 1e9, float("inf")])
AMPLE = 200
"""A degree that stops nothing in these fleets."""

ANY_DEGREE = st.just(AMPLE)


class Fleet(NamedTuple):
    spots: list[Spot]
    limits: Limits
    latency: dict[tuple[str, str], float]

    def plan(self, kept=(), only_for=None) -> Links:
        return plan_links(self.spots, self.limits, self.latency, kept, only_for)

    @property
    def is_sparse(self) -> bool:
        return len(self.spots) > self.limits.full_mesh_up_to


@st.composite
def fleets(draw, degree=ANY_DEGREE, most=26) -> Fleet:
    names = [f"n{number:02d}" for number in range(draw(st.integers(1, most)))]
    share = draw(st.sampled_from([2, 3, 6]))
    spots: list[Spot] = []
    for name in names:
        spots.append(
            Spot(
                name,
                draw(st.sampled_from(REGIONS)),
                transit=draw(st.integers(0, share)) == 0,
                reachable=draw(st.integers(0, 2)) > 0,
                local=draw(st.booleans()),
            )
        )
    for index, spot in enumerate(spots):
        relays = [end.name for end in spots if end.transit and end != spot and possible(end, spot)]
        if relays and draw(st.integers(0, 3)) == 0:
            chosen = draw(st.lists(st.sampled_from(relays), max_size=3, unique=True))
            spots[index] = replace(spot, relays=tuple(chosen))
    ends = st.tuples(st.sampled_from([*names, "gone"]), st.sampled_from(names))
    latency = draw(st.dictionaries(ends, LATENCIES, max_size=40))
    full = draw(st.sampled_from([0, 4, 12]))
    return Fleet(spots, Limits(full, draw(st.integers(2, 6)), draw(degree)), latency)


def planned(fleet: Fleet, kept=(), only_for=None) -> Links:
    """A plan, where there is one: what is refused is for other tests."""
    try:
        return fleet.plan(kept, only_for)
    except BindError:
        assume(False)
        raise


@modest
@given(fleets())
def test_refused_only_what_cannot_be(fleet):
    """With places enough, a plan is refused exactly where no plan could let all reach each other."""
    impossible = apart(fleet.spots, all_possible(fleet.spots))
    without_hubs = fleet.is_sparse and not any(spot.transit for spot in fleet.spots)
    try:
        links = fleet.plan()
    except BindError:
        assert impossible or without_hubs
        return
    assert not impossible and not without_hubs
    assert apart(fleet.spots, links.pairs) == []


@modest
@given(fleets(degree=st.integers(6, 20)))
def test_links_are_possible_bounded_and_sorted(fleet):
    links = planned(fleet)
    members = {spot.name: spot for spot in fleet.spots}
    assert links.pairs == sorted({tuple(sorted(ends)) for ends in links.pairs})
    assert all(one != other and possible(members[one], members[other]) for one, other in links.pairs)
    assert max(degrees(links.pairs).values(), default=0) <= fleet.limits.max_degree
    walk(fleet.spots, links.pairs, fleet.latency)


@modest
@given(fleets())
def test_any_hub_may_fail(fleet):
    """Where the hubs could stay whole without any one of them, and a leaf could be linked to two."""
    links = planned(fleet)
    hubs = [spot for spot in fleet.spots if spot.transit]
    members = {spot.name: spot for spot in fleet.spots}
    for gone in hubs:
        rest = [spot for spot in hubs if spot != gone]
        if apart(rest, all_possible(rest)):
            continue
        for one, other in apart(fleet.spots, links.pairs, without=gone.name):
            alone = [
                name
                for name in (one, other)
                if not members[name].transit and not any(possible(members[name], end) for end in rest)
            ]
            assert alone or not rest, f"{one} and {other} need {gone.name}"


@modest
@given(fleets(degree=st.integers(8, AMPLE)), st.randoms(use_true_random=False))
def test_order_of_the_input_does_not_matter(fleet, random):
    links = planned(fleet)
    kept = [ends for ends in links.pairs if random.random() < 0.5]
    first = planned(fleet, kept)
    items = list(fleet.latency.items())
    for mixed in (fleet.spots, items, kept):
        random.shuffle(mixed)
    again = plan_links(fleet.spots, fleet.limits, dict(items), [ends[::-1] for ends in kept])
    assert again == first


@modest
@given(fleets(degree=st.integers(8, AMPLE)))
def test_a_plan_is_complete(fleet):
    links = planned(fleet)
    assert fleet.plan(links.pairs).pairs == links.pairs


@modest
@given(fleets(degree=st.integers(8, AMPLE)), st.randoms(use_true_random=False))
def test_a_join_leaves_all_links_alone(fleet, random):
    joining = random.choice(fleet.spots)
    before = fleet._replace(spots=[spot for spot in fleet.spots if spot != joining])
    assume(all(joining.name not in spot.relays for spot in before.spots))
    kept = planned(before).pairs
    links = planned(fleet, kept, {joining.name})
    added = set(links.pairs) - set(kept)
    assert set(kept) <= set(links.pairs)
    assert all(joining.name in ends for ends in added)
    assert max(degrees(links.pairs).values(), default=0) <= fleet.limits.max_degree
    if fleet.is_sparse and not joining.transit:
        assert len(added) <= max(fleet.limits.neighbours, len(joining.relays))
    walk(fleet.spots, links.pairs, fleet.latency)


@modest
@given(fleets(degree=st.integers(8, AMPLE)), st.randoms(use_true_random=False))
def test_after_a_member_left(fleet, random):
    gone = random.choice(fleet.spots)
    before = planned(fleet)
    rest = [spot for spot in fleet.spots if spot != gone]
    assume(all(gone.name not in spot.relays for spot in rest))
    kept = [ends for ends in before.pairs if gone.name not in ends]
    after = planned(fleet._replace(spots=rest), kept)
    assert set(kept) <= set(after.pairs)
    walk(rest, after.pairs, fleet.latency)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.swarm.node.plugins.plugin_utils.mesh import routes, topology
def spot(i):
    return topology.Spot(f"n{i}", f"r{i % 4}", i % 9 < 2, i % 3 > 0 or i % 9 < 2, (), i % 2 > 0)
spots = [spot(i) for i in range(90)]
latency = {(f"n{i}", f"n{i * 7 % 90}"): i / 3 for i in range(90)}
links = topology.plan_links(spots, topology.Limits(16, 6, 24), latency, [("n1", "n3"), ("n80", "n5")])
numbers = [64 * (i % 4) + i // 4 + 1 for i in range(90)]
places = [routes.Place(s.name, s.region, s.transit, n, n // 64) for n, s in zip(numbers, spots)]
table = routes.RouteTable(places, links.pairs, latency)
print(links, [table.next_hops(s.name) for s in spots])
"""


def test_seeds_of_hashes_do_not_matter(collections_path):
    found = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(collections_path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(found) == 1
    assert "n80" in found.pop()
