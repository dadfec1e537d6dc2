# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static routes, in small meshes that can be followed by hand."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.routes import Destination, Place, RouteTable
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.topology import Limits, plan_links
from mesh_planner_cases import Walker, home, hub, leaf, places, walk

ALL = Destination("all", 0)


def to(*numbers: int) -> list[Destination]:
    return [Destination("member", number) for number in numbers]


def block(*numbers: int) -> list[Destination]:
    return [Destination("block", number) for number in numbers]


def place(name: str, number: int, region: str = "fra", transit: bool = False) -> Place:
    return Place(name, region, transit, number, number // 64)


def table(members, links: str, latency=None) -> RouteTable:
    """links: `a-b a-c`."""
    ends = []
    for word in links.split():
        one, other = word.split("-")
        ends.append((one, other))
    return RouteTable(members, ends, latency or {})


class TestOneRegion:
    MEMBERS = (place("a", 1), place("b", 2), place("g", 3, transit=True), place("h", 4, transit=True))

    def test_direct_neighbours_directly_all_else_to_the_hub(self):
        found = table(self.MEMBERS, "a-b a-g b-h g-h")
        assert found.next_hops("a") == {"b": to(2), "g": [ALL, *to(3)]}
        assert found.next_hops("b") == {"a": to(1), "h": [ALL, *to(4)]}
        assert found.next_hops("g") == {"a": to(1), "h": to(2, 4)}
        assert found.next_hops("h") == {"b": to(2), "g": to(1, 3)}
        Walker(self.MEMBERS, found).check_all()

    @pytest.mark.parametrize(
        ("latency", "hub_"),
        [({}, "g"), ({("a", "g"): 9}, "h"), ({("h", "a"): 9}, "g"), ({("a", "g"): 0, ("a", "h"): 0}, "g")],
    )
    def test_a_leaf_takes_the_nearest_hub(self, latency, hub_):
        found = table(self.MEMBERS, "a-g a-h b-g b-h g-h", latency)
        assert ALL in found.next_hops("a")[hub_]

    def test_a_direct_link_is_taken_even_where_it_is_slow(self):
        found = table(self.MEMBERS, "a-g a-h b-g b-h g-h", {("g", "b"): 1000, ("g", "h"): 1, ("h", "b"): 1})
        assert found.next_hops("g")["b"] == to(2)

    def test_a_hub_takes_the_fast_way_to_a_leaf(self):
        members = (*self.MEMBERS, place("i", 5, transit=True))
        found = table(members, "a-g g-h g-i b-h b-i h-i", {("g", "h"): 10, ("h", "b"): 10, ("g", "i"): 4})
        assert found.next_hops("g") == {"a": to(1), "h": to(4), "i": to(2, 5)}

    def test_a_mesh_without_hubs_is_direct(self):
        members = self.MEMBERS[:2]
        found = table(members, "a-b")
        assert found.next_hops("a") == {"b": to(2)}
        assert found.cut_off == []

    def test_alone(self):
        assert table(self.MEMBERS[:1], "").next_hops("a") == {}
        assert table([], "").cut_off == []

    def test_who_is_cut_off_is_named_and_left_out(self):
        found = table(self.MEMBERS, "a-g g-h")
        assert found.cut_off == ["b"]
        assert found.next_hops("b") == {}
        assert found.next_hops("h") == {"g": to(1, 3)}

    def test_a_leaf_does_not_send_to_a_hub_that_is_cut_off(self):
        members = (*self.MEMBERS, place("i", 5, transit=True))
        found = table(members, "a-i a-g b-h g-h", {("a", "i"): 0, ("a", "g"): 100})
        assert found.cut_off == ["i"]
        assert found.next_hops("a") == {"g": [ALL, *to(3)], "i": to(5)}

    def test_unknown_member(self):
        with pytest.raises(KeyError):
            table(self.MEMBERS, "").next_hops("nobody")


class TestRegions:
    MEMBERS = (
        place("fa", 1, "fra"),
        place("fg", 2, "fra", transit=True),
        place("fh", 3, "fra", transit=True),
        place("ma", 65, "ams"),
        place("mg", 66, "ams", transit=True),
        place("mh", 67, "ams", transit=True),
    )
    LINKS = "fa-fg fa-fh fg-fh ma-mg ma-mh mg-mh fg-mg fh-mh"

    def test_blocks_go_to_the_nearest_hub_of_their_region(self):
        found = table(self.MEMBERS, self.LINKS)
        assert found.next_hops("fg") == {"fa": to(1), "fh": to(3), "mg": block(1) + to(66)}
        assert found.next_hops("mh") == {"fh": block(0) + to(3), "ma": to(65), "mg": to(66)}
        Walker(self.MEMBERS, found).check_all()

    def test_nearest_by_delay_not_by_hops(self):
        latency = {("fg", "mg"): 90, ("fh", "mh"): 10, ("fg", "fh"): 1}
        found = table(self.MEMBERS, self.LINKS, latency)
        assert found.next_hops("fg") == {"fa": to(1), "fh": block(1) + to(3), "mg": to(66)}
        Walker(self.MEMBERS, found).check_all()

    def test_inside_a_region_packets_stay_there(self):
        """Over mg it would be faster, but mg sends the block to its nearest hub of the region: fg."""
        latency = {("fg", "fh"): 100, ("fg", "mg"): 1, ("fh", "mg"): 2}
        found = table(self.MEMBERS, "fa-fh fg-fh ma-mg ma-mh mg-mh fg-mg fh-mg", latency)
        assert found.next_hops("mg")["fg"] == block(0) + to(2)
        assert found.next_hops("fg") == {"fh": to(1, 3), "mg": block(1) + to(66)}
        Walker(self.MEMBERS, found).check_all()

    def test_a_region_whose_hubs_meet_only_outside_is_routed_singly(self):
        found = table(self.MEMBERS, self.LINKS.replace(" mg-mh", ""))
        assert found.next_hops("fg") == {"fa": to(1), "fh": to(3, 67), "mg": to(65, 66)}
        assert found.next_hops("mg") == {"fg": block(0) + to(2, 67), "ma": to(65)}
        Walker(self.MEMBERS, found).check_all()

    def test_a_member_linked_only_to_hubs_of_another_region(self):
        found = table(self.MEMBERS, self.LINKS.replace("ma-mg ma-mh", "fg-ma fh-ma"))
        assert found.next_hops("mg") == {"fg": block(0) + to(2, 65), "mh": to(67)}
        assert found.next_hops("fg")["ma"] == to(65)
        Walker(self.MEMBERS, found).check_all()

    def test_a_member_that_moved_keeps_its_number(self):
        members = [place("fa", 1, "ams"), *self.MEMBERS[1:]]
        found = table(members, self.LINKS.replace("fa-fg fa-fh", "fa-mg fa-mh"))
        assert found.next_hops("fg") == {"fh": to(3), "mg": block(1) + to(1, 66)}
        Walker(members, found).check_all()

    def test_a_region_without_hubs_is_routed_singly(self):
        members = (*self.MEMBERS, place("home", 129, "home"))
        found = table(members, self.LINKS + " home-fg home-mg")
        assert found.next_hops("home") == {"fg": [ALL, *to(2)], "mg": to(66)}
        assert found.next_hops("mh") == {"fh": block(0) + to(3), "ma": to(65), "mg": to(66, 129)}
        Walker(members, found).check_all()

    def test_a_region_of_several_blocks(self):
        spots = [
            hub("f1"),
            hub("f2"),
            hub("m1", "ams"),
            hub("m2", "ams"),
            *(home(f"n{n:03d}", "fra") for n in range(150)),
        ]
        links = plan_links(spots, Limits(16, 2, 160), {}, ())
        members = places(spots)
        found = RouteTable(members, links.pairs, {})
        blocks = [end for ends in found.next_hops("m1").values() for end in ends if end.kind == "block"]
        assert sorted(blocks) == block(1, 2, 3)
        Walker(members, found).check_all()

    def test_routes_of_a_hub_do_not_grow_with_other_regions(self):
        spots = [
            hub(f"{region}{n}", region) if n < 4 else leaf(f"{region}{n:02d}", region)
            for region in ("a", "b", "c", "d")
            for n in range(30)
        ]
        links = plan_links(spots, Limits(16, 6, 24), {}, ())
        found = RouteTable(places(spots), links.pairs, {})
        hops = found.next_hops("a0")
        outside = [end for ends in hops.values() for end in ends if end.kind == "block"]
        direct_outside = [name for name in hops if not name.startswith("a")]
        assert len(outside) == 3
        assert sum(len(ends) for ends in hops.values()) == 29 + len(direct_outside) + 3
        walk(spots, links.pairs, {})


@pytest.mark.parametrize(
    "latency",
    [
        {("fg", "mg"): 0.0, ("fh", "mh"): 0.0, ("fg", "fh"): 0.0, ("mg", "mh"): 0.0, ("fa", "fg"): 0.0},
        {("fg", "mg"): float("inf"), ("mh", "fh"): 1e300, ("fg", "fh"): 1e12},
        {("fg", "mg"): 1e-9, ("mg", "fg"): 7.0, ("mh", "fh"): 6.9},
        {("fg", "mg"): 0.1 + 0.2, ("fh", "mh"): 0.3},
    ],
)
def test_odd_delays(latency):
    found = table(TestRegions.MEMBERS, TestRegions.LINKS, latency)
    Walker(TestRegions.MEMBERS, found).check_all()


def test_of_two_measurements_of_a_link_the_larger_counts():
    latency = {("fg", "mg"): 1.0, ("mg", "fg"): 70.0, ("fh", "mh"): 20.0, ("fg", "fh"): 1.0}
    found = table(TestRegions.MEMBERS, TestRegions.LINKS, latency)
    assert block(1)[0] in found.next_hops("fg")["fh"]


def test_growth_moves_few_routes():
    """A join does not touch routes of members that have no link to it, but for hubs of its region."""
    spots = [
        hub(f"{region}{n}", region) if n < 3 else leaf(f"{region}{n:02d}", region)
        for region in ("a", "b", "c")
        for n in range(12)
    ]
    limits = Limits(16, 4, 24)
    members = [*places(spots), Place("new", "a", False, 60, 0)]
    before = plan_links(spots, limits, {}, ())
    after = plan_links([*spots, leaf("new", "a")], limits, {}, before.pairs, ["new"])
    old, new = RouteTable(members[:-1], before.pairs, {}), RouteTable(members, after.pairs, {})
    touched = {end for ends in after.pairs if "new" in ends for end in ends} | {"a0", "a1", "a2"}
    assert {spot.name for spot in spots if old.next_hops(spot.name) != new.next_hops(spot.name)} <= touched
