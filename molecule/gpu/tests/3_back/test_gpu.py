# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a boot, and after a load of the driver: the unit has brought everything back, without Ansible."""

from __future__ import annotations

import json
from typing import Any

from conftest import EXCLUSIVE_PROCESS, WATTS, boards, instances

PROGRAM = "/usr/local/lib/swarm_node/swarm_node.pyz"


def test_settings_are_back(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        # With MIG on, the driver keeps no accounts of the whole GPU.
        accounts = board["mig"] != [1, 1]
        assert board["persistence_mode"] and bool(board["accounting_mode"]) == accounts, board["name"]
        assert board["power_limit_mw"] == WATTS[board["name"]] * 1000
        assert board["lock_graphics_mhz"] == [345, 1200]
        assert (board["lock_memory_mhz"] is not None) == ("H100" in board["name"])
    assert boards(gpu_node)[2]["compute_mode"] == EXCLUSIVE_PROCESS


def test_ecc_has_taken_effect(gpu_node: Any) -> None:
    assert boards(gpu_node)[1]["ecc"] == [0, 0]


def test_mig_layouts_are_back(nodes: dict[str, Any]) -> None:
    assert instances(nodes["h100-1"]) == {7: ["3g.40gb", "3g.40gb"]}
    expected = ["1g.5gb", "2g.10gb", "3g.20gb"]
    assert instances(nodes["mixed-1"]) == {0: expected, 1: expected}


def test_the_unit_says_what_it_did(gpu_node: Any) -> None:
    status = json.loads(gpu_node.check_output(f"python3 {PROGRAM} status --json"))
    assert status["why"] in ("boot", "driver reload"), status
    shown = gpu_node.run("systemctl status swarm-node-gpu.service --no-pager").stdout
    assert "swarm.node" in shown, shown
    assert gpu_node.check_output("systemctl is-system-running") == "running"


def test_nothing_is_left_to_change(gpu_node: Any) -> None:
    assert gpu_node.run(f"python3 {PROGRAM} check").rc == 0
