# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This side of the agents in the guests: questions, answers, and what their clocks say."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import queue
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.errors import LabError

PROGRAM = "/run/routing-trial.pyz"
_ROOT = Path(__file__).resolve().parents[3]
_PARTS = (
    "benchmarks/__init__.py",
    "benchmarks/routing/__init__.py",
    "benchmarks/routing/netlink.py",
    "benchmarks/routing/vm/__init__.py",
    "benchmarks/routing/vm/agent.py",
)
_MAIN = "from benchmarks.routing.vm.agent import main\n\nmain()\n"
_LONGER = 60.0
"""s beyond what a question may take by itself: a busy host may let a guest wait."""
EXCHANGES = 12


def program() -> bytes:
    """The agent as one file that Python runs."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("__main__.py", _MAIN)
        for name in _PARTS:
            archive.write(_ROOT / name, name)
    return made.getvalue()


class Agent:
    """An agent that `line` starts, and to whose standard input and output it leads. Close it.

    skew: its clock is known to so many s. on_route: gets (time here, device) of each message of its kernel.
    """

    def __init__(self, name: str, line: Sequence[str]) -> None:
        self.name = name
        self.skew = 0.0
        self.on_route: Callable[[float, str | None], None] = lambda time, device: None
        self._offset = 0.0
        self._numbers = itertools.count()
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the object)
        self._writing = threading.Lock()
        self._process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # A Ctrl-C is for us: the guest is left in order.
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "event" in message:
                self.on_route(self.here(message["time"]), message["device"])
            elif answer := self._answers.get(message["id"]):
                # Else it came later than anybody waited for it.
                answer.put(message)
        # Nobody else will answer.
        for answer in list(self._answers.values()):
            answer.put({"error": f"it has ended: {self._said()}"})

    def ask(self, do: str, patience: float = 0.0, **words: Any) -> dict[str, Any]:
        """The answer. Raises LabError where there is none, or it says that it went wrong.

        patience: s that it takes by itself
        """
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._answers[number] = queue.Queue(1)
        try:
            with self._writing:
                self._process.stdin.write(json.dumps({"id": number, "do": do, **words}).encode() + b"\n")
                self._process.stdin.flush()
            found = answer.get(timeout=patience + _LONGER)
        except (OSError, queue.Empty):
            raise LabError(f"{self.name}: no answer to {do} {words}: {self._said()}") from None
        finally:
            del self._answers[number]
        if "error" in found:
            raise LabError(f"{self.name}: {do} {words}: {found['error']}")
        return found

    def run(self, words: Sequence[str], data: str = "", timeout: float = 60) -> str:
        """What a program says. Raises LabError where it fails."""
        found = self.ask("run", timeout, words=list(words), data=data, timeout=timeout)
        if found["code"] != 0:
            raise LabError(f"{self.name}: {' '.join(words)} returned {found['code']}: {found['out'][-800:]}")
        return str(found["out"])

    def shell(self, script: str, timeout: float = 60) -> str:
        return self.run(["sh", "-ec", script], timeout=timeout)

    def synchronize(self) -> None:
        """Learns its clock: of several questions the one that was answered soonest."""
        best = float("inf")
        for _ in range(EXCHANGES):
            asked = time.monotonic()
            found = self.ask("clock")
            took = time.monotonic() - asked
            if took < best:
                best, self.skew = took, took / 2
                self._offset = asked + took / 2 - (found["begin"] + found["end"]) / 2

    def here(self, there: float) -> float:
        """A time of its clock as one of the monotonic clock here."""
        return there + self._offset

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-800:] or "it said nothing"

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
