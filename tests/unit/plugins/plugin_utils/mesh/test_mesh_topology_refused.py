# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner of the mesh refuses, and in which words."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.topology import Limits
from mesh_planner_cases import (
    SPARSE,
    home,
    hub,
    leaf,
    plan,
    refusal,
)


class TestRefused:
    def test_no_transit_beyond_the_limit(self):
        text = refusal([leaf(f"n{n}") for n in range(17)])
        assert text == (
            "full_mesh_up_to: 16 is refused; allowed: 17 or more, or members with transit: true; "
            "none of the 17 members has it"
        )

    def test_two_behind_nat_without_a_relay(self):
        text = refusal([leaf("a"), home("b"), home("c")])
        assert "b and c cannot reach each other" in text
        assert "behind NAT" in text

    def test_many_pairs_are_counted(self):
        text = refusal([home(f"n{n}") for n in range(6)])
        assert text.count("behind NAT") == 10
        assert "5 more pairs" in text

    def test_behind_nat_where_all_hubs_are_too(self):
        spots = [hub("g", "x", reachable=False), *(leaf(f"n{n}") for n in range(5)), home("a")]
        text = refusal(spots, SPARSE)
        assert "a and g cannot reach each other" in text
        assert "n0" not in text

    def test_hubs_behind_nat_apart(self):
        spots = [hub("x", "x", reachable=False), hub("y", "y", reachable=False), leaf("a")]
        assert "x and y cannot reach each other" in refusal(spots)
        assert "x and y cannot reach each other" in refusal(spots, SPARSE)

    @pytest.mark.parametrize(
        ("relay", "allowed"),
        [
            ("nobody", "a member of the mesh"),
            ("a", "another member"),
            ("l", "a member with transit: true"),
            ("n", "a member that this one can call; both are behind NAT or have no endpoint"),
        ],
    )
    def test_relays(self, relay, allowed):
        spots = [hub("g"), hub("n", reachable=False), leaf("l"), home("a", relays=("g", relay))]
        assert refusal(spots) == f"relays: {relay!r} on a is refused; allowed: {allowed}"

    def test_full_mesh_larger_than_the_degree(self):
        text = refusal([leaf(f"n{n}") for n in range(10)], Limits(16, 6, 8))
        assert text == (
            "full_mesh_up_to: 16 is refused; allowed: up to 9, or a max_degree of 9: there are 10 members"
        )

    @pytest.mark.parametrize("degree", [6, 8, 11])
    def test_hubs_without_places(self, degree):
        """Following the advice, whichever, leads to a plan."""
        leaves = [home(f"n{n:02d}") for n in range(20)]
        text = refusal([hub("g0"), hub("g1"), *leaves], Limits(0, 3, degree))
        need, more = text.split("at least ")[1:]
        enough, hubs = int(need.split(",")[0]), int(more.split(" ")[0])
        assert f"max_degree: {degree} is refused" in text
        assert enough == 21
        assert plan([hub("g0"), hub("g1"), *leaves], Limits(0, 3, enough)).pairs
        with pytest.raises(BindError):
            plan([hub("g0"), hub("g1"), *leaves], Limits(0, 3, enough - 1))
        assert plan([*(hub(f"g{n}") for n in range(2 + hubs)), *leaves], Limits(0, 3, degree)).pairs

    @pytest.mark.parametrize(
        ("limits", "text"),
        [
            (Limits(-1, 6, 24), "full_mesh_up_to: -1 is refused; allowed: 0 or more"),
            (Limits(16, 1, 24), "neighbours: 1 is refused; allowed: 2 or more"),
            (Limits(16, 2, 1), "max_degree: 1 is refused; allowed: 2 or more"),
            (Limits(16, 9, 8), "neighbours: 9 is refused; allowed: up to max_degree (8)"),
        ],
    )
    def test_limits(self, limits, text):
        assert refusal([leaf("a")], limits) == text

    def test_names_twice_and_links_of_nobody(self):
        text = refusal([leaf("a"), leaf("a"), leaf("b")], kept=[("a", "c"), ("b", "b")], only_for=["d"])
        assert "members: 'a' is refused; allowed: each name once" in text
        assert "links: ['a', 'c'] is refused" in text
        assert "links: ['b', 'b'] is refused" in text
        assert "join: 'd' is refused" in text

    @pytest.mark.parametrize("value", [float("nan"), -0.1])
    def test_latency(self, value):
        text = refusal([leaf("a"), leaf("b")], latency={("a", "b"): value})
        assert text == f"latency: {value!r} on a and b is refused; allowed: 0 or more, in ms"
