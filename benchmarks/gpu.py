# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight and sixteen simulated GPUs in one call of swarm.node.gpu: its time per GPU.

There is no peer: what people use instead calls nvidia-smi, and the simulator has none. A ping in the same
play says what Ansible itself costs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import node
from benchmarks.ansible_run import Playbooks, Task
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, Samples, samples
from lab.spec import DRIVER_VERSION

NODE = "h100-1"
COUNTS = (8, 16)
OWN_COUNT = 8
"""What the node has in the lab, and has again afterwards."""
OWNER = "bench"
POWER_W = 630
CLOCKS_MHZ = [1200, 1980]

PING: dict[str, Any] = {"name": "ping", "ansible.builtin.ping": {}}
SETUP: dict[str, Any] = {
    "name": "setup",
    "swarm.node.packages": {"name": ["python3-pynvml"], "provides": {"python3-pynvml": "pynvml"}},
}
GIVE_BACK: dict[str, Any] = {"name": "back", "swarm.node.gpu": {"owner": OWNER, "state": "absent"}}

Boards = list[tuple[int, list[int] | None]]
"""Per GPU the power limit in mW and the lock of the graphics clock, [min, max] in MHz."""


@dataclass
class Times:
    """Per repetition the seconds of the task, and of a ping in the same run."""

    apply: list[float] = field(default_factory=list)
    same: list[float] = field(default_factory=list)
    ping: list[float] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)


def boards() -> Boards:
    """What the simulator itself says of its boards."""
    gpus = json.loads(node.sh(NODE, "nvml-sim status --json"))["gpus"]
    return [(gpu["power_limit_mw"], gpu["lock_graphics_mhz"]) for gpu in gpus]


def require_boards(found: Boards, wanted: Boards, when: str) -> None:
    if found != wanted:
        raise BenchmarkError(f"{NODE}: boards {when} are {found}, should be {wanted}")


def setting(gpus: int) -> dict[str, Any]:
    """The task that is measured."""
    clocks = f"{CLOCKS_MHZ[0]}-{CLOCKS_MHZ[1]}"
    options = {"owner": OWNER, "power_limit": POWER_W, "graphics_clocks": clocks, "expect": {"count": gpus}}
    return {"name": "gpu", "swarm.node.gpu": options}


def give_boards(gpus: int) -> None:
    """Makes the node one with that many boards, as installed."""
    node.sh(
        NODE,
        f"nvml-sim init --boards h100:{gpus} --driver {DRIVER_VERSION}"
        " && systemctl restart swarm-lab-boot.service",
    )


def check(task: Task, gpus: int, trips: int, first: bool) -> None:
    """One round trip beside the ping's; the second run does nothing. Raises BenchmarkError."""
    result = task.only()
    seen = (trips, result["changed"], result["unapplied"])
    if seen != (2, first, []):
        raise BenchmarkError(f"swarm.node.gpu and a ping: (round trips, changed, unapplied) is {seen}")
    if first and result["changes"] < 2 * gpus:
        raise BenchmarkError(f"swarm.node.gpu: {result['changes']} changes for {gpus} GPUs")
    if not first and (result["changes"], result["writes"]) != (0, 0):
        raise BenchmarkError(f"second run: {result['changes']} changes, {result['writes']} writes")


def benchmark(playbooks: Playbooks, repetitions: int, say: Callable[[str], None]) -> list[Row]:
    """Sets, looks again, gives back. Raises BenchmarkError."""
    say("gpu: installing pynvml on the node")
    playbooks.run(NODE, [SETUP])
    found: list[Row] = []
    for gpus in COUNTS:
        try:
            give_boards(gpus)
            found += rows(gpus, _measured(playbooks, gpus, repetitions, say))
        finally:
            playbooks.run(NODE, [GIVE_BACK])
            give_boards(OWN_COUNT)
    return found


def _measured(playbooks: Playbooks, gpus: int, repetitions: int, say: Callable[[str], None]) -> Times:
    before = boards()
    if len(before) != gpus or any(board == (POWER_W * 1000, CLOCKS_MHZ) for board in before):
        raise BenchmarkError(f"{NODE}: the benchmark needs {gpus} GPUs that are not yet set; found {before}")
    times = Times()
    for number in range(1, repetitions + 1):
        say(f"gpu, {gpus} boards, {number}/{repetitions}: swarm.node.gpu")
        _repetition(playbooks, times, gpus)
        playbooks.run(NODE, [GIVE_BACK])
        require_boards(boards(), before, "after giving back")
    return times


def _repetition(playbooks: Playbooks, times: Times, gpus: int) -> None:
    for first, seconds in ((True, times.apply), (False, times.same)):
        run = playbooks.run(NODE, [PING, setting(gpus)])
        ping, task = run.tasks
        check(task, gpus, run.trips, first)
        require_boards(boards(), [(POWER_W * 1000, CLOCKS_MHZ)] * gpus, "after the task")
        seconds.append(task.seconds)
        times.ping.append(ping.seconds)
        if first:
            times.trips.append(float(run.trips - 1))  # one is the ping's
            times.writes.append(float(task.only()["writes"]))


def rows(gpus: int, times: Times) -> list[Row]:
    """The lines of the table, in ms."""
    name = f"gpu, {gpus} simulated GPUs"
    return [
        Row(name, "apply: task, per GPU", "ms", _per_gpu(times.apply, gpus), digits=0),
        Row(name, "no change: task, per GPU", "ms", _per_gpu(times.same, gpus), digits=0),
        Row(name, "ping in the same runs, per task", "ms", samples([1e3 * s for s in times.ping]), digits=0),
        Row(name, "apply: round trips", "", samples(times.trips), digits=0),
        Row(name, "apply: writes, records included", "", samples(times.writes), digits=0),
    ]


def _per_gpu(seconds: list[float], gpus: int) -> Samples:
    return samples([1000 * value / gpus for value in seconds])
