# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of several regions, by the planner, with a real babeld for each member (routing_spaces).

Shares, planned routes and the daemons' files are those that nodes would get. Every second daemon is Debian
13's, if it is there. Each node has a default route to nowhere: packets that take it are counted, and so are
those that go in a circle.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.swarm.node.plugins.module_utils.mesh.render import aggregates, routes
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.candidates import Candidate
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.changes import Context
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.lifecycle import Order, run
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares
from routing_spaces import Mesh, Node

from benchmarks.routing.programs import cached

NOW = 1_800_000_000.0
PREFIXES = ["10.99.0.0/16", "fd5e:7a11:9c3d::/48"]
SETTINGS = {
    "prefixes": PREFIXES,
    "full_mesh_up_to": 2,
    "neighbours": 3,
    "max_degree": 200,
    "aggregate_above": 4,
}
NEAR_MS, FAR_MS = 4.0, 30.0
STRAYS = f"""\
table inet strays {{
    chain out {{
        type filter hook postrouting priority 0; policy accept;
        oifname "nowhere" ip daddr {PREFIXES[0]} counter
        oifname "nowhere" ip6 daddr {PREFIXES[1]} counter
    }}
    chain circle {{
        type filter hook forward priority 0; policy accept;
        ip daddr {PREFIXES[0]} ip ttl < 50 counter
        ip6 daddr {PREFIXES[1]} ip6 hoplimit < 50 counter
    }}
}}
"""


def _member(name: str, region: str, transit: bool, settings: Mapping[str, object]) -> Candidate:
    digest = hashlib.sha256(name.encode()).digest()
    return Candidate(
        name,
        public_key=base64.b64encode(digest).decode(),
        generation=1,
        endpoint=f"203.{digest[0]}.{digest[1]}.{digest[2]}",
        underlay_mtu=1500,
        time=NOW,
        settings=dict(settings),
        region=region,
        transit=transit,
    )


def planned(
    regions: Mapping[str, tuple[int, int]],
    latency: Mapping[tuple[str, str], float] | None = None,
    **settings: object,
) -> Registry:
    """regions: name → relays and others. Members are called a0, a1, …; a mesh at rest."""
    told = {**SETTINGS, **settings}
    hosts = [
        _member(f"{region}{at}", region, at < hubs, told)
        for region, (hubs, others) in regions.items()
        for at in range(hubs + others)
    ]
    known = Context(now=NOW, resolver=lambda _name: [], latency=dict(latency or {}))
    registry = run(None, Order("join", "wan", candidates=tuple(hosts)), known)[0]
    for _round in range(4):
        seen = {(one.member, tunnel.interface) for one in Shares(registry).all() for tunnel in one.tunnels}
        order = Order("finish", "wan", proofs=seen, applied=tuple(registry.members))
        registry = run(registry, order, known)[0]
    return registry


def shares_of(registry: Registry) -> dict[int, Share]:
    return {share.number: share for share in Shares(registry).all()}


class World(Mesh):
    """All members of a registry."""

    def __init__(
        self,
        base: Path,
        registry: Registry,
        round_trips: Mapping[tuple[str, str], float] | None = None,
        timers: str = "small",
    ) -> None:
        self.registry = registry
        self.numbers = {name: member.number for name, member in registry.members.items()}
        self.shares = shares_of(registry)
        links = {}
        for one, other in sorted(registry.links):
            same = registry.members[one].region == registry.members[other].region
            rtt = (round_trips or {}).get((one, other), NEAR_MS if same else FAR_MS)
            links[self.pair(one, other)] = rtt
        super().__init__(base, links, timers)

    def pair(self, one: str, other: str) -> tuple[int, int]:
        first, second = sorted((self.numbers[one], self.numbers[other]))
        return first, second

    def __getitem__(self, name: str) -> Node:
        return self.nodes[self.numbers[name]]

    def node(self, number: int, base: Path, timers: str) -> Node:
        other = cached("trixie")
        babeld: Sequence[str] = ()
        if len(self.nodes) % 2 and (other.root / "usr/sbin/babeld").exists():
            babeld = other.command("babeld")
        node = Node(number, base, self.links, timers, self.shares[number], babeld)
        node.space.run(["ip", "route", "del", "unreachable", PREFIXES[0], "metric", "4100"])
        node.space.run(["ip", "-batch", "-"], data=aggregates(node.share, True).encode())
        node.space.run(["ip", "tuntap", "add", "dev", "nowhere", "mode", "tun"])
        node.space.run(["ip", "link", "set", "nowhere", "up"])
        for version in ("-4", "-6"):
            node.space.run(["ip", version, "route", "add", "default", "dev", "nowhere", "metric", "10"])
        node.space.run(["nft", "-f", "-"], data=STRAYS.encode())
        return node

    def planned(self, node: Node, device: str, other: int) -> None:
        """All that the share plans for the tunnel."""
        node.space.run(["ip", "-batch", "-"], data=routes(node.share, device, True).encode())

    # -- looking

    def way(self, one: str, other: str, v6: bool = False) -> str:
        """The member by which the kernel sends from one to the other, "" for none of the mesh."""
        address = self.address(other, v6)
        out = self[one].space.run(["sh", "-c", f"ip route get {address} || true"])
        found = re.search(r" dev wan-(\d+)", out)
        names = {str(number): name for name, number in self.numbers.items()}
        return names[found[1]] if found else ""

    def address(self, name: str, v6: bool = False) -> str:
        number = self.numbers[name]
        return f"fd5e:7a11:9c3d::{number:x}" if v6 else f"10.99.0.{number}"

    def unreached(self, names: Sequence[str] = ()) -> list[str]:
        """Pairs that do not answer each other, of these members or all, by IPv4 and IPv6."""
        chosen = list(names) or list(self.numbers)
        found = []
        for one in chosen:
            for v6 in (False, True):
                targets = [self.address(other, v6) for other in chosen if other != one]
                words = ["fping", "-6" if v6 else "-4", "-u", "-r", "1", "-t", "300", "-i", "2", *targets]
                out = self[one].space.run(["sh", "-c", '"$@" 2>/dev/null || true', "x", *words])
                found += [f"{one} → {address}" for address in out.split()]
        return found

    def installed(self, name: str, v6: bool = False) -> dict[str, str]:
        """Destination → "table device" of what the daemon has put into the kernel, that forwards."""
        version = "-6" if v6 else "-4"
        out = self[name].space.run(["ip", "-N", version, "route", "show", "table", "all", "proto", "42"])
        found = {}
        for line in out.splitlines():
            words = line.split()
            if words[0] == "unreachable" or words[0] == "7":
                continue
            table = words[words.index("table") + 1] if "table" in words else "main"
            found[words[0]] = f"{table} {words[words.index('dev') + 1]}"
        return found

    def strayed(self) -> dict[str, int]:
        """Member → packets of the mesh that took the default route, or had passed a dozen members."""
        found = {}
        for name in self.numbers:
            out = self[name].space.run(["nft", "list", "table", "inet", "strays"])
            counts = [int(count) for count in re.findall(r"packets (\d+)", out)]
            if any(counts):
                found[name] = sum(counts)
        return found

    def rules(self, name: str) -> list[str]:
        found = []
        for version in ("-4", "-6"):
            out = self[name].space.run(["ip", "-N", version, "rule", "show"])
            found += [" ".join(line.split()) for line in out.splitlines() if "proto 214" in line]
        return found
