# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the layer knows of MIG on a node's GPUs. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from ..gpu.selectors import short_name
from ..gpu.state import Gpu, LostGpu, NodeState
from .fit import Place, Room
from .notation import DISABLED, ENABLED, Wanted, largest_first, texts

HOPPER = 9
"""The first architecture, as NVML numbers them, whose MIG mode needs no reset and is lost with the driver."""


@dataclass(frozen=True)
class Profile:
    """A GPU instance profile of a board. `limit`: how many there can be; `memory` in MB."""

    name: str
    number: int
    slices: int
    limit: int
    places: tuple[Place, ...] = ()
    memory: int = 0


@dataclass(frozen=True)
class Compute:
    """A compute instance: its id in the GPU instance, its kind, and the compute slices it takes."""

    number: int
    kind: int
    start: int
    size: int


@dataclass(frozen=True)
class Instance:
    """A GPU instance as it is.

    inside: where compute instances of each kind can be; None if the driver does not say
    profiles: kind → NVML's id of the compute instance profile
    """

    number: int
    profile: str
    start: int
    size: int
    compute: tuple[Compute, ...] = ()
    inside: Optional[Room] = None
    profiles: Mapping[int, int] = field(default_factory=dict, compare=False, hash=False)

    @property
    def wanted(self) -> Wanted:
        """The instance in the words of a wish."""
        return Wanted(self.profile, largest_first(item.kind for item in self.compute), self.start)


@dataclass(frozen=True)
class Process:
    """A process that uses the GPU. `text` says who it is; instances None: the driver does not say which."""

    pid: int
    text: str = ""
    instance: Optional[int] = None
    compute: Optional[int] = None

    def uses(self, instance: Instance, compute: Optional[Compute] = None) -> bool:
        """Whether it may be running there; one of unknown place may be anywhere."""
        if self.instance is None:
            return True
        if self.instance != instance.number:
            return False
        return compute is None or self.compute is None or self.compute == compute.number


@dataclass(frozen=True)
class MigGpu:
    """One GPU.

    current: whether MIG is on, None where there is no MIG; pending: whether it is set to be on
    profiles: by name, empty where the driver lists none
    """

    index: int
    uuid: str
    name: str
    bus_id: str = ""
    architecture: Optional[int] = None
    virtual_guest: bool = False
    current: Optional[bool] = None
    pending: Optional[bool] = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    instances: tuple[Instance, ...] = ()
    processes: tuple[Process, ...] = ()

    @property
    def model(self) -> str:
        return short_name(self.name)

    @property
    def label(self) -> str:
        return f"gpu {self.index} ({self.model})"

    @property
    def identity(self) -> tuple[int, str, str, str]:
        return self.index, self.uuid, self.name, self.bus_id

    @property
    def mode(self) -> Optional[str]:
        """What the mode is set to, in effect or waiting for a reset; None where there is no MIG."""
        return None if self.current is None else mode_text(bool(self.pending))

    @property
    def waits(self) -> bool:
        """Whether the mode that is set waits for a reset."""
        return self.current is not None and self.pending != self.current

    @property
    def layout(self) -> list[str]:
        return texts([instance.wanted for instance in self.instances])

    @property
    def changes_live(self) -> bool:
        """Whether the mode takes effect without a reset."""
        return self.architecture is not None and self.architecture >= HOPPER

    @property
    def room(self) -> Room:
        return Room(
            {name: profile.places for name, profile in self.profiles.items()},
            {name: profile.limit for name, profile in self.profiles.items()},
        )

    def users(self, instance: Instance, compute: Optional[Compute] = None) -> list[Process]:
        return users_of(instance, compute, self.processes)


@dataclass(frozen=True)
class MigState:
    """Everything the plan looks at.

    pci: addresses of the NVIDIA GPUs the PCI bus shows as this node's own
    unavailable: why NVML could not be asked, or ""; binding_missing: installing pynvml would help
    begun: claim → layouts that a run which never finished may have left in part
    lost: GPUs that do not work
    """

    gpus: tuple[MigGpu, ...] = ()
    pci: tuple[str, ...] = ()
    unavailable: str = ""
    binding_missing: bool = False
    begun: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lost: tuple[LostGpu, ...] = ()

    @property
    def node(self) -> NodeState:
        """The GPUs as the gpu layer knows them, without their settings."""
        gpus = tuple(Gpu(gpu.index, gpu.uuid, gpu.name, gpu.bus_id) for gpu in self.gpus)
        return NodeState(gpus, self.pci, lost=self.lost)

    def gpu(self, uuid: str) -> Optional[MigGpu]:
        return next((gpu for gpu in self.gpus if gpu.uuid == uuid), None)


def users_of(instance: Instance, compute: Optional[Compute], processes: Iterable[Process]) -> list[Process]:
    """Those of the processes that may be running there."""
    return [process for process in processes if process.uses(instance, compute)]


def mode_text(on: bool) -> str:
    return ENABLED if on else DISABLED


def named(processes: Iterable[Process], at_most: int = 8) -> str:
    """For messages: the processes by number and name, the last ones only counted."""
    found = {process.pid: process.text or str(process.pid) for process in processes}
    names = [found[pid] for pid in sorted(found)]
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")
