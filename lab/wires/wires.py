# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front of the program in src: builds it, starts it, tells it what the wires are like."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

from lab.errors import LabError
from lab.shell import run
from lab.wires.spaces import Space

SOURCES = Path(__file__).resolve().parent / "src"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE")
FORTH, BACK, BOTH = "0", "1", "both"
"""Directions of a wire: from its first end to its second, back, and both."""


def build() -> Path:
    """The program, compiled unless nothing changed. Safe to call in parallel. Raises LabError."""
    compiler = run(["gcc", "-dumpfullversion", "-dumpmachine"])
    digest = hashlib.sha256(" ".join([compiler, *FLAGS]).encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "swarm.node"
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / f"wires-{digest.hexdigest()[:16]}"
    with (cache / "wires.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=cache) as work:
                made = Path(work) / "wires"
                run(["gcc", *FLAGS, *map(str, sorted(SOURCES.glob("*.c"))), "-o", str(made)])
                made.replace(program)
    return program


class Wires:
    """Wires between namespaces. Losses and jitter are drawn by `seed`, so that a run can be repeated.

    The devices go when this is closed, or dies.
    """

    def __init__(self, seed: int = 1) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control = ours.makefile("rw", encoding="utf-8", newline="\n")
        ours.close()
        with theirs:
            self._program = subprocess.Popen(
                [str(build()), str(seed)], stdin=theirs.fileno(), stdout=theirs.fileno()
            )

    @property
    def pid(self) -> int:
        return self._program.pid

    def _ask(self, command: str) -> list[str]:
        lines: list[str] = []
        try:
            self._control.write(command + "\n")
            self._control.flush()
            while line := self._control.readline():
                if line.startswith("error: "):
                    raise LabError(f"wires: {command}: {line[7:].strip()}")
                if line == "ok\n":
                    return lines
                lines.append(line)
        except OSError as error:
            raise LabError(f"wires: {command}: {error}") from error
        raise LabError(f"wires: {command}: the program ended")

    def add(self, name: str, first: tuple[Space, str], second: tuple[Space, str], mtu: int = 1420) -> None:
        """A wire; each end is a TUN device of that name in that namespace, down and without address yet."""
        ends = " ".join(f"{space.path} {device}" for space, device in (first, second))
        self._ask(f"add {name} {ends} {mtu}")

    def set(self, name: str, direction: str = BOTH, /, **values: float) -> None:
        """What a direction is like from now on; what is not named stays.

        delay, jitter: ms one way; jitter is uniform between minus and plus that. loss: percent.
        rate: Mbit/s, 0 for none; queue: ms that a packet may wait for it, beyond that it is dropped.
        order: 1 (packets do not overtake each other) or 0. up: 0 drops all, without the ends noticing.
        """
        words = " ".join(f"{key}={value:g}" for key, value in values.items())
        self._ask(f"set {name} {direction} {words}")

    def counters(self) -> dict[tuple[str, str], dict[str, int]]:
        """{(wire, direction): {came, bytes, left, lost, overflowed, down, refused}}"""
        rows = [json.loads(line) for line in self._ask("show")]
        return {(row.pop("wire"), str(row.pop("from"))): row for row in rows}

    def close(self) -> None:
        self._control.close()
        try:
            self._program.wait(5)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
