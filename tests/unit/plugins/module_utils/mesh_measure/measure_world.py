# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two members of a mesh in network namespaces of their own, with the real irtt, iperf3 and fping.

systemd does not run here: its units are played by processes that are started and stopped as it would.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.children import missing
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.control import Control, Order
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.model import TOOLS

PORT = 22112


def why_not() -> str:
    """Why this cannot be tried here, or ""."""
    lacking = [
        *missing(TOOLS),
        *(name for name in ("unshare", "nsenter", "ip", "nft") if not shutil.which(name)),
    ]
    if lacking:
        return f"not on this machine: {', '.join(lacking)}"
    if os.geteuid() != 0:
        return "a network namespace needs root"
    done = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False, timeout=10)
    return done.stderr.strip()


class Space:
    """A network namespace that lives while a process of it sleeps."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "900"])
        deadline = time.monotonic() + 5
        while self.identity in ("", _net(os.getpid())):
            assert time.monotonic() < deadline and self.process.poll() is None, "no namespace can be made"
            time.sleep(0.01)

    @property
    def identity(self) -> str:
        return _net(self.process.pid)

    @property
    def entry(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", "--"]

    def run(self, *argv: str) -> str:
        done = subprocess.run([*self.entry, *argv], capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def programs(self) -> list[str]:
        """What runs in it, by name; nothing but the sleeper when all is over."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if _net(int(path.name)) == self.identity and int(path.name) != self.process.pid:
                    state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                    found += [] if state == "Z" else [(path / "comm").read_text().strip()]
        return sorted(found)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Units:
    """systemd-run and systemctl, as far as they are used."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.lines: list[list[str]] = []
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._timers: list[threading.Timer] = []

    def __call__(self, argv: Sequence[str]) -> tuple[int, str]:
        self.lines.append(list(argv))
        if argv[0] == "systemd-run":
            return self._start([word for word in argv[1:] if word.startswith("--")], argv[1:])
        verb, unit = argv[1], argv[-1]
        process = self.running.get(unit)
        if verb == "is-active":
            return (0 if process is not None and process.poll() is None else 3), ""
        if verb == "stop" and process is not None:
            self._stop(process)
        return 0, ""

    def option(self, name: str) -> str:
        """Of the last start."""
        line = next(line for line in reversed(self.lines) if line[0] == "systemd-run")
        return next(word for word in line if word.startswith(name)).rpartition("=")[2]

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for process in self.running.values():
            self._stop(process)

    def _start(self, options: Sequence[str], words: Sequence[str]) -> tuple[int, str]:
        unit = next(word for word in options if word.startswith("--unit=")).partition("=")[2]
        command = list(words[len(options) :])
        process = subprocess.Popen([*self.space.entry, *command], start_new_session=True)
        self.running[unit] = process
        limit = next(word for word in options if word.startswith("--property=RuntimeMaxSec="))
        timer = threading.Timer(float(limit.rpartition("=")[2]), self._stop, [process])
        timer.daemon = True
        timer.start()
        self._timers.append(timer)
        return 0, ""

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Node:
    """A member: 10.99.0.<number> and fd00:99::<number>."""

    def __init__(self, number: int, root: Path) -> None:
        root.mkdir()
        root.chmod(0o755)
        self.number = number
        self.space = Space()
        self.units = Units(self.space)
        self.control = Control("wan", root, self.units)

    @property
    def address(self) -> str:
        return f"10.99.0.{self.number}"

    @property
    def address6(self) -> str:
        return f"fd00:99::{self.number}"

    def order(self, **more: Any) -> Order:
        values: dict[str, Any] = {
            "token": "run-1",
            "address": self.address,
            "port": PORT,
            "tools": TOOLS,
            "patience": 30.0,
            "longest": 60.0,
            "limit": 90.0,
        }
        return Order(**{**values, **more})

    def listens(self) -> list[str]:
        """Every address and port something is bound to."""
        return sorted(line.split()[4] for line in self.space.run("ss", "-H", "-lntu").splitlines())

    def close(self) -> None:
        self.units.close()
        self.space.close()


class World:
    """Two nodes with a cable between them."""

    def __init__(self, numbers: tuple[int, int] = (1, 2)) -> None:
        # As /run is: programs that do not run as root get through it, which they do not in tmp_path.
        self.root = Path(tempfile.mkdtemp(prefix="swarm-node-test-"))
        self.root.chmod(0o711)
        self.one, self.two = Node(numbers[0], self.root / "one"), Node(numbers[1], self.root / "two")
        peer = str(self.two.space.process.pid)
        self.one.space.run("ip", "link", "add", "wan-2", "type", "veth", "peer", "wan-1", "netns", peer)
        for node, device in ((self.one, "wan-2"), (self.two, "wan-1")):
            run = node.space.run
            run("ip", "link", "set", "lo", "up")
            run("ip", "addr", "add", f"{node.address}/24", "dev", device)
            run("ip", "addr", "add", f"{node.address6}/64", "dev", device, "nodad")
            run("ip", "link", "set", device, "up")

    def job(self, target: Node, start: float, **more: Any) -> dict[str, Any]:
        """Round trips for 3 s to the target, and a transfer."""
        probe = {
            "name": "two",
            "address": target.address,
            "port": PORT,
            "tool": "irtt",
            "interval_ms": 10,
            "latency_ms": 50,
            "jitter_ms": 20,
            "share": 0.95,
        }
        data: dict[str, Any] = {"start": start, "window": 3, "end": 5, "late": 3, "probes": [probe]}
        return {**data, **more}

    def close(self) -> None:
        self.one.close()
        self.two.close()
        shutil.rmtree(self.root)


def _net(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""
