# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boards for the pure tests: profiles and places of an H100 80GB and an A30, and GPUs made of them."""

from __future__ import annotations

from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.fit import Room
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.notation import instance, slices_of
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.state import (
    Compute,
    Instance,
    MigGpu,
    Profile,
)


def profile(name: str, number: int, limit: int, starts: tuple[int, ...], size: int, memory: int) -> Profile:
    places = tuple((start, size) for start in starts)
    return Profile(name, number, slices_of(name), limit, places, memory)


H100 = {
    item.name: item
    for item in (
        profile("1g.10gb", 19, 7, tuple(range(7)), 1, 9984),
        profile("1g.10gb+me", 20, 1, tuple(range(7)), 1, 9984),
        profile("1g.20gb", 15, 4, (0, 2, 4, 6), 2, 20096),
        profile("2g.20gb", 14, 3, (0, 2, 4), 2, 20096),
        profile("3g.40gb", 9, 2, (0, 4), 4, 40448),
        profile("4g.40gb", 5, 1, (0,), 4, 40448),
        profile("7g.80gb", 0, 1, (0,), 8, 81024),
    )
}
A30 = {
    item.name: item
    for item in (
        profile("1g.6gb", 14, 4, (0, 1, 2, 3), 1, 5952),
        profile("2g.12gb", 5, 2, (0, 2), 2, 11968),
        profile("4g.24gb", 0, 1, (0,), 4, 24062),
    )
}
INSIDE = {
    1: Room({1: ((0, 1),)}),
    2: Room({1: ((0, 1), (1, 1)), 2: ((0, 2),)}),
    3: Room({1: ((0, 1), (1, 1), (2, 1)), 2: ((0, 2),), 3: ((0, 3),)}),
    4: Room({1: ((0, 1), (1, 1), (2, 1), (3, 1)), 2: ((0, 2), (2, 2)), 4: ((0, 4),)}),
    7: Room(
        {1: tuple((i, 1) for i in range(7)), 2: ((0, 2), (2, 2), (4, 2)), 3: ((0, 3), (4, 3)), 7: ((0, 7),)}
    ),
}


def there(text: str, number: int, board: dict[str, Profile] | None = None, **options: Any) -> Instance:
    """The instance a text names, with its compute instances one after the other."""
    item = instance(text)
    assert item.start is not None
    size = (board or H100)[item.profile].places[0][1]
    compute, start = [], 0
    for index, slices in enumerate(item.compute):
        compute.append(Compute(index, slices, start, slices))
        start += slices
    inside = options.pop("inside", INSIDE[slices_of(item.profile)])
    return Instance(number, item.profile, item.start, size, tuple(compute), inside, **options)


def board(*texts: str, **options: Any) -> MigGpu:
    """An H100 with MIG on and these instances, numbered from 1."""
    fields: dict[str, Any] = {
        "index": 0,
        "uuid": "GPU-aaaa",
        "name": "NVIDIA H100 80GB HBM3",
        "bus_id": "0000:5d:00.0",
        "architecture": 9,
        "current": True,
        "pending": True,
        "profiles": H100,
        "instances": tuple(there(text, number) for number, text in enumerate(texts, 1)),
    }
    fields.update(options)
    return MigGpu(**fields)
