# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's unit on the node: its files, the link that enables it, and what systemd is asked."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..core import files
from ..core.commands import Runner, must
from ..core.errors import NodeError
from ..core.interpreter import interpreter
from ..core.marking import marked
from .paths import GUARD, PROGRAM
from .units import SYSTEMD, Program, guard_service, link_path, no_program, unit_path

START_TIMEOUT = 90.0
"""Seconds for systemctl start: more than the unit's own limit."""


class GuardUnit:
    """Works below `root`; systemd is asked by `runner`."""

    def __init__(
        self, root: Path, state_dir: str, run_dir: str, runner: Runner, program: Program = no_program
    ) -> None:
        self.root = root
        self.state_dir = state_dir
        self.run_dir = run_dir
        self.runner = runner
        self.program = program
        self.writes = 0

    # -- how it is

    def is_active(self) -> bool:
        return self.runner(["systemctl", "is-active", "--quiet", GUARD]).good

    def is_enabled(self) -> bool:
        """Whether the link is there; without it nothing of the guard is, whoever was killed meanwhile."""
        return self._at(link_path(GUARD)).is_symlink()

    # -- what is done

    def install(self) -> None:
        """The link first, which goes last: it tells that there is something to remove.

        Raises NodeError where systemd does not run or the unit is masked, OSError.
        """
        if not (self.root / "run/systemd/system").is_dir():
            raise NodeError(
                "the guard of a change of the mesh needs systemd, which does not run here (there is no "
                "/run/systemd/system); with mesh_confirm_seconds: 0 changes are made without one"
            )
        if self._at(unit_path(GUARD)).is_symlink():
            raise NodeError(
                f"somebody has masked {GUARD}; `systemctl unmask {GUARD}` lets it run, and with "
                "mesh_confirm_seconds: 0 changes are made without it"
            )
        link = self._at(link_path(GUARD))
        if not link.is_symlink():
            link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            link.symlink_to(unit_path(GUARD))
            self.writes += 1
        self._write(PROGRAM, self.program(), 0o755)
        text = guard_service(interpreter(), self.state_dir, self.run_dir)
        self._write(unit_path(GUARD), marked(text), 0o644)

    def start(self) -> None:
        """Returns once the guard says that it counts. Raises NodeError with what it said."""
        # A guard that failed earlier stays loaded with its old text until then.
        self.runner(["systemctl", "reset-failed", GUARD])
        shown = self.runner(["systemctl", "show", "--property=LoadState,NeedDaemonReload", GUARD]).out
        if "LoadState=not-found" in shown or "NeedDaemonReload=yes" in shown:
            must(self.runner, ["systemctl", "daemon-reload"])
        try:
            must(self.runner, ["systemctl", "start", GUARD], timeout=START_TIMEOUT)
        except NodeError as error:
            said = self.runner(["journalctl", "--no-pager", "-o", "cat", "-n", "3", "-u", GUARD]).out
            told = "; ".join(line for line in said.splitlines() if line)
            raise NodeError(f"{error}{f' ({told})' if told else ''}") from error
        self.writes += 1

    def stop(self) -> None:
        """Ends a guard that runs. Raises NodeError."""
        if self.is_active():
            must(self.runner, ["systemctl", "stop", GUARD], timeout=START_TIMEOUT)
            self.writes += 1
        self.runner(["systemctl", "reset-failed", GUARD])

    def remove(self) -> None:
        """The link, the unit, and the program unless another unit of the mesh runs it. Raises OSError."""
        if not self._is_program_used():
            self._remove(PROGRAM)
            with contextlib.suppress(OSError):
                self._at(PROGRAM).parent.rmdir()
        self._remove(unit_path(GUARD))
        link = self._at(link_path(GUARD))
        if link.is_symlink():
            link.unlink()
            self.writes += 1

    # -- inside

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _write(self, path: str, text: str, mode: int) -> None:
        place = self._at(path)
        if files.read_text(place) != text:
            files.write_whole(place, text, mode)
            self.writes += 1

    def _remove(self, path: str) -> None:
        """A link is somebody's own doing (`systemctl mask`), and stays."""
        if self._at(path).is_file() and not self._at(path).is_symlink():
            files.remove(self._at(path))
            self.writes += 1

    def _is_program_used(self) -> bool:
        units = [path for path in self._at(SYSTEMD).glob("swarm-node-mesh*") if path.name != GUARD]
        return any(path.is_file() and PROGRAM in (files.read_text(path) or "") for path in units)
