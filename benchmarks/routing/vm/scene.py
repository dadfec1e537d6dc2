# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene in guests: their links by netem and nft, their daemons as the role has set them up."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from ansible_collections.swarm.node.plugins.module_utils.routing.filter import deaf_text, removal_text
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import PORT, deaf_table, unit

from benchmarks.routing.netlink import Change, moves_in
from benchmarks.routing.scene import LINKS, A, B, C, D, Scene
from benchmarks.routing.vm import links
from benchmarks.routing.vm.agents import Agent
from benchmarks.routing.vm.links import Shape
from benchmarks.routing.vm.probes import GuestProber

MESH = "wan"
NAMES = {A: "vm-1", B: "vm-2", C: "vm-3", D: "vm-4"}
ALL_LINKS: dict[tuple[int, int], float] = {**LINKS, (C, D): 20}
"""A mesh of four has all links."""
_UNDERLAY = "eth1"
_COUNTERS = f"cat /sys/class/net/{MESH}-*/statistics/tx_"
_Found = TypeVar("_Found")


def address(number: int) -> str:
    """Of a member of the mesh."""
    return f"10.99.0.{number}"


class Process:
    """A program that runs beside in a guest."""

    def __init__(self, agent: Agent, child: int) -> None:
        self._agent, self._child = agent, child

    def wait(self, timeout: float | None = None) -> int:
        patience = 3600.0 if timeout is None else timeout
        code = self._agent.ask("wait", patience, child=self._child, timeout=patience)["code"]
        if code is None:
            raise subprocess.TimeoutExpired("a program in a guest", patience)
        return int(code)


class Guest:
    """Where programs of a guest run."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def run(self, command: Sequence[str], *, timeout: float = 60) -> str:
        return self.agent.run(command, timeout=timeout)

    def start(self, command: Sequence[str]) -> Process:
        return Process(self.agent, self.agent.ask("start", words=list(command), file="/dev/null")["child"])


class GuestLinks:
    """All links of the four guests. numbers: theirs in the mesh; underlay: their addresses below it."""

    def __init__(
        self, agents: Mapping[int, Agent], numbers: Mapping[int, int], underlay: Mapping[int, str]
    ) -> None:
        self.spaces = {number: Guest(agent) for number, agent in agents.items()}
        self._agents, self._numbers, self._underlay = agents, numbers, underlay
        self._shapes = {pair: Shape(rtt) for pair, rtt in ALL_LINKS.items()}
        self._devices: dict[int, dict[int, str]] = {}
        self.learn()
        together({one: self._layer(one) for one in agents})

    def learn(self) -> None:
        """The names of all tunnels."""
        self._devices = {number: _tunnels(agent) for number, agent in self._agents.items()}

    def _layer(self, here: int) -> Callable[[], object]:
        shapes = {self._underlay[there]: self._shapes[_pair(here, there)] for there in self._others(here)}
        return lambda: self._agents[here].shell(links.lay(_UNDERLAY, shapes))

    def _others(self, here: int) -> list[int]:
        return [number for number in self._agents if number != here]

    def address(self, number: int) -> str:
        return address(self._numbers[number])

    def device(self, here: int, there: int) -> str:
        return self._devices[here][self._numbers[there]]

    def of(self, number: int) -> list[tuple[int, int]]:
        return [pair for pair in ALL_LINKS if number in pair]

    def round_trip(self, pair: tuple[int, int], rtt: float) -> None:
        self.shape([pair], rtt=rtt)

    def shape(self, pairs: Iterable[tuple[int, int]], **values: float) -> None:
        """up: 0 cuts the links at one moment, at the end that they share; all else is done at both ends."""
        chosen = list(pairs)
        up = values.pop("up", None)
        if up is not None:
            self._cut(chosen, bool(up))
        if values:
            for pair in chosen:
                self._shapes[pair] = replace(self._shapes[pair], **values)
            lines: dict[int, list[str]] = {}
            for here, there in [end for pair in chosen for end in (pair, pair[::-1])]:
                place = self._others(here).index(there)
                line = links.change(_UNDERLAY, place, self._shapes[_pair(here, there)])
                lines.setdefault(here, []).append(line)
            together({here: self._tell(here, "\n".join(text)) for here, text in lines.items()})

    def _tell(self, here: int, text: str) -> Callable[[], object]:
        return lambda: self._agents[here].run(["tc", "-batch", "-"], data=f"{text}\n")

    def _cut(self, pairs: list[tuple[int, int]], up: bool) -> None:
        here = links.shared_end(pairs)
        addresses = [self._underlay[sum(pair) - here] for pair in pairs]
        text = links.open_again(addresses) if up else links.bar(addresses)
        self._agents[here].run(["nft", "-f", "-"], data=text)

    def sent(self, number: int) -> tuple[int, int]:
        agent = self._agents[number]
        counts = [sum(map(int, agent.shell(_COUNTERS + kind).split())) for kind in ("packets", "bytes")]
        return counts[0], counts[1]

    def close(self) -> None:
        together({one: _cleaner(agent) for one, agent in self._agents.items()})


def _cleaner(agent: Agent) -> Callable[[], object]:
    return lambda: agent.shell(links.clear(_UNDERLAY))


def _tunnels(agent: Agent) -> dict[int, str]:
    """{number of the neighbour: device}"""
    shown = json.loads(agent.run(["ip", "-json", "link", "show", "type", "wireguard"]))
    found = [re.fullmatch(rf"{MESH}-(\d+)b?", link["ifname"]) for link in shown]
    return {int(one[1]): one[0] for one in found if one}


def _pair(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


class GuestDaemon:
    """babeld as the role's unit."""

    def __init__(self, agent: Agent) -> None:
        self._agent, self._unit = agent, unit("daemon", MESH)

    def _control(self, *words: str) -> str:
        return self._agent.run(["systemctl", *words, self._unit], timeout=120)

    def start(self) -> None:
        self._control("start")

    def stop(self) -> None:
        self._control("stop")

    def kill(self) -> None:
        """The unit starts it again by itself."""
        self._control("kill", "-s", "KILL")

    def drain(self) -> None:
        """What the module does at first; it goes on to wait."""
        self._agent.run(["nft", "-f", "-"], data=deaf_text(MESH, PORT, []))

    def undrain(self) -> None:
        self._agent.run(["nft", "-f", "-"], data=removal_text(deaf_table(MESH)))

    def _process(self) -> str:
        return self._control("show", "-P", "MainPID").strip()

    def seconds(self) -> float:
        text = self._agent.shell(f"getconf CLK_TCK; cat /proc/{self._process()}/stat")
        ticks, _, line = text.partition("\n")
        fields = line.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / int(ticks)

    def round_trips(self) -> dict[str, float]:
        raise NotImplementedError("only a cold start asks for this, which guests do not have")


class GuestWatch:
    """The route of a guest's daemon to one address; see watch.RouteWatch."""

    def __init__(self, agent: Agent, destination: str) -> None:
        self.changes: list[Change] = []
        agent.on_route = self._on_route
        found = agent.ask("watch", destination=destination)
        self.changes.insert(0, Change(agent.here(found["begin"]), found["device"]))

    def _on_route(self, time: float, device: str | None) -> None:
        if not self.changes or device != self.changes[-1].device:
            self.changes.append(Change(time, device))

    @property
    def device(self) -> str | None:
        return self.changes[-1].device

    def moves(self, start: float, end: float | None = None) -> list[Change]:
        return moves_in(list(self.changes), start, end)


class GuestScene(Scene):
    """One pass. The daemons are stopped until `start`; they go on when it is closed."""

    network: GuestLinks
    daemons: dict[int, GuestDaemon]
    watches: list[GuestWatch]
    prober: GuestProber

    def __init__(
        self,
        agents: Mapping[int, Agent],
        watches: list[GuestWatch],
        numbers: Mapping[int, int],
        underlay: Mapping[int, str],
    ) -> None:
        self.agents = agents
        together({one: agent.synchronize for one, agent in agents.items()})
        self.daemons = {number: GuestDaemon(agent) for number, agent in agents.items()}
        together({one: daemon.stop for one, daemon in self.daemons.items()})
        self.network = GuestLinks(agents, numbers, underlay)
        self.watches = watches
        self.prober = GuestProber(agents[A], self.network.address(A), self.network.address(B))

    def start(self, cold: bool = False) -> None:
        """They wait for handshakes themselves."""
        # Where it had routes before it has none now: what comes next is not a change of route.
        deadline = time.monotonic() + 10
        while any(watch.device for watch in self.watches) and time.monotonic() < deadline:
            time.sleep(0.1)
        together({one: daemon.start for one, daemon in self.daemons.items()})

    def late(self) -> dict[str, float]:
        """{guest: s that a thread of it woke up too late at most since this was asked last}"""
        return {agent.name: round(agent.ask("late")["late"], 3) for agent in self.agents.values()}

    def close(self) -> None:
        self.prober.close()
        self.network.close()
        together({one: daemon.start for one, daemon in self.daemons.items()})


def together(jobs: Mapping[int, Callable[[], _Found]]) -> dict[int, _Found]:
    """Does all at the same time. Raises what the first of them raises."""
    with ThreadPoolExecutor(max_workers=max(len(jobs), 1)) as pool:
        running = {name: pool.submit(job) for name, job in jobs.items()}
        return {name: one.result() for name, one in running.items()}
