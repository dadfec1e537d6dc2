# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes of all nodes over time, and which way a packet took by them."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from bisect import bisect_right

from benchmarks.routing.long.paths import Timeline, ordered
from benchmarks.routing.netlink import PLANNED_METRIC, host_routes_in
from benchmarks.routing.network import Network
from lab.wires import Space

_NETLINK_ROUTE, _GROUP_IPV4_ROUTES = 0, 0x40
_BUFFER = 1 << 22
_SO_RCVBUFFORCE = 33


class History:
    """What each node's daemon sends over, by destination; where it says nothing the planned route counts.

    Nodes are numbers, a hop is the number of the neighbour, None for no route of the daemon's.
    """

    def __init__(self, planned: dict[int, dict[int, int]]) -> None:
        self._planned = planned
        self._changes: dict[tuple[int, int], tuple[list[float], list[int | None]]] = {}

    def add(self, time: float, node: int, destination: int, hop: int | None) -> None:
        times, hops = self._changes.setdefault((node, destination), ([], []))
        if not hops or hops[-1] != hop:
            times.append(time)
            hops.append(hop)

    def hop(self, node: int, destination: int, time: float) -> int | None:
        times, hops = self._changes.get((node, destination), ([], []))
        place = bisect_right(times, time) - 1
        found = hops[place] if place >= 0 else None
        return self._planned.get(node, {}).get(destination) if found is None else found

    def times(self) -> set[float]:
        """When anything changed anywhere."""
        return {at for times, _hops in self._changes.values() for at in times}

    def moves(self, start: float) -> dict[tuple[int, int], int]:
        """{(node, destination): changes to another neighbour since then}, not counting moments without."""
        found = {}
        for key, (times, hops) in self._changes.items():
            known = [(at, hop) for at, hop in zip(times, hops, strict=True) if hop is not None]
            found[key] = sum(
                before[1] != after[1] and after[0] >= start
                for before, after in zip(known, known[1:], strict=False)
            )
        return found


def trace(
    history: History, timeline: Timeline, here: int, there: int, start: float, most: int
) -> tuple[str, float]:
    """What would have stopped a packet there and back that was sent at `start`, and when it would be back.

    "" nothing, "no route", "loop" (after `most` links), "dead" or "N % loss" of the worst link on its way.
    """
    at, time, worst, links = here, start, 0.0, 0
    for goal in (there, here):
        links = 0
        while at != goal:
            hop = history.hop(at, goal, time)
            if hop is None:
                return "no route", time
            link = timeline.link(ordered(at, hop), time)
            if not link.up:
                return "dead", time
            worst = max(worst, link.loss)
            at, time, links = hop, time + link.rtt / 2000, links + 1
            if links >= most:
                return "loop", time
    return (f"{worst:g} % loss" if worst else ""), time


class Follower:
    """Follows the daemon's routes in all namespaces, by the kernel's messages. Close it.

    lost: how often the kernel had more to say than it could keep.
    """

    def __init__(self, network: Network, history: History) -> None:
        self._history = history
        self.lost = 0
        self._numbers = {socket.inet_aton(network.address(one)): one for one in network.numbers}
        self._end = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(number, _listen(space), _neighbours(network, number)),
                daemon=True,
            )
            for number, space in network.spaces.items()
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, number: int, made: socket.socket, neighbours: dict[int, int]) -> None:
        while not self._end.is_set():
            try:
                data = made.recv(1 << 18)
            except TimeoutError:
                continue
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            now = time.monotonic()
            for is_new, destination, device, priority in host_routes_in(data):
                target = self._numbers.get(destination)
                if target is not None and priority < PLANNED_METRIC:
                    hop = neighbours.get(device) if is_new else None
                    self._history.add(now, number, target, hop)
        made.close()

    def close(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


def _listen(space: Space) -> socket.socket:
    made = space.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    made.bind((0, _GROUP_IPV4_ROUTES))
    made.settimeout(0.2)
    return made


def _neighbours(network: Network, number: int) -> dict[int, int]:
    """{index of a device: the neighbour at its other end}"""
    by_name = {network.device(number, there): there for there in network.neighbours(number)}
    links = json.loads(network.spaces[number].run(["ip", "-json", "link"]))
    return {link["ifindex"]: by_name[link["ifname"]] for link in links if link["ifname"] in by_name}


def planned_hops(network: Network) -> dict[int, dict[int, int]]:
    """{node: {destination: first hop}} of the mesh's own routes."""
    return {number: network.first_hops(number) for number in network.numbers}
