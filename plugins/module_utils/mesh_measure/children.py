# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that this process starts: none outlives it, and none runs as root that need not."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A login by ssh often has no sbin in its PATH."""

NOBODY = 65534
STOP_SECONDS = 3.0

_SET_DEATH_SIGNAL = 1
"""prctl(PR_SET_PDEATHSIG)"""


def missing(tools: Sequence[str]) -> list[str]:
    """Those of the programs that this node does not have."""
    return [tool for tool in tools if shutil.which(tool, path=SEARCH) is None]


class Child:
    """A running program; its error output is in a file, so that no full pipe stops it."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self.process = process
        self._errors = errors

    @property
    def code(self) -> Optional[int]:
        """None while it runs."""
        return self.process.poll()

    @property
    def errors(self) -> str:
        try:
            return self._errors.read_text(encoding="utf-8", errors="backslashreplace")
        except OSError:
            return ""

    def wait(self, deadline: float, clock: Callable[[], float] = time.monotonic) -> Optional[int]:
        """The return code; None if it runs on at the deadline."""
        try:
            return self.process.wait(max(0.0, deadline - clock()))
        except subprocess.TimeoutExpired:
            return None


class Children:
    """All that were started.

    directory: for what they print; scratch: for what they write themselves, where this runs as root as
    `nobody`
    """

    def __init__(self, directory: Path, scratch: Path) -> None:
        self.directory = directory
        self.scratch = scratch
        self._all: list[Child] = []
        self._number = 0

    def start(self, argv: Sequence[str], output: Optional[Path] = None, root: bool = False) -> Child:
        """root: it keeps the rights of this process (fping opens raw sockets). Raises OSError."""
        self._number += 1
        errors = self.directory / f"{self._number}-{Path(argv[0]).name}.err"
        options: dict[str, Any] = {}
        if os.geteuid() == 0 and not root:
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        with contextlib.ExitStack() as stack:
            out: Any = subprocess.DEVNULL if output is None else stack.enter_context(output.open("wb"))
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=stack.enter_context(errors.open("wb")),
                cwd="/",
                env={"PATH": SEARCH, "LC_ALL": "C"},
                preexec_fn=_die_with_parent(os.getpid()),
                **options,
            )
        child = Child(process, errors)
        self._all.append(child)
        return child

    def stop(self) -> None:
        """All that still run: asked first, then killed. Every one is waited for."""
        running = [child for child in self._all if child.code is None]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for child in running:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(number)
            deadline = time.monotonic() + STOP_SECONDS
            running = [child for child in running if child.wait(deadline) is None]


def _die_with_parent(parent: int) -> Callable[[], None]:
    """For the child, before it becomes its program; without this a killed parent would leave it behind."""
    libc = ctypes.CDLL(None, use_errno=True)

    def in_child() -> None:
        libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
