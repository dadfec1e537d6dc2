# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard around the binding: old bindings, and what each error of NVML becomes."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    LayerUnavailable,
    NodeError,
    TargetLost,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu.nvml import (
    BindingMissing,
    NoPermission,
    Nvml,
    NvmlError,
    Unsupported,
)

UUID = "GPU-aa"


class Binding(ModuleType):
    """A binding as of 2020: bytes in, bytes out, and few functions."""

    class NVMLError(Exception):
        def __init__(self, value: int) -> None:
            self.value = value
            super().__init__(f"error {value}")

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.fails: dict[str, int] = {}
        self.sessions = 0

    def _answer(self, name: str, value: Any) -> Any:
        if name in self.fails:
            raise self.NVMLError(self.fails[name])
        return value

    def nvmlInit(self) -> None:
        self._answer("nvmlInit", None)
        self.sessions += 1

    def nvmlShutdown(self) -> None:
        self.sessions -= 1
        self._answer("nvmlShutdown", None)

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes) -> str:
        ctypes.c_char_p(uuid)
        return str(self._answer("nvmlDeviceGetHandleByUUID", "handle"))

    def nvmlDeviceGetName(self, handle: str) -> bytes:
        assert handle == "handle"
        return bytes(self._answer("nvmlDeviceGetName", b"Tesla T4"))


@pytest.fixture
def binding(monkeypatch: pytest.MonkeyPatch) -> Binding:
    made = Binding()
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


def test_bytes_of_old_bindings_are_text(binding: Binding) -> None:
    assert Nvml().call_gpu(UUID, "nvmlDeviceGetName") == "Tesla T4"


def test_a_function_the_binding_lacks_is_unsupported(binding: Binding) -> None:
    nvml = Nvml()
    assert nvml.ask_gpu(UUID, "nvmlDeviceGetArchitecture") is None
    with pytest.raises(Unsupported, match="this pynvml does not have it"):
        nvml.call_gpu(UUID, "nvmlDeviceGetArchitecture")


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (3, Unsupported, "NVML error 3"),
        (13, Unsupported, "NVML error 13"),
        (26, Unsupported, "NVML error 26"),
        (4, NoPermission, "needs root"),
        (15, TargetLost, "GPU-aa no longer answers"),
        (16, TargetLost, "GPU-aa no longer answers"),
        (28, TargetLost, "GPU-aa no longer answers"),
        (9, LayerUnavailable, "modprobe nvidia"),
        (18, LayerUnavailable, "different versions"),
        (10, NvmlError, "nvmlDeviceGetName: error 10"),
        (999, NvmlError, "NVML error 999"),
    ],
)
def test_errors(binding: Binding, code: int, error: type[NodeError], words: str) -> None:
    binding.fails = {"nvmlDeviceGetName": code}
    with pytest.raises(error, match=words):
        Nvml().call_gpu(UUID, "nvmlDeviceGetName")


def test_a_driver_older_than_every_version_the_binding_knows(binding: Binding) -> None:
    """Newer bindings raise an error of their own, outside NVML's family."""

    class Mismatch(Exception):
        pass

    def list_processes(_handle: str) -> None:
        raise Mismatch("Unversioned function called")

    assert not hasattr(binding, "NVMLLibraryMismatchError")
    vars(binding).update(
        NVMLLibraryMismatchError=Mismatch, nvmlDeviceGetComputeRunningProcesses=list_processes
    )
    with pytest.raises(Unsupported, match="too old for this pynvml"):
        Nvml().call_gpu(UUID, "nvmlDeviceGetComputeRunningProcesses")


def test_a_uuid_that_is_not_there_any_more_is_lost(binding: Binding) -> None:
    binding.fails = {"nvmlDeviceGetHandleByUUID": 6}
    with pytest.raises(TargetLost) as caught:
        Nvml().call_gpu(UUID, "nvmlDeviceGetName")
    assert caught.value.target == UUID


@pytest.mark.parametrize(
    ("code", "words"),
    [(9, "modprobe nvidia"), (12, "libnvidia-ml.so.1 is not installed"), (18, "different versions")],
)
def test_init_that_cannot_work_says_what_to_do(binding: Binding, code: int, words: str) -> None:
    binding.fails = {"nvmlInit": code}
    with pytest.raises(LayerUnavailable, match=words):
        Nvml().open()


def test_init_that_fails_otherwise(binding: Binding) -> None:
    binding.fails = {"nvmlInit": 999}
    with pytest.raises(NvmlError, match="nvmlInit: error 999"):
        Nvml().open()


def test_sessions_are_opened_once_and_closed_once(binding: Binding) -> None:
    nvml = Nvml()
    nvml.close()
    nvml.open()
    nvml.open()
    assert binding.sessions == 1
    binding.fails = {"nvmlShutdown": 999}
    nvml.close()
    nvml.close()
    assert binding.sessions == 0
    nvml.open()
    assert binding.sessions == 1


def test_binding_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(BindingMissing, match="python3-pynvml"):
        Nvml().open()


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BindingMissing, match=r"gpu_pynvml_path: there is no .*/no"):
        Nvml(str(tmp_path / "no")).open()


def test_a_library_that_is_none(binding: Binding, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("text")
    with pytest.raises(LayerUnavailable, match=r"gpu_nvml_library: .* cannot be loaded"):
        Nvml(library=str(tmp_path / "libnvidia-ml.so.1")).open()


def test_reasons_certainly_without_effect() -> None:
    assert [NvmlError("f", code, "").refused for code in (2, 3, 4, 13, 10, 19, 999)] == [True] * 4 + [
        False
    ] * 3


def test_a_session_that_never_was_is_not_opened_by_reopening(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml("/nowhere")
    nvml.reopen()
    with pytest.raises(LayerUnavailable):
        nvml.open()
