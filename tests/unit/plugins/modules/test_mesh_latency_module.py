# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mesh_latency as Ansible runs it; what it measures is tested beside latency."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.ping import Target

sys.path.append(str(Path(__file__).parents[3]))
from module_runner import run_forked

UTIL = "ansible_collections.swarm.node.plugins.module_utils.mesh.latency"
TARGETS = [{"name": "gw", "host": "192.0.2.1"}, {"name": "off", "host": "192.0.2.2"}]


def answer(targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
    return {one.name: 0.0125 for one in targets if one.destination == "192.0.2.1"}


def refuse(targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
    raise NodeError("echo requests need root with CAP_NET_RAW")


def run(pinger: Any, **options: Any) -> dict[str, Any]:
    def before() -> None:
        module = importlib.import_module(UTIL)
        real = module.measure.__defaults__
        module.measure.__defaults__ = (pinger, *real[1:])

    return run_forked("mesh_latency", {"name": "me", "targets": TARGETS, "probes": 2, **options}, before)


@pytest.mark.parametrize("check", [False, True])
def test_it_says_what_mesh_registry_takes(check: bool) -> None:
    found = run(answer, mesh="wan", _ansible_check_mode=check)
    assert found["changed"] is False and found["mesh_name"] == "wan"
    assert [(item["name"], item["ms"]) for item in found["latencies"]] == [("gw", 12.5), ("off", None)]
    assert found["pairs"] == [{"ends": ["me", "gw"], "ms": 12.5}]


def test_a_refusal_names_the_value() -> None:
    found = run(answer, probes=99)
    assert found["failed"] and found["failure_kind"] == "refused"
    assert found["problems"][0]["key"] == "probes" and "nothing was measured" in found["msg"]


def test_without_the_right_to_send_it_says_so() -> None:
    found = run(refuse)
    assert found["failed"] and found["failure_kind"] == "unavailable" and "CAP_NET_RAW" in found["msg"]
