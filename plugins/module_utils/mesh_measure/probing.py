# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips to all members of a job at once, with irtt, with fping, and with a slow fping beside irtt."""

from __future__ import annotations

import gzip
import os
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from . import fping, irtt
from .children import Child, Children
from .model import ECHO_EVERY, FPING, IRTT, Job, Probe

TAIL = irtt.HANDSHAKE_SECONDS + irtt.WAIT_SECONDS + 2.0
"""s after the window in which late answers come."""

STEPPED = 0.1
"""s: fping goes by the wall clock. Below that one is slewed (500 ppm at most), and a probe waits longer."""

BYTES = 100
"""What irtt writes of one probe, compressed: 72 on a loopback, up to 90 on a path."""

MOST = 0.5
"""Share of what is free below /run that it may fill: services of the node need the rest."""


def _wall() -> float:
    """s by which the wall clock is ahead of the one that nobody sets."""
    return time.time() - time.monotonic()


@dataclass
class _Echo:
    """One fping for several members. child: None where it could not be started"""

    probes: list[Probe]
    expected: int
    child: Optional[Child]
    failed: str = ""


@dataclass
class Probing:
    """Started by `start`, read by `results` when all of it is over."""

    children: Children
    source: str
    window: float
    wall: Callable[[], float] = _wall
    _began: float = field(default=0.0, init=False)
    _irtts: dict[str, tuple[Probe, Optional[Child], str]] = field(default_factory=dict)
    _echoes: list[_Echo] = field(default_factory=list)

    def start(self, job: Job) -> None:
        self._began = self.wall()
        by_irtt = [probe for probe in job.probes if probe.tool == IRTT]
        room = _free(self.children.scratch) * MOST
        for number, probe in enumerate(by_irtt):
            output = self.children.scratch / f"{number}.json.gz"
            room -= BYTES * fping.count(probe.interval_ms, self.window)
            try:
                if room < 0:
                    raise OSError(
                        f"/run has too little room for what {len(by_irtt)} clients of it write, "
                        f"and takes {number} of them (verify_probe: fping needs none)"
                    )
                child = self.children.start(irtt.client(probe, self.source, self.window, str(output)))
                self._irtts[probe.name] = (probe, child, str(output))
            except OSError as error:
                self._irtts[probe.name] = (probe, None, str(error))
        by_fping = [probe for probe in job.probes if probe.tool == FPING]
        for interval in sorted({probe.interval_ms for probe in by_fping}):
            self._ping([probe for probe in by_fping if probe.interval_ms == interval], interval)
        self._ping(by_irtt, ECHO_EVERY)

    def _ping(self, probes: Sequence[Probe], interval_ms: float) -> None:
        for version in (4, 6):
            same = [probe for probe in probes if (":" in probe.address) == (version == 6)]
            if not same:
                continue
            addresses = [probe.address for probe in same]
            expected = fping.count(interval_ms, self.window)
            argv = fping.command(addresses, self.source, interval_ms, self.window)
            try:
                self._echoes.append(_Echo(same, expected, self.children.start(argv, root=True)))
            except OSError as error:
                self._echoes.append(_Echo(same, expected, None, str(error)))

    def wait(self, deadline: float) -> None:
        """deadline: on the monotonic clock; what runs on then is stopped by whoever owns the children"""
        found = [child for _probe, child, _path in self._irtts.values()]
        for child in [*found, *(echo.child for echo in self._echoes)]:
            if child is not None:
                child.wait(deadline)

    def results(self) -> dict[str, dict[str, Any]]:
        """Member → `{measured: a parsed result or null, why, echo: a parsed result or null, echo_why}`.

        why: in words, where nothing was measured; "" otherwise. echo: only beside irtt
        """
        echoes, failed = self._read_echoes()
        found: dict[str, dict[str, Any]] = {}
        for name, (probe, child, path) in self._irtts.items():
            measured, why = _read_irtt(probe, child, path)
            found[name] = {"measured": measured, "why": why}
            found[name].update(echo=echoes.get(name), echo_why=failed.get(name, ""))
        for name in [*echoes, *failed]:
            if name not in self._irtts:
                found[name] = {"measured": echoes.get(name), "why": failed.get(name, "")}
                found[name].update(echo=None, echo_why="")
        return found

    def _read_echoes(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Member → what was measured; member → why nothing was."""
        found: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        step = self.wall() - self._began
        for echo in self._echoes:
            try:
                if echo.child is None:
                    raise irtt.BrokenOutput(f"fping could not be started: {echo.failed}")
                if abs(step) > STEPPED:
                    raise irtt.BrokenOutput(
                        f"fping: the node's clock was set by {step:+.1f} s meanwhile, and fping goes by it"
                    )
                parsed = fping.parse(echo.child.errors, echo.probes, echo.expected)
            except irtt.BrokenOutput as error:
                failed.update({probe.name: str(error) for probe in echo.probes})
                continue
            found.update({probe.name: parsed[probe.address] for probe in echo.probes})
        return found, failed


def _free(path: Path) -> int:
    """Bytes of its file system. Raises OSError."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _read_irtt(probe: Probe, child: Optional[Child], path: str) -> tuple[Optional[dict[str, Any]], str]:
    if child is None:
        return None, f"irtt could not be started: {path}"
    code = child.code
    if code is None:
        return None, "irtt did not end in time"
    if code != 0:
        return None, irtt.why(code, child.errors)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            return irtt.parse(stream.read(), probe), ""
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        return None, f"irtt: its output cannot be read: {error}"
    except irtt.BrokenOutput as error:
        return None, str(error)
