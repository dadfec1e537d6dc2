# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs `ansible-playbook` on a play given as data, and says how long it and its tasks took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError

CHECKOUT = Path(__file__).resolve().parent.parent
LAB_INVENTORY = CHECKOUT / "inventories" / "lab"
TIMEOUT = 1800.0
"""Seconds. Far above any run; it only keeps a hung one from hanging for good."""

SSH_COUNTER = """#!/bin/sh
# One character per ssh command of a run: each is a round trip to a node.
printf . >>"$SWARM_NODE_BENCH_TRIPS"
exec ssh "$@"
"""


@dataclass(frozen=True)
class Task:
    """One task of a run: its wall time in seconds, and its result per host as the timer callback has it.

    cpu: s of processor time on the controller
    """

    name: str
    seconds: float
    hosts: dict[str, dict[str, Any]]
    cpu: float = 0.0

    def only(self) -> dict[str, Any]:
        """The result of a task that ran on exactly one host."""
        if len(self.hosts) != 1:
            raise BenchmarkError(f"task {self.name!r}: expected one host, found {sorted(self.hosts)}")
        return next(iter(self.hosts.values()))


@dataclass(frozen=True)
class Run:
    """One run: wall time of the whole process in seconds, its tasks, its number of ssh commands."""

    seconds: float
    trips: int
    tasks: list[Task] = field(default_factory=list)

    def only(self) -> Task:
        if len(self.tasks) != 1:
            raise BenchmarkError(f"expected one task, found {[task.name for task in self.tasks]}")
        return self.tasks[0]


class Playbooks:
    """Runs plays with the checkout's configuration and nothing of the caller's Ansible variables.

    `work` is a directory for throw-away files, `collections` holds the peer's collections.
    """

    def __init__(self, work: Path, collections: list[Path]) -> None:
        self.work = work
        self.collections = [CHECKOUT / ".cache" / "collections", *collections]
        self.counter = work / "ssh"
        self.counter.write_text(SSH_COUNTER, "utf-8")
        self.counter.chmod(0o755)

    def run(self, hosts: str, tasks: list[dict[str, Any]], inventory: Path = LAB_INVENTORY) -> Run:
        """Runs one play without fact gathering. Raises BenchmarkError with Ansible's output if it fails."""
        playbook, times, trips = (self.work / name for name in ("play.yml", "times.json", "trips"))
        playbook.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]), "utf-8")
        times.unlink(missing_ok=True)
        trips.write_text("", "utf-8")
        line = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), str(playbook)]
        start = time.monotonic()
        try:
            done = subprocess.run(
                line,
                cwd=CHECKOUT,
                env=self._environment(times, trips),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"ansible-playbook on {hosts} did not end in {TIMEOUT:.0f} s") from error
        seconds = time.monotonic() - start
        if done.returncode != 0 or not times.exists():
            names = [task.get("name", "?") for task in tasks]
            head = f"ansible-playbook ended with {done.returncode} on {hosts}, tasks {names}"
            raise BenchmarkError(f"{head}:\n{done.stdout[-4000:]}")
        return Run(seconds, len(trips.read_text("utf-8")), read_tasks(json.loads(times.read_text("utf-8"))))

    def _environment(self, times: Path, trips: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {
            **kept,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": ":".join(map(str, self.collections)),
            # Only the timer: neither side pays for a summary.
            "ANSIBLE_CALLBACKS_ENABLED": "bench_timer",
            "ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "benchmarks" / "callback_plugins"),
            "ANSIBLE_SSH_EXECUTABLE": str(self.counter),
            "ANSIBLE_NOCOLOR": "1",
            "SWARM_NODE_BENCH_TIMES": str(times),
            "SWARM_NODE_BENCH_TRIPS": str(trips),
        }


def read_tasks(data: list[dict[str, Any]]) -> list[Task]:
    """The timer's file as tasks. Raises BenchmarkError for a task without a result, or with a failed one."""
    found = []
    for item in data:
        failed = [host for host, result in item["hosts"].items() if result["failed"]]
        if item["end"] is None or failed:
            raise BenchmarkError(f"task {item['name']!r}: no result, or failed on {failed}")
        found.append(Task(item["name"], item["end"] - item["start"], item["hosts"], item.get("cpu", 0.0)))
    return found
