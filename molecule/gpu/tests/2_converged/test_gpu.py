# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge: every board has its share, by the simulator's own account."""

from __future__ import annotations

from typing import Any

from conftest import EXCLUSIVE_PROCESS, WATTS, boards, instances


def test_limits_locks_and_persistence(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        # With MIG on, the driver keeps no accounts of the whole GPU.
        accounts = board["mig"] != [1, 1]
        assert board["persistence_mode"] and bool(board["accounting_mode"]) == accounts, board["name"]
        assert board["power_limit_mw"] == WATTS[board["name"]] * 1000
        assert board["lock_graphics_mhz"] == [345, 1200]


def test_memory_clocks_only_where_the_selector_says(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        locked = board["lock_memory_mhz"] is not None
        assert locked == ("H100" in board["name"])


def test_compute_mode_of_one_gpu(gpu_node: Any) -> None:
    modes = [board["compute_mode"] for board in boards(gpu_node)]
    assert modes == [EXCLUSIVE_PROCESS if index == 2 else 0 for index in range(len(modes))]


def test_ecc_waits_for_the_reboot(gpu_node: Any) -> None:
    current, pending = boards(gpu_node)[1]["ecc"]
    assert (current, pending) == (1, 0)


def test_mig_layouts(nodes: dict[str, Any]) -> None:
    assert instances(nodes["h100-1"]) == {7: ["3g.40gb", "3g.40gb"]}
    expected = ["1g.5gb", "2g.10gb", "3g.20gb"]
    assert instances(nodes["mixed-1"]) == {0: expected, 1: expected}


def test_the_unit_is_there_and_runs_at_boot(gpu_node: Any) -> None:
    assert gpu_node.service("swarm-node-gpu.service").is_enabled
    assert gpu_node.service("swarm-node-gpu.timer").is_running
    assert gpu_node.file("/usr/local/lib/swarm_node/swarm_node.pyz").exists


def test_nccl_takes_the_interface_that_is_asked_for_and_no_tunnel(gpu_node: Any) -> None:
    lines = gpu_node.file("/etc/nccl.conf").content_string.splitlines()
    place = lines.index("NCCL_SOCKET_IFNAME==eth0")
    assert lines[place - 1].startswith("# "), "each line has its reason"


def test_a_node_without_gpu_has_nothing_of_it(nodes: dict[str, Any]) -> None:
    for path in ("/var/lib/swarm_node/gpu.json", "/etc/systemd/system/swarm-node-gpu.service"):
        assert not nodes["cpu-1"].file(path).exists
