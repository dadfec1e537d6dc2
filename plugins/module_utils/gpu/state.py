# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the layer knows of a node's GPUs. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .quantity import PowerRange, watts
from .selectors import short_name
from .settings import GRAPHICS, MEMORY, PERSISTENCE, POWER

VOLTA, AMPERE, BLACKWELL = 5, 7, 10
"""NVML's numbers of the architectures at which something changes."""

LOCK_FLOOR = {GRAPHICS: (VOLTA, "Volta"), MEMORY: (AMPERE, "Ampere")}
"""The first architecture whose clocks can be locked."""


@dataclass(frozen=True)
class Gpu:
    """One GPU. Powers in mW, clocks in MHz (lowest first); None or empty: the driver does not say.

    locks: what is known of the clock locks, by key ([min, max] or "unlocked"); NVML cannot read them
    held_by_daemon: nvidia-persistenced holds the GPU although NVML reports persistence off
    """

    index: int
    uuid: str
    name: str
    bus_id: str = ""
    architecture: int | None = None
    power_limit: int | None = None
    power_default: int | None = None
    power_min: int | None = None
    power_max: int | None = None
    power_enforced: int | None = None
    graphics_clocks: tuple[int, ...] = ()
    memory_clocks: tuple[int, ...] = ()
    persistence: bool | None = None
    virtual_guest: bool = False
    held_by_daemon: bool = False
    locks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"gpu {self.index} ({self.model})"

    @property
    def model(self) -> str:
        return short_name(self.name)

    @property
    def identity(self) -> tuple[int, str, str]:
        return self.index, self.uuid, self.name

    @property
    def power_range(self) -> PowerRange | None:
        """None where the driver has no power limits for this board (laptops, guests)."""
        if self.power_min is None or self.power_max is None or self.power_default is None:
            return None
        return PowerRange(self.power_min, self.power_default, self.power_max)

    def clocks(self, key: str) -> tuple[int, ...]:
        return self.graphics_clocks if key == GRAPHICS else self.memory_clocks

    def live(self, key: str) -> Any:
        """The value as results show it; None is unknown."""
        if key == POWER:
            return None if self.power_limit is None else watts(self.power_limit)
        if key == PERSISTENCE:
            return True if self.held_by_daemon else self.persistence
        return self.locks.get(key)

    def after_reboot(self, key: str) -> Any:
        """What the board falls back to by itself."""
        if key == POWER:
            return None if self.power_default is None else watts(self.power_default)
        return False if key == PERSISTENCE else "unlocked"


@dataclass(frozen=True)
class NodeState:
    """Everything the plan looks at.

    pci: addresses of the NVIDIA GPUs the PCI bus shows and no other driver (vfio-pci) has taken
    unavailable: why NVML could not be asked, or ""
    binding_missing: it is pynvml that is missing, and installing it would help
    """

    gpus: tuple[Gpu, ...] = ()
    pci: tuple[str, ...] = ()
    driver_version: str = ""
    unavailable: str = ""
    binding_missing: bool = False

    def gpu(self, uuid: str) -> Gpu | None:
        return next((gpu for gpu in self.gpus if gpu.uuid == uuid), None)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Addresses that PCI shows and NVML does not."""
        known = {gpu.bus_id.lower() for gpu in self.gpus}
        return tuple(address for address in self.pci if address.lower() not in known)
