# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the lab's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from nvml_sim import Simulator


@pytest.fixture
def simulator(tmp_path: Path) -> Simulator:
    """A simulated node with two H100, its state in the test's own directory."""
    made = Simulator.create(tmp_path)
    made.init("h100:2", numa_nodes=2)
    return made
