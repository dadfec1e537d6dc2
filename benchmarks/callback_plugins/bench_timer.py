# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible callback: how long each task took, and what its results say, as JSON in a file."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: bench_timer
type: aggregate
short_description: Writes the time of every task to a file
description:
  - From the start of the task to the last result of it, on the monotonic clock of the controller.
  - The processor time is that of the controller, up to the start of the next task.
options:
  path:
    description: The file to write at the end of the run.
    type: path
    required: true
    env:
      - name: SWARM_NODE_BENCH_TIMES
"""


def _cpu() -> float:
    """s of processor time that this process and those of its workers have had that have ended."""
    return sum(os.times()[:4])


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bench_timer"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tasks: list[dict[str, Any]] = []

    def _close(self) -> None:
        """The last task's processor time ends as the next one starts: its workers have ended only then."""
        if self._tasks:
            self._tasks[-1]["cpu"] += _cpu()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._close()
        self._tasks.append(
            {"name": task.get_name(), "start": time.monotonic(), "cpu": -_cpu(), "end": None, "hosts": {}}
        )

    def v2_runner_on_ok(self, result: Any) -> None:
        self._end(result, failed=False)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._end(result, failed=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._end(result, failed=True)

    def _end(self, result: Any, failed: bool) -> None:
        now = time.monotonic()
        task = self._tasks[-1]
        task["end"] = now
        data = result.result
        task["hosts"][result.host.get_name()] = {
            "failed": failed,
            "changed": bool(data.get("changed")),
            # A loop's own results; without a loop there is one, the task's.
            "items": [bool(item.get("changed")) for item in data.get("results", [])],
            "changes": len(data.get("changes", [])),
            "unapplied": [str(item.get("key")) for item in data.get("unapplied", [])],
            "writes": data.get("writes"),
            # What an action of these benchmarks says of itself.
            "seconds": data.get("bench_seconds"),
            "layers": sorted(data.get("layers", {})),
        }

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._close()
        Path(self.get_option("path")).write_text(json.dumps(self._tasks), "utf-8")
