# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving settings back: what is no longer asked for, and pairs of keys of which one zeroes the other."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.kernel.model import Live
from ansible_collections.swarm.node.plugins.module_utils.kernel.plan import plan_kernel
from kernel_cases import OURS, applied, claims_of, plan, reasons, record, state, steps, undone, values

SWAP = "vm.swappiness"
MAPS = "vm.max_map_count"
RATIO, BYTES = "vm.dirty_ratio", "vm.dirty_bytes"


def run(node, claims, wishes):
    """Applies a plan. Returns (plan, node, claims) afterwards, having checked that it can be undone."""
    found = plan(wishes, node, claims)
    after = applied(node, found)
    assert values(undone(after, found)) == values(node)
    return found, after, claims_of(found)


def test_absent_restores_the_first_values_and_removes_the_file():
    first = state()
    _found, node, claims = run(first, {}, {SWAP: 10, MAPS: ">=100000"})
    _found, node, claims = run(node, claims, {})
    assert values(node) == values(first)
    assert node.files[OURS] is None
    assert claims == {}
    assert plan({}, node, claims).changes == []


def test_a_changed_second_state_releases_only_what_is_left_out():
    _found, node, claims = run(state(), {}, {SWAP: 10, MAPS: 100000})
    found, node, claims = run(node, claims, {MAPS: 200000})
    assert steps(found) == [(MAPS, "100000", "200000"), (SWAP, "10", "60")]
    assert claims == {MAPS: ("65530", "200000")}
    assert (found.before[SWAP], found.after[SWAP]) == ("10", "60")


def test_what_others_changed_since_stays():
    _found, node, claims = run(state(), {}, {SWAP: 10})
    node.live[SWAP] = Live(True, "33", True)
    found, node, claims = run(node, claims, {})
    assert steps(found) == []
    assert node.live[SWAP].value == "33"
    assert claims == {}
    assert any("'33', not the '10'" in note for note in found.notes)


def test_a_value_that_went_back_by_itself_needs_no_note():
    found = plan({}, state({SWAP: "60"}), {SWAP: ("60", "10")})
    assert (steps(found), found.notes) == ([], [])
    assert [item.key for item in found.changes] == ["record"]


def test_first_seen_unknown_stays_and_says_so():
    found = plan({}, state({SWAP: "10"}), {SWAP: (None, "10")})
    assert steps(found) == []
    assert any("not known" in note for note in found.notes)


def test_a_key_that_cannot_be_written_now_is_not_forgotten():
    node = state(vm__swappiness=Live(True, "10", False))
    found = plan({}, node, {SWAP: ("60", "10")})
    assert reasons(found) == [(SWAP, "readonly")]
    assert claims_of(found) == {SWAP: ("60", "10")}
    assert found.changes == []


def test_a_key_that_is_gone_is_let_go():
    found = plan({}, state(), {"kernel.absent": ("1", "2")})
    assert claims_of(found) == {}
    assert [item.key for item in found.changes] == ["record"]


@pytest.mark.parametrize("wish", [{BYTES: 1048576}, {RATIO: 10}])
def test_of_a_pair_one_value_comes_back_and_zero_is_never_written(wish):
    first = state()
    _found, node, claims = run(first, {}, wish)
    _found, node, claims = run(node, claims, {})
    assert values(node) == values(first)
    assert claims == {}


def test_the_implied_zero_is_in_the_plan_and_not_in_the_file():
    found, node, claims = run(state(), {}, {BYTES: 1048576})
    assert [(item.key, item.after, item.implied) for item in found.changes[:2]] == [
        (RATIO, "0", True),
        (BYTES, "1048576", False),
    ]
    assert RATIO not in node.files[OURS]
    assert claims == {BYTES: ("0", "1048576"), RATIO: ("20", "0")}


@pytest.mark.parametrize(
    "wishes",
    [({RATIO: 10}, {BYTES: 1048576}), ({BYTES: 1048576}, {RATIO: 10}), ({BYTES: 4096000}, {BYTES: 8192})],
)
def test_from_one_of_a_pair_to_the_other_and_back_to_the_first_value(wishes):
    first = state()
    node = first
    claims: dict[str, Claim] = {}
    for wish in wishes:
        _found, node, claims = run(node, claims, wish)
        second = plan(wish, node, claims)
        assert (second.changes, second.notes) == ([], [])
    found, node, claims = run(node, claims, {})
    assert values(node) == values(first)
    assert found.notes == []
    assert claims == {}


def test_drift_to_the_other_of_a_pair_is_undone_and_not_taken_for_a_first_value():
    first = state()
    _found, node, claims = run(first, {}, {RATIO: 10})
    node.live[RATIO], node.live[BYTES] = Live(True, "0", True), Live(True, "999424", True)
    _found, node, claims = run(node, claims, {RATIO: 10})
    assert (node.live[RATIO].value, node.live[BYTES].value) == ("10", "0")
    _found, node, claims = run(node, claims, {})
    assert values(node) == values(first)


def test_bytes_whose_rival_was_changed_by_others_stay():
    """Nothing could be written: 0 is refused, and the share of memory is no longer ours to set."""
    node = state({RATIO: "0", BYTES: "1048576"})
    found = plan({}, node, {BYTES: ("0", "1048576")})
    assert steps(found) == []
    assert any("not known" in note for note in found.notes)


def test_a_pair_asked_for_with_one_zero():
    _found, node, claims = run(state(), {}, {RATIO: 0, BYTES: 1048576})
    assert node.live[BYTES].value == "1048576"
    assert plan({RATIO: 0, BYTES: 1048576}, node, claims).changes == []
    _found, node, _claims = run(node, claims, {})
    assert values(node) == values(state())


def test_removal_does_not_look_at_other_owners():
    assert steps(plan_kernel([], state({SWAP: "10"}), record({SWAP: ("60", "10")}), {SWAP: "other"}))
