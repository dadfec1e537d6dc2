# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search: what it finds fits, keeps most, harms least, as trying everything would."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.fit import (
    Arrangement,
    Held,
    Piece,
    Room,
    arrange,
    most,
    some,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from mig_boards import A30, H100

ROOM = Room(
    {name: item.places for name, item in H100.items()}, {name: item.limit for name, item in H100.items()}
)
SMALL = Room(
    {name: item.places for name, item in A30.items()}, {name: item.limit for name, item in A30.items()}
)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("1g.10gb", 7),
        ("1g.10gb+me", 1),
        ("1g.20gb", 4),
        ("2g.20gb", 3),
        ("3g.40gb", 2),
        ("4g.40gb", 1),
        ("7g.80gb", 1),
    ],
)
def test_how_many_fit(kind: str, count: int) -> None:
    assert most(kind, ROOM) == count


@pytest.mark.parametrize(
    ("kinds", "fits"),
    [
        (["4g.40gb", "3g.40gb"], True),
        (["4g.40gb", "2g.20gb", "1g.10gb"], True),
        (["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"], True),
        (["3g.40gb", "3g.40gb", "1g.10gb"], False),
        (["2g.20gb", "2g.20gb", "2g.20gb", "1g.10gb"], True),
        (["2g.20gb", "2g.20gb", "2g.20gb", "1g.10gb", "1g.10gb"], False),
        (["1g.20gb"] * 4 + ["1g.10gb"], False),
        (["7g.80gb", "1g.10gb"], False),
    ],
)
def test_what_fits_together(kinds: list[str], fits: bool) -> None:
    assert (arrange((), [Piece(kind) for kind in kinds], ROOM) is not None) == fits


def test_small_things_leave_the_beginning_to_large_ones() -> None:
    found = arrange((), [Piece("1g.10gb"), Piece("2g.20gb")], ROOM)
    assert found is not None and {place for _piece, place in found.made} == {(4, 2), (6, 1)}
    alone = arrange((), [Piece("3g.40gb")], ROOM)
    assert alone is not None and alone.made == ((Piece("3g.40gb"), (4, 4)),)


def test_some_of_too_many() -> None:
    wished = [Piece("3g.40gb")] * 3 + [Piece("1g.10gb")]
    assert some(wished, ROOM) == [Piece("3g.40gb")] * 2


def test_a_fixed_place_is_kept_or_nothing() -> None:
    assert arrange((), [Piece("3g.40gb", 0), Piece("3g.40gb", 0)], ROOM) is None
    found = arrange([Held("3g.40gb", 4, 4)], [Piece("3g.40gb", 0)], ROOM)
    assert found is not None and found.gone == (0,) and found.made == ((Piece("3g.40gb", 0), (0, 4)),)


def test_what_is_in_use_is_destroyed_last() -> None:
    """Two idle ones go rather than one in use; the one in use only where nothing else helps."""
    used, idle = (1, 1), (0, 1)
    held = [Held("1g.10gb", 0, 1, used), Held("1g.10gb", 4, 1, idle), Held("1g.10gb", 5, 1, idle)]
    found = arrange(held, [Piece("3g.40gb"), Piece("1g.10gb")], ROOM)
    assert found is not None and found.gone == (1, 2) and found.made[0][1] == (4, 4)
    blocked = arrange([*held, Held("1g.10gb", 6, 1, used)], [Piece("3g.40gb"), Piece("3g.40gb")], ROOM)
    assert blocked is not None and blocked.cost[0] == 2


def test_the_price_of_keeping_counts() -> None:
    held = [Held("1g.10gb", 0, 1), Held("1g.10gb", 1, 1)]
    found = arrange(held, [Piece("1g.10gb")], ROOM, lambda index, piece: (0,) if index else None)
    assert found is not None and found.kept == ((1, Piece("1g.10gb")),)


# -- properties


@st.composite
def rows(draw: st.DrawFn, room: Room = ROOM) -> list[Held]:
    """Any set of things that can be there together."""
    held: list[Held] = []
    for kind in draw(st.lists(st.sampled_from(sorted(room.places)), max_size=7)):
        start, size = draw(st.sampled_from(list(room.places[kind])))
        free = all(start + size <= other.start or other.start + other.size <= start for other in held)
        counts = Counter(item.kind for item in held)
        if free and counts[kind] < room.limits[kind]:
            held.append(Held(kind, start, size, (draw(st.integers(0, 1)), 1)))
    return held


wishes = st.lists(st.builds(Piece, st.sampled_from(sorted(ROOM.places))), max_size=8)
small_wishes = st.lists(
    st.builds(Piece, st.sampled_from(sorted(SMALL.places)), st.sampled_from([None, None, 0, 2])), max_size=5
)


def result(found: Arrangement, held: list[Held]) -> list[tuple[Any, int, int]]:
    """(kind, start, size) of everything that will be there."""
    kept = [(piece.kind, held[index].start, held[index].size) for index, piece in found.kept]
    return kept + [(piece.kind, *place) for piece, place in found.made]


def sound(items: list[tuple[Any, int, int]], room: Room) -> bool:
    slices = [slot for _kind, start, size in items for slot in range(start, start + size)]
    counts = Counter(kind for kind, _start, _size in items)
    inside = all((start, size) in room.places[kind] for kind, start, size in items)
    return inside and len(slices) == len(set(slices)) and room.allows(counts)


@settings(max_examples=150, deadline=None)
@given(rows(), wishes)
def test_what_is_found_fits_and_is_what_was_asked_for(held: list[Held], wished: list[Piece]) -> None:
    found = arrange(held, wished, ROOM)
    if found is None:
        assert arrange((), wished, ROOM) is None, "what fits an empty board fits a full one"
        return
    assert sound(result(found, held), ROOM)
    assert Counter(kind for kind, _start, _size in result(found, held)) == Counter(
        item.kind for item in wished
    )
    assert sorted([index for index, _piece in found.kept] + list(found.gone)) == list(range(len(held)))


@settings(max_examples=100, deadline=None)
@given(rows(), wishes)
def test_a_second_time_there_is_nothing_to_do(held: list[Held], wished: list[Piece]) -> None:
    found = arrange(held, wished, ROOM)
    if found is not None:
        after = [Held(kind, start, size) for kind, start, size in result(found, held)]
        again = arrange(after, wished, ROOM)
        assert again is not None and not again.gone and not again.made


@settings(max_examples=150, deadline=None)
@given(rows(SMALL), small_wishes)
def test_nothing_cheaper_exists(held: list[Held], wished: list[Piece]) -> None:
    """Against every choice of places for everything, where keeping is free and destroying has its price."""
    found = arrange(held, wished, SMALL)
    best = None
    for places in itertools.product(*(SMALL.places[item.kind] for item in wished)):
        items = [(item.kind, *place) for item, place in zip(wished, places)]
        if any(item.start not in (None, place[0]) for item, place in zip(wished, places)):
            continue
        if not sound(items, SMALL):
            continue
        gone = [item.cost for item in held if (item.kind, item.start, item.size) not in items]
        cost = (sum(one for one, _ in gone), sum(two for _, two in gone))
        best = cost if best is None else min(best, cost)
    price = None if found is None else tuple(found.cost) if held else (0, 0)
    assert price == best
