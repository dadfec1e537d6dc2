# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVML by way of pynvml: one session, every call guarded, every error one of ours.

Old bindings and old drivers lack functions; both count as "not supported".
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.errors import LayerUnavailable, NodeError, TargetLost

INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
DEPRECATED = 26
GPU_NOT_FOUND = 28

UNSUPPORTED_CODES = (NOT_SUPPORTED, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED)
LOST_CODES = (GPU_IS_LOST, RESET_REQUIRED, GPU_NOT_FOUND)

REMEDIES = {
    DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded; load it (modprobe nvidia), or install it",
    LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 is not installed; install the driver's library (libnvidia-ml1)",
    VERSION_MISMATCH: (
        "the NVML library and the loaded driver are of different versions; reload the driver or reboot"
    ),
}


class NvmlError(NodeError):
    """NVML answered with an error. `code` is NVML's number, `function` what was called."""

    def __init__(self, function: str, code: int, text: str) -> None:
        self.function = function
        self.code = code
        super().__init__(f"{function}: {text} (NVML error {code})")

    @property
    def refused(self) -> bool:
        """Whether NVML certainly did nothing."""
        return self.code in (*UNSUPPORTED_CODES, NO_PERMISSION, INVALID_ARGUMENT)


class Unsupported(NvmlError):
    """This GPU, driver or binding does not have the function."""


class NoPermission(NvmlError):
    """The function needs root."""

    def __init__(self, function: str, code: int, text: str) -> None:
        super().__init__(
            function, code, f"{text}; this needs root on the node (become: true), all capabilities kept"
        )


class BindingMissing(LayerUnavailable):
    """The Python binding pynvml cannot be imported."""


class Nvml:
    """A session, opened at the first call.

    pynvml_path: directory or wheel that holds pynvml, tried before Python's own path
    library: absolute path of libnvidia-ml.so.1; once loaded, the binding's own search finds it
    """

    def __init__(self, pynvml_path: str = "", library: str = "") -> None:
        self.pynvml_path = pynvml_path
        self.library = library
        self._binding: ModuleType | None = None
        self._open = False
        self._handles: dict[str, Any] = {}

    def open(self) -> None:
        """Raises LayerUnavailable; NvmlError for anything else that is wrong."""
        if self._open:
            return
        binding = self._load()
        try:
            binding.nvmlInit()
        except binding.NVMLError as error:
            code = _code(error)
            if code in REMEDIES:
                raise LayerUnavailable(f"NVML cannot be used: {REMEDIES[code]} ({_words(error)})") from error
            raise _translated("nvmlInit", error) from error
        self._open = True

    def reopen(self) -> None:
        """Ends the session and begins another; one that never was stays so. Raises as `open`."""
        if self._open:
            self.close()
            self.open()

    def close(self) -> None:
        """Ends the session, as the end of the process would. An error while ending it is none."""
        if not self._open or self._binding is None:
            return
        self._open = False
        self._handles.clear()
        with contextlib.suppress(self._binding.NVMLError):
            self._binding.nvmlShutdown()

    def call(self, function: str, *arguments: Any) -> Any:
        """Calls NVML for the node. Raises NvmlError, Unsupported, NoPermission, LayerUnavailable."""
        return self._call("", function, arguments)

    def ask(self, function: str, *arguments: Any) -> Any:
        """`call`, but None for what is not supported."""
        try:
            return self.call(function, *arguments)
        except Unsupported:
            return None

    def call_gpu(self, uuid: str, function: str, *arguments: Any) -> Any:
        """Calls NVML for one GPU. Raises also TargetLost."""
        return self._call(uuid, function, (self._handle(uuid), *arguments))

    def ask_gpu(self, uuid: str, function: str, *arguments: Any) -> Any:
        """`call_gpu`, but None for what is not supported."""
        try:
            return self.call_gpu(uuid, function, *arguments)
        except Unsupported:
            return None

    def count(self) -> int:
        """Number of GPUs, lost ones too. Raises NvmlError."""
        return int(self.call("nvmlDeviceGetCount"))

    def uuid(self, index: int) -> str:
        """Raises TargetLost naming the index of a GPU that does not answer; NvmlError."""
        name = f"gpu {index}"
        handle = self._call(name, "nvmlDeviceGetHandleByIndex", (index,))
        uuid = str(self._call(name, "nvmlDeviceGetUUID", (handle,)))
        self._handles[uuid] = handle
        return uuid

    # -- inside

    def _handle(self, uuid: str) -> Any:
        if uuid not in self._handles:
            try:
                self._handles[uuid] = self._call(uuid, "nvmlDeviceGetHandleByUUID", (uuid,))
            except NvmlError as error:
                if error.code == NOT_FOUND:
                    raise TargetLost(uuid, f"{uuid} is gone: {error}") from None
                raise
        return self._handles[uuid]

    def _call(self, target: str, function: str, arguments: tuple[Any, ...]) -> Any:
        self.open()
        binding = self._load()
        entry = getattr(binding, function, None)
        if entry is None:
            raise Unsupported(function, FUNCTION_NOT_FOUND, "this pynvml does not have it")
        try:
            return _text(_with_bytes(entry, arguments))
        except binding.NVMLError as error:
            raise _translated(function, error, target) from error
        except getattr(binding, "NVMLLibraryMismatchError", ()) as error:
            # Not of NVMLError's family: the binding knows only newer versions of it than the driver has.
            raise Unsupported(
                function, FUNCTION_NOT_FOUND, "this driver is too old for this pynvml"
            ) from error

    def _load(self) -> ModuleType:
        if self._binding is not None:
            return self._binding
        if self.pynvml_path:
            if not Path(self.pynvml_path).exists():
                raise BindingMissing(f"gpu_pynvml_path: there is no {self.pynvml_path} on this node")
            if sys.path[0] != self.pynvml_path:
                sys.path.insert(0, self.pynvml_path)
        try:
            binding = importlib.import_module("pynvml")
        except ImportError as error:
            raise BindingMissing(
                f"the Python binding of NVML is missing ({error}); install python3-pynvml (Debian, contrib) "
                "or nvidia-ml-py, or point gpu_pynvml_path at a directory or wheel that holds it"
            ) from error
        if self.library:
            try:
                ctypes.CDLL(self.library, mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                raise LayerUnavailable(
                    f"gpu_nvml_library: {self.library} cannot be loaded: {error}"
                ) from error
        self._binding = binding
        return binding


def _with_bytes(entry: Any, arguments: tuple[Any, ...]) -> Any:
    """Calls the binding; those before 11.5 want bytes where later ones want text."""
    try:
        return entry(*arguments)
    except (TypeError, ctypes.ArgumentError):
        if not any(isinstance(argument, str) for argument in arguments):
            raise
        return entry(*(item.encode() if isinstance(item, str) else item for item in arguments))


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _code(error: Any) -> int:
    return int(getattr(error, "value", 999))


def _words(error: Any) -> str:
    text = _text(str(error))
    return text or type(error).__name__


def _translated(function: str, error: Any, target: str = "") -> NodeError:
    code, text = _code(error), _words(error)
    if code in LOST_CODES and target:
        return TargetLost(target, f"{target} no longer answers: {function}: {text} (NVML error {code})")
    if code in REMEDIES and code != LIBRARY_NOT_FOUND:
        return LayerUnavailable(f"NVML stopped working: {REMEDIES[code]} ({function}: {text})")
    if code in UNSUPPORTED_CODES:
        return Unsupported(function, code, text)
    if code == NO_PERMISSION:
        return NoPermission(function, code, text)
    return NvmlError(function, code, text)
