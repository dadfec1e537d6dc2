# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes of a candidate through the columns, several at a time, each in a process of its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.routing import columns, scale
from benchmarks.routing.candidates import Candidate
from benchmarks.routing.programs import provide
from benchmarks.routing.scene import Scene
from benchmarks.routing.stage import Stage
from lab.errors import LabError
from lab.wires import build

Step = Callable[[Scene], columns.Values]
CALM = 5.0
"""Seconds between two steps."""
STILL, ATTEMPTS = 0.1, 4
"""A step in which a probe was sent so many s too late is repeated, so often at most."""
PRIORITY = -5
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class How:
    """planned: with the mesh's own routes below; wireguard: in tunnels; cold: their first handshake fails."""

    planned: bool = True
    wireguard: bool = False
    cold: bool = False


def one_pass(candidate: Candidate, steps: Sequence[str], seed: int, how: How) -> dict[str, Any]:
    """The result of `walk`, and the pass's seed."""
    with tempfile.TemporaryDirectory(prefix="routing-trial-") as work:
        stage = Stage(candidate, Path(work), seed, how.planned, how.wireguard)
        try:
            chosen = {name: step for name, step in columns.STEPS.items() if name in steps}
            return {**walk(stage, chosen, columns.BY_RELAY, how.cold), "seed": seed}
        finally:
            stage.close()


def walk(
    stage: Scene, steps: Mapping[str, Step], by_relay: Collection[str], cold: bool = False
) -> dict[str, Any]:
    """{values: {column: number or None}, load: at its end, again: steps that were repeated, error: or ""}

    steps: in the order in which they are taken; by_relay: before the first of these the direct link is cut
    """
    values: dict[str, float | None] = {}
    error, again = "", 0
    try:
        values.update(columns.cold_start(stage) if cold else columns.start(stage))
        for name, step in steps.items():
            if name in by_relay and "relay_settled_s" not in values:
                values.update(columns.by_relay(stage))
            found, disturbed = _step(stage, step)
            values.update(found)
            again += disturbed
    except LabError as problem:
        error = str(problem)
    return {"values": values, "load": os.getloadavg()[0], "again": again, "error": error}


def _step(stage: Scene, step: Step) -> tuple[columns.Values, int]:
    """What it measures, and how often it was repeated because the machine stood still meanwhile."""
    again = -1
    while again < ATTEMPTS - 1:
        again += 1
        # What a daemon still has to do with the step before is not to be measured.
        time.sleep(CALM)
        stage.prober.latest = 0.0
        values = step(stage)
        if stage.prober.latest < STILL:
            break
    return values, again


def interrupt(*_: object) -> NoReturn:
    """What a signal is to do that ends us: as Ctrl-C."""
    raise KeyboardInterrupt


def _worker(answer: Connection, candidate: Candidate, steps: Sequence[str], seed: int, how: How) -> None:
    """A pass, in a session and with a priority of its own; it ends in order when told to, or when we die."""
    os.setsid()
    signal.signal(signal.SIGTERM, interrupt)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        _take_priority()
        answer.send(one_pass(candidate, steps, seed, how))
    except KeyboardInterrupt:
        return
    except Exception:  # noqa: BLE001 (a pass that fails is reported with the others)
        failed = {"values": {}, "load": os.getloadavg()[0], "seed": seed, "again": 0}
        answer.send({**failed, "error": traceback.format_exc()})


def _take_priority() -> None:
    """What others do on the machine is not to spoil a measurement."""
    os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    # Where the kernel shares out processor time by session, priorities count only within one.
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(str(PRIORITY))


def passes(
    chosen: dict[str, Candidate], steps: Sequence[str], count: int, jobs: int, how: How
) -> dict[str, list[dict[str, Any]]]:
    """{candidate: its passes}. Passes of different candidates take turns, so that load hits all alike."""
    build()
    for release in {release for one in chosen.values() for release in one.releases}:
        provide(release)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    waiting = [(name, seed) for seed in range(1, count + 1) for name in chosen]
    running: dict[Connection, tuple[str, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name, seed = waiting.pop(0)
                answer, child = _start(chosen[name], steps, seed, how)
                running[answer] = name, child
            ready = wait(list(running))
            for answer in [one for one in running if one in ready]:
                name, child = running.pop(answer)
                found[name].append(_result(answer))
                child.join()
                print(time.strftime("%H:%M:%S"), name, found[name][-1]["error"], flush=True)
    finally:
        # They are in sessions of their own, so that a Ctrl-C of ours does not reach them.
        for _, child in running.values():
            child.terminate()
        for _, child in running.values():
            child.join()
    return found


def _start(candidate: Candidate, steps: Sequence[str], seed: int, how: How) -> tuple[Connection, BaseProcess]:
    """A fresh process for each pass: namespaces are tied to the thread that made them."""
    context = multiprocessing.get_context("spawn")
    answer, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_worker, args=(theirs, candidate, steps, seed, how))
    child.start()
    theirs.close()
    return answer, child


def _result(answer: Connection) -> dict[str, Any]:
    try:
        result: dict[str, Any] = answer.recv()
    except EOFError:
        return {
            "values": {},
            "load": os.getloadavg()[0],
            "seed": 0,
            "again": 0,
            "error": "the pass was killed",
        }
    return result


def scales(chosen: dict[str, Candidate], sizes: Sequence[tuple[int, int]]) -> dict[str, list[dict[str, Any]]]:
    """{"candidate, N nodes": one pass of it}. Raises LabError."""
    found = {}
    for name, candidate in chosen.items():
        for count, degree in sizes:
            values = scale.measure(candidate, count, degree)
            found[f"{name}, {count} nodes"] = [
                {"values": values, "load": os.getloadavg()[0], "seed": 1, "again": 0, "error": ""}
            ]
    return found
