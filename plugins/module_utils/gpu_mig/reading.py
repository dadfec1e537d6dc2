# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the plan needs of MIG on every GPU. Writes nothing.

The driver shows instances and places to root only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..core.errors import NodeError, TargetLost
from ..gpu.nvml import Nvml
from ..gpu.processes import KINDS, users_of
from ..gpu.reading import ARCHITECTURE_UNKNOWN, VIRTUAL_GUEST, bus_id_of, lost_gpu, uuid_at
from ..gpu.state import LostGpu
from .api import UNKNOWN_INSTANCE, Handle, MigApi, name_in
from .fit import Room
from .notation import compute_kind
from .state import Compute, Instance, MigGpu, Process, Profile

ATTRIBUTES = {
    **dict.fromkeys((7, 8), "+me"),
    **dict.fromkeys((10, 11, 12, 17), "+gfx"),
    **dict.fromkeys((13, 14), "-me"),
    **dict.fromkeys((15, 16), "+me.all"),
}
"""NVML_GPU_INSTANCE_PROFILE_* → what its name says beside slices and memory."""

EIGHTHS = 8
GIB = 1 << 30
MIB = 1 << 20


def read_gpus(nvml: Nvml, root: Path) -> tuple[tuple[MigGpu, ...], tuple[LostGpu, ...]]:
    """(GPUs that work, those that do not), each in NVML's order. Raises LayerUnavailable, NvmlError.

    root: where /proc is
    """
    gpus: list[MigGpu] = []
    lost: list[LostGpu] = []
    for index in range(nvml.count()):
        uuid = ""
        try:
            uuid = uuid_at(nvml, index)
            gpus.append(_read_gpu(nvml, index, uuid, root))
        except TargetLost as error:
            lost.append(lost_gpu(nvml, index, uuid, str(error)))
    return tuple(gpus), tuple(lost)


def read_profiles(api: MigApi, uuid: str) -> dict[str, Profile]:
    """The board's profiles by name; empty where the driver lists none. Needs root."""
    found = {}
    for slot, info in api.profile_infos(uuid):
        name = name_in(info) or _computed_name(api, uuid, slot, info)
        places = tuple(sorted(api.places(uuid, info.id)))
        found[name] = Profile(name, info.id, info.sliceCount, info.instanceCount, places, info.memorySizeMB)
    return found


def handles(api: MigApi, uuid: str, profiles: Mapping[str, Profile]) -> list[tuple[Handle, Instance]]:
    """The GPU instances with their handles, in the order of their places."""
    found = [
        (handle, read_instance(api, uuid, handle, profile))
        for profile in profiles.values()
        for handle in api.gpu_instances(uuid, profile.number)
    ]
    return sorted(found, key=lambda item: item[1].start)


def read_instance(api: MigApi, uuid: str, handle: Handle, profile: Profile) -> Instance:
    """One GPU instance with its compute instances."""
    info = api.gpu_instance_info(uuid, handle)
    kinds = compute_kinds(profile.slices, api.compute_profile_infos(uuid, handle, profile.number))
    return Instance(
        number=info.id,
        profile=profile.name,
        start=info.placement.start,
        size=info.placement.size,
        compute=tuple(compute for _handle, compute in compute_handles(api, uuid, handle, kinds)),
        inside=_inside(api, uuid, handle, kinds),
        profiles=kinds,
    )


def compute_kinds(slices: int, infos: Sequence[Any]) -> dict[int, int]:
    """Kind → NVML's id, of what fits into a GPU instance of so many slices.

    Of several of one size the plain kind is the one with most multiprocessors if it fills the GPU
    instance, else the first: on Hopper a `1g.20gb` is filled only by its second kind.
    """
    kinds: dict[int, int] = {}
    for size in sorted({info.sliceCount for info in infos}):
        alike = [info for info in infos if info.sliceCount == size]
        plain = max(alike, key=lambda info: int(info.multiprocessorCount)) if size == slices else alike[0]
        for info in alike:
            kinds[compute_kind(size, None if info is plain else info.id)] = info.id
    return kinds


def compute_handles(
    api: MigApi, uuid: str, handle: Handle, kinds: Mapping[int, int]
) -> list[tuple[Handle, Compute]]:
    """The compute instances of a GPU instance with their handles, in the order of their places."""
    found = []
    for kind, number in kinds.items():
        for inner in api.compute_instances(uuid, handle, number):
            info = api.compute_instance_info(uuid, inner)
            found.append((inner, Compute(info.id, kind, info.placement.start, info.placement.size)))
    return sorted(found, key=lambda item: item[1].start)


def read_processes(nvml: Nvml, uuid: str, root: Path) -> tuple[Process, ...]:
    """Who uses the GPU, and on which instances."""
    texts = {user.pid: str(user) for user in users_of(nvml, uuid, root)}
    if not texts:
        return ()
    found: dict[tuple[int, Optional[int], Optional[int]], Process] = {}
    for function in KINDS.values():
        for item in nvml.ask_gpu(uuid, function) or ():
            places = tuple(_instance(item, name) for name in ("gpuInstanceId", "computeInstanceId"))
            key = (int(item.pid), places[0], places[1])
            found[key] = Process(key[0], texts.get(key[0], ""), key[1], key[2])
    # One that ended between the two looks would not be missed; one that was seen first only is kept.
    seen = {process.pid for process in found.values()}
    rest = [Process(pid, text) for pid, text in texts.items() if pid not in seen]
    return (*found.values(), *rest)


def _read_gpu(nvml: Nvml, index: int, uuid: str, root: Path) -> MigGpu:
    api = MigApi(nvml)
    guest = nvml.ask_gpu(uuid, "nvmlDeviceGetVirtualizationMode") == VIRTUAL_GUEST
    architecture = nvml.ask_gpu(uuid, "nvmlDeviceGetArchitecture")
    mode = None if guest else api.mode(uuid)
    profiles = read_profiles(api, uuid) if mode else {}
    name = nvml.ask_gpu(uuid, "nvmlDeviceGetName")
    if not name:
        raise NodeError(f"{uuid} does not tell its model (nvmlDeviceGetName), so no wish can be bound to it")
    on = mode is not None and mode[0]
    return MigGpu(
        index=index,
        uuid=uuid,
        name=str(name),
        bus_id=bus_id_of(nvml, uuid),
        architecture=None if architecture == ARCHITECTURE_UNKNOWN else architecture,
        virtual_guest=guest,
        current=mode[0] if mode else None,
        pending=mode[1] if mode else None,
        profiles=profiles,
        instances=tuple(item for _handle, item in handles(api, uuid, profiles)) if on else (),
        processes=read_processes(nvml, uuid, root) if mode else (),
    )


def _inside(api: MigApi, uuid: str, handle: Handle, kinds: Mapping[int, int]) -> Optional[Room]:
    places = {}
    for kind, number in kinds.items():
        found = api.compute_places(uuid, handle, number)
        if found is None:
            return None
        places[kind] = tuple(sorted(found))
    return Room(places)


def _computed_name(api: MigApi, uuid: str, slot: int, info: Any) -> str:
    """The name as NVIDIA's tools make it, for structures that hold none."""
    memory = api.nvml.call_gpu(uuid, "nvmlDeviceGetMemoryInfo")
    return profile_name(slot, int(info.sliceCount), int(info.memorySizeMB), int(memory.total))


def profile_name(slot: int, slices: int, memory: int, total: int) -> str:
    """`1g.10gb+me`: memory in MiB and the board's total in bytes, rounded up to eighths of the board."""
    share = math.ceil(memory * MIB / total * EIGHTHS) / EIGHTHS
    size = math.floor(share * math.ceil(total / GIB) + 0.5)
    return f"{slices}g.{size}gb{ATTRIBUTES.get(slot, '')}"


def _instance(item: Any, name: str) -> Optional[int]:
    value = getattr(item, name, None)
    return None if value is None or value == UNKNOWN_INSTANCE else int(value)
