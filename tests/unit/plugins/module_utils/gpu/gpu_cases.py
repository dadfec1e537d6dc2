# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs as data, and the plan for them, for tests that touch nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.gpu.plan import plan_gpus
from ansible_collections.swarm.node.plugins.module_utils.gpu.settings import Expect, parse_wishes
from ansible_collections.swarm.node.plugins.module_utils.gpu.state import Gpu, NodeState

H100 = Gpu(
    index=0,
    uuid="GPU-aa",
    name="NVIDIA H100 80GB HBM3",
    bus_id="0000:18:00.0",
    architecture=9,
    power_limit=700_000,
    power_default=700_000,
    power_min=200_000,
    power_max=700_000,
    power_enforced=700_000,
    graphics_clocks=tuple(range(345, 1981, 15)),
    memory_clocks=(1593, 2619),
    persistence=True,
    compute_mode="default",
    ecc_current=True,
    ecc_pending=True,
    ecc_default=True,
    accounting=False,
)
OFF = replace(H100, persistence=False)


def plan(
    *gpus: Gpu,
    claims: dict[str, Claim] | None = None,
    others: dict[str, str] | None = None,
    expect: Expect | None = None,
    pci: tuple[str, ...] = (),
    absent: bool = False,
    required: tuple[str, ...] = (),
    **options: Any,
) -> Plan:
    wishes = parse_wishes(options, dict.fromkeys(options, "group g"), required)
    return plan_gpus(wishes, expect, NodeState(gpus, pci), Record("gpu", claims), others or {}, absent)


def steps(found: Plan) -> list[tuple[str, Any, Any]]:
    return [(change.key, change.before, change.after) for change in found.changes]
