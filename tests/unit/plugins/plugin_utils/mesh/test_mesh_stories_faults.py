# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations one after another on sparse meshes, shares applied one by one, some members off."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from mesh_cast import do
from mesh_stories import Story

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("seed", [21, 27, 74, *range(100, 106)])
def test_no_packet_is_lost_and_everything_comes_to_its_end(seed: int) -> None:
    story = Story(seed, off=2)
    story.live(4)
    assert parse_registry(dump_registry(story.registry), "wan.yml") == story.registry
    steps = story.end()
    assert story.wrong == []
    assert steps < 20
    assert story.registry.ways == ()
    assert [entry for entry in do(story.registry, "show")[1].pending if "ends" in entry] == []
