# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with simulated GPUs, the program on it as the units run it, and what happens to such a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.boot.bundle import bundle
from ansible_collections.swarm.node.plugins.module_utils.boot.owners import Owner, render_owner
from ansible_collections.swarm.node.plugins.module_utils.boot.paths import PROGRAM, owner_path
from gpu_node import PYNVML, GpuNode

PROGRAM_TEXT = bundle()


class BootNode(GpuNode):
    """`apply` is the playbook's module, `program` the boot's."""

    def __init__(self, boards: str = "h100:2", driver: str = "550.163.01") -> None:
        super().__init__(boards, driver)
        self.pyz = self.root / PROGRAM.lstrip("/")
        self.pyz.parent.mkdir(parents=True)
        self.pyz.write_bytes(PROGRAM_TEXT.encode("utf-8", "surrogateescape"))
        self.environment: dict[str, str] = {}
        self.user: int | None = None
        self.bindings = self.base / "bindings"
        self.bindings.mkdir()
        (self.bindings / "pynvml.py").symlink_to(PYNVML / "pynvml.py")
        self.owner()

    def owner(self, name: str = "gpu", **options: str) -> Path:
        """The owner's file, as the boot part writes it."""
        given = {"pynvml_path": str(self.bindings), "nvml_library": str(self.sim.library), **options}
        path = self.root / owner_path(name).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_owner(Owner(name, **given)))
        return path

    def parameters(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return super().parameters(check, **{"boot": True, **options})

    def reboot(self, boot: str = "second") -> None:
        """What is on a tmpfs is gone, and so is what the GPUs held."""
        self.sim.reboot()
        self.boot(boot)
        for path in (self.base / "run").glob("*"):
            path.unlink()

    def start(self, command: str = "reapply", *more: str, root: bool = True) -> subprocess.Popen[str]:
        places = {"--root": self.root, "--state-dir": self.base / "state", "--run-dir": self.base / "run"}
        arguments = [str(word) for pair in places.items() for word in pair]
        play = "import os; os.geteuid = lambda: 0; " if root and os.geteuid() != 0 else ""
        code = (
            f"{play}import runpy, sys; sys.argv = sys.argv[1:]; "
            "sys.path.insert(0, sys.argv[0]); runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        line = ["-I", "-c", code, str(self.pyz)] if play else ["-I", str(self.pyz)]
        return subprocess.Popen(
            [sys.executable, *line, command, *arguments, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
            env={"PATH": os.environ["PATH"], **self.sim.env, **self.environment},
            user=self.user,
        )

    def program(self, command: str = "reapply", *more: str) -> tuple[int, str]:
        """(return code, what it said). It never ends with a traceback."""
        process = self.start(command, *more)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        return process.returncode, out + err

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.base / "run/gpu_boot.json").read_text())
        return found

    def kept(self) -> dict[str, bytes]:
        """What is below the state directory, but the log of changes."""
        state = self.base / "state"
        return {
            str(path.relative_to(state)): path.read_bytes()
            for path in sorted(state.rglob("*"))
            if path.is_file() and "changes" not in path.parts
        }
