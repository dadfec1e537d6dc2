# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout becomes instances of one board, and these find their places among those that are there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Optional

from .fit import Arrangement, Cost, Held, Piece, Place, arrange, most, some
from .notation import ALL, BALANCED, Layout, Refusal, Wanted, largest_first, slices_of, texts
from .state import Compute, Instance, MigGpu, Process, users_of

BALANCES = {7: {1: 2, 2: 1, 3: 1}, 4: {1: 2, 2: 1}}
"""Compute slices of the board → instances of each size, as mig-parted's `all-balanced` has them."""


@dataclass(frozen=True)
class Target:
    """What a GPU shall be, and what of it is there already.

    after: every instance with its place, as results show them
    gone: instances to be destroyed; emptied: (instance kept, its compute instances to be destroyed)
    kept, made: how many instances stay, and how many are new
    """

    after: list[str]
    gone: tuple[Instance, ...] = ()
    emptied: tuple[tuple[Instance, tuple[Compute, ...]], ...] = ()
    kept: int = 0
    made: int = 0

    @property
    def destroys(self) -> bool:
        return bool(self.gone or self.emptied)


def instances_of(layout: Layout, gpu: MigGpu) -> tuple[Wanted, ...]:
    """The instances a layout asks of this board. Raises Refusal."""
    if layout.kind == ALL:
        _known([layout.profile], gpu)
        count = most(layout.profile, gpu.room)
        if not count:
            raise Refusal(f"all-{layout.profile}", f"a profile that has a place on {gpu.model}")
        return (Wanted(layout.profile, (slices_of(layout.profile),)),) * count
    if layout.kind == BALANCED:
        return _balanced(gpu)
    return layout.instances


def target_of(wanted: Sequence[Wanted], gpu: MigGpu) -> Target:
    """How the GPU gets these instances with the least harm. Raises Refusal naming what fits the board."""
    _known([item.profile for item in wanted], gpu)
    held = gpu.instances if gpu.current else ()
    found = arrange(
        [Held(item.profile, item.start, item.size, _loss(gpu, item)) for item in held],
        [Piece(item.profile, item.start, item) for item in wanted],
        gpu.room,
        lambda index, piece: _change_of(gpu, held[index], piece.detail),
    )
    if found is None:
        raise _does_not_fit(wanted, gpu)
    return _target(found, held, gpu)


def compute_steps(
    instance: Instance, kinds: Sequence[int], processes: Iterable[Process] = ()
) -> Optional[Arrangement]:
    """How a GPU instance that is there gets compute instances of these kinds; None if it cannot.

    What the processes use goes last. The cost is (things in use, compute instances) that go.
    Where the driver does not say what fits beside what, all of them are made anew.
    """
    held = instance.compute
    wished = [Piece(kind) for kind in kinds]
    if sorted(item.kind for item in held) == sorted(kinds):
        kept = tuple((index, Piece(item.kind)) for index, item in enumerate(held))
        return Arrangement(kept, (), (), (0, 0))
    losses = [(1 if users_of(instance, item, processes) else 0, 1) for item in held]
    if instance.inside is None:
        anywhere: Place = (-1, 0)
        made = tuple((Piece(kind), anywhere) for kind in largest_first(kinds))
        cost = (sum(used for used, _one in losses), len(held))
        return Arrangement((), made, tuple(range(len(held))), cost)
    there = [Held(item.kind, item.start, item.size, loss) for item, loss in zip(held, losses)]
    return arrange(there, wished, instance.inside)


def _target(found: Arrangement, held: Sequence[Instance], gpu: MigGpu) -> Target:
    after = [
        Wanted(piece.kind, piece.detail.compute, place[0])
        for piece, place in [
            *((piece, (held[index].start, 0)) for index, piece in found.kept),
            *found.made,
        ]
    ]
    emptied = []
    for index, piece in found.kept:
        steps = compute_steps(held[index], piece.detail.compute, gpu.processes)
        if steps and steps.gone:
            emptied.append((held[index], tuple(held[index].compute[gone] for gone in steps.gone)))
    return Target(
        texts(after),
        tuple(held[index] for index in found.gone),
        tuple(emptied),
        len(found.kept),
        len(found.made),
    )


def _loss(gpu: MigGpu, item: Instance) -> Cost:
    """(things in use, GPU instances, compute instances) that go with it. What is in use weighs most."""
    return (1 if gpu.users(item) else 0, 1, 0)


def _change_of(gpu: MigGpu, item: Instance, wanted: Wanted) -> Optional[Cost]:
    """The same for keeping it and changing its compute instances; None if it cannot have them."""
    steps = compute_steps(item, wanted.compute, gpu.processes)
    if steps is None:
        return None
    used = steps.cost[0] if steps.gone else 0
    return (used, 0, len(steps.gone))


def _balanced(gpu: MigGpu) -> tuple[Wanted, ...]:
    plain: dict[int, str] = {}
    for profile in sorted(gpu.profiles.values(), key=lambda item: item.memory, reverse=True):
        if not set(profile.name) & set("+-"):
            plain[profile.slices] = profile.name
    sizes = BALANCES.get(max(plain, default=0))
    if sizes is None or not set(sizes) <= set(plain):
        raise Refusal("balanced", f"a layout of profiles that {gpu.model} has: {_names(gpu)}")
    return tuple(
        Wanted(plain[size], (slices_of(plain[size]),))
        for size, count in sizes.items()
        for _number in range(count)
    )


def _known(profiles: Iterable[str], gpu: MigGpu) -> None:
    for profile in profiles:
        if profile not in gpu.profiles:
            raise Refusal(profile, f"a profile that {gpu.model} has: {_names(gpu)}")


def _does_not_fit(wanted: Sequence[Wanted], gpu: MigGpu) -> Refusal:
    """Says how many of each fit, and what of this layout would."""
    room = gpu.room
    for item in wanted:
        places = [place[0] for place in room.places[item.profile]]
        if item.start is not None and item.start not in places:
            begins = ", ".join(map(str, sorted(places)))
            return Refusal(str(item), f"{item.profile} beginning at memory slice {begins}")
    alone = ", ".join(f"{most(name, room)} × {name}" for name in dict.fromkeys(i.profile for i in wanted))
    fitting = some([Piece(item.profile, item.start, item) for item in wanted], room)
    example = listed(piece.detail for piece in fitting)
    return Refusal(
        listed(wanted),
        f"what fits on {gpu.model}: at most {alone} by themselves; "
        f"of what is asked for, for example {example}",
    )


def listed(wanted: Iterable[Wanted]) -> str:
    """`2 × 3g.40gb + 1 × 1g.10gb`."""
    counts = Counter(str(item) for item in wanted)
    return " + ".join(f"{count} × {text}" for text, count in counts.items())


def _names(gpu: MigGpu) -> str:
    ordered = sorted(gpu.profiles.values(), key=lambda item: (item.slices, item.memory, item.name))
    return ", ".join(profile.name for profile in ordered)
