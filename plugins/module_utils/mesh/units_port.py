# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-quick's units of our tunnels: started and stopped together, enabled by links."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.commands import Runner, must
from ..core.errors import NodeError
from .kernel import Kernel
from .paths import quick_unit
from .tunnel import unit_link

TEMPLATE = "wg-quick@.service"
PLACES = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

START_TIMEOUT = 180.0
"""Seconds: many tunnels may start at once, and a unit has 90 s of its own."""


class TunnelUnits:
    """`writes` counts links and calls that started or stopped something."""

    def __init__(self, root: Path, runner: Runner, kernel: Kernel) -> None:
        self.root = root
        self.runner = runner
        self.kernel = kernel
        self.writes = 0
        self._template = ""

    def forget(self) -> None:
        self._template = ""

    def start(self, interfaces: Sequence[str], again: bool, linked: bool) -> None:
        """Brings all up that are not, in one call. Raises NodeError with what the units said.

        again: the units believe they run; linked: they come up at boot, too
        """
        for name in interfaces:
            self.link(quick_unit(name), linked)
        self.kernel.forget()
        there, known = self.kernel.links(), self.kernel.devices()
        missing = [name for name in interfaces if name not in there or name not in known]
        if not missing:
            return
        for name in missing:
            if name in there:
                self._delete(name)  # wg-quick takes nothing down that WireGuard does not know.
        units = [quick_unit(name) for name in missing]
        self.writes += 1
        done = self.runner(["systemctl", "restart" if again else "start", *units], "", START_TIMEOUT)
        self.kernel.forget()
        if not done.good:
            raise NodeError(self._what_failed(units, done.err or done.out))

    def stop(self, interfaces: Sequence[str], gone: bool) -> None:
        """Takes all down in one call. gone: they do not come up at boot either. Raises NodeError."""
        if gone:
            for name in interfaces:
                self.link(quick_unit(name), False)
        units = [quick_unit(name) for name in interfaces]
        self.writes += 1
        done = self.runner(["systemctl", "stop", *units], "", START_TIMEOUT)
        self.kernel.forget()
        # A tunnel that was not brought up by its unit, or whose file is gone, stays behind.
        for name in interfaces:
            if name in self.kernel.links():
                self._delete(name)
        self.kernel.forget()
        if not done.good:
            self.runner(["systemctl", "reset-failed", *units])
            if done.code == 127:
                raise NodeError(f"systemctl: {done.err}")

    def link(self, unit: str, wanted: bool) -> None:
        """Raises OSError."""
        place = self._at(unit_link(unit.partition("@")[2].partition(".service")[0]))
        if wanted == place.is_symlink():
            return
        if wanted:
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            place.symlink_to(self._template_path())
        else:
            place.unlink()
        self.writes += 1

    # -- inside

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _delete(self, interface: str) -> None:
        self.writes += 1
        must(self.runner, ["ip", "link", "delete", "dev", interface])
        self.kernel.forget()

    def _template_path(self) -> str:
        if not self._template:
            found = [f"{place}/{TEMPLATE}" for place in PLACES if self._at(f"{place}/{TEMPLATE}").exists()]
            self._template = (found or [f"{PLACES[-1]}/{TEMPLATE}"])[0]
        return self._template

    def _what_failed(self, units: Sequence[str], error: str) -> str:
        """The last words of the units: systemctl itself only says where to look."""
        names = [word for unit in units for word in ("-u", unit)]
        said = self.runner(["journalctl", "--no-pager", "-o", "cat", "-n", "6", *names]).out
        told = "; ".join(line.strip() for line in said.splitlines() if line.strip())
        return f"systemctl start {' '.join(units)}: {' '.join(error.split())}{f' ({told})' if told else ''}"
