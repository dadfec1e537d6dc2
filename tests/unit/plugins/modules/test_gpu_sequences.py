# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random wishes one after the other, with other hands in between, on simulated boards.

Whatever was before: a check writes nothing and predicts what the run then does, a second run does nothing,
nothing happens that was withheld, claims and answers say what is so, and what nobody interfered with is as it
was found once all is given back.
"""

from __future__ import annotations

from typing import Any

from gpu_node import GpuNode
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

PREDICTED = (
    "changes", "plan_digest", "unapplied", "before", "after", "details", "notes", "pending", "attention",
    "degraded", "reboot_required", "failure_kind", "changed",
)  # fmt: skip
SAME_AGAIN = ("unapplied", "pending", "attention", "degraded", "failure_kind")
COMPUTE = {0: "default", 2: "prohibited", 3: "exclusive_process"}
COSTS = ("none", "perf", "node_jobs", "reboot")

WISHES = st.fixed_dictionaries(
    {"max_disruption": st.sampled_from((*COSTS, "reboot"))},
    optional={
        "power_limit": st.sampled_from(["default", "90%default", {"0": "80%max"}, {"0": None, "all": "max"}]),
        "graphics_clocks": st.sampled_from(["unlocked", "80%max", {"1": "50%range"}]),
        "memory_clocks": st.sampled_from(["unlocked", "max"]),
        "persistence_mode": st.sampled_from([True, False, "default", {"0": True}]),
        "accounting_mode": st.sampled_from([True, False]),
        "compute_mode": st.sampled_from(["default", "exclusive_process", {"1": "prohibited"}]),
        "ecc": st.sampled_from([True, False, {"0": False}]),
        "reset": st.sampled_from([True, [0]]),
    },
)  # fmt: skip
BOARDS = ("h100:2", "v100:1,rtx4090:1", "gb200:2", "p40:2", "rtx4090-laptop:1,t4:1")
DRIVERS = ("535.183.01", "550.163.01", "570.86.15", "595.10.01")


def live(gpu: dict[str, Any], key: str) -> Any:
    """The simulator's value of a key, as results show it; a lock that nobody knows of is "unlocked"."""
    if key == "gpu.power_limit":
        return gpu["power_limit_mw"] / 1000
    if key == "gpu.compute_mode":
        return COMPUTE[gpu["compute_mode"]]
    if key == "gpu.ecc":
        return bool(gpu["ecc"][1])
    if key.endswith("_clocks"):
        return gpu[f"lock_{key[4:-7]}_mhz"] or "unlocked"
    return bool(gpu[key[4:]])


class Sequences(RuleBasedStateMachine):
    """One node. Simulated boards forget volatile values by themselves while persistence is off."""

    def __init__(self) -> None:
        super().__init__()
        self.node = GpuNode("h100:2")
        self.first = self.live()
        self.touched = False
        self.boots = 0

    @rule(boards=st.sampled_from(BOARDS), driver=st.sampled_from(DRIVERS))
    @precondition(lambda self: not self.touched and not self.node.record.exists())
    def other_boards(self, boards: str, driver: str) -> None:
        self.node = GpuNode(boards, driver)
        self.first = self.live()

    # -- the module

    @rule(wishes=WISHES)
    def wish(self, wishes: dict[str, Any]) -> None:
        self.reconcile(**wishes)

    @rule(cost=st.sampled_from(COSTS))
    def absent(self, cost: str) -> None:
        done = self.reconcile(state="absent", max_disruption=cost)
        assert not self.node.record.exists() or done["unapplied"] or done["degraded"]
        if not self.node.record.exists() and not self.touched:
            assert self.live() == self.first

    def reconcile(self, **options: Any) -> dict[str, Any]:
        node, before, files = self.node, self.live(), self.files()
        if not node.record.exists():
            self.first, self.touched = before, False
        seen = node.run(check=True, **options)
        assert (self.live(), self.files(), seen.get("writes", 0)) == (before, files, 0)
        done = node.run(**options)
        refused = any(
            "the driver refuses to set this" in wish["detail"] for wish in done.get("unapplied", [])
        )
        if not refused:
            assert {name: done.get(name) for name in PREDICTED} == {
                name: seen.get(name) for name in PREDICTED
            }
        if done.get("failed") and done["failure_kind"] == "refused":
            assert (self.live(), self.files()) == (before, files)
            return {**done, "unapplied": [], "degraded": [], "refused": True}
        assert done.get("failure_kind") in (None, "degraded"), done["msg"]
        after = self.live()
        again = node.run(**options)
        assert (again["changed"], again["writes"], self.live()) == (False, 0, after), again["changes"]
        if refused:  # No check can know; from now on it is known.
            done = again
        assert {name: again.get(name) for name in SAME_AGAIN} == {name: done.get(name) for name in SAME_AGAIN}
        assert all(again["after"][name] == done["after"].get(name) for name in again["after"])
        self.says_what_is_so(done, before, after)
        return done

    def says_what_is_so(
        self, done: dict[str, Any], before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]
    ) -> None:
        lost = self.left_out(done)
        fleeting = {f"{c['key']} {c['target']}" for c in done["changes"] if "it lasts only while" in c["why"]}
        for name, value in done["after"].items():
            key, uuid = name.split()
            if value is not None and uuid not in lost and name not in fleeting:
                assert live(after[uuid], key) == value, name
        for wish in done["unapplied"]:
            if wish["reason"] == "needs_more_disruption":
                key, uuid = wish["key"], wish["target"]
                assert live(after[uuid], key) == live(before[uuid], key), "withheld, and happened"
        unapplied = {f"{wish['key']} {wish['target']}" for wish in done["unapplied"]}
        for name, claim in self.node.claims().items():
            key, uuid = name.split()
            if name not in unapplied and uuid not in lost:
                assert live(after[uuid], key) == claim["applied"], name
        waits = {item["target"] for item in done["pending"]}
        for uuid, gpu in after.items():
            if uuid not in lost:
                assert (uuid in waits) == (bool(gpu["ecc"]) and gpu["ecc"][0] != gpu["ecc"][1])

    # -- other hands

    @rule(index=st.integers(0, 1), mode=st.sampled_from([0, 2, 3]))
    def somebody_sets_the_compute_mode(self, index: int, mode: int) -> None:
        self.touched = True
        self.node.sim.set(index, "compute_mode", mode)

    @rule(index=st.integers(0, 1), on=st.booleans())
    def somebody_sets_persistence(self, index: int, on: bool) -> None:
        self.touched = True
        self.node.sim.set(index, "persistence_mode", int(on))
        self.node.run(module="gpu_info")  # the last client that goes takes volatile values with it

    @rule(index=st.integers(0, 1))
    def somebody_sets_the_limit(self, index: int) -> None:
        gpu = self.node.sim.gpu(index)
        if gpu["persistence_mode"]:
            self.touched = True
            self.node.sim.set(index, "power_limit_mw", 200_000)

    @rule(index=st.integers(0, 1), kind=st.sampled_from(["mig_current", "recovery_action"]), on=st.booleans())
    def conditions(self, index: int, kind: str, on: bool) -> None:
        self.touched = True
        self.node.sim.set(index, kind, int(on))
        if kind == "mig_current" and on:
            self.node.sim.set(index, "accounting_mode", 0)  # the driver turns it off then

    @rule(index=st.integers(0, 1), on=st.booleans())
    def somebody_computes(self, index: int, on: bool) -> None:
        gpu = self.node.sim.gpu(index)
        if on == bool(gpu["processes"]) or (on and gpu["compute_mode"]):
            return  # the simulator keeps processes out as CUDA does
        self.node.sim.process(index, 4711, 64 if on else None)
        self.node.run(module="gpu_info")

    @rule(index=st.integers(0, 1))
    def the_gpu_is_lost(self, index: int) -> None:
        self.touched = True
        self.node.sim.lose(index)

    @rule(index=st.integers(0, 1))
    def the_gpu_is_back(self, index: int) -> None:
        self.node.sim.find(index)

    @rule()
    def reboot(self) -> None:
        self.touched = True
        self.boots += 1
        self.node.sim.reboot()
        self.node.boot(f"boot {self.boots}")

    @rule()
    def the_driver_is_reloaded(self) -> None:
        self.touched = True
        self.node.reload_driver()

    # -- reading

    def live(self) -> dict[str, dict[str, Any]]:
        keys = (
            "power_limit_mw", "persistence_mode", "lock_graphics_mhz", "lock_memory_mhz", "accounting_mode",
            "compute_mode", "ecc",
        )  # fmt: skip
        return {gpu["uuid"]: {key: gpu.get(key) for key in keys} for gpu in self.node.sim.status()["gpus"]}

    def left_out(self, done: dict[str, Any]) -> set[str]:
        """UUIDs of the GPUs on which nothing is set."""
        lost = {gpu["uuid"] for gpu in self.node.sim.status()["gpus"] if gpu["lost"]}
        return lost | {item["target"] for item in done["attention"] if item["what"] == "recovery_action"}

    def files(self) -> dict[str, str]:
        found = (path for part in ("state", "run") for path in (self.node.base / part).rglob("*"))
        return {str(path): path.read_text() for path in found if path.is_file() and path.name != "lock"}


Sequences.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=8,
    phases=[Phase.generate],  # shrinking runs the module for minutes; the steps are printed all the same
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestSequences = Sequences.TestCase
