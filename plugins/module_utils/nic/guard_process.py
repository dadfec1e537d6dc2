# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's process on the node: how it is started, and how one knows that it runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.commands import Runner
from ..core.errors import NodeError
from .units import GUARD, SYSTEMD

PROPERTIES = (
    "SyslogIdentifier=swarm-node-nic",
    "OOMScoreAdjust=-900",
    "Restart=on-abnormal",
    "RestartSec=1",
    "StartLimitIntervalSec=0",
)
LOCK = "nic-guard.lock"


class AnotherGuard(NodeError):
    """A guard runs already, or somebody looks at whether one does."""


class GuardProcess:
    """A guard holds a lock as long as it lives, however it was started."""

    def __init__(self, root: Path, run_dir: str, runner: Runner) -> None:
        self.root = root
        self.lock = Path(run_dir) / LOCK
        self.runner = runner

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Held while a guard runs. Raises AnotherGuard where another one does."""
        self.lock.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with os.fdopen(os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600), "w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AnotherGuard("another guard runs") from error
            yield

    def is_running(self) -> bool:
        """Writes nothing."""
        try:
            handle = os.open(self.lock, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def start(self, argv: Sequence[str]) -> None:
        """As a unit of systemd's where that runs, which starts it again if it is killed; else by itself.

        Raises NodeError, OSError.
        """
        if not (self.root / SYSTEMD).is_dir():
            spawn(argv)
            return
        self.runner(["systemctl", "reset-failed", f"{GUARD}.service"])
        options = [f"--property={item}" for item in PROPERTIES]
        done = self.runner(["systemd-run", "--quiet", "--collect", f"--unit={GUARD}", *options, *argv])
        if not done.good:
            raise NodeError(f"systemd-run: {done.reason}")


def spawn(argv: Sequence[str]) -> None:
    """A process that outlives this one and its session."""
    quiet = subprocess.DEVNULL
    subprocess.Popen(
        list(argv), start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet, cwd="/", close_fds=True
    )
