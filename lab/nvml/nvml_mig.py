# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIG instances of a simulated GPU, as src/mig_state.c keeps them in gpuN.mig."""

from __future__ import annotations

import re
from typing import Any

from nvml_state import SimError, Store, Table

WIDE_SLICE = 7  # NVML_COMPUTE_INSTANCE_PROFILE_1_SLICE_REV1
SLICES = {0: 1, 1: 2, 2: 3, 3: 4, 4: 7, WIDE_SLICE: 1}


def _profiles(board: Table) -> dict[int, tuple[str, int, int]]:
    """{profile id: (name, compute slices, multiprocessors)} of the GPU instances a board offers."""
    rows = [value.split() for key, value in board.items() if key.startswith("mig_gi_")]
    return {int(row[0]): (row[11], int(row[1]), int(row[4])) for row in rows}


def _compute_name(board: Table, profile_id: int, compute_id: int) -> str:
    """The name of a compute instance: the whole of its GPU instance has that one's."""
    name, slices, multiprocessors = _profiles(board)[profile_id]
    narrow = int(board["mig_gi_0"].split()[4])
    part = slices == 1 and multiprocessors > narrow and compute_id != WIDE_SLICE
    return name if SLICES[compute_id] == slices and not part else f"{SLICES[compute_id]}c.{name}"


def instances(board: Table, mig: Table) -> list[dict[str, Any]]:
    """The GPU instances of a GPU by id, each with its compute instances by id.

    [{"id", "profile_id", "profile", "placement": [start, size], "compute": [{"id", "profile_id",
    "profile", "placement", "index", "uuid"}]}]; the index is the one given when it was made.
    """
    found: dict[int, dict[str, Any]] = {}
    for key, value in mig.items():
        if match := re.fullmatch(r"gi(\d+)", key):
            profile, start, size, _serial = (int(word) for word in value.split())
            found[int(match[1])] = {
                "id": int(match[1]),
                "profile_id": profile,
                "profile": _profiles(board)[profile][0],
                "placement": [start, size],
                "compute": [],
            }
    for key, value in mig.items():
        if match := re.fullmatch(r"ci(\d+)\.(\d+)", key):
            parent = found[int(match[1])]
            *numbers, uuid = value.split()
            profile, start, size, _serial, index = (int(word) for word in numbers)
            parent["compute"].append(
                {
                    "id": int(match[2]),
                    "profile_id": profile,
                    "profile": _compute_name(board, parent["profile_id"], profile),
                    "placement": [start, size],
                    "index": index,
                    "uuid": uuid,
                }
            )
    for instance in found.values():
        instance["compute"].sort(key=lambda item: item["id"])
    return [found[number] for number in sorted(found)]


def processes(table: Table) -> dict[int, tuple[int, list[int]]]:
    """{pid: (MiB, [GPU instance, compute instance], as far as it runs on any)}."""
    found = {}
    for pid, value in table.items():
        mib, *where = (int(word) for word in value.split())
        found[int(pid)] = (mib, where)
    return found


def place(store: Store, text: str) -> tuple[str, str]:
    """Where a process runs: ("0", "7 0") for a MIG device's UUID, "0:7:0" or "0:7"; ("0", "") for a GPU.

    The first part is the GPU as given, the second what stands behind the MiB in gpuN.processes.
    """
    if text.startswith("MIG-"):
        for index in range(store.gpu_count()):
            for instance in _instances_of(store, index):
                for compute in instance["compute"]:
                    if compute["uuid"] == text:
                        return str(index), f"{instance['id']} {compute['id']}"
        raise SimError(f"MIG device {text!r}: no such MIG device on this node")
    gpu, _colon, rest = text.partition(":")
    if not rest:
        return text, ""
    numbers = rest.split(":")
    if not gpu.isdigit() or len(numbers) > 2 or not all(number.isdigit() for number in numbers):
        raise SimError(f"process on {text!r}: expected GPU, GPU:GPU-INSTANCE[:COMPUTE-INSTANCE] or MIG-UUID")
    known = {
        tuple(map(str, path))
        for instance in _instances_of(store, int(gpu))
        for path in [(instance["id"],), *((instance["id"], item["id"]) for item in instance["compute"])]
    }
    if tuple(numbers) not in known:
        there = ", ".join(":".join((gpu, *path)) for path in sorted(known)) or "none"
        raise SimError(f"process on {text!r}: no such MIG instance, there are: {there}")
    return gpu, " ".join(numbers)


def _instances_of(store: Store, index: int) -> list[dict[str, Any]]:
    return instances(store.gpu(index, "board"), store.gpu(index, "mig"))
