# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh of namespaces as the mesh layer makes it: a device per neighbour, planned routes below."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from benchmarks.routing import tunnels
from benchmarks.routing.netlink import PLANNED_METRIC
from lab.wires import Space, Wires

PREFIX = "10.99.0.0/16"
MTU = 1420
FIRST_PORT = 51820
_PROTOCOL = "213"


class Network:
    """Nodes 1, 2, …; `links` are pairs of them with their round trip in ms; some forward. Close it."""

    def __init__(
        self,
        links: dict[tuple[int, int], float],
        forwarding: Collection[int],
        seed: int,
        planned: bool = True,
        wireguard: bool = False,
    ) -> None:
        self.links = links
        self.wireguard = wireguard
        self.forwarding = forwarding
        self.numbers = sorted({number for pair in links for number in pair})
        self.wires = Wires(seed)
        self.spaces: dict[int, Space] = {}
        try:
            for number in self.numbers:
                self.spaces[number] = self._node(number)
            for pair, rtt in links.items():
                self._link(pair)
                self.round_trip(pair, rtt)
            if planned:
                for number in self.numbers:
                    self._plan(number)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def address(number: int) -> str:
        return f"10.99.{number // 250}.{number % 250 + 1}"

    def device(self, here: int, there: int) -> str:
        """The name of the device of a node to its neighbour."""
        return f"w{here}x{there}"

    def devices(self, here: int) -> list[str]:
        return [self.device(here, there) for there in self.neighbours(here)]

    def neighbours(self, here: int) -> list[int]:
        return sorted({a + b - here for a, b in self.links if here in (a, b)})

    def _node(self, number: int) -> Space:
        space = Space(f"node {number}", private=[tunnels.SOCKETS] if self.wireguard else [])
        for key in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            space.set(key, 1)
        for key in ("all", "default"):
            space.set(f"net/ipv4/conf/{key}/rp_filter", 0)
        # Link-local addresses are ours, like those of the mesh layer.
        space.set("net/ipv6/conf/default/addr_gen_mode", 1)
        space.run(["ip", "address", "add", f"{self.address(number)}/32", "dev", "lo"])
        space.run(["ip", "route", "add", "unreachable", PREFIX, "metric", str(PLANNED_METRIC + 100)])
        return space

    def _link(self, pair: tuple[int, int]) -> None:
        ends = [(self.spaces[a], self.device(a, b)) for a, b in (pair, pair[::-1])]
        if self.wireguard:
            self._tunnel(pair, ends)
        else:
            self.wires.add(name(pair), ends[0], ends[1])
        for number, (space, device) in zip(pair, ends, strict=True):
            space.run(["ip", "address", "add", f"{self.address(number)}/32", "dev", device])
            space.run(["ip", "address", "add", f"fe80::{number:x}/64", "dev", device, "nodad"])
            space.run(["ip", "link", "set", device, "up"])

    def _tunnel(self, pair: tuple[int, int], ends: list[tuple[Space, str]]) -> None:
        """A wire outside, WireGuard inside."""
        place = list(self.links).index(pair)
        outside = [(space, device.replace("w", "u")) for space, device in ends]
        self.wires.add(name(pair), outside[0], outside[1], MTU + tunnels.OVERHEAD)
        addresses = [f"172.16.{place}.{end}" for end in (1, 2)]
        for (space, device), address in zip(outside, addresses, strict=True):
            space.run(["ip", "address", "add", f"{address}/30", "dev", device])
            space.run(["ip", "link", "set", device, "up"])
        inside = [
            tunnels.End(space, device, address)
            for (space, device), address in zip(ends, addresses, strict=True)
        ]
        tunnels.join(inside[0], inside[1], FIRST_PORT + place)
        for space, device in ends:
            space.run(["ip", "link", "set", device, "mtu", str(MTU)])

    def shake_hands(self) -> None:
        """A packet over every link and its answer: the first over a fresh tunnel waits for its handshake."""
        for number in self.numbers:
            for there in self.neighbours(number):
                words = ["fping", "-q", "-c", "1", "-t", "8000", "-I", self.device(number, there)]
                self.spaces[number].run([*words, self.address(there)])

    def first_hops(self, here: int) -> dict[int, int]:
        """{destination: neighbour} by the fewest links, as many as there are nodes."""
        first = {here: 0}
        queue = deque([here])
        while queue:
            at = queue.popleft()
            for there in self.neighbours(at):
                if there not in first:
                    first[there] = first[at] or there
                    queue.append(there)
        del first[here]
        return first

    def _plan(self, here: int) -> None:
        lines = [
            f"route add {self.address(number)}/32 dev {self.device(here, hop)}"
            f" src {self.address(here)} metric {PLANNED_METRIC} proto {_PROTOCOL}"
            for number, hop in self.first_hops(here).items()
        ]
        self.spaces[here].run(["ip", "-batch", "-"], data="\n".join(lines).encode())

    def shape(self, pairs: Iterable[tuple[int, int]], **values: float) -> None:
        for pair in pairs:
            self.wires.set(name(pair), **values)

    def round_trip(self, pair: tuple[int, int], rtt: float) -> None:
        """Half of it each way, in ms."""
        self.wires.set(name(pair), delay=rtt / 2)

    def of(self, number: int) -> list[tuple[int, int]]:
        """The links of a node."""
        return [pair for pair in self.links if number in pair]

    def sent(self, number: int) -> tuple[int, int]:
        """Packets and bytes that a node has sent so far."""
        found = [
            values
            for (wire, direction), values in self.wires.counters().items()
            for pair in [pair for pair in self.links if name(pair) == wire]
            if pair[int(direction)] == number
        ]
        return sum(one["came"] for one in found), sum(one["bytes"] for one in found)

    def close(self) -> None:
        self.wires.close()
        for space in self.spaces.values():
            space.close()


def name(pair: tuple[int, int]) -> str:
    return f"{pair[0]}-{pair[1]}"
