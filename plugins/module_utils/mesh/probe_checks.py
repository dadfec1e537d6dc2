# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to check of tunnels, and which of it a change has to leave working. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..core.errors import BindError, Problem
from .ping import SMALL, Target
from .share import LINK_LOCAL, Share, Tunnel

FRESH = 180.0
"""Seconds a session lives: WireGuard's REJECT_AFTER_TIME."""

OK, PENDING, FAILED = "ok", "pending", "failed"

HEADERS = 48
"""Bytes of an IPv6 and an ICMPv6 header: an echo request with MTU − 48 bytes of data fills a tunnel."""

WORDS = {
    "handshake": "no handshake",
    "link": "the other end does not answer",
    "full": "packets of the full MTU do not come back",
    "address": "its mesh address does not answer",
}


@dataclass(frozen=True)
class Check:
    """One thing about one tunnel.

    kind: handshake, link (echo to the other end's link-local address), full (the same with as many bytes as
        the MTU has room for) or address (echo from mesh address to mesh address)
    name: the same before and after a change
    target: where the echo request goes; of a handshake it only makes WireGuard shake hands
    """

    name: str
    kind: str
    interface: str
    target: Optional[Target] = None


@dataclass
class Seen:
    """What the probe has seen of one tunnel so far. handshake: Unix time; rtt: s, the best"""

    passed: set[str]
    sent: int = 0
    answered: int = 0
    rtt: Optional[float] = None
    handshake: int = 0


def checks_of(share: Share, tunnel: Tunnel) -> list[Check]:
    """Everything to check of a tunnel. Of a foreign peer only the handshake: nothing is known of its end."""
    interface = tunnel.interface
    found = [Check(f"{interface} handshake", "handshake", interface, _stimulus(tunnel))]
    if tunnel.foreign:
        return found
    peer = LINK_LOCAL.format(number=tunnel.peer_number)
    for kind, size in (("link", SMALL), ("full", tunnel.mtu - HEADERS)):
        name = f"{interface} {kind}"
        found.append(Check(name, kind, interface, Target(name, peer, interface, size=size)))
    for source, destination in _addresses(share, tunnel):
        name = f"{share.mesh} {tunnel.peer_number} {destination}"
        found.append(Check(name, "address", interface, Target(name, destination, source=source)))
    return found


def required(
    share: Share, tunnel: Tunnel, worked: Collection[str], expect: Collection[str], seen: Seen
) -> set[str]:
    """Names of the checks that have to pass.

    worked: what passed before; expect: peers that have to answer. Of a new tunnel that answers at all the
    other end is configured, so full packets have to come through, too.
    """
    checks = checks_of(share, tunnel)
    if tunnel.peer in expect:
        return {check.name for check in checks}
    found = {check.name for check in checks if check.name in worked}
    link, full = f"{tunnel.interface} link", f"{tunnel.interface} full"
    if link in seen.passed and link not in worked:
        found.add(full)
    return found


def verdict(
    share: Share, tunnel: Tunnel, needed: Collection[str], worked: Collection[str], seen: Seen, now: float
) -> dict[str, Any]:
    """One tunnel, as the module mesh_confirm returns it. `now`: Unix time."""
    checks = checks_of(share, tunnel)
    missing = [check for check in checks if check.name in needed and check.name not in seen.passed]
    basic = f"{tunnel.interface} {'handshake' if tunnel.foreign else 'link'}"
    state = FAILED if missing else OK if basic in seen.passed else PENDING
    return {
        "mesh": share.mesh,
        "interface": tunnel.interface,
        "peer": tunnel.peer,
        "worked_before": any(check.name in worked for check in checks),
        "required": bool(needed),
        "handshake_age": max(0, round(now - seen.handshake)) if seen.handshake else None,
        "sent": seen.sent,
        "answered": seen.answered,
        "rtt_ms": None if seen.rtt is None else round(seen.rtt * 1000, 2),
        "full_size": _passed(checks, "full", seen),
        "address": _passed(checks, "address", seen),
        "ok": not missing,
        "state": state,
        "missing": list(dict.fromkeys(WORDS[check.kind] for check in missing)),
    }


def is_fresh(handshake: int, armed_at: Optional[float], now: float) -> bool:
    """Whether a handshake (Unix time, 0 for none) tells that the tunnel works now."""
    if handshake <= 0:
        return False
    return now - handshake < FRESH or (armed_at is not None and handshake >= armed_at)


def check_expected(expect: Mapping[str, Sequence[str]], shares: Mapping[str, Share]) -> None:
    """Raises BindError for meshes and peers that this node does not have."""
    problems = []
    for mesh, peers in expect.items():
        if mesh not in shares:
            known = ", ".join(sorted(shares)) or "none: this node is in no mesh"
            problems.append(Problem("expect", mesh, f"a mesh of this node ({known})"))
            continue
        there = sorted({tunnel.peer for tunnel in shares[mesh].tunnels})
        problems += [
            Problem(f"expect {mesh}", peer, f"a peer of this node ({', '.join(there) or 'it has none'})")
            for peer in peers
            if peer not in there
        ]
    if problems:
        raise BindError(problems)


# -- inside


def _passed(checks: Sequence[Check], kind: str, seen: Seen) -> Optional[bool]:
    names = [check.name for check in checks if check.kind == kind]
    return all(name in seen.passed for name in names) if names else None


def _addresses(share: Share, tunnel: Tunnel) -> list[tuple[str, str]]:
    """(own address, the peer's) for each family in which this tunnel carries the route to the peer."""
    routed = share.routes.get(tunnel.interface, ())
    own = [ipaddress.ip_interface(address) for address in share.addresses]
    found = []
    for prefix in map(ipaddress.ip_network, share.prefixes):
        if tunnel.peer_number >= prefix.num_addresses:
            continue
        peer = prefix[tunnel.peer_number]
        source = next((str(address.ip) for address in own if address.ip in prefix), "")
        if source and f"{peer}/{prefix.max_prefixlen}" in routed:
            found.append((source, str(peer)))
    return found


def _stimulus(tunnel: Tunnel) -> Optional[Target]:
    """An echo request into a foreign peer's network: WireGuard shakes hands for it, whoever answers."""
    if not tunnel.foreign:
        return None
    for network in map(ipaddress.ip_network, tunnel.allowed_ips):
        if network.prefixlen:
            host = network[1] if network.num_addresses > 1 else network[0]
            return Target(f"{tunnel.interface} stimulus", str(host), tunnel.interface)
    return None
