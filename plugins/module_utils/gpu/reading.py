# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the plan needs of every GPU. Writes nothing."""

from __future__ import annotations

from typing import Any

from ..core.errors import NodeError, TargetLost
from .memory import Locks, known_locks
from .nvml import Nvml
from .presence import bus_address
from .state import Gpu

CLOCK_GRAPHICS = 0
CLOCK_MEMORY = 2
VIRTUAL_GUEST = 2
ARCHITECTURE_UNKNOWN = 0xFFFFFFFF

REPORTS_PERSISTENCE_OFF = 595
"""From this branch on some boards say persistence is off while nvidia-persistenced holds them."""


def read_gpus(
    nvml: Nvml, locks: Locks, daemon_holds: bool, without_lost: bool = False
) -> tuple[tuple[Gpu, ...], str]:
    """(every GPU in NVML's order, driver version). Raises TargetLost, LayerUnavailable, NvmlError.

    without_lost: GPUs that do not answer are left out instead of raising TargetLost
    """
    version = str(nvml.ask("nvmlSystemGetDriverVersion") or "")
    believed = daemon_holds and branch(version) >= REPORTS_PERSISTENCE_OFF
    gpus = []
    for index in range(nvml.count()):
        try:
            gpus.append(_read_gpu(nvml, index, nvml.uuid(index), locks, believed))
        except TargetLost:
            if not without_lost:
                raise
    return tuple(gpus), version


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


def _read_gpu(nvml: Nvml, index: int, uuid: str, locks: Locks, daemon_holds: bool) -> Gpu:
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
