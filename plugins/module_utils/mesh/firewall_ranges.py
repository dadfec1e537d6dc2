# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of ports: which are missing, which are ours, and which entries of a list that concerns. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

from .share import Share, Tunnel

Range = tuple[int, int]
"""First and last."""

Ranges = Mapping[str, tuple[Range, ...]]
"""Where (`203.0.113.7`, `public runtime`, "" for a plain list of ports) → ports, sorted, merged."""


@dataclass(frozen=True)
class Opening:
    """What a mesh needs: UDP ports, and from where; no sources: from anywhere.

    peers: addresses that this node's tunnels go to; prefixes: the mesh's own
    transit: packets from tunnel to tunnel have to get through, too
    """

    mesh: str
    first: int
    last: int
    sources: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    transit: bool = False

    @property
    def comment(self) -> str:
        return comment_of(self.mesh)

    def of_version(self, version: int) -> tuple[str, ...]:
        """Sources of IP version 4 or 6."""
        return tuple(text for text in self.sources if ipaddress.ip_network(text).version == version)


def comment_of(mesh: str) -> str:
    return f"swarm.node mesh {mesh}"


def opening_of(share: Share) -> Opening:
    """Raises ValueError for an endpoint that is no address."""
    networks = {ipaddress.ip_network(text, strict=False) for text in share.endpoints}
    ordered = sorted(networks, key=lambda network: (network.version, network))
    return Opening(
        share.mesh,
        share.ports[0],
        share.ports[1],
        tuple(plain(network) for network in ordered),
        tuple(sorted({host for host in map(_host, share.tunnels) if host})),
        share.prefixes,
        share.transit,
    )


def _host(tunnel: Tunnel) -> str:
    """The address that a tunnel goes to; "" for none, and for a name."""
    host = tunnel.endpoint.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def plain(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """A single address without its length."""
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)


@dataclass(frozen=True)
class Step:
    """From what is live to what is wanted, in items of a manager.

    watch: items that are or were ours; before: those of them that are there
    mine: what the record keeps as applied; foreign: wanted items that were there before us
    """

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    add: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    watch: list[str] = field(default_factory=list)
    foreign: Optional[list[str]] = None


def step_marked(wanted: Iterable[str], live: Iterable[str]) -> Step:
    """For managers that keep our comment: everything with it is ours."""
    before, after = sorted(set(live)), sorted(set(wanted))
    return Step(
        before,
        after,
        [item for item in after if item not in before],
        [item for item in before if item not in after],
        sorted({*before, *after}),
    )


def step_ranges(wanted: Ranges, live: Ranges, ours: Ranges) -> Step:
    """For managers without comments: ours is what the record says, and what was there before us stays."""
    theirs = minus(live, ours)
    mine = minus(wanted, theirs)
    watch = plus(mine, ours)
    return Step(
        items(both(watch, live)),
        items(mine),
        items(minus(mine, live)),
        items(both(minus(ours, mine), live)),
        items(watch),
        items(both(wanted, theirs)),
    )


def step_names(wanted: Collection[str], live: Collection[str], ours: Collection[str]) -> Step:
    """The same for plain items, which are there or not."""
    theirs = set(live) - set(ours)
    mine = set(wanted) - theirs
    return Step(
        sorted((mine | set(ours)) & set(live)),
        sorted(mine),
        sorted(mine - set(live)),
        sorted((set(ours) - mine) & set(live)),
        sorted(mine | set(ours)),
        sorted(set(wanted) & theirs),
    )


def joined(one: Step, other: Step) -> Step:
    """Two steps of one manager as one."""
    return Step(
        one.before + other.before,
        one.after + other.after,
        one.add + other.add,
        one.remove + other.remove,
        one.watch + other.watch,
        (one.foreign or []) + (other.foreign or []),
    )


def edit(entries: Iterable[tuple[str, Range]], remove: Ranges, add: Ranges) -> tuple[list[str], list[str]]:
    """(entries to delete, entries to add) so that a list of entries loses `remove` and has `add`.

    An entry is deleted as a whole; what of it stays is added again.
    """
    deleted, rest = [], dict(add)
    for where, ports in entries:
        entry = {where: (ports,)}
        if both(entry, remove):
            deleted += items(entry)
            rest = dict(plus(rest, minus(entry, remove)))
    return deleted, items(rest)


# -- arithmetic


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def plus(one: Ranges, other: Ranges) -> dict[str, tuple[Range, ...]]:
    return {where: merged((*one.get(where, ()), *other.get(where, ()))) for where in {*one, *other}}


def minus(one: Ranges, other: Ranges) -> dict[str, tuple[Range, ...]]:
    found = {}
    for where, ranges in one.items():
        left = list(merged(ranges))
        for first, last in other.get(where, ()):
            left = [piece for old in left for piece in _cut(old, first, last)]
        if left:
            found[where] = tuple(left)
    return found


def both(one: Ranges, other: Ranges) -> dict[str, tuple[Range, ...]]:
    return minus(one, minus(one, other))


def summed(entries: Iterable[tuple[str, Range]]) -> dict[str, tuple[Range, ...]]:
    """Ranges of a list of entries, (where, ports) each."""
    found: dict[str, tuple[Range, ...]] = {}
    for where, ports in entries:
        found = plus(found, {where: (ports,)})
    return found


def live_items(watch: Iterable[str], live: Ranges) -> list[str]:
    """Which of these items are there, for managers without comments."""
    return items(both(parse_items(watch), live))


def items(ranges: Ranges) -> list[str]:
    """`51820-51867 public runtime`, sorted."""
    return [
        f"{first}-{last} {where}".strip() for where in sorted(ranges) for first, last in merged(ranges[where])
    ]


def parse_items(texts: Iterable[str]) -> dict[str, tuple[Range, ...]]:
    """The reverse of `items`. Raises ValueError."""
    found: dict[str, list[Range]] = {}
    for text in texts:
        ports, _space, where = text.partition(" ")
        first, _dash, last = ports.partition("-")
        found.setdefault(where, []).append((int(first), int(last)))
    return {where: merged(ranges) for where, ranges in found.items()}


def _cut(old: Range, first: int, last: int) -> list[Range]:
    pieces = [(old[0], min(old[1], first - 1)), (max(old[0], last + 1), old[1])]
    return [piece for piece in pieces if piece[0] <= piece[1]]
