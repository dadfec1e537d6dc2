# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After removal: every board as it was first seen, no record left."""

from __future__ import annotations

from typing import Any

from conftest import boards

FILES = (
    "/var/lib/swarm_node/gpu.json",
    "/var/lib/swarm_node/gpu_mig.json",
    "/usr/local/lib/swarm_node/swarm_node.pyz",
    "/etc/systemd/system/swarm-node-gpu.service",
    "/etc/systemd/system/swarm-node-gpu.timer",
    "/etc/nccl.conf",
)


def test_every_board_is_as_it_was(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        assert not board["persistence_mode"]
        assert board["power_limit_mw"] in (700_000, 400_000, 1_000_000, 350_000, 70_000)
        assert board["mig"] in (None, [0, 0]) and board["mig_instances"] == []
    for path in FILES:
        assert not gpu_node.file(path).exists, path


def test_no_unit_is_left_running(gpu_node: Any) -> None:
    assert gpu_node.check_output("systemctl list-units --plain --no-legend 'swarm-node*'") == ""
