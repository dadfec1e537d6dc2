# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the layer that changes anything: NVML and the memory of what it cannot be asked."""

from __future__ import annotations

from typing import Any

from ..core.errors import NotOffered, TargetLost
from ..core.model import Change
from .memory import LOCK_MEMORY, LockMemory
from .modes import DEFAULT, compute_name, compute_number, refusal_name
from .nvml import Nvml, NvmlError, Unsupported
from .quantity import UNLOCKED, watts
from .settings import ACCOUNTING, COMPUTE, ECC, GRAPHICS, LOCKS, PERSISTENCE, POWER

LOCK_FUNCTIONS = {
    GRAPHICS: ("nvmlDeviceSetGpuLockedClocks", "nvmlDeviceResetGpuLockedClocks"),
    LOCKS[1]: ("nvmlDeviceSetMemoryLockedClocks", "nvmlDeviceResetMemoryLockedClocks"),
}
"""Key → (set, reset)."""

SETTERS = ("nvmlDeviceSet", "nvmlDeviceReset")
"""How the names of functions begin that change something."""

HINTS = {
    10: "the driver did not answer in time; look at the kernel's log (dmesg)",
    19: "something uses the GPU; stop that, or try again when the GPU is idle",
    999: "the driver does not say why; look for Xid and NVRM in the kernel's log (dmesg)",
}
"""NVML's error → what an operator can do."""


class GpuPort:
    """Applies, undoes and reads back single keys of single GPUs (`change.target` is the UUID)."""

    def __init__(self, nvml: Nvml, memory: LockMemory) -> None:
        self.nvml = nvml
        self.memory = memory
        self.writes = 0
        self._refused: set[tuple[str, str]] = set()
        self._unlasting: set[str] = set()

    def apply(self, change: Change) -> None:
        """Raises NotOffered, TargetLost, NvmlError, LayerUnavailable, OSError."""
        uuid, key = change.target, change.key
        if key == LOCK_MEMORY:
            self.writes += self.memory.forget_locked(uuid)
            return
        if change.data.get("volatile") and uuid in self._unlasting:
            self._refused.add((uuid, key))
            raise NotOffered(
                "persistence mode could not be turned on, and without it this would be gone as soon as "
                "nothing uses the GPU"
            )
        locks = self.memory.read().get(uuid, {})
        try:
            self._set(uuid, key, change.after)
        except TargetLost:
            self._forget_lost(uuid)
            raise
        except NvmlError as error:
            if error.refused:
                self._refuse(change, error, locks)
            raise

    def undo(self, change: Change) -> None:
        """Puts `before` back, the board's default where it is unknown. A refused change needs none."""
        uuid, key = change.target, change.key
        if key == LOCK_MEMORY or (uuid, key) in self._refused:
            return
        if key in LOCKS:
            self._set(uuid, key, UNLOCKED if change.before is None else change.before)
            return
        # Set without looking first: there are drivers that report persistence off while it is on.
        self._set(uuid, key, self._default(uuid, key) if change.before is None else change.before)

    def reopen(self) -> None:
        """Ends the session and begins another; without persistence the GPU is torn down in between."""
        self.nvml.reopen()

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
        if key in LOCKS:
            return self.memory.read().get(uuid, {}).get(key)
        if key == POWER:
            return watts(int(self.nvml.call_gpu(uuid, "nvmlDeviceGetPowerManagementLimit")))
        if key == COMPUTE:
            return compute_name(int(self.nvml.call_gpu(uuid, "nvmlDeviceGetComputeMode")))
        if key == ECC:
            return bool(self.nvml.call_gpu(uuid, "nvmlDeviceGetEccMode")[1])
        mode = "Accounting" if key == ACCOUNTING else "Persistence"
        return bool(self.nvml.call_gpu(uuid, f"nvmlDeviceGet{mode}Mode"))

    def _refuse(self, change: Change, error: NvmlError, locks: dict[str, Any]) -> None:
        """A write that did nothing. What the device cannot do at all raises NotOffered and is remembered."""
        uuid, key = change.target, change.key
        self._refused.add((uuid, key))
        if not isinstance(error, Unsupported) or not error.function.startswith(SETTERS):
            self.writes += self.memory.put_back(uuid, locks)
            return
        if key == PERSISTENCE and change.after:
            self._unlasting.add(uuid)
        self.writes += self.memory.refuse(uuid, refusal_name(key, change.after), str(error), locks)
        raise NotOffered(
            f"the driver refuses to set this; ask for nothing there (a `null` in the map): {error}"
        ) from error

    def _forget_lost(self, uuid: str) -> None:
        """What a GPU that went away was locked to says nothing of it once it is back."""
        self.writes += self.memory.forget(uuid)

    def _set(self, uuid: str, key: str, value: Any) -> None:
        if key == POWER:
            self._write(uuid, "nvmlDeviceSetPowerManagementLimit", round(value * 1000))
        elif key == PERSISTENCE:
            # Locks may have gone while persistence was off, and go when it is turned off.
            self.writes += self.memory.forget_locked(uuid)
            self._write(uuid, "nvmlDeviceSetPersistenceMode", int(value))
        elif key == COMPUTE:
            self._write(uuid, "nvmlDeviceSetComputeMode", compute_number(value))
        elif key == ECC:
            self._write(uuid, "nvmlDeviceSetEccMode", int(value))
        elif key == ACCOUNTING:
            self._write(uuid, "nvmlDeviceSetAccountingMode", int(value))
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
        if key == POWER:
            return watts(int(self.nvml.call_gpu(uuid, "nvmlDeviceGetPowerManagementDefaultLimit")))
        if key == ECC:
            return bool(self.nvml.call_gpu(uuid, "nvmlDeviceGetDefaultEccMode"))
        return DEFAULT if key == COMPUTE else False

    def _write(self, uuid: str, function: str, *arguments: int) -> None:
        self.writes += 1
        try:
            self.nvml.call_gpu(uuid, function, *arguments)
        except NvmlError as error:
            if error.code in HINTS:
                error.args = (f"{error}; {HINTS[error.code]}",)
            raise
