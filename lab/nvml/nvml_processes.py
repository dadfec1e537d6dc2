# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that use a simulated GPU: whom the compute mode lets in, what accounting keeps. All pure.

`processes` is {pid: "MiB"} or {pid: "MiB GPU-INSTANCE COMPUTE-INSTANCE"}, as in gpuN.processes.
"""

from __future__ import annotations

from nvml_state import Table, number

PROHIBITED, EXCLUSIVE_PROCESS = 2, 3


def refusal(boot: Table, mig: Table, processes: Table, pid: int, instance: str) -> str:
    """Why CUDA would not let this process in; "" if it would. With MIG each device has its own mode."""
    words = instance.split()
    mode = number(mig, f"mode{'.'.join(words)}") if len(words) == 2 else number(boot, "compute_mode")
    if str(pid) in processes:
        return ""
    if mode == PROHIBITED:
        return "compute mode PROHIBITED lets no process in"
    others = sorted(other for other, held in processes.items() if held.partition(" ")[2] == instance)
    if mode == EXCLUSIVE_PROCESS and others:
        return f"compute mode EXCLUSIVE_PROCESS, and process {others[0]} is there"
    return ""


def accounted(rows: Table, on: bool, pid: int, mib: int | None, now_us: int, utilization: int) -> Table:
    """The rows of gpuN.accounting, {pid: "start end MiB percent"}, after a process came, grew or went.

    Only what starts while accounting is on gets a row; `mib` None: it is gone.
    """
    key = str(pid)
    start, end, most, percent = (int(word) for word in rows.get(key, f"{now_us} 0 0 0").split())
    known = key in rows and end == 0
    if mib is None:
        return {**rows, key: f"{start} {now_us} {most} {percent}"} if known else rows
    if known:
        return {**rows, key: f"{start} 0 {max(most, mib)} {max(percent, utilization)}"}
    return {**rows, key: f"{now_us} 0 {mib} {utilization}"} if on else rows
