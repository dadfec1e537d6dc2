# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After other wishes: defaults, one board at its minimum, no lock left, persistence given back."""

from __future__ import annotations

from typing import Any

from conftest import boards, instances

DEFAULT = {
    "NVIDIA H100 80GB HBM3": 700,
    "NVIDIA A100-SXM4-40GB": 400,
    "NVIDIA B200": 1000,
    "NVIDIA L40S": 350,
    "Tesla T4": 70,
}
MINIMUM = {"NVIDIA H100 80GB HBM3": 200, "NVIDIA A100-SXM4-40GB": 100}


def test_the_new_wishes_hold(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        watts = (MINIMUM if board["index"] == 0 else DEFAULT)[board["name"]]
        assert board["power_limit_mw"] == watts * 1000
        assert board["lock_graphics_mhz"] is None and board["lock_memory_mhz"] is None


def test_modes_are_given_back_and_ecc_waits_again(gpu_node: Any) -> None:
    for board in boards(gpu_node):
        assert board["compute_mode"] == 0 and not board["accounting_mode"]
    assert boards(gpu_node)[1]["ecc"] == [0, 1]


def test_the_smallest_change_of_layout(nodes: dict[str, Any]) -> None:
    assert instances(nodes["h100-1"]) == {7: ["2g.20gb", "3g.40gb"]}
    assert instances(nodes["mixed-1"]) == {}
