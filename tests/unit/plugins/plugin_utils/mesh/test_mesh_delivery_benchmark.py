# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of a mesh's delivery: a small run of it, and what it refuses to call a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import mesh_delivery
from benchmarks.ansible_run import Playbooks
from benchmarks.errors import BenchmarkError


def test_a_small_fleet_without_a_connection(tmp_path: Path) -> None:
    rows = mesh_delivery.benchmark(Playbooks(tmp_path, []), 1, lambda text: None, tmp_path, [20])
    each = [
        *("all shares", "a debug, for comparison", "processor time", "the same less that of a debug"),
        "in the action itself, per host",
    ]
    assert [row.measure.partition(": ")[2] for row in rows] == [*each, *each, "the registry from nothing", ""]
    assert rows[0].ratio == "peer/ours" and rows[0].peer is not None
    assert [row.measure for row in rows if "with facts" in row.measure] == [row.measure for row in rows[5:10]]
    assert 0 < rows[4].ours.median < 1000 * rows[0].ours.median
    assert rows[-1].ours.median > 5  # the facts of a machine, in KB


def test_the_fleet_is_alike_for_both() -> None:
    hosts = mesh_delivery.inventory(200)["all"]["hosts"]
    assert len(hosts) == len({host["wireguard_address"] for host in hosts.values()}) == 200
    reachable = sum("wireguard_endpoint" in host for host in hosts.values())
    assert reachable == sum(bool(mesh_delivery.endpoint(number)) for number in range(200)) == 156
    orders = [
        [task["name"] for task in mesh_delivery.tasks(9, Path("x"), turn, kind, Path("y"))]
        for kind in mesh_delivery.KINDS
        for turn in (1, 2)
    ]
    assert orders[:2] == [["floor", "ours", "peer"], ["peer", "ours", "floor"]]
    assert orders[2:] == [["facts", *order] for order in orders[:2]]


def test_what_is_no_result() -> None:
    good = {"ours": 5, "peer": 5, "floor": 5}
    mesh_delivery.check(0, good, 5)
    for trips, answers in ((1, good), (0, {**good, "ours": 4}), (0, {"ours": 5, "peer": 5})):
        with pytest.raises(BenchmarkError, match="mesh delivery to 5 hosts"):
            mesh_delivery.check(trips, answers, 5)


def test_a_registry_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="a registry of 20 ended with 1"):
        mesh_delivery.planned(tmp_path, 20, tmp_path)


def test_it_needs_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[list[int]] = []

    def benchmark(*more: Any) -> list[Any]:
        sizes.append(more[-1])
        return []

    monkeypatch.setattr(mesh_delivery, "benchmark", benchmark)
    for short in (True, False):
        rows, facts = command.measure(short, ["mesh_delivery"])
        assert rows == [] and facts["lab"] is None and json.dumps(facts)
    assert sizes == [[50], [50, 100, 200]]
