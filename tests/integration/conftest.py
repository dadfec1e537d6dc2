# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the integration tests share: the lab's nodes, and playbook runs with their reports."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from lab_runs import BIN, CHECKOUT, Nodes, Run

__all__ = ["BIN", "CHECKOUT", "CPU", "H100", "MIXED", "Lab", "Run"]

H100, MIXED, CPU = "h100-1", "mixed-1", "cpu-1"


class Lab(Nodes):
    """The three nodes of the default lab, with simulated GPUs."""

    def gpus(self, node: str) -> list[dict[str, Any]]:
        """The simulator's own view of the boards, locks included."""
        status = json.loads(self.run(node, "nvml-sim", "status", "--json"))
        return status["gpus"]

    def optimize(self, *arguments: str, **extra: Any) -> Run:
        return self.play("swarm.node.optimize", *arguments, **extra)

    def forget(self) -> None:
        """Every node as it was when the lab came up: boards, settings, records, packages stay."""
        run = self.play("swarm.node.uninstall", node_max_disruption="reboot")
        for node in (H100, MIXED):
            self.run(node, "nvml-sim", "clear")
        assert run.code == 0, run.output


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    if not os.environ.get("SWARM_NODE_LAB"):
        pytest.fail("these tests need a lab of their own: run `make integration`")
    return Lab(tmp_path_factory.mktemp("reports"))
