# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the check that comes before the first converge: the boards are as they were."""

from __future__ import annotations

from typing import Any

from conftest import boards


def test_check_mode_set_nothing(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        assert not board["persistence_mode"] and board["lock_graphics_mhz"] is None
    assert not gpu_node.file("/var/lib/swarm_node/gpu.json").exists
