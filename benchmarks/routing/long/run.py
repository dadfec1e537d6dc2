# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a long trial, and writes down what happened and what it cost."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.routing.candidates import CHOSEN
from benchmarks.routing.long import counters, load
from benchmarks.routing.long.account import Book, account, as_data
from benchmarks.routing.long.circles import circles
from benchmarks.routing.long.nodes import NodeBabeld, NodeNetwork, prices_of
from benchmarks.routing.long.paths import Link, Pair, State, Timeline
from benchmarks.routing.long.probes import INTERVAL, PATIENCE, MeshProber
from benchmarks.routing.long.routes import Follower, History, planned_hops
from benchmarks.routing.long.schedule import OF_RELAYS, Event, compose, draw, steps
from benchmarks.routing.programs import provide
from benchmarks.routing.scale import graph, host_routes
from lab.errors import LabError
from lab.wires import build

DEGREE = 4
SETTLE = 60.0
TEND = 5.0


@dataclass(frozen=True)
class Plan:
    """All of a trial that follows from its seed."""

    minutes: float
    seed: int
    links: State
    forwarding: list[int]
    events: list[Event]
    streams: list[load.Stream]

    @property
    def seconds(self) -> float:
        return self.minutes * 60


def make_plan(minutes: float, nodes: int, seed: int) -> Plan:
    links, hubs = graph(nodes, DEGREE, seed)
    events = draw(seed, minutes * 60, links, hubs)
    state = {pair: Link(round(rtt, 1)) for pair, rtt in links.items()}
    return Plan(minutes, seed, state, hubs, events, load.choose(seed, list(range(1, nodes + 1))))


class LongTrial:
    """Close it."""

    def __init__(self, plan: Plan, work: Path) -> None:
        self.plan = plan
        self._open: list[Callable[[], None]] = []
        self._used: dict[int, float] = {}
        rtts = {pair: link.rtt for pair, link in plan.links.items()}
        try:
            self.network = NodeNetwork(rtts, plan.forwarding, plan.seed)
            self._open.append(self.network.close)
            counters.prepare(self.network)
            self.network.shape(rtts, rate=load.LINK_MBIT, queue=load.QUEUE_MS)
            self.history = History(planned_hops(self.network))
            self.follower = Follower(self.network, self.history)
            self._open.append(self.follower.close)
            self.daemons = {
                number: NodeBabeld(provide(release), CHOSEN, self.network, number, work)
                for number, release in releases(self.network.numbers).items()
            }
            self._open.append(self._kill)
        except BaseException:
            self.close()
            raise

    def _kill(self) -> None:
        for daemon in self.daemons.values():
            daemon.kill()

    def settle(self) -> None:
        """Starts the daemons and waits until each has a route to every other. Raises LabError."""
        for daemon in self.daemons.values():
            daemon.start()
        until = time.monotonic() + SETTLE
        wanted = len(self.network.numbers) - 1
        while any(host_routes(one.process_path) < wanted for one in self.network.spaces.values()):
            if time.monotonic() > until:
                raise LabError(f"not all nodes had all routes within {SETTLE:.0f} s")
            time.sleep(0.1)
        # New routes begin with a high metric that is smoothed away.
        time.sleep(8)

    def run(self, say: Callable[[str], None], raw: Path | None) -> dict[str, Any]:
        """The trial itself, in the main thread."""
        prober = MeshProber(self.network)
        self._open.append(prober.close)
        streams = load.Load(self.network, self.plan.streams, self.plan.seconds)
        self._open.append(streams.close)
        before = {number: counters.read(space) for number, space in self.network.spaces.items()}
        self._used = {number: -daemon.seconds() for number, daemon in self.daemons.items()}
        self._began = time.monotonic()
        began_unix = time.time()
        self.timeline = Timeline(self._began, self.plan.links, self.plan.forwarding)
        done = self._follow(streams, say)
        ended = time.monotonic()
        for number, daemon in self.daemons.items():
            self._used[number] += daemon.seconds()
        after = {number: counters.read(space) for number, space in self.network.spaces.items()}
        time.sleep(PATIENCE)
        late = list(prober.late)
        found = list(prober.results())
        prices = prices_of(self.network.numbers, self.plan.forwarding)
        book = Book(self.timeline, self.history, [at for at, _ in late], len(self.network.numbers), prices)
        took = ended - self._began
        if raw is not None:
            raw.write_bytes(pickle.dumps(vars(Raw(book, found, self._began, ended))))
        return {
            "began": began_unix,
            "seconds": took,
            "load_average": os.getloadavg(),
            "events": done,
            "probe_interval_s": INTERVAL,
            **reckon(Raw(book, found, self._began, ended)),
            "probes_not_sent": prober.refused,
            "late": [[at - self._began, seconds] for at, seconds in late],
            "kernel_messages_lost": self.follower.lost,
            "moves": [
                {"node": node, "destination": there, "moves": count}
                for (node, there), count in sorted(self.history.moves(self._began).items())
            ],
            "nodes": {
                number: {
                    "forwards": number in self.plan.forwarding,
                    "cpu_percent": 100 * self._used[number] / took,
                    "babel_kbit_s": 8 * (after[number].bytes - before[number].bytes) / took / 1000,
                    "babel_packets_s": (after[number].sent - before[number].sent) / took,
                    **{
                        key: value - asdict(before[number])[key]
                        for key, value in asdict(after[number]).items()
                        if key in ("leaked", "stray", "expired")
                    },
                }
                for number in self.network.numbers
            },
            "streams_restarted": streams.restarts,
            "wires": _wires(self.network),
        }

    def _follow(self, streams: load.Load, say: Callable[[str], None]) -> list[dict[str, Any]]:
        """Does what the schedule says; what was done when."""
        done: list[dict[str, Any]] = []
        running: list[Event] = []
        for due, event, begins in steps(self.plan.events):
            self._wait(due, streams)
            if begins and event.until > event.at:
                running.append(event)
            elif not begins:
                running.remove(event)
            at = time.monotonic() - self._began
            self._apply(event, begins, compose(self.plan.links, running))
            done.append({"due": due, "at": round(at, 3), "begins": begins, **asdict(event)})
            word = "" if event.until == event.at else ("begins" if begins else "ends")
            say(f"{at:8.1f} s  {event.kind} {'-'.join(map(str, event.target))} {event.value:g} {word}")
        self._wait(self.plan.seconds, streams)
        return done

    def _wait(self, due: float, streams: load.Load) -> None:
        while True:
            now = time.monotonic() - self._began
            streams.tend(now)
            for number, daemon in self.daemons.items():
                if not daemon.runs and not self._dead(number):
                    raise LabError(f"babeld of node {number} ended: {daemon.log.read_text()[-600:]}")
            if now >= due:
                return
            time.sleep(min(TEND, due - now))

    def _dead(self, number: int) -> bool:
        return self.daemons[number]._process is None

    def _apply(self, event: Event, begins: bool, state: State) -> None:
        """Trouble counts from before it is there, an end from when it has come."""
        if event.kind == "restart":
            self._stop(event.target[0], kill=False)
            self._start(event.target[0])
            return
        if begins:
            self.timeline.add(time.monotonic(), state)
        if event.kind == "crash" and begins:
            self._stop(event.target[0], kill=True)
        same = [pair for pair in state if pair == event.target]
        hit = self.network.of(event.target[0]) if event.kind in OF_RELAYS else same
        for pair in hit:
            link = state[pair]
            self.network.shape(
                [pair], delay=link.rtt / 2, jitter=link.jitter, loss=link.loss, up=int(link.up)
            )
        if event.kind == "crash" and not begins:
            self._start(event.target[0])
        if not begins:
            self.timeline.add(time.monotonic(), state)

    def _stop(self, number: int, kill: bool) -> None:
        daemon = self.daemons[number]
        self._used[number] += daemon.seconds()
        if kill:
            daemon.kill()
        else:
            daemon.stop()

    def _start(self, number: int) -> None:
        self.daemons[number].clear()
        self.daemons[number].start()

    def close(self) -> None:
        while self._open:
            self._open.pop()()


@dataclass(frozen=True)
class Raw:
    """What an account is made of. start, end: monotonic s"""

    book: Book
    probes: list[tuple[Pair, list[tuple[float, float | None]]]]
    start: float
    end: float


def reckon(raw: Raw) -> dict[str, Any]:
    """`{probes, circles}`"""
    nodes = range(1, raw.book.nodes + 1)
    found = circles(raw.book.history, raw.book.timeline, nodes, raw.start, raw.end)
    return {
        "probes": as_data(account(raw.book, raw.probes, raw.start, raw.end)),
        "circles": [{**asdict(one), "start": one.start - raw.start} for one in found],
    }


def reckon_again(path: Path, forwarding: list[int]) -> dict[str, Any]:
    """The same from a file of `measure`, of a trial in which these nodes forwarded."""
    raw = Raw(**pickle.loads(path.read_bytes()))
    prices = prices_of(list(range(1, raw.book.nodes + 1)), forwarding)
    return reckon(replace(raw, book=replace(raw.book, prices=prices)))


def releases(numbers: list[int]) -> dict[int, str]:
    """Debian 12's and 13's daemons in turn."""
    return {number: ("bookworm", "trixie")[place % 2] for place, number in enumerate(numbers)}


def _wires(network: NodeNetwork) -> dict[str, int]:
    rows = network.wires.counters().values()
    return {
        key: sum(row[key] for row in rows) for key in ("came", "bytes", "left", "lost", "overflowed", "down")
    }


def measure(plan: Plan, say: Callable[[str], None], raw: Path | None = None) -> dict[str, Any]:
    """All of it. raw: a file for what the account is made of, pickled. Raises LabError."""
    build()
    with tempfile.TemporaryDirectory(prefix="routing-long-") as work:
        trial = LongTrial(plan, Path(work))
        try:
            trial.settle()
            return trial.run(say, raw)
        finally:
            trial.close()
