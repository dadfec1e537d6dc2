# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIG layouts come back after a boot, before the limits of the same GPUs."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_boot_node import BootNode

LAYOUT = ["3g.40gb", "2g.20gb", "1g.10gb"]


@pytest.fixture
def node() -> BootNode:
    node = BootNode()
    done = node.run(module="gpu_mig", mig={"0": LAYOUT}, max_disruption="reboot")
    assert not done.get("failed"), done
    node.apply(power_limit=630)
    node.owner("gpu_mig")
    return node


def layouts(node: BootNode) -> dict[str, Any]:
    """What the playbook's module would still have to do, by key."""
    seen = node.run(module="gpu_mig", mig={"0": LAYOUT}, max_disruption="reboot", check=True)
    return {change["key"]: change["after"] for change in seen["changes"]}


def test_layouts_come_back_after_a_boot(node: BootNode) -> None:
    records = node.kept()
    assert layouts(node) == {}
    node.reboot()
    assert layouts(node), "on Hopper a boot takes MIG away"
    code, said = node.program()
    assert code == 0, said
    keys = [change["key"] for owner in node.status()["owners"] for change in owner["changes"]]
    assert {"gpu_mig.mode", "gpu_mig.layout", "gpu.power_limit"} <= set(keys)
    assert layouts(node) == {} and node.values(0)[0] == node.values(1)[0] == 630
    assert node.kept() == records
    again = node.program()
    assert again[0] == 0 and "every GPU has what is on record" in again[1]


def test_mig_comes_before_the_limits(node: BootNode) -> None:
    node.reboot()
    node.sim.log()
    node.program()
    sets = [
        c["function"]
        for c in node.sim.calls()
        if "SetMigMode" in c["function"] or "SetPower" in c["function"]
    ]
    assert "SetMigMode" in sets[0] and "SetPower" in sets[-1]


def test_a_layout_that_fails_does_not_keep_the_limits_away(node: BootNode) -> None:
    records = node.kept()
    node.reboot()
    node.sim.inject("nvmlDeviceSetMigMode", "UNKNOWN", gpu=0)
    code, said = node.program()
    assert code == 1 and node.status()["outcome"] == "partly", said
    assert node.values(0)[0] == node.values(1)[0] == 630 and node.kept() == records


def test_a_lost_gpu_does_not_keep_another_s_layout_away(node: BootNode) -> None:
    node.reboot()
    node.sim.lose(1)
    code, said = node.program()
    assert code == 1, said
    node.sim.find(1)
    assert layouts(node) == {} and node.values(0)[0] == 630
