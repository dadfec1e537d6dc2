# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking NVML for what is nice to know: what it does not give is None, never an error."""

from __future__ import annotations

import ctypes
from typing import Any

from ..core.errors import LayerUnavailable, NodeError, TargetLost
from ..gpu.nvml import Nvml
from ..gpu.presence import bus_address

BROKEN_BINDING = (AttributeError, NameError, TypeError, ValueError, ctypes.ArgumentError)
"""What functions of old bindings fail with before NVML is asked: other arguments, names they lack."""


class Asker:
    """Asks for one GPU. `lost` says why it no longer answers, "" while it does."""

    def __init__(self, nvml: Nvml, uuid: str) -> None:
        self.nvml = nvml
        self.uuid = uuid
        self.lost = ""

    def __call__(self, function: str, *arguments: Any) -> Any:
        """None for a lost GPU too. Raises LayerUnavailable."""
        try:
            return self.must(function, *arguments)
        except TargetLost as error:
            self.lost = str(error)
            return None

    def must(self, function: str, *arguments: Any) -> Any:
        """The same, but raises TargetLost."""
        try:
            return self.nvml.call_gpu(self.uuid, function, *arguments)
        except (TargetLost, LayerUnavailable):
            raise
        except (NodeError, *BROKEN_BINDING):
            return None

    def number(self, function: str, *arguments: Any) -> int | None:
        found = self(function, *arguments)
        return found if isinstance(found, int) else None


def address_in(info: Any) -> str:
    """The PCI address in what NVML says of a device, as sysfs writes it; "" if it says nothing."""
    found = getattr(info, "busId", "")
    text = found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)
    return bus_address(text) if text else ""


def handle_of(nvml: Nvml, uuid: str) -> Any:
    """The handle, to be an argument of another GPU's call; None if there is none."""
    try:
        return nvml.call("nvmlDeviceGetHandleByUUID", uuid)
    except LayerUnavailable:
        raise
    except (NodeError, *BROKEN_BINDING):
        return None
