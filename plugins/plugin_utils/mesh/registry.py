# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of a mesh as plain data: members, links, foreign peers, who has left. No secret is in it.

`parse.parse_registry` reads it, `dump.dump_registry` writes it, `check.mistakes` says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

SCHEMA = 1

BLOCK = 64
"""Numbers are given to a region in blocks, so that a region is an aggregate (/26 and /122) or a few."""

MEMBER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,239}")
MEMBER_NAME_WORDS = "1 to 240 letters, digits, '_', '.', ':' or '-', not beginning with '.', ':' or '-'"

AGGREGATE_ABOVE = 100

Pair = tuple[str, str]
"""The two ends of a link in alphabetical order."""


@dataclass(frozen=True)
class Settings:
    """port: of a member that names none; mtu: 0 for auto; keepalive: s, set by an end behind NAT

    aggregate_above: members; routing daemons of larger meshes announce regions as a whole; 0 for never
    """

    prefixes: tuple[str, ...]
    port: int = 51820
    full_mesh_up_to: int = 16
    neighbours: int = 6
    max_degree: int = 24
    keepalive: int = 25
    mtu: int = 0
    preshared_keys: bool = False
    aggregate_above: int = AGGREGATE_ABOVE


@dataclass(frozen=True)
class Member:
    """One node.

    number: host part of its addresses, 1 to 65535; it never changes
    endpoint: where others call it; "" behind NAT
    local_endpoint: the same, for members of its region
    port: first of its 2 × max_degree UDP ports
    nat: nobody can call it from outside its region
    underlay: networks it is in without the mesh; underlay_mtu: bytes
    capacity: Mbit/s of its way out, 0 for not declared
    generation: of the key in force; keys: generation → public key
    retire: generation → ISO date after which the old key may go without proof
    leaving: its links are on their way out, then it departs
    transit: it forwards for others. That begins and ends in steps:
    fresh: it forwards, and others do not send over it until it has said that it has its routes
    stops: it is to forward no more, and others send over it until what replaces it is there
    held: (without transit) it forwards as before, as others may still send over it
    """

    name: str
    number: int
    region: str = "main"
    endpoint: str = ""
    local_endpoint: str = ""
    port: int = 51820
    nat: bool = False
    transit: bool = False
    relays: tuple[str, ...] = ()
    underlay_mtu: int = 1500
    underlay: tuple[str, ...] = ()
    capacity: int = 0
    generation: int = 1
    keys: Mapping[int, str] = field(default_factory=dict)
    retire: Mapping[int, str] = field(default_factory=dict)
    leaving: bool = False
    fresh: bool = False
    stops: bool = False
    held: bool = False

    @property
    def to_forward(self) -> bool:
        """What it is to be."""
        return self.transit and not self.stops

    @property
    def is_hub(self) -> bool:
        """Whether others send over it."""
        return self.transit and not self.fresh

    @property
    def forwards(self) -> bool:
        """Whether its node is told to."""
        return self.transit or self.held

    @property
    def newest(self) -> int:
        """The generation that links made from now on use."""
        return max(self.keys)


@dataclass(frozen=True)
class Sealed:
    """A preshared key, sealed to one member's public key; both parts base64."""

    sealed: str
    sender: str


@dataclass(frozen=True)
class LinkPsk:
    """sealed: member → its copy; empty until the maker (the end with the lower number) has made the key"""

    name: str
    sealed: Mapping[str, Sealed] = field(default_factory=dict)


@dataclass(frozen=True)
class Identity:
    """What makes a tunnel cryptographically: the key generation of each end, in the order of `ends`."""

    generations: tuple[int, int]
    psk: LinkPsk | None = None


@dataclass(frozen=True)
class Link:
    """Two members that have a tunnel.

    slots: per end, which pair of its ports
    side: 0 or 1, of the tunnel that carries the routes; `next` and `old` are on the other side
    next: a tunnel beside it that waits for proof
    old: the tunnel before this one; it carries no routes any more and goes when both ends know
    leaving: it carries no routes any more and goes when both ends know
    fresh: its tunnel carries no routes yet, as others' packets would be lost until both ends have it
    held: it is leaving, and carries its routes until no link is fresh any more
    ms: round trip when the link was planned, None for not measured
    """

    ends: Pair
    slots: tuple[int, int]
    current: Identity
    side: int = 0
    next: Identity | None = None
    old: Identity | None = None
    leaving: bool = False
    fresh: bool = False
    held: bool = False
    ms: float | None = None

    def end(self, name: str) -> int:
        return self.ends.index(name)

    def other(self, name: str) -> str:
        return self.ends[1 - self.end(name)]

    @property
    def identities(self) -> list[Identity]:
        return [found for found in (self.current, self.next, self.old) if found is not None]

    @property
    def carries(self) -> bool:
        return self.held or not (self.leaving or self.fresh)

    @property
    def words(self) -> str:
        return f"{self.ends[0]} – {self.ends[1]}"


@dataclass(frozen=True)
class Foreign:
    """A WireGuard peer that is no member and that we do not run.

    number: names its interfaces; allowed: networks behind it; via: members that have a tunnel with it
    slots, generations: per member of `via`; its side knows that member's key of that generation
    """

    name: str
    number: int
    public_key: str
    endpoint: str = ""
    allowed: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    slots: Mapping[str, int] = field(default_factory=dict)
    generations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Way:
    """A way of a member that forwards, beside the planned one, while routes move (`passage`).

    at: sends to the members and foreign peers with these numbers, and to these blocks, by its neighbour `by`
    kept: it does so as the planned way might close a circle; otherwise: it may still do so, as it has not
    said that it has its present share
    """

    at: str
    by: str
    to: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    kept: bool = False


@dataclass(frozen=True)
class Departed:
    """left: ISO date"""

    number: int
    left: str


@dataclass(frozen=True)
class Registry:
    """header: comments and empty lines at the file's top, kept as they are"""

    mesh: str
    settings: Settings
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    members: Mapping[str, Member] = field(default_factory=dict)
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    links: Mapping[Pair, Link] = field(default_factory=dict)
    departed: Mapping[str, Departed] = field(default_factory=dict)
    header: str = ""
    ways: tuple[Way, ...] = ()

    def links_of(self, name: str) -> list[Link]:
        return self._around.get(name, [])

    @cached_property
    def _around(self) -> dict[str, list[Link]]:
        """Found once for a registry, as all members of a large mesh are asked for."""
        found: dict[str, list[Link]] = {}
        for link in self.links.values():
            for name in link.ends:
                found.setdefault(name, []).append(link)
        return found


def pair_of(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def interface(mesh: str, number: int, side: int) -> str:
    """The interface of the tunnel with the peer of that number."""
    return f"{mesh}-{number}" + ("b" if side else "")


def listen_port(port: int, slot: int, side: int) -> int:
    return port + 2 * slot + side


def ports(settings: Settings, port: int) -> tuple[int, int]:
    """First and last port of a member."""
    return port, port + 2 * settings.max_degree - 1
