# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mesh has more whose relays announce their region's blocks of numbers to others. Pure.

docs/decisions/0022 says why it is so. Members of the own region, and those that are in no such block, stay
host routes in the main table. Blocks go to a table that is looked at before the main one, as there a planned
route to a neighbour would be more specific; the host routes of neighbours in such blocks to one before that.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Optional

from ..mesh.share import BLOCK, Share
from .paths import OWN_PROTOCOL, Slot
from .settings import Peer, member_of

BLOCK_BITS = 6
"""2 ** 6 numbers are a block."""


def is_aggregated(share: Share) -> bool:
    return bool(share.own_blocks or share.other_blocks)


def announces(share: Share) -> bool:
    """Whether this member announces its region's blocks."""
    return share.transit and bool(share.own_blocks)


def networks(share: Share, blocks: Iterable[int]) -> list[str]:
    """Of all prefixes. One that is smaller than a block is its own block, as in the planned routes."""
    found = []
    for text in share.prefixes:
        prefix = ipaddress.ip_network(text)
        length = max(prefix.prefixlen, prefix.max_prefixlen - BLOCK_BITS)
        found += [f"{prefix.network_address + block * BLOCK}/{length}" for block in blocks]
    return found


def block_of(share: Share, prefix: str) -> Optional[int]:
    """The block that the network is, None for none."""
    try:
        network = ipaddress.ip_network(prefix)
    except ValueError:
        return None
    for own in map(ipaddress.ip_network, share.prefixes):
        length = max(own.prefixlen, own.max_prefixlen - BLOCK_BITS)
        same = own.version == network.version and network.prefixlen == length
        if same and network.network_address in own:
            return (int(network.network_address) - int(own.network_address)) // BLOCK
    return None


def numbers_of(share: Share, prefix: str) -> Optional[list[int]]:
    """First and last number of the block that a route of an aggregated mesh leads to, else None."""
    block = block_of(share, prefix) if is_aggregated(share) else None
    return None if block is None else [block * BLOCK, block * BLOCK + BLOCK - 1]


def may_announce(share: Share, peer: Peer, prefix: str) -> bool:
    """What this node's filters accept from a neighbour."""
    if prefix in peer.own:
        return True
    if not peer.transit:
        return False
    block = block_of(share, prefix)
    if block in share.other_blocks:
        return True
    number = member_of(share, prefix)
    if not number or number // BLOCK in share.other_blocks:
        return False
    return peer.near or number // BLOCK not in share.own_blocks


def is_foreign(share: Share, peer: Peer, prefix: str) -> bool:
    """What a neighbour must not announce.

    A relay announces every block that it knows a way to, also back to where it has it from. That is not
    accepted there, and nobody's mistake.
    """
    if peer.transit and block_of(share, prefix) in share.own_blocks:
        return False
    return not may_announce(share, peer, prefix)


# -- lines of babeld's configuration


def origin_lines(share: Share, slot: Slot) -> list[str]:
    """What it announces beside itself: its region's blocks, out of a table that no packet is looked up in."""
    if not announces(share):
        return []
    own = [
        f"redistribute ip {_exactly(n)} proto {OWN_PROTOCOL} allow" for n in networks(share, share.own_blocks)
    ]
    return [f"import-table {slot.imported}", *own]


def heard_lines(share: Share, peers: Sequence[Peer], action: str) -> list[str]:
    """Which announcements are accepted: `may_announce`. action: for those that are

    babeld goes through them for each announcement, so what is alike for all interfaces is said once.
    """
    lines = []
    for peer in peers:
        for name in peer.interfaces:
            lines += [f"in if {name} ip {_exactly(one)} {action}" for one in peer.own]
            lines += [] if peer.transit else [f"in if {name} deny"]
    for one in networks(share, share.other_blocks):
        lines += [f"in ip {_exactly(one)} {action}", f"in ip {one} deny"]
    singles = [f"ip {one} ge {_bits(one)}" for one in share.prefixes]
    lines += [f"in if {name} {one} {action}" for name in _near_relays(peers) for one in singles]
    lines += [f"in ip {one} deny" for one in networks(share, share.own_blocks)]
    return [*lines, *(f"in {one} {action}" for one in singles), "in deny"]


def said_lines(share: Share, peers: Sequence[Peer]) -> list[str]:
    """What a relay does not announce: nobody would take it."""
    if not is_aggregated(share):
        return []
    lines = []
    for one in networks(share, share.other_blocks):
        lines += [f"out ip {_exactly(one)} allow", f"out ip {one} deny"]
    for peer in peers:
        for name in peer.interfaces if peer.near else ():
            lines += [f"out if {name} ip {one} ge {_bits(one)} allow" for one in share.prefixes]
            lines.append(f"out if {name} deny")
    lines += [f"out ip {_exactly(one)} allow" for one in share.addresses]
    for one in networks(share, share.own_blocks):
        lines += [f"out ip {_exactly(one)} allow", f"out ip {one} deny"]
    return lines


def _near_relays(peers: Iterable[Peer]) -> list[str]:
    """Their interfaces."""
    return [name for peer in peers if peer.transit and peer.near for name in peer.interfaces]


def install_lines(
    share: Share, peers: Iterable[Peer], slot: Slot, sources: Iterable[tuple[str, str]]
) -> list[str]:
    """Which routes go to which table. sources: prefix → the node's own address in it"""
    found = []
    far = [one for peer in peers if _is_far(share, peer) for one in peer.own]
    for prefix, source in sources:
        v6 = ":" in prefix
        for one, table in (
            *((one, slot.hosts) for one in far),
            *((one, slot.blocks) for one in networks(share, share.other_blocks)),
        ):
            if (":" in one) == v6:
                found.append(f"install ip {_exactly(one)} table {table} pref-src {source}")
    return found


def _is_far(share: Share, peer: Peer) -> bool:
    """Whether a block would hide its own route."""
    return peer.number // BLOCK in share.other_blocks


def _exactly(network: str) -> str:
    return f"{network} eq {network.partition('/')[2]}"


def _bits(network: str) -> int:
    return 128 if ":" in network else 32
