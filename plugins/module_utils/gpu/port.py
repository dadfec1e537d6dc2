# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the layer that changes anything: NVML and the memory of locks."""

from __future__ import annotations

from typing import Any

from ..core.errors import TargetLost
from ..core.model import Change
from .memory import LockMemory
from .nvml import Nvml, NvmlError, Unsupported
from .quantity import UNLOCKED, watts
from .settings import GRAPHICS, LOCKS, PERSISTENCE, POWER

LOCK_FUNCTIONS = {
    GRAPHICS: ("nvmlDeviceSetGpuLockedClocks", "nvmlDeviceResetGpuLockedClocks"),
    LOCKS[1]: ("nvmlDeviceSetMemoryLockedClocks", "nvmlDeviceResetMemoryLockedClocks"),
}
"""Key → (set, reset)."""


class GpuPort:
    """Applies, undoes and reads back single keys of single GPUs (`change.target` is the UUID)."""

    def __init__(self, nvml: Nvml, memory: LockMemory) -> None:
        self.nvml = nvml
        self.memory = memory
        self.writes = 0
        self._refused: set[tuple[str, str]] = set()

    def apply(self, change: Change) -> None:
        """Raises TargetLost, NvmlError, LayerUnavailable, OSError."""
        try:
            self._set(change.target, change.key, change.after)
        except TargetLost:
            self._forget_lost(change.target)
            raise
        except NvmlError as error:
            if error.refused:
                self._refused.add((change.target, change.key))
            raise

    def undo(self, change: Change) -> None:
        """Puts `before` back, the board's default where it is unknown. A refused change needs none."""
        uuid, key = change.target, change.key
        if (uuid, key) in self._refused:
            if key in LOCKS and change.before is not None:
                self.writes += self.memory.remember(uuid, key, change.before)
            return
        if key in LOCKS:
            self._set(uuid, key, UNLOCKED if change.before is None else change.before)
            return
        # Set without looking first: there are drivers that report persistence off while it is on.
        self._set(uuid, key, self._default(uuid, key) if change.before is None else change.before)

    def reopen(self) -> None:
        """Ends the session and begins another; without persistence the GPU is torn down in between."""
        self.nvml.close()
        self.nvml.open()

    def readback(self, change: Change) -> Any:
        """The live value; for a lock what is remembered of it. Raises TargetLost, NvmlError."""
        try:
            return self._live(change.target, change.key)
        except TargetLost:
            if self.writes:  # Reading alone, as in check mode, must not write.
                self._forget_lost(change.target)
            raise

    # -- inside

    def _live(self, uuid: str, key: str) -> Any:
        if key == POWER:
            return watts(int(self.nvml.call_gpu(uuid, "nvmlDeviceGetPowerManagementLimit")))
        if key == PERSISTENCE:
            return bool(self.nvml.call_gpu(uuid, "nvmlDeviceGetPersistenceMode"))
        return self.memory.read().get(uuid, {}).get(key)

    def _forget_lost(self, uuid: str) -> None:
        """What a GPU that went away was locked to says nothing of it once it is back."""
        self.writes += self.memory.forget(uuid)

    def _set(self, uuid: str, key: str, value: Any) -> None:
        if key == POWER:
            self._write(uuid, "nvmlDeviceSetPowerManagementLimit", round(value * 1000))
        elif key == PERSISTENCE:
            # Locks may have gone while persistence was off, and go when it is turned off.
            self.writes += self.memory.forget(uuid)
            self._write(uuid, "nvmlDeviceSetPersistenceMode", int(value))
        else:
            self._lock(uuid, key, value)

    def _lock(self, uuid: str, key: str, value: Any) -> None:
        lock, reset = LOCK_FUNCTIONS[key]
        self.writes += self.memory.forget(uuid, key)
        if value == UNLOCKED:
            self._write(uuid, reset)
        else:
            self._write(uuid, lock, value[0], value[1])
        self.writes += self.memory.remember(uuid, key, value)

    def _default(self, uuid: str, key: str) -> Any:
        if key == PERSISTENCE:
            return False
        return watts(int(self.nvml.call_gpu(uuid, "nvmlDeviceGetPowerManagementDefaultLimit")))

    def _write(self, uuid: str, function: str, *arguments: int) -> None:
        self.writes += 1
        try:
            self.nvml.call_gpu(uuid, function, *arguments)
        except Unsupported as error:
            raise Unsupported(
                error.function,
                error.code,
                f"the driver refuses to set this on {uuid}; ask for nothing there (a `null` in the map)",
            ) from error
