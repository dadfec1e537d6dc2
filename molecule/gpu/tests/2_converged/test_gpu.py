# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge: every board has its share, by the simulator's own account."""

from __future__ import annotations

from typing import Any

from conftest import boards

WATTS = {"NVIDIA H100 80GB HBM3": 630, "NVIDIA L40S": 315, "Tesla T4": 68}


def test_limits_locks_and_persistence(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        assert board["persistence_mode"], board["name"]
        assert board["power_limit_mw"] == WATTS[board["name"]] * 1000
        assert board["lock_graphics_mhz"] == [345, 1200]


def test_memory_clocks_only_where_the_selector_says(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        locked = board["lock_memory_mhz"] is not None
        assert locked == ("H100" in board["name"])


def test_a_node_without_gpu_has_no_record(nodes: dict[str, Any]) -> None:
    assert not nodes["cpu-1"].file("/var/lib/swarm_node/gpu.json").exists
