# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes as the collection sets them up: names of devices, addresses, and the daemon's file."""

from __future__ import annotations

from ansible_collections.swarm.node.plugins.module_utils.mesh.share import RANKS, Share, Tunnel
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import socket_path
from ansible_collections.swarm.node.plugins.module_utils.routing.render import conf
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import (
    COST,
    PER_MS,
    RANK_COST,
    TIMERS,
    Wish,
)

from benchmarks.routing.daemons import Babeld
from benchmarks.routing.netlink import PLANNED_METRIC
from benchmarks.routing.network import MTU, PREFIX, Network
from lab.wires import Space

MESH = "wan"
PREFIX6 = "fd5e:7a11:9c3d::/48"
TIMER = "small"


class NodeNetwork(Network):
    """IPv4 as in every trial; IPv6 is there for the daemon to announce, and no planned route has it."""

    @staticmethod
    def address(number: int) -> str:
        return f"10.99.0.{number}"

    @staticmethod
    def address6(number: int) -> str:
        return f"fd5e:7a11:9c3d::{number:x}"

    def device(self, here: int, there: int) -> str:
        return f"{MESH}-{there}"

    def _node(self, number: int) -> Space:
        space = super()._node(number)
        space.run(["ip", "address", "add", f"{self.address6(number)}/128", "dev", "lo"])
        space.run(["ip", "-6", "route", "add", "unreachable", PREFIX6, "metric", str(PLANNED_METRIC + 100)])
        return space


def share(network: Network, number: int) -> Share:
    """What the planner would give this node, as far as the daemon's file rests on it."""
    forwarding = sorted(network.forwarding)
    return Share(
        mesh=MESH,
        member=f"node{number}",
        number=number,
        addresses=(f"{NodeNetwork.address(number)}/32", f"{NodeNetwork.address6(number)}/128"),
        prefixes=(PREFIX, PREFIX6),
        ports=(51820, 51999),
        transit=number in forwarding,
        rank=forwarding.index(number) % RANKS if number in forwarding else 0,
        tunnels=tuple(
            Tunnel(
                interface=network.device(number, there),
                peer=f"node{there}",
                peer_number=there,
                generation=1,
                listen_port=51820 + there,
                public_key="",
                mtu=MTU,
                transit=there in forwarding,
            )
            for there in network.neighbours(number)
        ),
    )


def prices_of(numbers: list[int], forwarding: list[int]) -> dict[int, float]:
    """What the daemons' costs are in ms of round trip."""
    ranks = {number: place % RANKS for place, number in enumerate(sorted(forwarding))}
    return {number: (COST + RANK_COST * ranks.get(number, 0)) / PER_MS for number in numbers}


class NodeBabeld(Babeld):
    """With the file that the routing layer renders, and the command line of its unit."""

    def text(self) -> str:
        wish = Wish(share(self.network, self.number), timers=TIMER)
        return conf(wish, "long trial").replace(socket_path(MESH), str(self.control))

    def command(self) -> list[str]:
        hello = f"{TIMERS[TIMER].hello:g}"
        words = ["-I", "", "-H", hello, "-S", str(self.state), "-c", str(self.file)]
        return [*self.programs.command("babeld"), *words]

    def clear(self) -> None:
        """What the unit does before each start: a daemon that was killed leaves its routes behind."""
        for family in ("-4", "-6"):
            self.space.run(["sh", "-c", f"ip {family} route flush proto 42 || true"])

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None
