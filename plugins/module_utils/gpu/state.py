# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the layer knows of a node's GPUs. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .health import Health
from .modes import DEFAULT
from .quantity import UNLOCKED, PowerRange, watts
from .selectors import short_name
from .settings import ACCOUNTING, COMPUTE, ECC, GRAPHICS, MEMORY, PERSISTENCE, POWER

VOLTA, AMPERE, BLACKWELL = 5, 7, 10
"""NVML's numbers of the architectures at which something changes."""

LOCK_FLOOR = {GRAPHICS: (VOLTA, "Volta"), MEMORY: (AMPERE, "Ampere")}
"""The first architecture whose clocks can be locked."""


@dataclass(frozen=True)
class Gpu:
    """One GPU. Powers in mW, clocks in MHz (lowest first); None or empty: the driver does not say.

    locks: what is known of the clock locks, by key ([min, max] or "unlocked"); NVML cannot read them
    held_by_daemon: nvidia-persistenced holds the GPU although NVML reports persistence off
    daemon: nvidia-persistenced runs on this node and was not told to leave the GPUs alone
    mig: MIG mode is on; computing: who computes on it, in words
    refusals: what this load of the driver refused to set, key → its words
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
    compute_mode: str | None = None
    ecc_current: bool | None = None
    ecc_pending: bool | None = None
    ecc_default: bool | None = None
    accounting: bool | None = None
    mig: bool = False
    computing: str = ""
    daemon: bool = False
    refusals: Mapping[str, str] = field(default_factory=dict)
    health: Health | None = None

    @property
    def label(self) -> str:
        return f"gpu {self.index} ({self.model})"

    @property
    def model(self) -> str:
        return short_name(self.name)

    @property
    def identity(self) -> tuple[int, str, str, str]:
        return self.index, self.uuid, self.name, self.bus_id

    @property
    def kept_by_daemon(self) -> bool:
        """Whether it is nvidia-persistenced that keeps the GPU initialised."""
        return self.held_by_daemon or (self.daemon and self.persistence is True)

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
        modes = {COMPUTE: self.compute_mode, ECC: self.ecc_pending, ACCOUNTING: self.accounting}
        return modes[key] if key in modes else self.locks.get(key)

    def in_force(self, key: str) -> Any:
        """`live`, but for ECC the mode the GPU runs with: what is set waits for a reset."""
        return self.ecc_current if key == ECC else self.live(key)

    def default(self, key: str) -> Any:
        """The board's own value; None where the driver does not say."""
        if key == POWER:
            return None if self.power_default is None else watts(self.power_default)
        if key == ECC:
            return self.ecc_default
        return {PERSISTENCE: False, ACCOUNTING: False, COMPUTE: DEFAULT}.get(key, UNLOCKED)

    def after_reboot(self, key: str) -> Any:
        """What the board has after a reboot if nobody sets it: its default, but for ECC, which stays."""
        return self.ecc_pending if key == ECC else self.default(key)


@dataclass(frozen=True)
class LostGpu:
    """A GPU on which nothing is set, because it does not work. Empty: not known, as it does not answer.

    why: in words; gone: it does not answer at all, else it wants a reset or a reboot first
    """

    index: int
    why: str
    gone: bool = True
    uuid: str = ""
    name: str = ""
    bus_id: str = ""
    health: Health | None = None

    @property
    def label(self) -> str:
        """As `Gpu.label`; without the model the PCI address tells which one it is."""
        known = short_name(self.name) or self.bus_id
        return f"gpu {self.index} ({known})" if known else f"gpu {self.index}"

    @property
    def place(self) -> str:
        """The label with the PCI address, where both are known."""
        return f"{self.label} at {self.bus_id}" if self.name and self.bus_id else self.label

    @property
    def target(self) -> str:
        return self.uuid or self.bus_id or f"gpu {self.index}"

    @property
    def identity(self) -> tuple[int, str, str, str]:
        return self.index, self.uuid, self.name, self.bus_id


@dataclass(frozen=True)
class NodeState:
    """Everything the plan looks at.

    gpus: those that work; lost: those that do not, of all that NVML counts
    locked: UUIDs of GPUs remembered as locked, wherever they are now
    pci: addresses of the NVIDIA GPUs the PCI bus shows and no other driver (vfio-pci) has taken
    unavailable: why NVML could not be asked, or ""
    binding_missing: it is pynvml that is missing, and installing it would help
    """

    gpus: tuple[Gpu, ...] = ()
    pci: tuple[str, ...] = ()
    driver_version: str = ""
    unavailable: str = ""
    binding_missing: bool = False
    lost: tuple[LostGpu, ...] = ()
    locked: tuple[str, ...] = ()

    def gpu(self, uuid: str) -> Gpu | None:
        return next((gpu for gpu in self.gpus if gpu.uuid == uuid), None)

    @property
    def every(self) -> list[Gpu | LostGpu]:
        """Working or not: all that NVML counts."""
        return [*self.gpus, *self.lost]

    @property
    def unseen(self) -> tuple[str, ...]:
        """Addresses that PCI shows and NVML does not."""
        known = {gpu.bus_id.lower() for gpu in self.every}
        return tuple(address for address in self.pci if address.lower() not in known)
