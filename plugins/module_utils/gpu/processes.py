# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running processes as /proc tells them, and who uses a GPU. Reads only.

Before anything that would disturb work on a GPU:

    users = users_of(nvml, uuid, root)
    if users:
        raise ... f"{label} is in use by {describe(users)}"
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .nvml import Nvml

KINDS = {
    "compute": "nvmlDeviceGetComputeRunningProcesses",
    "graphics": "nvmlDeviceGetGraphicsRunningProcesses",
    "mps": "nvmlDeviceGetMPSComputeRunningProcesses",
}
"""How a process uses a GPU → the function that lists it. A process in several lists counts as the first."""

SHOWN = 8
"""So many processes are named one by one; the others are counted."""

_CONTAINER = re.compile(r"(docker|libpod|cri-containerd|crio|containerd)[-/:](?:[^/]*[-:])?([0-9a-f]{64})")
_POD = re.compile(r"kubepods[^\n]*[/-]([0-9a-f]{64})")
_JOB = re.compile(r"slurm[^\n]*/job_([0-9]+)")
_ENGINES = {"libpod": "podman", "cri-containerd": "containerd", "crio": "cri-o"}
"""What a control group calls an engine → what people call it."""


@dataclass(frozen=True)
class GpuProcess:
    """A process on a GPU. Empty or None: not visible from here (another pid namespace, or it has just gone).

    kind: compute, graphics or mps; memory: bytes on this GPU
    container: engine and short id, `docker 3fa9c1d2e4b5`; job: the Slurm job's number
    """

    pid: int
    kind: str = "compute"
    name: str = ""
    user: str = ""
    container: str = ""
    job: str = ""
    memory: int | None = None

    def __str__(self) -> str:
        parts = [f"user {self.user}" if self.user else "", self.container]
        parts.append(f"slurm job {self.job}" if self.job else "")
        belongs = ", ".join(part for part in parts if part)
        words = f"{self.pid} {self.name}".strip()
        return f"{words} ({belongs})" if belongs else words


def users_of(nvml: Nvml, uuid: str, root: Path) -> list[GpuProcess]:
    """Processes on a GPU, by pid. Lists the driver does not have are empty.

    root: where /proc is. Raises TargetLost, NvmlError: a list that cannot be had is not an empty one.
    """
    found: dict[int, GpuProcess] = {}
    for kind, function in KINDS.items():
        for item in nvml.ask_gpu(uuid, function) or ():
            pid = int(item.pid)
            if pid not in found:
                found[pid] = _gpu_process(root, pid, kind, item.usedGpuMemory)
    return [found[pid] for pid in sorted(found)]


def describe(users: list[GpuProcess]) -> str:
    """For messages: `12345 python3 (user alice, docker 3fa9c1d2e4b5), 12350 …`; "" if there are none."""
    names = [str(user) for user in users[:SHOWN]]
    more = len(users) - SHOWN
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def running(root: Path) -> Iterator[tuple[int, str, Path]]:
    """(pid, name, directory in /proc) of every process; the kernel cuts names at 15 characters."""
    try:
        entries = list((root / "proc").iterdir())
    except OSError:
        return
    for entry in entries:
        if not entry.name.isdigit():
            continue
        try:
            yield (
                int(entry.name),
                (entry / "comm").read_text(encoding="utf-8", errors="replace").strip(),
                entry,
            )
        except OSError:
            continue


def arguments(directory: Path) -> list[str]:
    """The command line of a process, empty if it has gone."""
    return _read(directory / "cmdline").split("\0")


def container_of(cgroup: str) -> str:
    """Engine and short id from the text of /proc/PID/cgroup, or ""."""
    found = _CONTAINER.search(cgroup)
    if found:
        return f"{_ENGINES.get(found[1], found[1])} {found[2][:12]}"
    pod = _POD.search(cgroup)
    return f"container {pod[1][:12]}" if pod else ""


def job_of(cgroup: str) -> str:
    """The number of the Slurm job from the text of /proc/PID/cgroup, or ""."""
    found = _JOB.search(cgroup)
    return found[1] if found else ""


def _gpu_process(root: Path, pid: int, kind: str, memory: Any) -> GpuProcess:
    directory = root / "proc" / str(pid)
    cgroup = _read(directory / "cgroup")
    return GpuProcess(
        pid=pid,
        kind=kind,
        name=_read(directory / "comm").strip(),
        user=_user(_read(directory / "status")),
        container=container_of(cgroup),
        job=job_of(cgroup),
        memory=None if memory is None else int(memory),
    )


def _user(status: str) -> str:
    """The real user from the text of /proc/PID/status; the number where it has no name here."""
    found = re.search(r"^Uid:\s+([0-9]+)", status, re.MULTILINE)
    if not found:
        return ""
    try:
        return pwd.getpwuid(int(found[1])).pw_name
    except KeyError:
        return found[1]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
