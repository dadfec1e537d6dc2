# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is linked to whom, in small meshes; what a join changes."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.topology import Limits
from mesh_planner_cases import (
    SPARSE,
    apart,
    degrees,
    home,
    hub,
    hub_links,
    leaf,
    pairs,
    plan,
    refusal,
)


@pytest.mark.parametrize(
    ("spots", "expected"),
    [
        ([], ""),
        ([leaf("a")], ""),
        ([home("a")], ""),
        ([leaf("b"), leaf("a")], "a-b"),
        ([leaf("a"), home("b")], "a-b"),
        ([leaf("a"), leaf("b"), leaf("c")], "a-b a-c b-c"),
        # Two homes need a way over a hub, and have it.
        ([hub("g"), home("a"), home("b")], "a-g b-g"),
        # In one region, with addresses there, they call each other.
        ([home("a", local=True), home("b", local=True)], "a-b"),
        ([hub("g"), home("a", local=True), home("b", local=True)], "a-b a-g b-g"),
        ([hub("g"), home("a", local=True), home("b", "other", local=True)], "a-g b-g"),
        ([hub("g"), home("a", local=True), home("b")], "a-g b-g"),
        # Of two hubs behind NAT, a third is the way.
        ([hub("x", reachable=False), hub("y", reachable=False), hub("z")], "x-z y-z"),
    ],
)
def test_full_mesh(spots, expected):
    links = plan(spots)
    assert links.pairs == pairs(expected)
    assert links.notes == []


def test_sparse_mesh_by_latency():
    spots = [hub("g1"), hub("g2"), hub("g3"), *(leaf(name) for name in "abc")]
    latency = {("g1", "a"): 1, ("a", "g2"): 2, ("g3", "a"): 9, ("g3", "b"): 1, ("g2", "b"): 2, ("b", "g1"): 9}
    latency.update(
        {("c", "g1"): 1, ("c", "g3"): 2, ("c", "g2"): 9, ("a", "b"): 30, ("c", "a"): 20, ("b", "c"): 10}
    )
    links = plan(spots, Limits(4, 3, 8), latency)
    assert links.pairs == pairs(
        "a-b a-g1 a-g2 b-c b-g2 b-g3 c-g1 c-g3 g1-g2 g1-g3 g2-g3"
    ) or links.pairs == pairs("a-c a-g1 a-g2 b-c b-g2 b-g3 c-g1 c-g3 g1-g2 g1-g3 g2-g3")
    assert links.notes == []


def test_relays_come_first():
    spots = [hub(f"g{n}") for n in range(4)] + [home("a", relays=("g3", "g1")), home("b", relays=("g2",))]
    latency = {("a", "g0"): 0.1, ("b", "g0"): 0.1, ("a", "g3"): 500, ("a", "g1"): 500, ("b", "g2"): 500}
    links = plan(spots, SPARSE, latency)
    assert hub_links(links, "a", ["g0", "g1", "g2", "g3"]) == {"g1", "g3"}
    assert hub_links(links, "b", ["g0", "g1", "g2", "g3"]) == {"g0", "g2"}


def test_all_relays_are_linked():
    spots = [hub(f"g{n}") for n in range(5)] + [home("a", relays=("g4", "g3", "g2"))]
    assert hub_links(plan(spots, SPARSE), "a", ["g0", "g1", "g2", "g3", "g4"]) == {"g2", "g3", "g4"}


def test_own_region_before_others():
    spots = [hub("f1"), hub("f2"), hub("m1", "ams"), hub("m2", "ams"), leaf("a"), leaf("b", "ams")]
    links = plan(spots, SPARSE)
    hubs = ["f1", "f2", "m1", "m2"]
    assert hub_links(links, "a", hubs) == {"f1", "f2"}
    assert hub_links(links, "b", hubs) == {"m1", "m2"}
    assert {ends for ends in links.pairs if {end[0] for end in ends} == {"f", "m"}} in (
        set(pairs("f1-m1 f2-m2")),
        set(pairs("f1-m2 f2-m1")),
    )


def test_region_without_hubs_takes_the_nearest_region():
    spots = [*(hub(f"{r}{n}", r) for r in "xyz" for n in range(2)), home("a", "home"), home("b", "home")]
    links = plan(spots, Limits(0, 2, 8), {("b", "y0"): 3, ("b", "x0"): 30})
    hubs = [spot.name for spot in spots if spot.transit]
    assert hub_links(links, "b", hubs) >= {"y0"}
    assert hub_links(links, "a", hubs) == {"y0", "y1"}


def test_leaves_are_spread_over_hubs():
    spots = [*(hub(f"g{n}") for n in range(4)), *(home(f"n{n:02d}") for n in range(20))]
    links = plan(spots, Limits(16, 6, 20))
    found = degrees(links.pairs)
    assert [found[f"g{n}"] for n in range(4)] == [13] * 4
    assert {found[f"n{n:02d}"] for n in range(20)} == {2}


def test_leaves_behind_nat_choose_first():
    """They can only be linked to hubs that can be called; the others find places elsewhere."""
    spots = [hub("g1"), hub("g2"), hub("n1", "x", reachable=False), hub("n2", "y", reachable=False)]
    spots += [*(leaf(f"a{n}") for n in range(5)), *(home(f"z{n}") for n in range(5))]
    links = plan(spots, Limits(0, 2, 8))
    hubs = ["g1", "g2", "n1", "n2"]
    assert all(hub_links(links, f"z{n}", hubs) == {"g1", "g2"} for n in range(5))
    assert all(hub_links(links, f"a{n}", hubs) == {"n1", "n2"} for n in range(5))


def test_the_few_hubs_that_can_be_called_are_found_among_many():
    spots = [hub("g1"), hub("g2"), *(hub(f"n{n:02d}", reachable=False) for n in range(90))]
    homes = [home(f"z{n}", "fra") for n in range(9)]
    links = plan([*spots, *homes], Limits(0, 2, 200))
    assert all({(hub_, spot.name) for hub_ in ("g1", "g2")} <= set(links.pairs) for spot in homes)


def test_links_to_near_members_leave_places_for_hubs():
    """Two each, so that other hubs can come before old links go."""
    spots = [*(hub(f"g{n}") for n in range(9)), *(leaf(f"n{n:02d}") for n in range(12))]
    found = degrees(plan(spots, Limits(0, 7, 7)).pairs)
    assert max(found[f"n{n:02d}"] for n in range(12)) == 5


def test_a_leaf_that_many_can_only_call_is_not_overrun():
    spots = [*(hub(f"g{n}") for n in range(4)), leaf("a"), *(home(f"z{n:02d}", "fra") for n in range(25))]
    found = degrees(plan(spots, Limits(0, 3, 24)).pairs)
    assert found["a"] == 6


def test_hubs_of_a_region_are_meshed_regions_linked_by_two():
    spots = [hub(f"{region}{n}", region) for region in "abc" for n in range(3)]
    links = plan(spots, Limits(0, 6, 24))
    inside = [ends for ends in links.pairs if ends[0][0] == ends[1][0]]
    between = [ends[0][0] + ends[1][0] for ends in links.pairs if ends not in inside]
    assert len(inside) == 9
    assert sorted(between) == ["ab", "ab", "ac", "ac", "bc", "bc"]
    for two in ("ab", "ac", "bc"):
        ends = [end for one in links.pairs if one[0][0] + one[1][0] == two for end in one]
        assert len(set(ends)) == 4


def test_many_hubs_of_a_region_are_not_meshed():
    names = [f"g{n:03d}" for n in range(100)]
    spots = [hub(name) for name in names]
    links = plan(spots, Limits(16, 6, 24))
    assert set(degrees(links.pairs).values()) == {6}
    assert all(apart(spots, links.pairs, without=name) == [] for name in names[::10])


def test_hubs_behind_nat_are_linked_to_two_that_can_be_called():
    spots = [
        hub("g1"),
        hub("g2"),
        hub("n1", "home", reachable=False),
        hub("n2", "x", reachable=False),
        leaf("a"),
    ]
    links = plan(spots, SPARSE)
    assert set(pairs("g1-n1 g2-n1 g1-n2 g2-n2 g1-g2")) <= set(links.pairs)
    assert not {("n1", "n2")} & set(links.pairs)
    assert links.notes == []


def test_places_are_kept_for_leaves_to_come():
    """Shorter paths are worth less than a member that may join."""
    hubs = [hub(f"g{n}") for n in range(6)]
    many = plan([*hubs, *(home(f"n{n:02d}") for n in range(50))], Limits(0, 2, 20))
    assert len(many.pairs) == 2 * 50 + 6
    assert many.notes == ["Longer paths than need be, as transit members have few places left: fra."]
    few = plan([*hubs, *(home(f"n{n:02d}") for n in range(40))], Limits(0, 2, 20))
    assert len(few.pairs) == 2 * 40 + 15
    assert few.notes == []


def test_one_hub_is_allowed_and_said():
    spots = [hub("g"), *(home(f"n{n}") for n in range(5))]
    links = plan(spots, SPARSE)
    assert links.pairs == [("g", f"n{n}") for n in range(5)]
    assert links.notes == [
        "Only one transit member can be linked to by n0, n1, n2, n3, n4: no second path if it fails."
    ]


def test_a_hub_that_cannot_be_bypassed_is_said():
    spots = [hub("g"), hub("n1", "x", reachable=False), hub("n2", "y", reachable=False), leaf("a")]
    links = plan(spots, SPARSE)
    assert "cannot reach each other without g" in links.notes[0]


class TestGrowth:
    def test_join_adds_only_links_of_the_joining(self):
        spots = [hub(f"g{n}") for n in range(4)] + [leaf(f"n{n:02d}") for n in range(14)]
        before = plan(spots, Limits(16, 4, 24))
        after = plan([*spots, leaf("new")], Limits(16, 4, 24), kept=before.pairs, only_for=["new"])
        added = set(after.pairs) - set(before.pairs)
        assert set(before.pairs) < set(after.pairs)
        assert len(added) == 4
        assert len([ends for ends in added if ends[0].startswith("g")]) == 2

    def test_full_mesh_grows_beyond_its_limit(self):
        spots = [hub("g1"), hub("g2"), leaf("a"), leaf("b")]
        limits = Limits(4, 2, 8)
        before = plan(spots, limits)
        assert len(before.pairs) == 6
        after = plan([*spots, home("c")], limits, kept=before.pairs, only_for=["c"])
        assert after.pairs == sorted([*before.pairs, ("c", "g1"), ("c", "g2")])

    def test_second_hub_takes_leaves_that_have_one(self):
        spots = [hub("g1"), *(home(f"n{n}") for n in range(3))]
        before = plan(spots, SPARSE)
        after = plan([*spots, hub("g2")], SPARSE, kept=before.pairs, only_for=["g2"])
        assert after.pairs == sorted([*before.pairs, *pairs("g1-g2 g2-n0 g2-n1 g2-n2")])
        assert after.notes == []

    def test_kept_links_stay_where_a_plan_would_not_choose_them(self):
        spots = [
            hub("g1"),
            hub("g2"),
            hub("g3"),
            *(home(f"n{n}") for n in range(4)),
            leaf("a"),
            leaf("b", "x"),
        ]
        fresh, wish = plan(spots, SPARSE), ("a", "n3")
        assert wish not in fresh.pairs
        assert wish in plan(spots, SPARSE, kept=[wish[::-1]]).pairs

    def test_kept_links_nobody_can_make_any_more(self):
        spots = [hub("g1"), hub("g2"), home("a"), home("b")]
        links = plan(spots, SPARSE, kept=[("a", "b")])
        assert ("a", "b") in links.pairs
        assert links.dead == [("a", "b")]
        assert links.notes == ["Kept links of which neither end can be called any more: a and b."]

    def test_a_dead_link_to_a_hub_is_replaced(self):
        spots = [hub("g1"), hub("g2"), hub("g3", "x", reachable=False), home("a")]
        links = plan(spots, SPARSE, kept=[("a", "g3")])
        assert hub_links(links, "a", ["g1", "g2", "g3"]) == {"g1", "g2", "g3"}

    def test_more_kept_links_than_allowed_are_kept_and_said(self):
        spots = [*(hub(f"g{n}") for n in range(4)), *(leaf(name) for name in "abcde")]
        kept = pairs("a-b a-c a-d a-e a-g0 a-g1")
        links = plan(spots, Limits(0, 2, 5), kept=kept)
        assert set(kept) <= set(links.pairs)
        assert hub_links(links, "a", ["g0", "g1", "g2", "g3"]) == {"g0", "g1"}
        assert "More kept links than max_degree (5): a." in links.notes

    def test_kept_links_that_leave_no_place_for_hubs(self):
        spots = [hub("g1"), hub("g2"), *(leaf(name) for name in "abcd")]
        text = refusal(spots, Limits(0, 2, 4), kept=pairs("a-b a-c a-d a-g1"))
        assert text == (
            "max_degree: 4 on a is refused; allowed: 5 or more: "
            "its links leave no place for 1 to transit members"
        )

    def test_a_hub_that_somebody_cannot_reach_is_refused(self):
        """Without hubs all were linked to all; the new hub and a home are both behind NAT."""
        spots = [home("a"), leaf("b"), leaf("c")]
        before = plan(spots)
        with pytest.raises(BindError, match="a and new cannot reach each other"):
            plan([*spots, hub("new", reachable=False)], kept=before.pairs, only_for=["new"])

    def test_a_plan_that_is_complete_stays_so(self):
        """One of the hubs of fra can be called, and one link from there to x is all there should be."""
        spots = [hub(f"n{n:02d}", "fra", reachable=False) for n in range(14)]
        spots += [hub("n14", "fra"), hub("n15", "ams"), hub("n16", "home")]
        spots += [hub(name, "x", reachable=False) for name in ("n17", "n18")]
        links = plan(spots, Limits(0, 2, 15))
        assert plan(spots, Limits(0, 2, 15), kept=links.pairs).pairs == links.pairs

    def test_others_apart_do_not_stop_a_join(self):
        spots = [hub("g1"), hub("g2"), home("a"), home("b"), home("new")]
        links = plan(spots, SPARSE, kept=pairs("a-g1 a-g2 g1-g2"), only_for=["new"])
        assert links.pairs == pairs("a-g1 a-g2 g1-g2 g1-new g2-new")
        assert any("b" in note and "Plan the mesh again" in note for note in links.notes)
