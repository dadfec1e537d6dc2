# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact search: which of the things in a row of slices can stay, and where the missing ones go. Pure.

Serves GPU instances in the memory slices of a GPU, and compute instances in the compute slices of a GPU
instance. There are at most eight slices, so that everything can be tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

Cost = tuple[int, ...]
"""Compared from the left; costs that are added have the same length."""

Place = tuple[int, int]
"""First slice, number of slices."""


@dataclass(frozen=True)
class Held:
    """Something that is there; `cost` is what destroying it costs."""

    kind: Any
    start: int
    size: int
    cost: Cost = (1,)


@dataclass(frozen=True)
class Piece:
    """Something that shall be there, anywhere or at `start`. `detail` is the caller's."""

    kind: Any
    start: Optional[int] = None
    detail: Any = None


@dataclass(frozen=True)
class Room:
    """Where things of each kind can be, and how many of a kind there can be at most."""

    places: Mapping[Any, Sequence[Place]]
    limits: Mapping[Any, int] = field(default_factory=dict)

    def allows(self, counts: Mapping[Any, int]) -> bool:
        return all(count <= self.limits.get(kind, count) for kind, count in counts.items())


@dataclass(frozen=True)
class Arrangement:
    """`kept`: (index of held, its piece); `made`: (piece, place); `gone`: indexes of held."""

    kept: tuple[tuple[int, Piece], ...]
    made: tuple[tuple[Piece, Place], ...]
    gone: tuple[int, ...]
    cost: Cost


KeepCost = Callable[[int, Piece], Optional[Cost]]
"""What serving this piece with that held thing costs; None: it cannot."""


def arrange(
    held: Sequence[Held], pieces: Sequence[Piece], room: Room, keep_cost: Optional[KeepCost] = None
) -> Optional[Arrangement]:
    """The cheapest way to have exactly `pieces`, or None if they do not fit at all."""
    nothing: Cost = (0,) * len(held[0].cost) if held else (0,)
    if not room.allows(Counter(piece.kind for piece in pieces)):
        return None
    found = sorted(_assignments(held, Counter(pieces), nothing, keep_cost), key=lambda item: item[0])
    for cost, chosen in found:
        kept = tuple((index, piece) for index, piece in enumerate(chosen) if piece is not None)
        missing = Counter(pieces) - Counter(piece for _index, piece in kept)
        taken = sum(_mask((held[index].start, held[index].size)) for index, _piece in kept)
        made = _placed(sorted(missing.elements(), key=_largest_first(room)), taken, room)
        if made is not None:
            gone = tuple(index for index, piece in enumerate(chosen) if piece is None)
            return Arrangement(kept, tuple(made), gone, cost)
    return None


def most(kind: Any, room: Room) -> int:
    """How many of one kind fit into an empty row."""
    count = 0
    while arrange((), [Piece(kind)] * (count + 1), room):
        count += 1
    return count


def some(pieces: Sequence[Piece], room: Room) -> list[Piece]:
    """As many of these pieces, from the first on, as fit into an empty row."""
    kept: list[Piece] = []
    for piece in pieces:
        if arrange((), [*kept, piece], room):
            kept.append(piece)
    return kept


def _assignments(
    held: Sequence[Held], left: Counter[Piece], nothing: Cost, keep_cost: Optional[KeepCost]
) -> Iterator[tuple[Cost, tuple[Optional[Piece], ...]]]:
    """Every way to let held things serve pieces, keeping first, with its cost."""

    def walk(index: int, cost: Cost) -> Iterator[tuple[Cost, tuple[Optional[Piece], ...]]]:
        if index == len(held):
            yield cost, ()
            return
        item = held[index]
        for piece in [piece for piece, count in left.items() if count]:
            if piece.kind != item.kind or piece.start not in (None, item.start):
                continue
            price = keep_cost(index, piece) if keep_cost else nothing
            if price is None:
                continue
            left[piece] -= 1
            for total, rest in walk(index + 1, _sum(cost, price)):
                yield total, (piece, *rest)
            left[piece] += 1
        for total, rest in walk(index + 1, _sum(cost, item.cost)):
            yield total, (None, *rest)

    return walk(0, nothing)


def _placed(
    pieces: Sequence[Piece], taken: int, room: Room, below: Optional[Place] = None
) -> Optional[list[tuple[Piece, Place]]]:
    """A place for each piece beside what is taken (bits), or None.

    The last place comes first: small things at the end leave the beginning to large ones, some of which
    can only be there. `below` is where an equal piece just went: equal ones go downwards, so that no two
    orders of them are tried.
    """
    if not pieces:
        return []
    piece, rest = pieces[0], pieces[1:]
    for place in sorted(room.places.get(piece.kind, ()), reverse=True):
        if (below is not None and place >= below) or piece.start not in (None, place[0]):
            continue
        if taken & _mask(place):
            continue
        repeated = bool(rest) and rest[0] == piece
        found = _placed(rest, taken | _mask(place), room, place if repeated else None)
        if found is not None:
            return [(piece, place), *found]
    return None


def _largest_first(room: Room) -> Callable[[Piece], tuple[Any, ...]]:
    def key(piece: Piece) -> tuple[Any, ...]:
        size = max((place[1] for place in room.places.get(piece.kind, ())), default=0)
        return (piece.start is None, -size, str(piece.kind), piece.start or 0, str(piece.detail))

    return key


def _mask(place: Place) -> int:
    return ((1 << place[1]) - 1) << place[0]


def _sum(one: Cost, other: Cost) -> Cost:
    return tuple(a + b for a, b in zip(one, other))
