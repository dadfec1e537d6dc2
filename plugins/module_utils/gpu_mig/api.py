# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVML's functions for MIG, in plain values. Works with bindings from 11.525 on.

Handles of instances are good until the instance is destroyed; nothing keeps them longer than a step.
"""

from __future__ import annotations

import ctypes
from typing import Any, Optional

from ..core.errors import NodeError, TargetLost
from ..gpu.nvml import FUNCTION_NOT_FOUND, INVALID_ARGUMENT, LOST_CODES, Nvml, NvmlError, Unsupported
from .fit import Place

IN_USE = 19
INSUFFICIENT_RESOURCES = 23
MORE = 64
"""Slots of profiles to look at, and room for answers: more than any board has."""

UNKNOWN_INSTANCE = 0xFFFFFFFF
SHARED_ENGINES = 0

Handle = Any


class _Placement(ctypes.Structure):
    """nvmlGpuInstancePlacement_t and nvmlComputeInstancePlacement_t."""

    _fields_ = (("start", ctypes.c_uint), ("size", ctypes.c_uint))


class MigApi:
    """Every call names its GPU, so that one that is lost can be left out: raises TargetLost, NvmlError."""

    def __init__(self, nvml: Nvml) -> None:
        self.nvml = nvml
        self._compute_profiles: dict[tuple[str, int], list[Any]] = {}

    # -- mode

    def mode(self, uuid: str) -> Optional[tuple[bool, bool]]:
        """(in effect, set), or None where there is no MIG."""
        found = self.nvml.ask_gpu(uuid, "nvmlDeviceGetMigMode")
        return None if found is None else (bool(found[0]), bool(found[1]))

    def set_mode(self, uuid: str, on: bool) -> int:
        """NVML's error code of making it take effect, 0 if it did."""
        return int(self.nvml.call_gpu(uuid, "nvmlDeviceSetMigMode", int(on)))

    # -- GPU instances

    def profile_infos(self, uuid: str) -> list[tuple[int, Any]]:
        """(slot, NVML's structure) of every GPU instance profile of the board.

        The structure with a name may be had only while MIG is on, the older one always.
        """
        function = "nvmlDeviceGetGpuInstanceProfileInfo"
        return self._slots(lambda slot, *version: self.nvml.call_gpu(uuid, function, slot, *version))

    def places(self, uuid: str, profile: int) -> list[Place]:
        found = self._fill(_Placement, uuid, "nvmlDeviceGetGpuInstancePossiblePlacements", profile)
        return [(item.start, item.size) for item in found]

    def gpu_instances(self, uuid: str, profile: int) -> list[Handle]:
        found = self._fill(ctypes.c_void_p, uuid, "nvmlDeviceGetGpuInstances", profile)
        return [ctypes.c_void_p(value) for value in found]

    def gpu_instance_info(self, uuid: str, handle: Handle) -> Any:
        return self._call(uuid, "nvmlGpuInstanceGetInfo", handle)

    def create_gpu_instance(self, uuid: str, profile: int, place: Place) -> Handle:
        function = "nvmlDeviceCreateGpuInstanceWithPlacement"
        return self.nvml.call_gpu(uuid, function, profile, ctypes.byref(_Placement(*place)))

    def destroy_gpu_instance(self, uuid: str, handle: Handle) -> None:
        self._call(uuid, "nvmlGpuInstanceDestroy", handle)

    # -- compute instances

    def compute_profile_infos(self, uuid: str, handle: Handle, profile: int) -> list[Any]:
        """NVML's structures of what fits into a GPU instance of this profile: the same for all of them."""
        key = (uuid, profile)
        if key not in self._compute_profiles:
            function = "nvmlGpuInstanceGetComputeInstanceProfileInfo"
            found = self._slots(
                lambda slot, *version: self._call(uuid, function, handle, slot, SHARED_ENGINES, *version)
            )
            self._compute_profiles[key] = [info for _slot, info in found]
        return self._compute_profiles[key]

    def compute_places(self, uuid: str, handle: Handle, profile: int) -> Optional[list[Place]]:
        """None where the driver does not say."""
        function = "nvmlGpuInstanceGetComputeInstancePossiblePlacements"
        try:
            found = self._fill(_Placement, uuid, function, profile, handle)
        except Unsupported:
            return None
        return [(item.start, item.size) for item in found]

    def compute_instances(self, uuid: str, handle: Handle, profile: int) -> list[Handle]:
        found = self._fill(ctypes.c_void_p, uuid, "nvmlGpuInstanceGetComputeInstances", profile, handle)
        return [ctypes.c_void_p(value) for value in found]

    def compute_instance_info(self, uuid: str, handle: Handle) -> Any:
        return self._call(uuid, "nvmlComputeInstanceGetInfo_v2", handle)

    def create_compute_instance(
        self, uuid: str, handle: Handle, profile: int, place: Optional[Place]
    ) -> None:
        if place is not None:
            try:
                function = "nvmlGpuInstanceCreateComputeInstanceWithPlacement"
                self._call(uuid, function, handle, profile, ctypes.byref(_Placement(*place)))
                return
            except Unsupported as error:
                if error.code != FUNCTION_NOT_FOUND:
                    raise
        self._call(uuid, "nvmlGpuInstanceCreateComputeInstance", handle, profile)

    def destroy_compute_instance(self, uuid: str, handle: Handle) -> None:
        self._call(uuid, "nvmlComputeInstanceDestroy", handle)

    # -- inside

    def _call(self, uuid: str, function: str, *arguments: Any) -> Any:
        """A call whose first argument is not the GPU itself."""
        try:
            return self.nvml.call(function, *arguments)
        except NvmlError as error:
            if error.code in LOST_CODES:
                raise TargetLost(uuid, f"{uuid} no longer answers: {error}") from error
            raise

    def _fill(
        self, kind: Any, uuid: str, function: str, profile: int, handle: Optional[Handle] = None
    ) -> list[Any]:
        """What a function puts into an array of `kind` that the caller brings."""
        array, count = (kind * MORE)(), ctypes.c_uint(MORE)
        if handle is None:
            self.nvml.call_gpu(uuid, function, profile, array, ctypes.byref(count))
        else:
            self._call(uuid, function, handle, profile, array, ctypes.byref(count))
        return list(array)[: count.value]

    def _slots(self, ask: Any) -> list[tuple[int, Any]]:
        """Asks slot by slot until the driver knows no more of them."""
        found = []
        for slot in range(MORE):
            try:
                info = _either(ask, slot)
            except NvmlError as error:
                if error.code == INVALID_ARGUMENT:
                    break
                raise
            if info is not None:
                found.append((slot, info))
        return found


def _either(ask: Any, slot: int) -> Any:
    """The newer structure, else the older one, else None: the board has no such profile."""
    for version in ((), (1,)):
        try:
            return ask(slot, *version)
        except Unsupported:
            continue
    return None


def name_in(info: Any) -> str:
    """The name a structure holds (`MIG 1g.10gb` → `1g.10gb`), "" in the older one."""
    raw = getattr(info, "name", b"")
    text = raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)
    return text.strip().lower().replace("mig ", "")


def explained(error: NvmlError, doing: str, users: str) -> NodeError:
    """What NVML refused, in the words of who has to mend it."""
    if error.code == IN_USE:
        by = f" by {users}" if users else ""
        return NodeError(f"{doing}: it is in use{by}; stop what uses it ({error})")
    if error.code == INSUFFICIENT_RESOURCES:
        return NodeError(f"{doing}: the driver has no room for it ({error})")
    return error
