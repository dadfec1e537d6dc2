# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module with many boards, many GPUs, many drivers, and two runs at once."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from gpu_node import GpuNode

BOARDS = ("h100", "a100", "b200", "l40s", "t4", "v100", "rtx4090", "rtx4090-laptop")
ALL: dict[str, Any] = {
    "power_limit": "90%default",
    "graphics_clocks": "80%max",
    "memory_clocks": "max",
    "accounting_mode": True,
    "compute_mode": "exclusive_process",
    "ecc": "default",
    "persistence_mode": True,
}
FLOORS = {"t4": {"gpu.memory_clocks"}, "v100": {"gpu.memory_clocks"}}
"""What some boards never had."""


def test_eight_different_boards_in_one_node() -> None:
    node = GpuNode(",".join(f"{board}:1" for board in BOARDS))
    node.apply(**ALL)
    left: dict[int, set[str]] = {index: set() for index in range(len(BOARDS))}
    again = node.apply(**ALL)
    assert (again["changed"], again["writes"]) == (False, 0)
    for wish in again["unapplied"]:
        assert wish["reason"] == "unsupported", wish
        left[[node.uuid(index) for index in left].index(wish["target"])].add(wish["key"])
    for index, board in enumerate(BOARDS):
        gpu = node.sim.gpu(index)
        assert left[index] >= FLOORS.get(board, set()), board
        assert gpu["compute_mode"] == (0 if "gpu.compute_mode" in left[index] else 3), board
        default = (
            int(gpu["files"]["board"]["power_default_mw"])
            if gpu["files"]["board"].get("power_default_mw")
            else 0
        )
        limited = gpu["power_limit_mw"] == default * 9 // 10 // 1000 * 1000
        assert limited is ("gpu.power_limit" not in left[index]), board
    assert "gpu.power_limit" in left[BOARDS.index("rtx4090-laptop")]
    assert left[BOARDS.index("h100")] == set()
    notes = [note for note in again["notes"] if "Blackwell" in note]
    assert len(notes) == 2 and all(f"gpu {BOARDS.index('b200')} " in note for note in notes)
    node.apply(state="absent")
    assert not node.record.exists()
    for index in left:
        assert node.values(index)[1:] == (False, None, None) and node.sim.gpu(index)["compute_mode"] == 0


@pytest.mark.parametrize("driver", ["535.261.03", "550.163.01", "570.172.08", "595.10.01"])
def test_driver_branches(driver: str) -> None:
    node = GpuNode("h100:1,l40s:1", driver=driver)
    first = node.apply(**{**ALL, "ecc": False}, max_disruption="reboot")
    assert first["unapplied"] == []
    assert (node.values(0), node.values(1)[:2]) == ((630, True, [345, 1575], [2619, 2619]), (315, True))
    again = node.apply(**{**ALL, "ecc": False}, max_disruption="reboot")
    assert (again["writes"], len(again["pending"])) == (0, 2)
    node.apply(state="absent", max_disruption="reboot")
    assert node.values(0) == (700, False, None, None) and node.sim.gpu(0)["ecc"] == [1, 1]


def test_sixteen_gpus_in_one_call() -> None:
    node = GpuNode("h100:16")
    node.sim.log()
    result = node.apply(**ALL)
    sets = Counter(
        call["function"] for call in node.sim.calls() if call["function"].startswith("nvmlDeviceSet")
    )
    assert set(sets.values()) == {16} and len(sets) == 6
    assert [node.values(index) for index in range(16)] == [(630, True, [345, 1575], [2619, 2619])] * 16
    assert len(result["changes"]) == 6 * 16 and node.apply(**ALL)["writes"] == 0


def test_two_runs_at_once() -> None:
    """One waits for the other and sees what it left: both end well, one has nothing to do."""
    node = GpuNode()
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(node.run(**ALL))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.get("failed", False) for answer in answers] == [False, False]
    assert sorted(len(answer["changes"]) for answer in answers) == [0, 12]
    assert sorted(answer["writes"] > 0 for answer in answers) == [False, True]


def test_two_owners_at_once_do_not_disturb_each_other() -> None:
    node = GpuNode()
    wishes = [{"owner": "power", "power_limit": 630}, {"owner": "clocks", "graphics_clocks": 1980}]
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda own=own: answers.append(node.run(**own))) for own in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(answer.get("failed") for answer in answers)
    assert node.values(0) == node.values(1) == (630, True, [345, 1980], None)
    for owner in ("power", "clocks"):
        node.apply(owner=owner, state="absent")
    power, _persistence, graphics, memory = node.values(0)
    assert (power, graphics, memory) == (700, None, None)
