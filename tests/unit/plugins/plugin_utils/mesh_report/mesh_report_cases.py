# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes made up for the tests of the mesh report: what the module mesh_look would say of each member."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.answers import routing_of
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.body import (
    Answer,
    Known,
    mesh_report,
    run_report,
)
from ansible_collections.swarm.node.plugins.plugin_utils.report import mesh

NOW = 1_800_000_000.0
MESH = "wan"

Links = dict[tuple[str, str], float]
"""Ends in alphabetical order → round trip in ms."""


class World:
    """A mesh: members with their numbers, which of them forward, links. `said` is what each would answer.

    Routes are the shortest ways by the round trips.
    """

    def __init__(self, numbers: Mapping[str, int], links: Links, hubs: set[str]) -> None:
        self.numbers, self.links, self.hubs = dict(numbers), dict(links), hubs
        self.near: dict[str, dict[str, float]] = {name: {} for name in numbers}
        for (one, other), rtt in links.items():
            self.near[one][other] = self.near[other][one] = rtt
        self.said = {name: self._member(name) for name in numbers}

    def _ways(self, start: str) -> dict[str, tuple[str, float]]:
        """Destination → (next member, ms): from the start outwards, over members that forward."""
        found: dict[str, tuple[str, float]] = {start: ("", 0.0)}
        edge = [start]
        while edge:
            at = edge.pop(0)
            if at != start and at not in self.hubs:
                continue
            for there, rtt in self.near[at].items():
                total = found[at][1] + rtt
                if there not in found or total < found[there][1]:
                    found[there] = (found[at][0] or there, total)
                    edge.append(there)
        return {goal: way for goal, way in found.items() if goal != start}

    def _member(self, name: str) -> dict[str, Any]:
        number = self.numbers[name]
        return {
            "meshes": {
                MESH: {
                    "member": name,
                    "number": number,
                    "addresses": [f"10.99.{number // 256}.{number % 256}/32"],
                    "transit": name in self.hubs,
                    "armed": None,
                    "withheld": [],
                    "routes": len(self.numbers) - 1,
                    "tunnels": [self._tunnel(peer) for peer in sorted(self.near[name])],
                }
            },
            "routing": {MESH: self._routing(name)},
            "now": NOW,
        }

    def _tunnel(self, peer: str) -> dict[str, Any]:
        return {
            "interface": f"{MESH}-{self.numbers[peer]}",
            "peer": peer,
            "peer_number": self.numbers[peer],
            "foreign": False,
            "endpoint": "192.0.2.1:51820",
            "handshake_age_s": 5,
            "received_bytes": 1,
            "sent_bytes": 2,
            "mtu": 1420,
            "state": "up",
            "key_age_days": 3,
            "psk": False,
        }

    def _routing(self, name: str) -> dict[str, Any]:
        near = self.near[name]
        return {
            "running": True,
            "why": "",
            "since": NOW - 86400,
            "version": "babeld-1.12.1",
            "port": 6696,
            "member": name,
            "number": self.numbers[name],
            "transit": name in self.hubs,
            "rank": 0,
            "drained": {"whole": False, "interfaces": []},
            "neighbours": [self._neighbour(peer, near[peer]) for peer in sorted(near)],
            "routes": self._routes(name),
            "changes": [],
            "dropped": {"outside": 0, "spoofed": 0, "circled": 0, "foreign": []},
        }

    def _neighbour(self, peer: str, rtt: float) -> dict[str, Any]:
        return {
            "interface": f"{MESH}-{self.numbers[peer]}",
            "peer": peer,
            "number": self.numbers[peer],
            "address": f"fe80::{self.numbers[peer]:x}",
            "reach": 0xFFFF,
            "rxcost": 850,
            "txcost": 850,
            "rtt_ms": rtt,
            "rtt_cost": round(rtt * 20),
            "cost": 850 + round(rtt * 20),
            "up": True,
        }

    def _routes(self, name: str) -> list[dict[str, Any]]:
        found = []
        for goal, (via, total) in self._ways(name).items():
            number = self.numbers[goal]
            for prefix in (f"10.99.{number // 256}.{number % 256}/32", f"fd5e:7a11:9c3d::{number:x}/128"):
                # A daemon knows the names of neighbours only.
                found.append(
                    {
                        "prefix": prefix,
                        "member": goal if goal in self.near[name] else None,
                        "number": number,
                        "via": via,
                        "interface": f"{MESH}-{self.numbers[via]}",
                        "metric": 850 + round(total * 20),
                        "refmetric": 0,
                        "installed": True,
                    }
                )
        return found

    def routing(self, name: str) -> dict[str, Any]:
        """What is said of a member's daemon, to be changed."""
        return self.said[name]["routing"][MESH]

    def neighbour(self, name: str, peer: str) -> dict[str, Any]:
        (found,) = [one for one in self.routing(name)["neighbours"] if one["peer"] == peer]
        return found

    def down(self, name: str, peer: str) -> None:
        """The member hears nothing of that neighbour."""
        self.neighbour(name, peer).update(up=False, reach=0, cost=65535, rtt_ms=None)

    def answers(self, **failed: str) -> dict[str, Answer]:
        """failed: host → why it did not answer"""
        found = {
            name: Answer("", mesh.fields(said), routing_of(said), said["now"])
            for name, said in self.said.items()
            if name not in failed
        }
        return {**found, **{name: Answer(why) for name, why in failed.items()}}


def small() -> World:
    """Two hubs and two leaves; ann and bob reach each other by gw1."""
    links = {("ann", "gw1"): 10.0, ("ann", "gw2"): 30.0, ("bob", "gw1"): 12.0, ("bob", "gw2"): 30.0}
    return World({"gw1": 1, "gw2": 2, "ann": 64, "bob": 65}, {**links, ("gw1", "gw2"): 5.0}, {"gw1", "gw2"})


def large(count: int = 1000, seed: int = 1) -> World:
    """20 regions of 50 with three meshed hubs each; regions are linked by hubs, leaves with their hubs."""
    dice = random.Random(seed)
    numbers: dict[str, int] = {}
    hubs: dict[int, list[str]] = {}
    links: Links = {}
    for place in range(count):
        region, inside = divmod(place, 50)
        name = f"{'gw' if inside < 3 else 'gpu'}{inside}.r{region:02d}"
        numbers[name] = 64 * (region + 1) + inside
        if inside < 3:
            hubs.setdefault(region, []).append(name)
        else:
            for hub in hubs[region]:
                links[ordered(name, hub)] = round(dice.uniform(1, 20), 1)
    for own in hubs.values():
        for pair in combinations(own, 2):
            links[ordered(*pair)] = round(dice.uniform(0.2, 3), 1)
    for one, other in combinations(hubs, 2):
        links[ordered(dice.choice(hubs[one]), dice.choice(hubs[other]))] = round(dice.uniform(5, 60), 1)
    return World(numbers, links, {name for own in hubs.values() for name in own})


def ordered(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


RUN = {"playbook": "mesh_report", "finished": "2027-01-15T08:00:00Z", "seconds": 1.5}


def report(world: World, known: Known | None = None, **failed: str) -> dict[str, Any]:
    return mesh_report(MESH, world.answers(**failed), known or Known())


def member(number: int) -> dict[str, Any]:
    """As the registry knows one."""
    return {"number": number, "region": "main", "transit": False}


def problems(body: dict[str, Any], severity: str) -> dict[str, list[str]]:
    return {one["what"]: one["where"] for one in body["problems"] if one["severity"] == severity}


def whole(body: dict[str, Any]) -> dict[str, Any]:
    return run_report({MESH: body}, RUN)


def path(body: dict[str, Any], start: str, goal: str) -> dict[str, Any]:
    (found,) = [one for one in body["paths"] if one["members"][0] == start and one["goal"] == goal]
    return found
