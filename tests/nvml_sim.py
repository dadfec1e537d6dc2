# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NVML simulator for tests: builds the library once, gives each test a node of its own.

    node = Simulator.create(tmp_path)        # builds if needed
    node.init("h100:2")
    with node.client() as nvml:              # a process of its own, with unmodified pynvml
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), 500_000)
    assert node.gpu(0)["power_limit_mw"] == 700_000

To load it into the own process instead: set `Simulator.env` in os.environ, then
ctypes.CDLL(str(node.library), mode=ctypes.RTLD_GLOBAL) before the first nvmlInit of pynvml.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCE = CHECKOUT / "lab" / "nvml"
CACHE = CHECKOUT / ".cache" / "nvml"
CLIENT = Path(__file__).resolve().parent / "nvml_client.py"

# The simulator's own modules import each other by plain name, as they do on a node.
if str(SOURCE) not in sys.path:
    sys.path.append(str(SOURCE))

import nvml_life  # noqa: E402
from nvml_node import ERROR_NAMES, Node  # noqa: E402


def _load_builder() -> ModuleType:
    """lab/nvml/build.py by its path: by name it could be PyPI's package `build`."""
    spec = importlib.util.spec_from_file_location("nvml_build", SOURCE / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


nvml_build = _load_builder()


@cache
def built_library() -> Path:
    """The library, built at most once per session and only if its sources changed."""
    return nvml_build.build(CACHE)


def gpu(index: int) -> dict[str, int]:
    """Stands for a GPU's handle among the arguments of a client's call."""
    return {"gpu": index}


class NvmlFailed(Exception):
    """A call failed; `name` is the error without NVML_ERROR_."""

    def __init__(self, function: str, name: str) -> None:
        super().__init__(f"{function}: {name}")
        self.name = name


class Client:
    """A process that uses NVML; call it with a function of pynvml and its arguments."""

    def __init__(self, env: dict[str, str]) -> None:
        command = [sys.executable, str(CLIENT)]
        self.process = subprocess.Popen(
            command, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def __call__(self, function: str, *arguments: Any) -> Any:
        """The call's value as JSON carries it. NvmlFailed if NVML refuses, EOFError if the client died."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([function, arguments]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(f"{function}: the client died with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise NvmlFailed(function, ERROR_NAMES.get(answer["error"], str(answer["error"])))
        return answer["value"]

    def error(self, function: str, *arguments: Any) -> str:
        """The name of the error a call fails with; "SUCCESS" if it does not fail."""
        try:
            self(function, *arguments)
        except NvmlFailed as failed:
            return failed.name
        return "SUCCESS"

    def kill(self) -> None:
        """SIGKILL: no shutdown, no goodbye."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.process.wait(timeout=30)


class Simulator:
    """One simulated node: its state directory and what can be done to it."""

    def __init__(self, directory: Path, library: Path) -> None:
        self.directory = directory
        self.library = library
        self.node = Node(directory, functions=library.with_name("functions.txt"))

    @classmethod
    def create(cls, directory: Path) -> Simulator:
        return cls(directory / "nvml", built_library())

    @property
    def env(self) -> dict[str, str]:
        """What the library and a client need in their environment; the user counts as root."""
        return {
            "NVML_SIM_DIR": str(self.directory),
            "NVML_SIM_LIBRARY": str(self.library),
            "NVML_SIM_PRIVILEGED": "1",
        }

    @contextlib.contextmanager
    def client(self, *, init: bool = True, privileged: bool = True) -> Iterator[Client]:
        """A running client, initialised and shut down at the end unless it died or `init` is False."""
        client = Client({**self.env, "NVML_SIM_PRIVILEGED": str(int(privileged))})
        try:
            if init:
                client("nvmlInit")
            yield client
            if init and client.process.poll() is None:
                client("nvmlShutdown")
        finally:
            client.close()

    def init(self, boards: str, **options: Any) -> None:
        """Makes the node: 'h100:8', 'l40s:4,t4:2'; options driver, numa_nodes, seed as of Node.init."""
        self.node.init(boards, **options)

    def set(self, index: int, key: str, value: int | str | None) -> None:
        """Changes a value behind everybody's back; None: back to the default."""
        self.node.set_value(index, key, None if value is None else str(value))

    def inject(self, function: str, error: str, **options: Any) -> None:
        """Options: gpu, skip, times."""
        self.node.inject(function, error, **options)

    def clear(self) -> None:
        self.node.clear()

    def lose(self, index: int) -> None:
        self.set(index, "lost", 1)

    def find(self, index: int) -> None:
        self.set(index, "lost", None)

    def process(self, index: int, pid: int, mib: int | None) -> None:
        self.node.process(index, pid, mib)

    def unload(self, force: bool = False) -> None:
        nvml_life.unload(self.node, force)

    def load(self) -> None:
        nvml_life.load(self.node)

    def reload(self, force: bool = False) -> None:
        nvml_life.reload(self.node, force)

    def install(self, version: str) -> None:
        nvml_life.install(self.node, version)

    def reset(self, index: int) -> None:
        nvml_life.reset_gpu(self.node, index)

    def reboot(self) -> None:
        nvml_life.reboot(self.node)

    def log(self, on: bool = True) -> None:
        self.node.log(on)

    def calls(self, clear: bool = False) -> list[dict[str, Any]]:
        return self.node.calls(clear)

    def status(self) -> dict[str, Any]:
        return self.node.status()

    def gpu(self, index: int) -> dict[str, Any]:
        """The status of one GPU."""
        return self.status()["gpus"][index]
