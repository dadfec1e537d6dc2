# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's namespaces: mounts, network and processes, held by one process on the host.

The process namespace makes the end certain: when its first process dies, the kernel kills every
node, monitor and connection of the lab, and with the last of them all mounts and interfaces go.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.paths import LabPaths
from lab.shell import run

_UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")

# /run and /dev/shm: podman's locks, sockets and pid files would meet those of the host's own podman.
# cgroup: systemd and runc want one cgroup2 tree, where the host has it only beside version 1.
_PREPARE = """
set -eu
mount -t tmpfs -o mode=0755 lab-run /run
mkdir -p /run/lock /run/lab-net
mount -t tmpfs -o mode=1777 lab-shm /dev/shm
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
ip link set lo up
"""

# The host may show its cgroup2 tree anywhere or not at all: a short-lived mount of our own always works.
_REMOVE_CGROUP = """
set -eu
mount -t cgroup2 cgroup2 /mnt
[ -d "/mnt$1" ] || exit 0
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    find "/mnt$1" -depth -type d -exec rmdir {} \\; 2>/dev/null || true
    [ -d "/mnt$1" ] || exit 0
    sleep 0.2
done
echo "still in use: $1" >&2
exit 1
"""


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    start: int


def start_time(pid: int) -> int | None:
    """Start of a process in clock ticks since boot; None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    # The name stands in parentheses and may hold anything; fields are counted behind it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def holder(paths: LabPaths) -> Process | None:
    """The lab's living holder, or None."""
    try:
        pid, start = (int(word) for word in paths.holder.read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return None
    return Process(pid, start) if start_time(pid) == start else None


def start(paths: LabPaths) -> Process:
    """Starts the holder and prepares its namespaces; LabError says what this machine refuses."""
    command = [
        *_UNSHARE,
        "--propagation",
        "slave",
        sys.executable,
        str(Path(__file__).with_name("holder.py")),
    ]
    outer = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    assert outer.stdout is not None and outer.stderr is not None
    if outer.stdout.readline() != b"ready\n":
        outer.kill()
        message = outer.stderr.read().decode(errors="replace").strip()
        raise LabError(f"cannot make namespaces here ({shlex.join(_UNSHARE)}): {message}")
    process = _child_of(outer.pid)
    paths.holder.write_text(f"{process.pid}\n{process.start}\n", encoding="utf-8")
    run([*enter(process), "sh", "-c", _PREPARE])
    return process


def _child_of(parent: int) -> Process:
    """The only child of the unshare process."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            return Process(int(entry.name), int(fields[19]))
    raise LabError("the lab's holder process ended at once")


def enter(process: Process) -> list[str]:
    """The command prefix that runs something inside the lab."""
    return ["nsenter", f"--target={process.pid}", "--mount", "--net", "--pid", "--"]


def stop(paths: LabPaths) -> None:
    """Ends the holder, and with it everything in the lab; returns when all of it is gone."""
    process = holder(paths)
    if process is not None:
        os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while start_time(process.pid) == process.start:
            if time.monotonic() > deadline:
                raise LabError(f"the lab's holder (pid {process.pid}) does not end")
            time.sleep(0.02)
    run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _REMOVE_CGROUP, "sh", paths.cgroup],
        timeout=30,
    )
