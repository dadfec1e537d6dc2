# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, stops and enables the instances of our two units, and says how they are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import files
from ..core.commands import Runner, must
from ..core.errors import NodeError
from ..core.managed_files import digest
from .babel_socket import answers
from .lookup import is_laid
from .paths import RUN, SYSTEMD, TEMPLATES, link_paths, recorder_path, running_conf, socket_path, unit

START_TIMEOUT = 60.0
ANSWER_TIMEOUT = 5.0
"""Seconds until a daemon that was started has to answer."""

RUNS = ("active", "reloading")


class UnitsPort:
    """kind: daemon or recorder. `writes` counts links, and calls that start or stop something."""

    def __init__(self, root: Path, runner: Runner, patience: float = ANSWER_TIMEOUT) -> None:
        self.root = root
        self.runner = runner
        self.patience = patience
        self.writes = 0

    @property
    def systemd(self) -> bool:
        return self.at("/run/systemd/system").is_dir()

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def value(self, kind: str, mesh: str) -> dict[str, Any]:
        """{enabled, running, started_with}; enabled is "half" after a run was cut off. Raises NodeError.

        A daemon whose rules somebody has taken away does not count as running: a start makes them again.
        """
        runs = self.active(kind, mesh)
        if runs and kind == "daemon":
            runs = answers(str(self.at(socket_path(mesh)))) and is_laid(
                files.read_text(self.at(running_conf(mesh))), self.runner
            )
        return {
            "enabled": self._enabled(kind, mesh),
            "running": runs,
            "started_with": self._started_with(kind, mesh) if runs else None,
        }

    def active(self, kind: str, mesh: str) -> bool:
        """Whether its process is there, answering or not. Raises NodeError."""
        return self._active(unit(kind, mesh))

    def masked(self, kind: str, mesh: str) -> bool:
        paths = (TEMPLATES[kind], f"{SYSTEMD}/{unit(kind, mesh)}")
        return any(_is_null(self.at(path)) for path in paths)

    def link(self, kind: str, mesh: str, wanted: bool) -> None:
        """Raises OSError."""
        for path in link_paths(kind, mesh):
            place = self.at(path)
            if wanted == place.is_symlink():
                continue
            if wanted:
                place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                place.symlink_to(TEMPLATES[kind])
            else:
                place.unlink()
                if place.parent.name.startswith("nftables."):
                    with contextlib.suppress(OSError):
                        place.parent.rmdir()
            self.writes += 1

    def start(self, kind: str, mesh: str) -> None:
        """Also one that runs, which then has what is there now. Raises NodeError with its last words."""
        name = unit(kind, mesh)
        self.settle([name])
        if kind == "recorder":
            # It signs when it is up: what the one before it has signed must not be taken for that.
            files.remove(self.at(recorder_path(mesh)))
        self.writes += 1
        done = self.runner(["systemctl", "restart", name], "", START_TIMEOUT)
        if not done.good or not self._comes(kind, mesh):
            raise NodeError(f"{name} does not run: {done.reason if not done.good else ''}{self._said(name)}")

    def stop(self, kind: str, mesh: str) -> None:
        """Raises NodeError."""
        name = unit(kind, mesh)
        if self._active(name) or self._shown(name).get("ActiveState") in ("activating", "failed"):
            self.writes += 1
            must(self.runner, ["systemctl", "stop", name], "", START_TIMEOUT)
            self.runner(["systemctl", "reset-failed", name])

    def settle(self, names: Sequence[str]) -> None:
        """Lets systemd read unit files again, only where it has to. Raises NodeError."""
        shown = [self._shown(name) for name in names]
        if any(one.get("NeedDaemonReload") == "yes" or one.get("LoadState") == "not-found" for one in shown):
            self.writes += 1
            must(self.runner, ["systemctl", "daemon-reload"])

    # -- inside

    def _comes(self, kind: str, mesh: str) -> bool:
        """A daemon that was started answers soon; and one that ends at once is not there a moment later."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if self.value(kind, mesh)["running"] and self._started_with(kind, mesh) is not None:
                return True
            time.sleep(0.05)
        return False

    def _enabled(self, kind: str, mesh: str) -> Any:
        there = [self.at(path).is_symlink() for path in link_paths(kind, mesh)]
        return "half" if any(there) and not all(there) else all(there)

    def _started_with(self, kind: str, mesh: str) -> Any:
        if kind == "daemon":
            return digest(files.read_text(self.at(running_conf(mesh))))
        return (files.read_text(self.at(recorder_path(mesh))) or "").strip() or None

    def _active(self, name: str) -> bool:
        return self._shown(name).get("ActiveState") in RUNS

    def _shown(self, name: str) -> dict[str, str]:
        if not self.systemd:
            return {}
        words = ["systemctl", "show", "--property=LoadState,ActiveState,NeedDaemonReload", name]
        return dict(line.partition("=")[::2] for line in must(self.runner, words).splitlines())

    def _said(self, name: str) -> str:
        said = self.runner(["journalctl", "--no-pager", "-o", "cat", "-n", "6", "-u", name]).out
        told = "; ".join(line.strip() for line in said.splitlines() if line.strip())
        return f" ({told})" if told else ""

    def tidy(self, mesh: str) -> None:
        """Takes away what a boot would. Raises OSError."""
        place = self.at(f"{RUN}/{mesh}")
        for path in [*place.glob("*"), *self.at(RUN).glob(f"{mesh}.*")]:
            files.remove(path)
        for directory in (place, self.at(RUN)):
            with contextlib.suppress(OSError):
                directory.rmdir()


def _is_null(place: Path) -> bool:
    try:
        return str(place.readlink()) == "/dev/null"
    except OSError:
        return False
