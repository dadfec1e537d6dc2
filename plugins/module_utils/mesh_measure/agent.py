# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that serves and measures on the node while a run lasts, and then ends by itself.

It serves from its start. When its job comes it measures at the job's time, and serves on until the job's
end, as others measure towards it. It writes nothing outside its directory.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from ..core.bundle import program
from ..core.errors import BindError, Interrupted, NodeError
from ..core.notify import WARNING, say
from ..core.signals import signals_as_errors
from . import iperf, irtt
from .children import Child, Children
from .model import IPERF, IRTT, Job, job_from
from .place import Place
from .probing import TAIL, Probing
from .transferring import transferred

LOOK = 0.2
"""s between two looks for the job."""

SETTLE = 0.7
"""s after which a server that still runs has its port."""


def program_text() -> str:
    """The text of the program: this file and what it needs."""
    return program("for measuring a mesh; it ends by itself.", __name__)


def main(arguments: Sequence[str]) -> int:
    """arguments: the mesh, and the directory in which its place is"""
    mesh, root = arguments
    place = Place(mesh, Path(root))
    try:
        with signals_as_errors():
            Agent(place).run()
    except Interrupted as error:
        say(str(error))
    except (NodeError, OSError) as error:
        say(str(error), WARNING)
        return 1
    return 0


class Agent:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.children = Children(place.printed, place.scratch)
        self.servers: dict[str, Child] = {}

    def run(self) -> None:
        """Raises Interrupted, NodeError, OSError; nothing it started runs on then."""
        order = self.place.read("order")
        if order is None:
            raise NodeError("there is nothing to serve")
        try:
            self._serve(order)
            job = self._job(float(order["patience"]))
            if job is not None:
                self._measure(job, str(order["address"]))
        finally:
            self.children.stop()

    def _serve(self, order: dict[str, Any]) -> None:
        address, port = str(order["address"]), int(order["port"])
        commands = {
            IRTT: irtt.server(address, port, float(order["longest"])),
            IPERF: iperf.server(address, port),
        }
        failed: dict[str, str] = {}
        for tool in order["servers"]:
            try:
                self.servers[tool] = self.children.start(commands[tool])
            except OSError as error:
                failed[tool] = str(error)
        time.sleep(SETTLE)
        for tool, child in self.servers.items():
            if child.code is not None:
                failed[tool] = " ".join(child.errors.split()[-30:]) or f"it ended with {child.code}"
        self.place.write("ready", {"token": order["token"], "failed": failed})

    def _job(self, patience: float) -> Optional[Job]:
        """None if it does not come in time: the run that wanted it is gone."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            data = self.place.read("job")
            if data is not None:
                try:
                    return job_from(data)
                except BindError as error:
                    raise NodeError(str(error)) from error
            time.sleep(LOOK)
        say(f"no job came within {patience:.0f} s")
        return None

    def _measure(self, job: Job, source: str) -> None:
        transfers: dict[str, Any] = {}
        _sleep_until(job.start)
        began = time.monotonic()
        # Who begins late measures for a shorter time, so that all end in step.
        window = max(1.0, job.window - max(0.0, began - job.start))
        probing = Probing(self.children, source, window)
        if job.probes:
            probing.start(job)
            probing.wait(began + window + TAIL)
        for transfer in sorted(job.transfers, key=lambda one: one.at):
            begin = job.start + transfer.at
            _sleep_until(begin)
            transfers[transfer.name] = transferred(self.children, transfer, source, begin, job.late)
        _sleep_until(job.start + job.end)
        ended = {
            tool: f"it ended with {child.code}: {' '.join(child.errors.split()[-30:])}"
            for tool, child in self.servers.items()
            if child.code is not None
        }
        self.children.stop()
        # Reading what irtt wrote takes a while, and would disturb who measures.
        self.place.write(
            "results",
            {
                "late": round(max(0.0, began - job.start), 3),
                "window": round(window, 3),
                "probes": probing.results(),
                "transfers": transfers,
                "servers": ended,
            },
        )


def _sleep_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
