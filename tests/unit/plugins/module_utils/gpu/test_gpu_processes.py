# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a GPU, from NVML and /proc."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TargetLost
from ansible_collections.swarm.node.plugins.module_utils.gpu.nvml import Nvml, NvmlError
from ansible_collections.swarm.node.plugins.module_utils.gpu.processes import (
    SHOWN,
    GpuProcess,
    container_of,
    describe,
    job_of,
    users_of,
)

ID = "3fa9c1d2e4b5" + "0" * 52


class Listing(Nvml):
    """NVML that lists these processes: kind of list → pids, or the error it answers with."""

    def __init__(self, **lists: Any) -> None:
        super().__init__()
        self.lists = lists

    def ask_gpu(self, uuid: str, function: str, *arguments: Any) -> Any:
        kind = function.removeprefix("nvmlDeviceGet").removesuffix("RunningProcesses").lower()
        listed = self.lists.get(kind)
        if isinstance(listed, Exception):
            raise listed
        return listed and [SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in listed]


def process(root: Path, pid: int, name: str, uid: int, cgroup: str) -> None:
    directory = root / "proc" / str(pid)
    directory.mkdir(parents=True)
    (directory / "comm").write_text(f"{name}\n")
    (directory / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t0\t0\t0\n")
    (directory / "cgroup").write_text(cgroup)


def test_a_process_with_all_its_names(tmp_path: Path) -> None:
    process(tmp_path, 12345, "python3", os.getuid(), f"0::/system.slice/docker-{ID}.scope\n")
    (user,) = users_of(Listing(compute=[(12345, 2**30)]), "GPU-1", tmp_path)
    name = pwd.getpwuid(os.getuid()).pw_name
    assert user == GpuProcess(12345, "compute", "python3", name, "docker 3fa9c1d2e4b5", "", 2**30)
    assert describe([user]) == f"12345 python3 (user {name}, docker 3fa9c1d2e4b5)"


def test_a_user_without_a_name_and_a_slurm_job(tmp_path: Path) -> None:
    process(
        tmp_path, 7, "train", 4_000_000_001, "0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0\n"
    )
    assert describe(users_of(Listing(compute=[(7, None)]), "GPU-1", tmp_path)) == (
        "7 train (user 4000000001, slurm job 42)"
    )


def test_a_process_that_cannot_be_seen(tmp_path: Path) -> None:
    """It is in another pid namespace, or has just gone; NVML may not say its memory."""
    users = users_of(Listing(compute=[(9, None)]), "GPU-1", tmp_path)
    assert users == [GpuProcess(9)] and describe(users) == "9"


def test_each_process_once_by_pid(tmp_path: Path) -> None:
    nvml = Listing(compute=[(30, 5), (10, 6)], graphics=[(10, 7), (20, 8)], mpscompute=[(40, 9)])
    found = [(user.pid, user.kind) for user in users_of(nvml, "GPU-1", tmp_path)]
    assert found == [(10, "compute"), (20, "graphics"), (30, "compute"), (40, "mps")]


def test_nobody(tmp_path: Path) -> None:
    assert users_of(Listing(), "GPU-1", tmp_path) == [] and describe([]) == ""


@pytest.mark.parametrize(
    "error", [TargetLost("GPU-1", "gone"), NvmlError("nvmlDeviceGetComputeRunningProcesses", 999, "unknown")]
)
def test_a_list_that_cannot_be_had_is_not_an_empty_one(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        users_of(Listing(compute=error), "GPU-1", tmp_path)


def test_many_are_counted() -> None:
    words = describe([GpuProcess(pid) for pid in range(1, SHOWN + 4)])
    assert words == "1, 2, 3, 4, 5, 6, 7, 8 and 3 more"


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{ID}.scope", "docker 3fa9c1d2e4b5"),
        (f"12:devices:/docker/{ID}\n11:cpu:/docker/{ID}", "docker 3fa9c1d2e4b5"),
        (f"0::/machine.slice/libpod-{ID}.scope/container", "podman 3fa9c1d2e4b5"),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", "containerd 3fa9c1d2e4b5"),
        (f"0::/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope", "cri-o 3fa9c1d2e4b5"),
        (f"1:cpu:/kubepods/burstable/pod0a1b/{ID}", "container 3fa9c1d2e4b5"),
        ("0::/user.slice/user-1000.slice/session-3.scope", ""),
        ("0::/system.slice/docker.service", ""),
        ("", ""),
    ],
)
def test_containers(cgroup: str, container: str) -> None:
    assert container_of(cgroup) == container


@pytest.mark.parametrize(
    ("cgroup", "job"),
    [
        ("4:devices:/slurm/uid_1000/job_77/step_batch", "77"),
        ("0::/system.slice/n1_slurmstepd.scope/job_78/step_0", "78"),
        ("0::/system.slice/job_79", ""),
    ],
)
def test_jobs(cgroup: str, job: str) -> None:
    assert job_of(cgroup) == job
