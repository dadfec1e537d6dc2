# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One member is a gateway now, and nobody else."""

from __future__ import annotations

from typing import Any


def forwards(node: Any) -> bool:
    rules = node.check_output("nft list table inet swarm_node_mesh_mol")
    return "no member forwards between tunnels here" not in rules


def test_only_the_gateway_forwards(nodes: dict[str, Any]) -> None:
    assert [name for name, node in nodes.items() if forwards(node)] == ["h100-1"]


def test_tunnels_are_as_before(node: Any) -> None:
    assert len(node.check_output("wg show interfaces").split()) == 2
    assert node.check_output("systemctl --failed --no-legend") == ""
