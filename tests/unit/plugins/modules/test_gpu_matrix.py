# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every NVML call of the gpu module, found from the simulator's log, fails once with every kind of error.

Afterwards each key of each GPU is old or new as the answer says, and the next run converges.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from gpu_node import GpuNode

OLD: dict[str, Any] = {"power_limit": 650, "graphics_clocks": 1980}
NEW: dict[str, Any] = {
    "power_limit": "90%default",
    "graphics_clocks": "80%max",
    "memory_clocks": 2619,
    "accounting_mode": True,
    "compute_mode": "exclusive_process",
    "ecc": False,
    "max_disruption": "reboot",
}
KEYS = {
    "gpu.power_limit": (650, 630),
    "gpu.persistence_mode": (True, True),
    "gpu.graphics_clocks": ([345, 1980], [345, 1575]),
    "gpu.memory_clocks": (None, [1593, 2619]),
    "gpu.accounting_mode": (False, True),
    "gpu.compute_mode": (0, 3),
    "gpu.ecc": (1, 0),
}
"""Key → the simulator's value before and after."""

BEFORE = {key: values[0] for key, values in KEYS.items()}
AFTER = {key: values[1] for key, values in KEYS.items()}

ERRORS = (
    "NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "NO_PERMISSION", "IN_USE", "GPU_IS_LOST", "RESET_REQUIRED",
    "TIMEOUT", "UNKNOWN",
)  # fmt: skip
LOST = ("GPU_IS_LOST", "RESET_REQUIRED")
SETTERS = ("nvmlDeviceSet", "nvmlDeviceReset")
PARTS = ("nvml", "state", "run")


def live(node: GpuNode, index: int) -> dict[str, Any]:
    gpu = node.sim.gpu(index)
    return dict(
        zip(
            KEYS,
            (
                gpu["power_limit_mw"] // 1000,
                bool(gpu["persistence_mode"]),
                gpu["lock_graphics_mhz"],
                gpu["lock_memory_mhz"],
                bool(gpu["accounting_mode"]),
                gpu["compute_mode"],
                gpu["ecc"][1],
            ),
        )
    )


def claims(node: GpuNode) -> dict[str, Any]:
    """The record; that a lock was unlocked at first is known only after one was lifted."""
    found = node.claims()
    for claim in found.values():
        if claim["first_seen"] == "unlocked":
            claim["first_seen"] = None
    return found


class Case:
    """A node tuned to OLD, put back to that before every failure."""

    def __init__(self, boards: str) -> None:
        self.node = node = GpuNode(boards)
        self.gpus = range(int(boards.partition(":")[2]))
        node.apply(**OLD)
        self._saved = node.base / "saved"
        for part in PARTS:
            shutil.copytree(node.base / part, self._saved / part)
        self.old_claims = claims(node)
        node.sim.log()
        node.apply(**NEW)
        made = [call["function"].partition("_v")[0] for call in node.sim.calls()]
        self.calls = Counter(name.replace("InitWithFlags", "Init") for name in made)
        self.new_claims = claims(node)

    def restore(self) -> None:
        for part in PARTS:
            shutil.rmtree(self.node.base / part)
            shutil.copytree(self._saved / part, self.node.base / part)
            (self.node.base / part).chmod(0o777)

    def failures(self, error: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(words, answer) of a run of NEW for each single call that fails."""
        for function, times in self.calls.items():
            for skip in range(times):
                self.restore()
                self.node.sim.inject(function, error, skip=skip, times=1)
                answer = self.node.run(**NEW)
                self.node.sim.clear()
                yield f"{function} after {skip}: {error}: {answer.get('msg')}", answer


@pytest.fixture(scope="module")
def one() -> Case:
    return Case("h100:1")


@pytest.fixture(scope="module")
def two() -> Case:
    """Two GPUs, of which only the writes fail: the one that is well must not suffer."""
    case = Case("h100:2")
    case.calls = Counter({name: n for name, n in case.calls.items() if name.startswith(SETTERS)})
    return case


def test_the_log_knows_the_calls(one: Case, two: Case) -> None:
    assert len(one.calls) > 30 and one.calls["nvmlInit"] == 2
    assert set(two.calls) == {name for name in one.calls if name.startswith(SETTERS)}
    assert len(two.calls) == len(KEYS) - 1, "every key is written, persistence is on already"


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("size", [1, 2])
def test_every_call_fails_once(error: str, size: int, one: Case, two: Case) -> None:
    case = one if size == 1 else two
    seen = 0
    for told, answer in case.failures(error):
        seen += 1
        check(case, told, answer, error)
        if answer.get("writes"):
            converges(case, told, answer)
    assert seen == sum(case.calls.values())


def check(case: Case, told: str, answer: dict[str, Any], error: str) -> None:
    node = case.node
    assert list((node.base / "state" / "journal").glob("*")) == [], told
    if answer.get("degraded"):
        no_handle = error == "UNKNOWN" and told.startswith("nvmlDeviceGetHandleByIndex ")
        assert (error in LOST or no_handle) and answer["failed"] and len(answer["degraded"]) == 1, told
        assert any(name in json.dumps(answer) for name in told.split(" after ")[:1]), told
        # What was written before it went is on record; all others are as asked for.
        (lost,) = (int(label.split()[1]) for label in answer["degraded"])
        assert all(live(node, index) == AFTER for index in case.gpus if index != lost), told
    elif answer.get("failed"):
        assert all(live(node, index) == BEFORE for index in case.gpus), told
        assert claims(node) == case.old_claims and not answer.get("not_undone"), told
        assert told.split(" after ")[0] in answer["msg"], told
    else:
        left = {(wish["target"], wish["key"]) for wish in answer["unapplied"]}
        for index in case.gpus:
            expected = {key: values[(node.uuid(index), key) not in left] for key, values in KEYS.items()}
            assert live(node, index) == expected, told


def converges(case: Case, told: str, answer: dict[str, Any]) -> None:
    """A refusal stays one for this load of the driver, without another try; all else is mended."""
    node = case.node
    refused = [
        wish for wish in answer.get("unapplied", []) if "the driver refuses to set this" in wish["detail"]
    ]
    if refused:
        again = node.apply(**NEW)
        assert (again["changed"], again["writes"]) == (False, 0), told
        assert {(wish["key"], wish["target"]) for wish in again["unapplied"]} == {
            (wish["key"], wish["target"]) for wish in answer["unapplied"]
        }, told
        assert all(
            "the driver refused it (this load of the driver)" in w["detail"] for w in again["unapplied"]
        )
        (node.base / "run" / "gpu_locks.json").unlink()
    node.apply(**NEW)
    assert all(live(node, index) == AFTER for index in case.gpus), told
    assert claims(node) == case.new_claims, told
