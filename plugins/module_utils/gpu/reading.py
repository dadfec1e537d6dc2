# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the plan needs of every GPU. Writes nothing."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import NodeError, TargetLost
from .health_reading import read_health
from .memory import Locks, Refusals, known_locks
from .mode_reading import read_modes
from .nvml import Nvml, NvmlError
from .presence import bus_address
from .state import Gpu, LostGpu

CLOCK_GRAPHICS = 0
CLOCK_MEMORY = 2
VIRTUAL_GUEST = 2
ARCHITECTURE_UNKNOWN = 0xFFFFFFFF

NO_HANDLE = ("nvmlDeviceGetHandleByIndex", 999)
"""What drivers answer for a GPU that is off the bus as often as GPU_IS_LOST (open-gpu-kernel-modules#387)."""

REPORTS_PERSISTENCE_OFF = 595
"""From this branch on some boards say persistence is off while nvidia-persistenced holds them."""


def read_gpus(
    nvml: Nvml,
    locks: Locks,
    daemon_holds: bool,
    refusals: Refusals | None = None,
    root: Path = Path("/"),
) -> tuple[tuple[Gpu, ...], tuple[LostGpu, ...], str]:
    """(GPUs that work, those that do not, driver version), each in NVML's order.

    Raises LayerUnavailable; NvmlError for what is wrong and is no lost GPU.
    refusals: what this load of the driver refused to set; root: where /proc is
    """
    version = str(nvml.ask("nvmlSystemGetDriverVersion") or "")
    believed = daemon_holds and branch(version) >= REPORTS_PERSISTENCE_OFF
    gpus: list[Gpu] = []
    lost: list[LostGpu] = []
    for index in range(nvml.count()):
        uuid = ""
        try:
            uuid = uuid_at(nvml, index)
            gpu = read_gpu(nvml, index, uuid, locks, believed)
            modes = read_modes(nvml, uuid, root)
            health = read_health(nvml, uuid, gpu.power_limit, gpu.power_enforced)
        except TargetLost as error:
            lost.append(lost_gpu(nvml, index, uuid, str(error)))
            continue
        if health.left_out:
            lost.append(LostGpu(index, health.left_out, False, uuid, gpu.name, gpu.bus_id, health))
            continue
        remembered = (refusals or {}).get(uuid, {})
        gpus.append(replace(gpu, daemon=daemon_holds, refusals=remembered, health=health, **modes))
    return tuple(gpus), tuple(lost), version


def branch(version: str) -> int:
    """`550.163.01` → 550; 0 if unknown."""
    head = version.partition(".")[0]
    return int(head) if head.isdigit() else 0


def bus_id_of(nvml: Nvml, uuid: str) -> str:
    """The PCI address as sysfs writes it, "" if NVML does not say."""
    info = nvml.ask_gpu(uuid, "nvmlDeviceGetPciInfo")
    bus_id = getattr(info, "busId", b"")
    text = bus_id.decode("ascii", "replace") if isinstance(bus_id, bytes) else str(bus_id)
    return bus_address(text) if text else ""


def read_gpu(nvml: Nvml, index: int, uuid: str, locks: Locks, daemon_holds: bool) -> Gpu:
    """What its settings are. Modes and health are read apart. Raises TargetLost, NodeError."""
    constraints = nvml.ask_gpu(uuid, "nvmlDeviceGetPowerManagementLimitConstraints") or (None, None)
    reported = nvml.ask_gpu(uuid, "nvmlDeviceGetPersistenceMode")
    persistence = None if reported is None else bool(reported)
    held = daemon_holds and persistence is False
    architecture = nvml.ask_gpu(uuid, "nvmlDeviceGetArchitecture")
    graphics, memory = supported_clocks(nvml, uuid)
    return Gpu(
        index=index,
        uuid=uuid,
        name=_name(nvml, uuid),
        bus_id=bus_id_of(nvml, uuid),
        architecture=None if architecture == ARCHITECTURE_UNKNOWN else architecture,
        power_limit=nvml.ask_gpu(uuid, "nvmlDeviceGetPowerManagementLimit"),
        power_default=nvml.ask_gpu(uuid, "nvmlDeviceGetPowerManagementDefaultLimit"),
        power_min=constraints[0],
        power_max=constraints[1],
        power_enforced=nvml.ask_gpu(uuid, "nvmlDeviceGetEnforcedPowerLimit"),
        graphics_clocks=graphics,
        memory_clocks=memory,
        persistence=persistence,
        virtual_guest=nvml.ask_gpu(uuid, "nvmlDeviceGetVirtualizationMode") == VIRTUAL_GUEST,
        held_by_daemon=held,
        locks=known_locks(locks, uuid, persistence or held),
    )


def uuid_at(nvml: Nvml, index: int) -> str:
    """Raises TargetLost, NvmlError."""
    try:
        return nvml.uuid(index)
    except NvmlError as error:
        if (error.function, error.code) != NO_HANDLE:
            raise
        raise TargetLost(f"gpu {index}", f"gpu {index} no longer answers: {error}") from error


def lost_gpu(nvml: Nvml, index: int, uuid: str, why: str) -> LostGpu:
    """What can still be learnt of a GPU that stopped answering."""
    name = bus_id = ""
    if uuid:
        with contextlib.suppress(NodeError):
            name = str(nvml.ask_gpu(uuid, "nvmlDeviceGetName") or "")
        with contextlib.suppress(NodeError):
            bus_id = bus_id_of(nvml, uuid)
    return LostGpu(index, why, True, uuid, name, bus_id)


def _name(nvml: Nvml, uuid: str) -> str:
    name = nvml.ask_gpu(uuid, "nvmlDeviceGetName")
    if not name:
        raise NodeError(f"{uuid} does not tell its model (nvmlDeviceGetName), so no wish can be bound to it")
    return str(name)


def supported_clocks(nvml: Nvml, uuid: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(graphics, memory) clocks in MHz, lowest first; empty where the driver lists none.

    Graphics clocks are those that go with the highest memory clock, the one work runs at.
    """
    memory = _clocks(nvml.ask_gpu(uuid, "nvmlDeviceGetSupportedMemoryClocks"))
    if not memory:
        return (), ()
    graphics = _clocks(nvml.ask_gpu(uuid, "nvmlDeviceGetSupportedGraphicsClocks", memory[-1]))
    return graphics, memory


def _clocks(listed: Any) -> tuple[int, ...]:
    return tuple(sorted({int(clock) for clock in listed or ()}))
