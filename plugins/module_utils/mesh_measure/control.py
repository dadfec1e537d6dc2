# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module does: start the program, give it its job, take its results and make an end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Protocol

from ..core.errors import BindError, NodeError, Problem
from ..core.files import write_whole
from ..core.interpreter import interpreter
from .agent import program_text
from .children import SEARCH, missing
from .model import IPERF, IRTT, MESH, TOKEN, TOOLS, address_of, job_from
from .place import RUN, Place

READY_SECONDS = 20.0
LOOK = 0.2
STOP_SECONDS = 10


class Runner(Protocol):
    def __call__(self, argv: Sequence[str]) -> tuple[int, str]:
        """Return code and what was said; 127 where there is no such program."""


def execute(argv: Sequence[str]) -> tuple[int, str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": SEARCH}
    try:
        done = subprocess.run(
            list(argv),
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=60,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        return 127, f"{argv[0]}: no such program"
    except subprocess.TimeoutExpired as error:
        raise NodeError(f"{' '.join(argv)}: did not end within 60 s") from error
    return done.returncode, " ".join((done.stderr or done.stdout).split())


@dataclass(frozen=True)
class Order:
    """What a node is to serve.

    address: the one that servers bind; tools: programs that the run needs on it
    patience: s in which the job has to come; longest: s that a test may take
    limit: s after which systemd ends all
    """

    token: str
    address: str
    port: int
    tools: tuple[str, ...]
    patience: float
    longest: float
    limit: float


class Control:
    """root: below which the place is; other in tests"""

    def __init__(
        self,
        mesh: str,
        root: Path = RUN,
        runner: Runner = execute,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not MESH.fullmatch(mesh):
            raise BindError([Problem("mesh", mesh, "the name of a mesh", "task")])
        self.place = Place(mesh, root)
        self.unit = f"swarm-node-verify-{mesh}.service"
        self._runner = runner
        self._sleep = sleep

    def up(self, order: Order) -> None:
        """Servers that answer. Raises BindError, NodeError, OSError; nothing is left then."""
        check(order)
        lacking = missing(order.tools)
        if lacking:
            raise NodeError(
                f"{', '.join(lacking)} missing on this node: install Debian's packages of these names, or "
                "let the playbook do it (verify_install: true)"
            )
        self._take_place(order.token)
        try:
            self._start(order)
            ready = self._ready()
            failed = ready["failed"]
            if failed:
                said = "; ".join(f"{tool}: {why}" for tool, why in sorted(failed.items()))
                raise NodeError(
                    f"no server on {order.address} port {order.port}: {said}. Is the mesh up on this node, "
                    "and the port free (verify_port)?"
                )
        except BaseException:
            self.stop()
            raise

    def go(self, token: str, job: Mapping[str, Any]) -> None:
        """Raises BindError, NodeError."""
        self._require(token)
        checked = job_from(job)
        if not self._active():
            raise NodeError("the servers of this run have ended already; its order came too late")
        self.place.write("job", checked.as_data())

    def down(self, token: str, patience: float) -> Optional[dict[str, Any]]:
        """The results, None where there are none; servers, files and unit are gone then. Raises NodeError."""
        order = self.place.read("order")
        if order is None or order.get("token") != token:
            return None
        deadline = time.monotonic() + patience
        try:
            results = self.place.read("results")
            waits = self.place.read("job") is not None
            while results is None and waits and time.monotonic() < deadline and self._active():
                self._sleep(LOOK)
                results = self.place.read("results")
            return results or self.place.read("results")
        finally:
            self.stop()

    def stop(self) -> None:
        """Also of what another run has left; harmless where nothing is. Raises NodeError."""
        self._runner(["systemctl", "stop", self.unit])
        self._runner(["systemctl", "reset-failed", self.unit])
        self.place.remove()

    # -- inside

    def _active(self) -> bool:
        return self._runner(["systemctl", "is-active", "--quiet", self.unit])[0] == 0

    def _take_place(self, token: str) -> None:
        """Raises NodeError where another run is at work."""
        if self.place.path.exists():
            order = self.place.read("order") or {}
            if self._active() and order.get("token") != token:
                raise NodeError(
                    f"another run measures this mesh on this node ({order.get('token')}); it ends by itself, "
                    f"or: systemctl stop {self.unit}"
                )
            self.stop()
        self.place.make()

    def _start(self, order: Order) -> None:
        write_whole(self.place.program, program_text(), 0o600)
        servers = [tool for tool in (IRTT, IPERF) if tool in order.tools]
        self.place.write(
            "order",
            {
                "token": order.token,
                "address": order.address,
                "port": order.port,
                "servers": servers,
                "patience": order.patience,
                "longest": order.longest,
            },
        )
        properties = {
            "RuntimeMaxSec": f"{order.limit:.0f}",
            "KillMode": "control-group",
            "TimeoutStopSec": str(STOP_SECONDS),
            "Description": f"swarm.node measures the mesh {self.place.mesh}",
        }
        argv = ["systemd-run", "--quiet", "--collect", f"--unit={self.unit}"]
        argv += [f"--property={key}={value}" for key, value in properties.items()]
        argv += [interpreter(), "-I", str(self.place.program), self.place.mesh, str(self.place.path.parent)]
        code, said = self._runner(argv)
        if code != 0:
            raise NodeError(f"systemd-run: {said or f'it returned {code}'}")

    def _ready(self) -> dict[str, Any]:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            # In this order: it may write it and end.
            active = self._active()
            ready = self.place.read("ready")
            if ready is not None:
                return ready
            if not active:
                raise NodeError(f"the program ended at once: journalctl -u {self.unit}")
            self._sleep(LOOK)
        raise NodeError(f"the servers were not there after {READY_SECONDS:.0f} s: journalctl -u {self.unit}")

    def _require(self, token: str) -> None:
        order = self.place.read("order")
        if order is None or order.get("token") != token:
            raise NodeError("the servers of this run are not there any more")


def check(order: Order) -> None:
    """Raises BindError."""
    problems: list[Problem] = []
    if not TOKEN.fullmatch(order.token):
        problems.append(Problem("token", order.token, "1 to 100 letters, digits, '.', '_' or '-'", "task"))
    address_of(order.address, "this node", problems)
    if not 1 <= order.port <= 65535:
        problems.append(Problem("port", order.port, "1 to 65535", "task"))
    problems += [
        Problem("tools", tool, "of " + ", ".join(TOOLS), "task") for tool in order.tools if tool not in TOOLS
    ]
    for key, value in (("patience", order.patience), ("longest", order.longest), ("limit", order.limit)):
        if not 1 <= value <= 86400 * 2:
            problems.append(Problem(key, value, "1 to 172800 s", "task"))
    if problems:
        raise BindError(problems)
