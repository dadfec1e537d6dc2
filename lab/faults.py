# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For tests: faults of nodes and of their network, and programs that run beside.

All of it goes through the command line, so that a caller without root gets its rights the same way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from types import TracebackType

from lab.paths import ROOT
from lab.shell import run

# A busy virtual machine needs long to say that a unit has ended.
_END_SECONDS = 60


class Faults:
    """What can happen to the nodes of one lab. Every method raises LabError with the command's own words."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cut(self, node: str, silent: bool = False) -> None:
        """Cuts the node's underlay; with `silent` its link stays up. See lab.network.cut."""
        self._lab("cut", *(["--silent"] if silent else []), node)

    def restore(self, node: str) -> None:
        """Ends what `cut` did."""
        self._lab("restore", node)

    def crash(self, node: str) -> None:
        """Ends the node at once, as a power failure does."""
        self._lab("crash", node)

    def start(self, node: str) -> None:
        """Starts the node after a crash and waits until it answers."""
        self._lab("start", node)

    def reboot(self, node: str) -> None:
        """Restarts the node and waits until it answers."""
        self._lab("reboot", node)

    def background(self, node: str, *words: str) -> Background:
        """Starts a program in the node as root and returns at once."""
        return Background(self, node, words)

    def execute(self, node: str, *words: str) -> str:
        """Runs a command in the node as root and returns its output."""
        return self._lab("exec", node, *words)

    def command(self, *words: str) -> list[str]:
        """The command line of `python -m lab words…` for this lab; options stand before a node's name."""
        return [sys.executable, "-m", "lab", words[0], "--name", self.name, *words[1:]]

    def _lab(self, *words: str) -> str:
        return run(["env", f"PYTHONPATH={ROOT}", *self.command(*words)], timeout=900)


class Background:
    """A program in a node, as a transient unit: it can be ended from outside, and ends with `with`."""

    def __init__(self, faults: Faults, node: str, words: tuple[str, ...]) -> None:
        self._faults = faults
        self._node = node
        self._unit = f"background-{uuid.uuid4().hex[:8]}.service"
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the object)
        line = ["systemd-run", "--quiet", "--pipe", "--wait", f"--unit={self._unit}", "--", *words]
        self._process = subprocess.Popen(
            faults.command("exec", node, *line),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    def output(self) -> str:
        """What the program has said so far, errors included."""
        handle = self._output.fileno()
        # pread leaves the position alone, which the program's own writing shares.
        return os.pread(handle, os.fstat(handle).st_size, 0).decode(errors="replace")

    def wait(self, timeout: float) -> tuple[int, str]:
        """The program's return code and output; subprocess.TimeoutExpired when it does not end."""
        return self._process.wait(timeout), self.output()

    def stop(self, signal: str = "TERM") -> str:
        """Ends the program if it still runs; returns its output."""
        if self.running:
            # After a crash of the node there is no unit to signal: then the program has ended anyway.
            script = 'systemctl kill --signal="$1" "$2" 2>/dev/null || true'
            self._faults.execute(self._node, "sh", "-c", script, "sh", signal, self._unit)
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self.output()
