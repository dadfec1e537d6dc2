# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the boot part that changes anything: files, the links that enable units, systemctl."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.errors import NodeError, NotOffered
from ..core.managed_files import FILE, FilePort
from ..core.model import Change
from .paths import OWNERS, PROGRAM, SYSTEMD, UNITS, is_masked, unit_path
from .plan import ENABLED, RELOAD, RUNNING
from .systemd import Systemctl

OURS = (str(Path(PROGRAM).parent), OWNERS, str(Path(OWNERS).parent))
"""Directories that go when nothing is left in them."""


class BootPort:
    """Works below `root`; `systemctl` is that of the machine, or a stand-in."""

    def __init__(self, root: Path, state_dir: str, systemctl: Systemctl) -> None:
        self.root = root
        self.files = FilePort(root, state_dir)
        self.systemctl = systemctl
        self._writes = 0
        self._reloaded = False

    @property
    def writes(self) -> int:
        return self.files.writes + self._writes

    def is_link(self, path: str) -> bool:
        """Whether a link that enables a unit is there and names that unit."""
        try:
            return self._at(path).readlink().name == Path(path).name
        except OSError:
            return False

    def is_masked(self, path: str) -> bool:
        return is_masked(self.root, path)

    # -- contract.Port

    def apply(self, change: Change) -> None:
        """Raises OSError, NodeError."""
        if change.key in (FILE, ENABLED):
            with _with_way_out(change):
                self._apply_file(change)
        elif change.key == RELOAD:
            self._reload()
        elif change.key == RUNNING and change.after == "active":
            self._start(change.target)
        else:
            self._stop(change.target)

    def undo(self, change: Change) -> None:
        if change.key == FILE:
            self.files.undo(change)
            self._tidy(change.target)
            if self._reloaded and change.target in map(unit_path, UNITS):
                self._reload()  # systemd has read the new file already.
        elif change.key == ENABLED:
            self._link(change, change.before)
        elif change.key == RUNNING and change.before == "active":
            self._start(change.target)
        elif change.key == RUNNING:
            self._stop(change.target)

    def reopen(self) -> None:
        """Nothing stays open."""

    def readback(self, change: Change) -> Any:
        """Raises NodeError, OSError."""
        if change.key == FILE:
            return self.files.readback(change)
        if change.key == ENABLED:
            there = {self.is_link(path) for path in change.data["links"]}
            return there.pop() if len(there) == 1 else "partly"
        units = self.systemctl.show(UNITS)
        if change.key == RELOAD:
            return change.before if any(unit.stale for unit in units.values()) else change.after
        return units[change.target].active or "inactive"

    # -- inside

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _apply_file(self, change: Change) -> None:
        if change.key == ENABLED:
            self._link(change, change.after)
            return
        self.files.apply(change)
        self._tidy(change.target)

    def _link(self, change: Change, enabled: bool) -> None:
        for path in change.data["links"]:
            place = self._at(path)
            if enabled == self.is_link(path):
                continue
            if enabled:
                place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(unit_path(change.target))
            else:
                place.unlink(missing_ok=True)
                self._remove_if_empty(str(Path(path).parent))
            self._writes += 1

    def _reload(self) -> None:
        self._reloaded = True
        self._ask("daemon-reload")

    def _start(self, unit: str) -> None:
        if not self.systemctl.show([unit])[unit].loaded:
            raise NotOffered(
                f"systemd does not know {unit} before its next daemon-reload; a boot is one, too"
            )
        self._ask("start", unit)

    def _stop(self, unit: str) -> None:
        self._ask("stop", unit)
        with contextlib.suppress(NodeError):  # It fails where the unit had not failed, in some versions.
            self.systemctl.run("reset-failed", unit)

    def _ask(self, *words: str) -> None:
        self._writes += 1
        self.systemctl.run(*words)

    def _tidy(self, path: str) -> None:
        """Our own directories go with the last file in them."""
        if not self._at(path).exists():
            for directory in OURS:
                if path.startswith(f"{directory}/"):
                    self._remove_if_empty(directory)

    def _remove_if_empty(self, directory: str) -> None:
        if directory in OURS or directory.startswith(f"{SYSTEMD}/nvidia-"):
            with contextlib.suppress(OSError):
                self._at(directory).rmdir()


@contextlib.contextmanager
def _with_way_out(change: Change) -> Iterator[None]:
    """On a node where nothing can be installed the settings can still be made. Raises NodeError, OSError."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise NodeError(
            f"{error}; the unit that re-applies the settings after a boot cannot be put on this node: with "
            "gpu_boot: false the settings are made without it"
        ) from error
