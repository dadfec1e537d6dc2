# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes that live: operations, members that apply their shares one after another, and some that do not."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.candidates import Candidate
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Foreign, Pair, Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares
from mesh_cast import PREFIXES, do, host, key
from mesh_packets import Node, lost, next_member, nodes

KINDS = ("join leaf", "join hub", "leave", "replan", "transit on", "transit off", "rotate", "endpoint")
BEHIND = "10.55.0.9"
"""An address behind the foreign peer."""


def fleet(rng: random.Random) -> list[Candidate]:
    """Two to six regions with one to four hubs and none to three others each; a sparse mesh."""
    wished = {
        "prefixes": list(PREFIXES),
        "full_mesh_up_to": rng.choice([2, 4]),
        "neighbours": rng.choice([2, 3, 4]),
        "max_degree": rng.choice([6, 8, 24]),
    }
    found = []
    for region in range(rng.randint(2, 6)):
        hubs = rng.randint(1, 4)
        for at in range(hubs + rng.randint(0, 3)):
            nat = at >= hubs and rng.random() < 0.4
            name = f"r{region}n{at}"
            found.append(host(name, region=f"r{region}", transit=at < hubs, nat=nat, settings=wished))
    return found


def latency(rng: random.Random, names: list[str]) -> dict[Pair, float]:
    return {(a, b): rng.uniform(1, 80) for a in names for b in names if a < b and rng.random() < 0.5}


def with_foreign(registry: Registry, rng: random.Random) -> Registry:
    """One foreign peer behind one hub or two."""
    hubs = [name for name, member in registry.members.items() if member.transit]
    via = tuple(rng.sample(hubs, min(len(hubs), rng.randint(1, 2))))
    slots = {}
    for name in via:
        used = {link.slots[link.end(name)] for link in registry.links_of(name)}
        free = [slot for slot in range(registry.settings.max_degree) if slot not in used]
        if not free:
            return registry
        slots[name] = free[-1]
    peer = Foreign("partner", 999, key("partner"), "192.0.2.1:51820", ("10.55.0.0/24",), via, slots)
    return replace(registry, foreign={"partner": peer})


def begun(rng: random.Random) -> tuple[Registry, dict[str, Candidate]]:
    """A mesh that is whole, and its members' wishes. Fleets that cannot be planned are passed over."""
    while True:
        hosts = fleet(rng)
        known = {"latency": latency(rng, [item.name for item in hosts])}
        try:
            registry = do(None, "join", *hosts, with_context=known)[0]
        except BindError:
            continue
        if rng.random() < 0.5:
            registry = with_foreign(registry, rng)
        return registry, {item.name: item for item in hosts}


def changed(kind: str, registry: Registry, wishes: dict[str, Candidate], rng: random.Random) -> Registry:
    """The registry after an operation on members taken by chance. Raises BindError."""
    staying = [name for name, member in registry.members.items() if not member.leaving]
    hubs = [name for name in staying if wishes[name].transit]
    name = rng.choice(hubs if kind == "transit off" else staying)
    if kind.startswith("join"):
        name = f"new{len(wishes)}"
        region = rng.choice([registry.members[end].region for end in staying] + ["rx"])
        hub = kind == "join hub"
        wish = host(name, region=region, transit=hub, nat=not hub and rng.random() < 0.4)
        after = do(registry, "join", wish)[0]
    elif kind == "leave":
        return do(registry, "leave", names=[name])[0]
    elif kind == "replan":
        return do(registry, "replan", with_context={"latency": latency(rng, list(registry.members))})[0]
    elif kind == "rotate":
        newest = registry.members[name].newest + 1
        wish = replace(wishes[name], generation=newest, public_key=host(name, newest).public_key)
        after = do(registry, "rotate", wish)[0]
    else:
        wish = wishes[name]
        if kind == "endpoint" and not wish.nat:
            wish = replace(wish, endpoint=f"192.0.2.{rng.randint(1, 250)}")
        if kind.startswith("transit"):
            there = replace(wish, nat=False, endpoint=wish.endpoint or "198.18.0.1")
            wish = replace(there, transit=True) if kind == "transit on" else replace(wish, transit=False)
        after = do(registry, "endpoint", wish)[0]
    wishes[name] = wish
    return after


class Fleet:
    """Nodes with the share that each has applied last.

    off: members that forward, but do what nobody asks of them
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.nodes = nodes(registry)
        self.off: set[str] = set()

    def apply(self, registry: Registry, names: list[str]) -> Iterator[str]:
        """One after another; gives who has just applied its share, or has left."""
        self.registry = registry
        shares = Shares(registry)
        for name in names:
            if name in self.off:
                continue
            if name not in registry.members:
                self.nodes.pop(name, None)
            elif name not in self.nodes or self.nodes[name].share != shares.of(name):
                self.nodes[name] = Node(shares.of(name))
            else:
                continue
            yield name

    def proofs(self) -> set[tuple[str, str]]:
        return {
            (name, interface)
            for name, node in self.nodes.items()
            for interface, tunnel in node.tunnels.items()
            if not tunnel.foreign and next_member(self.nodes, name, interface)
        }

    def applied(self, asked: list[str]) -> tuple[str, ...]:
        shares = Shares(self.registry)
        return tuple(
            name
            for name in asked
            if name in self.registry.members
            and name in self.nodes
            and name not in self.off
            and self.nodes[name].share == shares.of(name)
        )

    def finished(self, asked: list[str]) -> Registry:
        told = {"proofs": self.proofs(), "applied": self.applied(asked)}
        return do(self.registry, "finish", **told)[0]


def working(members: dict[str, Node]) -> set[Pair]:
    """Pairs of which the first reaches the second."""
    return {
        (one, other)
        for one in members
        for other in members
        if one != other and not lost(members, one, other, members[other].address)
    }


class Story:
    """One life of a mesh, seen packet by packet. `wrong`: what was lost, and when"""

    def __init__(self, seed: int, off: int) -> None:
        """off: at most so many members do not do what they are asked until the end"""
        self.rng = random.Random(f"story {seed}")
        registry, self.wishes = begun(self.rng)
        self.fleet = Fleet(registry)
        self.due = working(self.fleet.nodes)
        names = list(registry.members)
        self.fleet.off = set(self.rng.sample(names, self.rng.randint(0, off)))
        self.wrong: list[str] = []

    @property
    def registry(self) -> Registry:
        return self.fleet.registry

    def live(self, operations: int) -> None:
        for _operation in range(operations):
            kind = self.rng.choice(KINDS)
            try:
                after = changed(kind, self.registry, self.wishes, self.rng)
            except (BindError, IndexError):  # what is refused, or has nobody that it could be about
                continue
            self.go_on(after, self.some([0, 0.5, 1, 1]), kind)
            for step in range(self.rng.choice([0, 1, 2, 6])):
                asked = self.some([0.5, 1, 1])
                self.go_on(self.fleet.finished(asked), asked, f"{kind}, finish {step}")
            if self.wrong:
                return

    def end(self) -> int:
        """All do what they are asked, until nothing is left. Returns in how many steps."""
        self.fleet.off = set()
        for step in range(20):
            asked = self.some([1])
            self.go_on(self.registry, asked, "in the end")
            after = self.fleet.finished(asked)
            if after == self.registry:
                return step
            self.go_on(after, asked, f"in the end, finish {step}")
        return 20

    def some(self, shares: list[float]) -> list[str]:
        names = sorted(self.fleet.nodes.keys() | self.registry.members.keys())
        self.rng.shuffle(names)
        return names[: int(len(names) * self.rng.choice(shares))]

    def go_on(self, after: Registry, asked: list[str], when: str) -> None:
        """What works in every registry as a whole has to work in every moment from there on."""
        whole = working(nodes(after))
        here = {name for name, member in after.members.items() if not member.leaving}
        self.due = {pair for pair in self.due & whole if here.issuperset(pair)}
        for name in self.fleet.apply(after, asked):
            self._look(f"{when}, {name} has applied")

    def _look(self, when: str) -> None:
        members = self.fleet.nodes
        for one, other in sorted(self.due):
            why = lost(members, one, other, members[other].address)
            if why:
                self.wrong.append(f"{when}: {one} to {other}: {why}")
        for one in members if self.registry.foreign else ():
            if one in self.registry.members and "loop" in _to_foreign(members, one):
                self.wrong.append(f"{when}: {one} to the foreign peer: {_to_foreign(members, one)}")


def _to_foreign(members: dict[str, Node], one: str) -> str:
    return lost(members, one, "partner", int(ipaddress.ip_address(BEHIND)))
