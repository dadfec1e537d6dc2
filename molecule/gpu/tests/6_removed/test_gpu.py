# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After removal: every board as it was first seen, no record left."""

from __future__ import annotations

from typing import Any

from conftest import boards


def test_every_board_is_as_it_was(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        assert not board["persistence_mode"]
        assert board["power_limit_mw"] in (700_000, 350_000, 70_000)
    assert not gpu_node.file("/var/lib/swarm_node/gpu.json").exists
