# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with simulated GPUs on which the tests run the modules, each run in a process of its own.

The process is a fork of the test's: it may give up root, be killed, or see patched functions, and
what it did to NVML ends with it, as with a module on a real node.
"""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml
from ansible.module_utils.common.json import Direction, get_module_encoder
from module_runner import run_forked
from nvml_sim import Simulator

PYNVML = Path(pynvml.__file__).parent
NOBODY = 65534
MEMORY = Path("/dev/shm")
"""Hundreds of runs sync every file they write; in memory that costs nothing."""


class GpuNode:
    """`sim` are the boards; /proc and /sys are in `base/root`, what is written in `base/{state,run}`."""

    def __init__(self, boards: str = "h100:2", driver: str = "550.163.01") -> None:
        self._directory = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        base = self.base = Path(self._directory.name)
        self.sim = Simulator.create(base)
        self.sim.init(boards, driver=driver, numa_nodes=1, seed="test")
        self.root = base / "root"
        self.sim.node.pci_tree(self.root / "sys/bus/pci/devices")
        self.sim.node.module_tree(self.root / "sys/module")
        self.boot("first")
        for path in (base, *base.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)

    def boot(self, name: str) -> None:
        """Another boot id; the boards are the simulator's matter."""
        path = self.root / "proc/sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")

    def process(self, pid: int, name: str, *arguments: str) -> None:
        """A process in the node's /proc."""
        directory = self.root / "proc" / str(pid)
        directory.mkdir(parents=True)
        (directory / "comm").write_text(f"{name[:15]}\n")
        (directory / "cmdline").write_text("\0".join((name, *arguments)))

    def reload_driver(self) -> None:
        """Another load of the driver, with another inode of /sys/module/nvidia, as sysfs gives it."""
        self.sim.reload(force=True)

    def uuid(self, index: int) -> str:
        return str(self.sim.gpu(index)["uuid"])

    def values(self, index: int = 0) -> tuple[Any, ...]:
        """(power limit in W, persistence, graphics lock, memory lock)."""
        gpu = self.sim.gpu(index)
        return (
            gpu["power_limit_mw"] // 1000,
            bool(gpu["persistence_mode"]),
            gpu["lock_graphics_mhz"],
            gpu["lock_memory_mhz"],
        )

    @property
    def record(self) -> Path:
        return self.base / "state" / "gpu.json"

    def claims(self) -> dict[str, Any]:
        if not self.record.exists():
            return {}
        found: dict[str, Any] = json.loads(self.record.read_text())["claims"]
        return found

    def parameters(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return {
            "nvml_library": str(self.sim.library),
            "sys_root": str(self.root),
            "state_dir": str(self.base / "state"),
            "run_dir": str(self.base / "run"),
            "boot": False,  # systemd is not part of these nodes; tests of the boot unit ask for it
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            # One that Ansible makes itself would stay: the process ends without its clean-up.
            "_ansible_tmpdir": str(self.base),
            **options,
        }

    def run(
        self,
        check: bool = False,
        uid: int = 0,
        before: Callable[[], None] | None = None,
        module: str = "gpu",
        **options: Any,
    ) -> dict[str, Any]:
        """The module's answer. `before` runs in the module's process first. Raises Killed."""
        parameters = self.parameters(check, **options)
        if module == "gpu_info":
            del parameters["state_dir"], parameters["run_dir"], parameters["boot"]

        def first() -> None:
            os.environ["NVML_SIM_DIR"] = str(self.sim.directory)
            self._become(uid)
            if before:
                before()

        return run_forked(module, parameters, first)

    def apply(self, **options: Any) -> dict[str, Any]:
        """`run`, which must succeed."""
        result = self.run(**options)
        assert not result.get("failed"), result["msg"]
        return result

    def _become(self, uid: int) -> None:
        """Becomes `uid`; tests that do not run as root play root, and are anybody else as themselves."""
        if os.geteuid() != 0:
            if uid == 0:
                os.environ["NVML_SIM_PRIVILEGED"] = "1"
                os.geteuid = lambda: 0
        elif uid != 0:
            # A checkout below /root cannot be read from here on: late loads come first.
            get_module_encoder("legacy", Direction.MODULE_TO_CONTROLLER)
            ctypes.CDLL(str(self.sim.library))
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
