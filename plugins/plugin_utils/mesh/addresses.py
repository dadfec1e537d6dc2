# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a member's number to its addresses, from a region to its networks, and the next free number. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache

from ...module_utils.core.errors import BindError, Problem
from .registry import BLOCK, Registry

_network = lru_cache(maxsize=1024)(ipaddress.ip_network)

HIGHEST = 65535
"""A number names an interface and a link-local address; it has 16 bits."""


def highest(prefixes: Iterable[str]) -> int:
    """The highest number that all prefixes have room for. IPv4's last is the broadcast address."""
    found = HIGHEST
    for prefix in prefixes:
        network = _network(prefix)
        room = network.num_addresses - (2 if network.version == 4 else 1)
        found = min(found, room)
    return found


def addresses(prefixes: Iterable[str], number: int) -> tuple[str, ...]:
    """With prefix length: `10.99.0.1/32`, `fd…::1/128`."""
    found = []
    for prefix in prefixes:
        network = _network(prefix)
        found.append(f"{network.network_address + number}/{network.max_prefixlen}")
    return tuple(found)


def block_networks(prefixes: Iterable[str], block: int) -> tuple[str, ...]:
    """The networks of a block of 64 numbers; a prefix that is smaller is its own block."""
    found = []
    for prefix in prefixes:
        network = _network(prefix)
        length = max(network.prefixlen, network.max_prefixlen - 6)
        found.append(f"{network.network_address + block * BLOCK}/{length}")
    return tuple(found)


def used_numbers(registry: Registry) -> set[int]:
    """Numbers that may not be given: of members, foreign peers, and of who has left."""
    holders: list[Mapping[str, object]] = [registry.members, registry.foreign, registry.departed]
    return {holder.number for found in holders for holder in found.values()}  # type: ignore[attr-defined]


def next_number(
    registry: Registry, region: str, used: set[int], regions: Mapping[str, tuple[int, ...]]
) -> tuple[int, dict[str, tuple[int, ...]]]:
    """The lowest free number of the region, and the regions, with a new block where the region has none free.

    Raises BindError where the prefixes have no room.
    """
    top = highest(registry.settings.prefixes)
    known = dict(regions)
    for block in sorted(known.get(region, ())):
        for number in _numbers(block, top):
            if number not in used:
                return number, known
    taken = {block for blocks in known.values() for block in blocks}
    for block in range(top // BLOCK + 1):
        free = [number for number in _numbers(block, top) if number not in used]
        if block not in taken and free:
            known[region] = tuple(sorted((*known.get(region, ()), block)))
            return free[0], known
    allowed = (
        f"a region with a free number: the prefixes {', '.join(registry.settings.prefixes)} have room for "
        f"{top // BLOCK + 1} blocks of {BLOCK}, all given; larger prefixes are a new mesh"
    )
    raise BindError([Problem("region", region, allowed, f"registry of {registry.mesh}")])


def _numbers(block: int, top: int) -> range:
    return range(max(1, block * BLOCK), min(top, block * BLOCK + BLOCK - 1) + 1)
