# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's share of one mesh: what the controller plans and the node makes true. Plain data, no secret.

The controller's planner writes it (`as_data`), the node reads it (`parse_share`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from ..core.errors import BindError, Problem

SCHEMA = 1

MESH_NAME = re.compile(r"[a-z][a-z0-9]{0,7}")
"""A mesh's name begins the names of its interfaces (`wan-65535b` has to fit the kernel's 15 characters)."""

INTERFACE = re.compile(r"[a-z][a-z0-9]{0,7}-[1-9][0-9]{0,4}b?")
KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
"""A WireGuard key in base64: 32 bytes."""

NAME = re.compile(r"[^\x00-\x1f\x7f]{1,240}")
"""Names of members and peers stand in comments of files: one line each."""

PSK_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=,-]{0,199}")
"""It is a file's name, made of the ends of a link. A shell reads it when the tunnel comes up."""

ENDPOINT = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\]):[0-9]{1,5}")

LINK_LOCAL = "fe80::{number:x}"
"""The link-local address of the member `number` on every tunnel."""

MIN_MTU = 1280
"""IPv6 needs it."""

RANKS = 4
"""Of members that forward; the fifth of a region has that of the first."""

BLOCK = 64
"""Numbers in a block; a region has one or more. A block is what relays announce of a large region."""

MAX_CAPACITY = 10_000_000
"""Mbit/s that may be declared."""


@dataclass(frozen=True)
class Psk:
    """The preshared key of one tunnel.

    name: of its file on both ends (`paths.psk_path`)
    sealed: the key, sealed to this node's public key of `generation` (base64); "" where this node made it
    sender: the ephemeral public key that goes with `sealed`
    """

    name: str
    sealed: str = ""
    sender: str = ""


@dataclass(frozen=True)
class Tunnel:
    """One WireGuard interface with one peer.

    interface: `<mesh>-<peer number>`, with a `b` on the second side of a tunnel that is being replaced
    generation: which of this node's private keys
    public_key: the peer's
    endpoint: `host:port` or `[v6]:port`; "" where the peer calls us
    keepalive: s, 0 for none
    mtu: bytes, of the tunnel
    allowed_ips: everything, but for foreign peers
    foreign: the peer is no member: no link-local probing, nothing is known of its end
    transit: the peer forwards from mesh to mesh
    capacity: Mbit/s, the least that its ends have declared; 0 where neither has
    near: the peer is in this member's region; said only where there are blocks (Share.own_blocks)
    """

    interface: str
    peer: str
    peer_number: int
    generation: int
    listen_port: int
    public_key: str
    endpoint: str = ""
    keepalive: int = 0
    mtu: int = 1420
    allowed_ips: tuple[str, ...] = ("0.0.0.0/0", "::/0")
    psk: Optional[Psk] = None
    foreign: bool = False
    transit: bool = False
    capacity: int = 0
    near: bool = False


@dataclass(frozen=True)
class Share:
    """What one member has of one mesh.

    number: of the member, 1 to 65535; its addresses and link-local address come from it
    addresses: with prefix length, `10.99.0.1/32` and `fd…::1/128`
    prefixes: the whole mesh's, at most one IPv4 and one IPv6
    ports: first and last UDP port that tunnels of this member listen on, now or later
    transit: whether it forwards from mesh to mesh
    keys: generation → this node's own public key, as the registry has it
    tunnels: sorted by interface
    routes: interface → destinations (`10.99.0.2/32`, `10.99.1.0/26`), each in exactly one interface
    endpoints: addresses from which tunnels may come; empty: from anywhere (a peer roams or is behind NAT)
    withheld: on a node, interfaces of which something that was asked for was left out as too disruptive:
        the share then says how they are
    rank: of a member that forwards, its place (0 to 3) among those of its region, over and over; else 0
    own_blocks: blocks (number // BLOCK) of the own region that routing daemons announce to other regions as
        a whole; other_blocks: those of other regions. Both empty: every member is announced by itself
    """

    mesh: str
    member: str
    number: int
    addresses: tuple[str, ...]
    prefixes: tuple[str, ...]
    ports: tuple[int, int]
    transit: bool = False
    keys: Mapping[int, str] = field(default_factory=dict)
    tunnels: tuple[Tunnel, ...] = ()
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    endpoints: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    rank: int = 0
    own_blocks: tuple[int, ...] = ()
    other_blocks: tuple[int, ...] = ()

    @property
    def link_local(self) -> str:
        """With prefix length, the same on every tunnel of this node."""
        return LINK_LOCAL.format(number=self.number) + "/64"

    def as_data(self) -> dict[str, Any]:
        """JSON-able; `parse_share` reads it."""
        data = asdict(self)
        data["schema"] = SCHEMA
        if not self.withheld:
            del data["withheld"]
        _without_defaults(data)
        data["keys"] = {str(generation): key for generation, key in self.keys.items()}
        return data


def parse_share(data: Any, origin: str = "") -> Share:
    """Raises BindError that names every value that is wrong."""
    problems: list[Problem] = []

    def refuse(key: str, value: Any, allowed: str) -> None:
        problems.append(Problem(key, value, allowed, origin))

    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
        raise BindError([Problem("share", found, f"a share of schema {SCHEMA}", origin)])
    try:
        share = _built(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BindError(
            [Problem("share", f"{type(error).__name__}: {error}", "the planner's share", origin)]
        ) from error
    if not MESH_NAME.fullmatch(share.mesh):
        refuse("mesh", share.mesh, "a letter, then up to 7 letters or digits, all lower case")
    if not 1 <= share.number <= 65535:
        refuse("number", share.number, "1 to 65535")
    if not NAME.fullmatch(share.member):
        refuse("member", share.member, "a name in one line")
    if not 0 <= share.rank < RANKS:
        refuse("rank", share.rank, f"0 to {RANKS - 1}")
    _check_blocks(share, refuse)
    for name in ("addresses", "prefixes"):
        for value in getattr(share, name):
            if not _is_network(value, strict=name == "prefixes"):
                refuse(name, value, "an address with prefix length")
    for tunnel in share.tunnels:
        _check_tunnel(share, tunnel, refuse)
    for interface, destinations in share.routes.items():
        if interface not in {tunnel.interface for tunnel in share.tunnels}:
            refuse(f"routes {interface}", list(destinations), "an interface of the share")
        for value in destinations:
            if not _is_network(value, strict=True):
                refuse(f"routes {interface}", value, "a network")
    if problems:
        raise BindError(problems)
    return share


def _without_defaults(data: dict[str, Any]) -> None:
    """What came to the share later is in it only where it says something: others stay as they were."""
    for name in ("rank", "own_blocks", "other_blocks"):
        if not data[name]:
            del data[name]
    for tunnel in data["tunnels"]:
        for name in ("transit", "capacity", "near"):
            if not tunnel[name]:
                del tunnel[name]


def _built(data: Mapping[str, Any]) -> Share:
    first, last = data["ports"]
    return Share(
        mesh=str(data["mesh"]),
        member=str(data["member"]),
        number=int(data["number"]),
        addresses=tuple(data["addresses"]),
        prefixes=tuple(data["prefixes"]),
        ports=(int(first), int(last)),
        transit=bool(data.get("transit", False)),
        keys={int(generation): str(key) for generation, key in data.get("keys", {}).items()},
        tunnels=tuple(_built_tunnel(item) for item in data.get("tunnels", ())),
        routes={name: tuple(found) for name, found in data.get("routes", {}).items()},
        endpoints=tuple(data.get("endpoints", ())),
        withheld=tuple(map(str, data.get("withheld", ()))),
        rank=int(data.get("rank", 0)),
        own_blocks=tuple(map(int, data.get("own_blocks", ()))),
        other_blocks=tuple(map(int, data.get("other_blocks", ()))),
    )


def _built_tunnel(data: Mapping[str, Any]) -> Tunnel:
    psk = data.get("psk")
    known = {name: data[name] for name in Tunnel.__dataclass_fields__ if name in data}
    known["allowed_ips"] = tuple(data.get("allowed_ips", Tunnel.allowed_ips))
    known["psk"] = Psk(**psk) if psk else None
    for name in ("peer_number", "generation", "listen_port", "keepalive", "mtu", "capacity"):
        if name in known:
            known[name] = int(known[name])
    return Tunnel(**known)


def _check_blocks(share: Share, refuse: Any) -> None:
    for name in ("own_blocks", "other_blocks"):
        for block in getattr(share, name):
            if not 0 <= block <= 65535 // BLOCK:
                refuse(name, block, f"0 to {65535 // BLOCK}")
    for block in sorted({*share.own_blocks} & {*share.other_blocks}):
        refuse("other_blocks", block, "a block of another region: it is among own_blocks, too")


def _check_tunnel(share: Share, tunnel: Tunnel, refuse: Any) -> None:
    where = f"tunnels {tunnel.interface}"
    if not INTERFACE.fullmatch(tunnel.interface) or not tunnel.interface.startswith(f"{share.mesh}-"):
        refuse("tunnels", tunnel.interface, f"{share.mesh}-<number of the peer>")
    # All of these stand in files that wg-quick runs as root.
    if not NAME.fullmatch(tunnel.peer):
        refuse(f"{where} peer", tunnel.peer, "a name in one line")
    if tunnel.endpoint and not ENDPOINT.fullmatch(tunnel.endpoint):
        refuse(f"{where} endpoint", tunnel.endpoint, "host:port or [IPv6 address]:port")
    if tunnel.psk and not PSK_NAME.fullmatch(tunnel.psk.name):
        refuse(f"{where} psk", tunnel.psk.name, "letters, digits and ._+@=,- (the name of a file)")
    if not 0 <= tunnel.keepalive <= 65535:
        refuse(f"{where} keepalive", tunnel.keepalive, "0 to 65535 s")
    if not KEY.fullmatch(tunnel.public_key):
        refuse(f"{where} public_key", tunnel.public_key, "44 characters of base64")
    if not 1 <= tunnel.listen_port <= 65535:
        refuse(f"{where} listen_port", tunnel.listen_port, "1 to 65535")
    if not MIN_MTU <= tunnel.mtu <= 65535:
        refuse(f"{where} mtu", tunnel.mtu, f"{MIN_MTU} (which IPv6 needs) to 65535")
    if not 0 <= tunnel.capacity <= MAX_CAPACITY:
        refuse(f"{where} capacity", tunnel.capacity, f"0 to {MAX_CAPACITY} Mbit/s")
    if tunnel.generation not in share.keys:
        refuse(f"{where} generation", tunnel.generation, f"one of {sorted(share.keys)}")
    for value in tunnel.allowed_ips:
        if not _is_network(value, strict=True):
            refuse(f"{where} allowed_ips", value, "a network")


def _is_network(value: Any, strict: bool) -> bool:
    """An IPv6 scope (`fd00::%any text/64`) may hold anything, and means nothing here."""
    if not isinstance(value, str) or "%" in value:
        return False
    try:
        ipaddress.ip_network(value, strict) if strict else ipaddress.ip_interface(value)
    except (TypeError, ValueError):
        return False
    return True
