# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the NVLink fabric is ready for work. Pure; `fabric_read` reads what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOT_SUPPORTED, NOT_STARTED, IN_PROGRESS, COMPLETED = (
    "not_supported",
    "not_started",
    "in_progress",
    "completed",
)
STATES = {0: NOT_SUPPORTED, 1: NOT_STARTED, 2: IN_PROGRESS, 3: COMPLETED}
"""nvmlGpuFabricState_t"""

SUMMARIES = {1: "healthy", 2: "unhealthy", 3: "limited_capacity"}
"""nvmlGpuFabricInfo_v3: healthSummary"""

READY, STARTING, FAILED, NOT_NEEDED = "ready", "starting", "failed", "not_needed"

FLAGS = {
    "degraded_bandwidth": 0,
    "route_recovery": 2,
    "route_unhealthy": 4,
    "access_timeout_recovery": 6,
}
"""Parts of the health mask of two bits each (1 yes, 2 no, 0 not supported), by their lowest bit."""

CONFIGURATION_BIT, CONFIGURATION_MASK = 8, 0xF
CONFIGURATIONS = {
    1: "none",
    2: "incorrect system GUID",
    3: "incorrect chassis serial number",
    4: "no partition",
    5: "insufficient NVLinks",
    6: "incompatible GPU firmware",
    7: "invalid location",
    8: "GPU state invalid",
}


@dataclass(frozen=True)
class GpuFabric:
    """What NVML says of one GPU. None: unknown.

    status: NVML's error number once completed; 0 is fine
    lost: why the GPU does not answer, or ""
    """

    index: int
    state: str | None = None
    status: int | None = None
    clique: int | None = None
    cluster: str | None = None
    summary: str | None = None
    health: Mapping[str, Any] = field(default_factory=dict)
    lost: str = ""

    @property
    def label(self) -> str:
        return f"gpu {self.index}"


@dataclass(frozen=True)
class Manager:
    """nvidia-fabricmanager on this node. version: of the installed program, "" if unknown."""

    installed: bool = False
    running: bool = False
    version: str = ""


@dataclass(frozen=True)
class Verdict:
    verdict: str
    reasons: tuple[str, ...] = ()


def health_of(mask: int) -> dict[str, Any]:
    """The health mask in words; None: this GPU does not say."""
    found: dict[str, Any] = {name: {1: True, 2: False}.get(mask >> bit & 3) for name, bit in FLAGS.items()}
    number = mask >> CONFIGURATION_BIT & CONFIGURATION_MASK
    found["incorrect_configuration"] = CONFIGURATIONS.get(number) if number else None
    return found


def upstream(version: str) -> str:
    """The driver's version in a package's: `550.163.01-1ubuntu1` → `550.163.01`."""
    return version.rpartition(":")[2].partition("-")[0].partition("+")[0]


def verdict(
    gpus: Sequence[GpuFabric], switches: Sequence[str], manager: Manager, driver_version: str | None
) -> Verdict:
    """`ready`, `starting`, `failed` or `not_needed`, with reasons. The GPUs' own word counts most.

    driver_version: None where the driver does not answer
    """
    members = [gpu for gpu in gpus if gpu.state not in (None, NOT_SUPPORTED)]
    if not members and not switches:
        return Verdict(NOT_NEEDED, ("no NVSwitch on the PCI bus, and no GPU reports a fabric",))
    if driver_version is None:
        return Verdict(FAILED, ("the NVIDIA driver does not answer",))
    mismatch = _mismatch(manager, driver_version)
    found = _from_gpus(members, manager) if members else _from_manager(manager, mismatch)
    return Verdict(found.verdict, (*found.reasons, *([mismatch] if mismatch else [])))


def _mismatch(manager: Manager, driver_version: str) -> str:
    if not manager.version or upstream(manager.version) == driver_version:
        return ""
    return (
        f"nvidia-fabricmanager is {upstream(manager.version)}, the driver is {driver_version}: "
        "the two must be of the same version, or it will not start"
    )


def _from_gpus(members: list[GpuFabric], manager: Manager) -> Verdict:
    broken = [reason for gpu in members for reason in _broken(gpu)]
    if broken:
        return Verdict(FAILED, tuple(broken))
    waiting = [gpu for gpu in members if gpu.state != COMPLETED]
    if not waiting:
        limited = [gpu.label for gpu in members if gpu.summary == "limited_capacity"]
        note = (f"{', '.join(limited)}: the fabric has limited capacity",) if limited else ()
        return Verdict(READY, note or ("every GPU has joined the fabric",))
    who = ", ".join(f"{gpu.label} ({gpu.state})" for gpu in waiting)
    if all(gpu.state == NOT_STARTED for gpu in waiting) and not manager.running:
        return Verdict(FAILED, (f"{who}: {_absent(manager)}",))
    return Verdict(STARTING, (f"{who}: CUDA cannot use them until they have joined the fabric",))


def _broken(gpu: GpuFabric) -> list[str]:
    found = []
    if gpu.state == COMPLETED and gpu.status:
        found.append(f"{gpu.label}: joining the fabric ended with NVML error {gpu.status}")
    if gpu.summary == "unhealthy":
        found.append(f"{gpu.label}: the fabric is unhealthy")
    wrong = gpu.health.get("incorrect_configuration")
    if wrong not in (None, "none"):
        found.append(f"{gpu.label}: the fabric is configured wrongly ({wrong})")
    return found


def _from_manager(manager: Manager, mismatch: str) -> Verdict:
    """For drivers that do not report the fabric's state."""
    silent = "this driver does not report the state of the fabric"
    if not manager.running:
        return Verdict(FAILED, (_absent(manager), silent))
    if mismatch:
        return Verdict(FAILED, (silent,))
    return Verdict(READY, ("nvidia-fabricmanager is running", silent))


def _absent(manager: Manager) -> str:
    if manager.installed:
        return "nvidia-fabricmanager is installed and not running (systemctl start nvidia-fabricmanager)"
    return "nvidia-fabricmanager is not installed; GPUs on NVSwitches do not work without it"
