# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be set on a GPU, and why not what cannot: vGPU guests, laptops, old and consumer boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..core.errors import NodeError, TargetLost
from .memory import Refusals
from .mode_reading import read_modes
from .nvml import Nvml
from .reading import read_gpu
from .resolve import unsupported
from .settings import SETTINGS
from .state import Gpu

YES = "yes"


def read_support(nvml: Nvml, index: int, uuid: str, root: Path, refusals: Refusals) -> dict[str, str] | None:
    """Option → `yes` or the reason; None where the GPU cannot be read for it. Raises TargetLost.

    refusals: what this load of the driver refused to set; root: where /proc is
    """
    try:
        gpu = read_gpu(nvml, index, uuid, {}, False)
        modes = read_modes(nvml, uuid, root)
        mig = nvml.ask_gpu(uuid, "nvmlDeviceGetMigMode")
    except TargetLost:
        raise
    except NodeError:
        return None
    return support_of(replace(gpu, refusals=refusals.get(uuid, {}), **modes), mig is not None)


def support_of(gpu: Gpu, has_mig: bool) -> dict[str, str]:
    """`yes` is what the driver offers; a board that offers a limit and refuses it tells so when it is set."""
    found = {setting.option: unsupported(key, gpu) or YES for key, setting in SETTINGS.items()}
    if gpu.virtual_guest:
        found["mig"] = unsupported(next(iter(SETTINGS)), gpu)
    else:
        found["mig"] = YES if has_mig else f"the driver knows no MIG for {gpu.model}"
    return found
