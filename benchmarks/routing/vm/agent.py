# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a guest as long as a trial: it does what its standard input says. Needs nothing but Python.

A JSON object a line. In: {id, do, and what `do` takes}. Out: {id, begin, end, and what it found}, or
{id, begin, end, error}; and at any time {event: route, time, device}. Times are those of the guest's clock.
A login takes a translated guest a second, a line to one that is there some milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from benchmarks.routing.netlink import GROUP_IPV4_ROUTES, NETLINK_ROUTE, routes_in

TICK = 0.1
_BABEL = "42"
_CHUNK = 1 << 20


class Agent:
    """Answers go to `out`. Close it: what it has started ends with it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._late = 0.0
        threading.Thread(target=self._tick, daemon=True).start()

    def serve(self, lines: Iterable[str]) -> None:
        for line in lines:
            words = json.loads(line)
            head = {"id": words.pop("id"), "begin": time.time()}
            try:
                found = getattr(self, f"do_{words.pop('do')}")(**words)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                found = {"error": f"{type(error).__name__}: {error}"}
            self._say({**head, "end": time.time(), **found})

    def _say(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()

    def _tick(self) -> None:
        while True:
            due = time.monotonic() + TICK
            time.sleep(TICK)
            self._late = max(self._late, time.monotonic() - due)

    # -- what can be asked for

    def do_clock(self) -> dict[str, Any]:
        return {}

    def do_late(self) -> dict[str, Any]:
        """s that a thread woke up too late at most since this was asked last."""
        late, self._late = self._late, 0.0
        return {"late": late}

    def do_run(self, words: list[str], data: str = "", timeout: float = 60) -> dict[str, Any]:
        """A program, to its end."""
        done = subprocess.run(
            words, input=data.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
        )
        return {"code": done.returncode, "out": done.stdout.decode(errors="replace")}

    def do_start(self, words: list[str], file: str) -> dict[str, Any]:
        """A program beside; what it says goes to a file."""
        with Path(file).open("wb") as out:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self._children.append(child)
        return {"child": len(self._children) - 1}

    def do_wait(self, child: int, timeout: float) -> dict[str, Any]:
        """{code}, None where it has not ended by then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return {"code": self._children[child].wait(timeout)}
        return {"code": None}

    def do_end(self, child: int) -> dict[str, Any]:
        self._children[child].terminate()
        return {"code": self._children[child].wait(10)}

    def do_read(self, file: str, offset: int) -> dict[str, Any]:
        """Text of a file from there on, and where it goes on."""
        with Path(file).open("rb") as handle:
            handle.seek(offset)
            data = handle.read(_CHUNK)
        return {"text": data.decode("ascii", errors="replace"), "offset": offset + len(data)}

    def do_watch(self, destination: str) -> dict[str, Any]:
        """The device of the daemon's route to the address, None for none; from now on changes are told."""
        own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        own.bind((0, GROUP_IPV4_ROUTES))
        words = ["ip", "-N", "-j", "route", "show", destination, "proto", _BABEL]
        shown = json.loads(subprocess.run(words, capture_output=True, check=True).stdout or "[]")
        threading.Thread(target=self._watch, args=(own, socket.inet_aton(destination)), daemon=True).start()
        return {"device": next((route["dev"] for route in shown if "dev" in route), None)}

    def _watch(self, own: socket.socket, destination: bytes) -> None:
        while True:
            data = own.recv(1 << 16)
            now = time.time()
            for is_new, index in routes_in(data, destination):
                device = None
                if is_new:
                    with contextlib.suppress(OSError):
                        device = socket.if_indextoname(index)
                self._say({"event": "route", "time": now, "device": device})

    def close(self) -> None:
        for child in self._children:
            child.terminate()


def main() -> None:
    agent = Agent(sys.stdout)
    try:
        agent.serve(sys.stdin)
    finally:
        agent.close()
