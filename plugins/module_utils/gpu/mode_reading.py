# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the modes of a GPU and who computes on it. Writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .modes import compute_name
from .nvml import Nvml
from .processes import describe, users_of

COMPUTING = ("compute", "mps")
"""Kinds of processes that the compute mode is about."""


def read_modes(nvml: Nvml, uuid: str, root: Path) -> dict[str, Any]:
    """The fields of `Gpu` that are modes; None: the driver does not have it. Raises TargetLost, NvmlError."""
    ecc = nvml.ask_gpu(uuid, "nvmlDeviceGetEccMode")
    default = nvml.ask_gpu(uuid, "nvmlDeviceGetDefaultEccMode")
    mig = nvml.ask_gpu(uuid, "nvmlDeviceGetMigMode")
    users = [user for user in users_of(nvml, uuid, root) if user.kind in COMPUTING]
    return {
        "compute_mode": compute_name(nvml.ask_gpu(uuid, "nvmlDeviceGetComputeMode")),
        "ecc_current": None if ecc is None else bool(ecc[0]),
        "ecc_pending": None if ecc is None else bool(ecc[1]),
        "ecc_default": None if default is None else bool(default),
        "accounting": _switch(nvml.ask_gpu(uuid, "nvmlDeviceGetAccountingMode")),
        "mig": bool(mig and mig[0]),
        "computing": describe(users),
    }


def _switch(value: Any) -> bool | None:
    return None if value is None else bool(value)
