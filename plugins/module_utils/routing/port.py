# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the layer that changes the machine: files, tables, units, the distribution's daemon."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.commands import Runner
from ..core.errors import NodeError
from ..core.managed_files import FILE, FilePort
from ..core.model import Change
from .distribution import Distribution
from .filter import digest_of
from .paths import (
    BABELD,
    HOME,
    PROGRAM,
    TEMPLATES,
    conf_path,
    deaf_table,
    drain_path,
    table,
    unit,
)
from .prepare import flush, take_down
from .steps import DAEMON, DRAIN, RECORDER, RIVAL
from .tables import Tables
from .units_port import UnitsPort

KINDS = {DAEMON: "daemon", RECORDER: "recorder"}
WRONG = "this is no word of babeld\n"


class RoutingPort:
    """contract.Port. What is to be started is started by `reopen`, when all that it needs is in its place."""

    def __init__(self, root: Path, state_dir: str, runner: Runner) -> None:
        self.files = FilePort(root, state_dir)
        self.tables = Tables(runner)
        self.units = UnitsPort(root, runner)
        self.rival = Distribution(root, runner)
        self.runner = runner
        self._writes = 0
        self._pending: list[tuple[str, str]] = []

    @property
    def writes(self) -> int:
        return self.files.writes + self.units.writes + self._writes

    def apply(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        if change.key == FILE:
            text = change.data["after_text"]
            if _is_conf(change.target) and text is not None:
                check_conf(text, self.runner)
            self._before_file(change.target, text)
            self.files.apply(change)
            self._after_file(change.target, text)
        elif change.key in KINDS:
            self._unit(change)
        elif change.key == RIVAL:
            self._writes += self.rival.switch(change.after)
        else:
            self._load(change.data["load"])
            if change.key == DRAIN:
                files.remove(self.files.at(drain_path(change.target)))

    def undo(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        if change.key == FILE:
            self._before_file(change.target, change.data["before_text"])
            self.files.undo(change)
            self._after_file(change.target, change.data["before_text"])
        elif change.key in KINDS:
            self._unit_back(change)
        elif change.key == RIVAL:
            self._writes += self.rival.switch(change.before)
        else:
            if change.key == DRAIN:
                files.write_whole(self.files.at(drain_path(change.target)), change.data["undo"])
            self._load(change.data["undo"])

    def reopen(self) -> None:
        """Raises NodeError where a daemon does not run with what it was given."""
        while self._pending:
            kind, mesh = self._pending.pop(0)
            self.units.start(kind, mesh)

    def readback(self, change: Change) -> Any:
        """Raises NodeError, OSError."""
        if change.key == FILE:
            return self.files.readback(change)
        if change.key in KINDS:
            return self.units.value(KINDS[change.key], change.target)
        if change.key == RIVAL:
            return self.rival.state()
        names = self.tables.names()
        if change.key == DRAIN:
            return "drained" if deaf_table(change.target) in names else None
        name = table(change.target)
        return digest_of(self.tables.rules(name)) if name in names else None

    # -- inside

    def _unit(self, change: Change) -> None:
        kind, mesh = KINDS[change.key], change.target
        self.units.link(kind, mesh, change.after["enabled"])
        if change.after["running"]:
            before = change.before
            if not before["running"] or before["started_with"] != change.after["started_with"]:
                self._pending.append((kind, mesh))
            return
        self.units.stop(kind, mesh)
        if kind == "daemon":
            flush(change.data["prefixes"], self.runner)
            take_down(self.units.root, mesh, self.runner)

    def _unit_back(self, change: Change) -> None:
        kind, mesh, before = KINDS[change.key], change.target, change.before
        if (kind, mesh) in self._pending:
            self._pending.remove((kind, mesh))
        self.units.link(kind, mesh, before["enabled"])
        now = self.units.value(kind, mesh)
        if not before["running"]:
            self.units.stop(kind, mesh)
        elif now["started_with"] != before["started_with"] or not now["running"]:
            self._start_as_it_was(kind, mesh, change.data.get("ran"))

    def _start_as_it_was(self, kind: str, mesh: str, ran: Optional[str]) -> None:
        """It may have run with another configuration than that of its file, which was edited since."""
        place = self.files.at(conf_path(mesh))
        text = files.read_text(place)
        if kind != "daemon" or ran is None or ran == text:
            self.units.start(kind, mesh)
            return
        files.write_whole(place, ran)
        try:
            self.units.start(kind, mesh)
        finally:
            if text is None:
                files.remove(place)
            else:
                files.write_whole(place, text)

    def _load(self, text: str) -> None:
        self._writes += 1
        self.tables.load(text)

    def _before_file(self, path: str, text: Optional[str]) -> None:
        """A mesh is known by its file, so what a boot would take goes before that."""
        if text is None and _is_conf(path):
            self.units.tidy(Path(path).stem)

    def _after_file(self, path: str, text: Optional[str]) -> None:
        if text is None and (path == PROGRAM or path.startswith(HOME)):
            with contextlib.suppress(OSError):
                self.files.at(path).parent.rmdir()
        for kind, template in TEMPLATES.items():
            # systemd is told of a new text before the start; of one that went here.
            if path == template and text is None and self.units.systemd:
                self.units.settle([unit(kind, "gone")])


def check_conf(text: str, runner: Runner) -> None:
    """babeld reads all its files before it does anything; the second here keeps it from starting.

    Raises NodeError with what is wrong with the first, and its line.
    """
    with tempfile.TemporaryDirectory(prefix="swarm-node-routing-") as name:
        new, wrong = Path(name) / "new.conf", Path(name) / "wrong.conf"
        new.write_text(text, encoding="utf-8", errors="surrogateescape")
        wrong.write_text(WRONG, encoding="utf-8")
        done = runner([BABELD, "-I", "", "-c", str(new), "-c", str(wrong)])
        if done.code == 0 or str(wrong) not in done.err + done.out:
            raise NodeError(
                f"babeld does not take its new configuration: {done.reason.replace(name + '/', '')}"
            )


def _is_conf(path: str) -> bool:
    return path.startswith(f"{HOME}/") and path.endswith(".conf")
