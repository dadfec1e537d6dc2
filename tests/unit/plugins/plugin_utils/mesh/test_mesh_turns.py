# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is to send to one destination by a new way."""

from __future__ import annotations

import random

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.turns import waiting


def ways(text: str) -> dict[str, set[str]]:
    """`a-b a-c d-` as: a may send to b and c, d to the destination."""
    found: dict[str, set[str]] = {}
    for word in text.split():
        one, other = word.split("-")
        found.setdefault(one, set()).update({other} - {""})
    return found


def wait(now: str, then: str, fixed: str = "") -> str:
    """Those who have to wait. then: the new ways alone"""
    graph = ways(now)
    wanted = {one: next(iter(ends), "") for one, ends in ways(then).items()}
    found = waiting(wanted, lambda name: graph.get(name, ()), set(fixed.split()))
    return " ".join(sorted(found))


@pytest.mark.parametrize(
    ("now", "then", "who"),
    [
        ("a- b-", "a-b", ""),  # nobody sends to a
        ("a-c b-c c-", "a-b", ""),
        ("a-b b-", "a- b-a", "b"),  # a and b swap: b may only when a no longer sends to it
        ("a-b a- b-", "b-a", "b"),  # it is not known whether a has changed
        ("a- b-", "b-a", ""),  # it is known
        ("a-b b-c c-", "c-b b-a a-", "b c"),  # a chain is turned: a, then b, then c
        ("a- b-c c-", "c-b b-a", "c"),
        ("a- b-a c-", "c-b", ""),
        ("a-b b- x-y y-", "a- b-a x- y-x", "b y"),  # two circles that have nothing to do with each other
        ("a-b b- l-a m-b", "a- b-a l-b m-a", "b"),  # who is in no circle does not wait
        ("a-b b-c c-d d-", "d-a c- b- a-c", "d"),
    ],
)
def test_who_waits(now: str, then: str, who: str) -> None:
    assert wait(now, then) == who


def test_who_has_no_way_that_it_could_keep_does_not_wait() -> None:
    assert wait("a-b b-", "a- b-a", fixed="b") == ""


def test_who_may_send_by_the_new_way_already_does_not_wait() -> None:
    assert wait("a-b b-a b-", "b-a") == ""


def tree(rng: random.Random, count: int) -> dict[str, str]:
    """Each one's next, "" for the destination."""
    names = [f"n{number}" for number in range(count)]
    rng.shuffle(names)
    return {name: rng.choice(["", *names[:at]]) for at, name in enumerate(names)}


def has_circle(graph: dict[str, set[str]]) -> bool:
    left = {name: set(ends) for name, ends in graph.items()}
    while True:
        ends = [name for name, found in left.items() if not found]
        if not ends:
            return bool(left)
        left = {name: found - set(ends) for name, found in left.items() if found}


@pytest.mark.parametrize("seed", range(60))
def test_whoever_has_changed_there_is_no_circle_and_all_have_changed_in_the_end(seed: int) -> None:
    rng = random.Random(seed)
    old, new = tree(rng, 12), tree(rng, 12)
    now = dict(old)
    sure: dict[str, set[str]] = {name: {end} - {""} for name, end in now.items()}
    for _step in range(13):
        wanted = {name: new[name] for name in new if new[name] != now[name]}
        if not wanted:
            break
        kept = waiting(wanted, sure.__getitem__)
        for name in wanted.keys() - kept:
            now[name] = new[name]
            sure[name].update({new[name]} - {""})
        assert not has_circle(sure), "a mixture of what anybody may use"
        for name in rng.sample(sorted(sure), rng.randint(0, 12)):  # they say that they have it
            sure[name] = {now[name]} - {""}
        if len(kept) == len(wanted):
            sure = {name: {end} - {""} for name, end in now.items()}
    else:
        for _step in range(13):
            sure = {name: {end} - {""} for name, end in now.items()}
            wanted = {name: new[name] for name in new if new[name] != now[name]}
            now.update({name: new[name] for name in wanted.keys() - waiting(wanted, sure.__getitem__)})
    assert now == new
