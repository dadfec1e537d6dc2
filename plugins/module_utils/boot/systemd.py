# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemctl: what it knows of units, and the few things asked of it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import NodeError

SHOWN = ("Id", "LoadState", "ActiveState", "NeedDaemonReload", "After")
FORGETFUL = range(243, 247)
"""Versions of systemd that do not find a unit file made after their last daemon-reload."""


@dataclass(frozen=True)
class Unit:
    """As systemctl shows it: load `loaded`, `not-found`, `masked`; active `active`, `inactive`, `failed`.

    after: units that it waits for, if both are started
    """

    load: str = "not-found"
    active: str = "inactive"
    stale: bool = False
    after: tuple[str, ...] = ()

    @property
    def loaded(self) -> bool:
        return self.load not in ("", "not-found")


class Systemctl:
    """`command` is a path in tests. Every call ends within `timeout` seconds."""

    def __init__(self, command: str = "systemctl", timeout: float = 60.0) -> None:
        self.command = command
        self.timeout = timeout

    def show(self, names: Sequence[str]) -> dict[str, Unit]:
        """Every named unit; one that systemd does not know is a `Unit()`. Raises NodeError."""
        found = dict.fromkeys(names, Unit())
        if not names:
            return found
        for block in self.run("show", f"--property={','.join(SHOWN)}", *names).split("\n\n"):
            values = dict(line.partition("=")[::2] for line in block.splitlines())
            if values.get("Id") in found:
                found[values["Id"]] = Unit(
                    values.get("LoadState", ""),
                    values.get("ActiveState", ""),
                    values.get("NeedDaemonReload") == "yes",
                    tuple(values.get("After", "").split()),
                )
        return found

    def version(self) -> int:
        """252; 0 where it does not say. Raises NodeError."""
        found = re.match(r"systemd ([0-9]+)", self.run("--version"))
        return int(found[1]) if found else 0

    def allowed_devices(self, unit: str) -> str:
        """What a unit's DeviceAllow says. Raises NodeError."""
        return self.run("show", "--property=DeviceAllow", unit)

    def run(self, *words: str) -> str:
        """The output. Raises NodeError with what systemctl says."""
        line = f"systemctl {' '.join(words)}"
        try:
            done = subprocess.run(
                [self.command, *words],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
            )
        except subprocess.TimeoutExpired as error:
            raise NodeError(f"`{line}` did not end within {self.timeout:g} s") from error
        except OSError as error:
            raise NodeError(f"`{line}` cannot be run: {error.strerror or error}") from error
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split()) or f"it ended with {done.returncode}"
            raise NodeError(f"`{line}` failed: {said}")
        return done.stdout
