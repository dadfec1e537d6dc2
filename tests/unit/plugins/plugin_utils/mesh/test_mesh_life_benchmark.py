# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of a mesh's life: what it measures and counts."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import mesh_life
from benchmarks.errors import BenchmarkError

GOOD = {"members": 10, "links": 40, "links planned anew": 41, "ways": 3, "waiting": 9, "beside": 40}


def test_a_mesh_of_several_regions_lives_through_it() -> None:
    found = mesh_life.life(120)
    mesh_life.check(found, 120)
    assert found["counts"]["ways"] > 0
    assert all(found[name] > 0 for name, _measure, _unit in mesh_life.MEASURES)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"members": 9}, "9 members"),
        ({"beside": 39}, "39 of 40 links with new keys"),
        ({"waiting": 0}, "0 steps"),
    ],
)
def test_wrong_counts_are_an_error(wrong: dict[str, Any], text: str) -> None:
    mesh_life.check({"counts": GOOD}, 10)
    with pytest.raises(BenchmarkError, match=text):
        mesh_life.check({"counts": {**GOOD, **wrong}}, 10)
