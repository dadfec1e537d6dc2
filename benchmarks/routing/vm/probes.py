# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred echo requests a second from one guest to another, by fping: Python would keep a guest busy."""

from __future__ import annotations

import re
import time
from bisect import bisect_left

from benchmarks.routing.probes import INTERVAL, PATIENCE, Probe
from benchmarks.routing.vm.agents import Agent
from lab.errors import LabError

_FILE = "/run/routing-trial.probes"
_BEGIN = 30.0
"""s until the first answer is noted: between guests the mesh's planned routes lead at least."""
_LINE = re.compile(r"^\[([0-9.]+)\] \S+ : \[(\d+)\], (?:\d+ bytes, ([0-9.e+]+) ms|timed out)", re.MULTILINE)
_WRITTEN = 0.3
"""s until fping has noted what is decided."""


class Log:
    """What fping has noted so far; times are those of the guest."""

    def __init__(self) -> None:
        self._rest = ""
        self._answered: dict[int, tuple[float, float]] = {}
        self._last = -1

    def add(self, text: str) -> None:
        """More of it; an unfinished line waits for its end."""
        whole, _, self._rest = (self._rest + text).rpartition("\n")
        for found in _LINE.finditer(whole):
            number = int(found[2])
            self._last = max(self._last, number)
            if found[3]:
                took = float(found[3]) / 1000
                self._answered[number] = (float(found[1]) - took, took)

    @property
    def begun(self) -> bool:
        """Whether anything was answered yet."""
        return bool(self._answered)

    @property
    def interval(self) -> float:
        """s from one to the next on the whole: a little more than it was told."""
        if len(self._answered) < 2:
            return INTERVAL
        first, last = min(self._answered), max(self._answered)
        return (self._answered[last][0] - self._answered[first][0]) / (last - first)

    def probes(self) -> list[Probe]:
        """All that were sent. When one was sent that was lost follows from those around it."""
        found: list[Probe] = []
        known = sorted(self._answered)
        step = self.interval
        for number in range(self._last + 1 if known else 0):
            if number in self._answered:
                sent, took = self._answered[number]
                found.append(Probe(sent, returned=sent + took))
                continue
            place = bisect_left(known, number)
            if place == 0:
                sent = self._answered[known[0]][0] - (known[0] - number) * step
            elif place == len(known):
                sent = self._answered[known[-1]][0] + (number - known[-1]) * step
            else:
                before, after = known[place - 1], known[place]
                start, end = self._answered[before][0], self._answered[after][0]
                sent = start + (end - start) * (number - before) / (after - before)
            found.append(Probe(sent))
        return found

    def late(self, since: float) -> float:
        """s that one was sent too late at most, of those that were sent since then and answered."""
        known = [number for number in sorted(self._answered) if self._answered[number][0] >= since]
        step = self.interval
        return max(
            (
                self._answered[after][0] - self._answered[before][0] - (after - before) * step
                for before, after in zip(known, known[1:], strict=False)
            ),
            default=0.0,
        )


class GuestProber:
    """Probes from a guest's address to another one, until it is closed. See probes.Prober."""

    def __init__(self, agent: Agent, address: str, target: str) -> None:
        self._agent = agent
        self._log, self._offset = Log(), 0
        self._calm_since = 0.0
        times = ["-p", f"{INTERVAL * 1000:.0f}", "-t", f"{PATIENCE * 1000:.0f}"]
        # For ever: with a number it takes memory for so many at once, which a small guest does not have.
        words = ["fping", "-D", "-l", *times, "-S", address, target]
        self._child = agent.ask("start", words=words, file=_FILE)["child"]
        deadline = time.monotonic() + _BEGIN
        while not self._log.begun:
            if time.monotonic() > deadline:
                said = agent.ask("read", file=_FILE, offset=0)["text"]
                raise LabError(f"{agent.name}: nobody answers {' '.join(words)}: {said[-800:]}")
            time.sleep(0.2)
            self._fetch()

    def _fetch(self) -> None:
        """What is new in its file."""
        while True:
            found = self._agent.ask("read", file=_FILE, offset=self._offset)
            if found["offset"] == self._offset:
                return
            self._offset = found["offset"]
            self._log.add(found["text"])

    @property
    def interval(self) -> float:
        return self._log.interval

    @property
    def latest(self) -> float:
        """As that of probes.Prober."""
        self._fetch()
        return self._log.late(self._calm_since)

    @latest.setter
    def latest(self, _value: float) -> None:
        self._calm_since = time.monotonic() - self._agent.here(0.0)

    def between(self, start: float, end: float) -> list[Probe]:
        """Those that were sent in this time, by the clock here; waits until they are decided."""
        time.sleep(max(0.0, end + PATIENCE + _WRITTEN - time.monotonic()))
        self._fetch()
        shift = self._agent.here(0.0)
        moved = [
            Probe(one.sent + shift, returned=None if one.returned is None else one.returned + shift)
            for one in self._log.probes()
        ]
        return [one for one in moved if start <= one.sent < end]

    def lost(self, start: float, end: float) -> int:
        return sum(probe.lost for probe in self.between(start, end))

    def round_trips(self) -> list[float]:
        """ms of all that came back."""
        self._fetch()
        return [1000 * (one.returned - one.sent) for one in self._log.probes() if one.returned is not None]

    def close(self) -> None:
        self._agent.ask("end", child=self._child)
