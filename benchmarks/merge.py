# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The merge on the controller for many hosts, against ansible.builtin.debug, Ansible's own cost per host."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ansible_run import Playbooks, Task
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, samples

FLOOR: dict[str, Any] = {"name": "floor", "ansible.builtin.debug": {"msg": "{{ inventory_hostname }}"}}
MERGE: dict[str, Any] = {"name": "merge", "swarm.node.merge": {"layers": ["kernel", "gpu"]}}


def inventory(count: int) -> dict[str, Any]:
    """A fleet of three groups with profiles and maps, and a deviation on every tenth host."""
    names = [f"node-{number:04d}" for number in range(1, count + 1)]
    hosts = {
        name: {"kernel_sysctl": {"vm.swappiness": 1}} if i % 10 == 9 else {} for i, name in enumerate(names)
    }
    train, infer = names[: count * 6 // 10], names[count * 6 // 10 : count * 9 // 10]
    idle = names[count * 9 // 10 :]

    def group(members: list[str], **variables: Any) -> dict[str, Any]:
        return {"hosts": dict.fromkeys(members, None), "vars": variables}

    return {
        "all": {
            "hosts": hosts,
            "vars": {"ansible_connection": "local", "kernel_sysctl": {"net.core.somaxconn": 8192}},
            "children": {
                "train": group(
                    train,
                    node_profile="training@1",
                    node_expect={"gpu": "H100 80GB HBM3", "count": 8, "uniform": True},
                    gpu_power_limit="90%default",
                    kernel_sysctl={"net.core.busy_poll": 25},
                ),
                "infer": group(infer, node_profile="inference@1", gpu_graphics_clocks="80%max"),
                "idle": group(idle, node_profile="efficiency@1"),
            },
        }
    }


def check(task: Task, count: int) -> None:
    """Every host has both layers' wishes. Raises BenchmarkError."""
    wrong = [name for name, result in task.hosts.items() if result["layers"] != ["gpu", "kernel"]]
    if len(task.hosts) != count or wrong:
        raise BenchmarkError(
            f"merge of {count} hosts: {len(task.hosts)} answers, without layers: {wrong[:5]}"
        )


def benchmark(
    playbooks: Playbooks, repetitions: int, say: Callable[[str], None], work: Path, counts: list[int]
) -> list[Row]:
    """Per size one play with both tasks, the order changing with the repetition. Raises BenchmarkError."""
    found = []
    for count in counts:
        fleet = work / f"fleet-{count}.yml"
        fleet.write_text(json.dumps(inventory(count)), "utf-8")
        merged, floor = [], []
        for number in range(1, repetitions + 1):
            say(f"merge {number}/{repetitions}: {count} hosts")
            tasks = [FLOOR, MERGE] if number % 2 else [MERGE, FLOOR]
            run = playbooks.run("all", tasks, fleet)
            if run.trips:
                raise BenchmarkError(f"merge of {count} hosts: {run.trips} round trips, should be none")
            by_name = {task.name: task for task in run.tasks}
            check(by_name["merge"], count)
            merged.append(by_name["merge"].seconds)
            floor.append(by_name["floor"].seconds)
        found.append(row(count, merged, floor))
    return found


def row(count: int, merged: list[float], floor: list[float]) -> Row:
    """Seconds of the tasks over all hosts, as ms per host."""
    ours, peer = (samples([1000 * value / count for value in values]) for values in (merged, floor))
    return Row("merge, against debug", f"{count} hosts: task, per host", "ms", ours, peer, "ours/peer", 1)
