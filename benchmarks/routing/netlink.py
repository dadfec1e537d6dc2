# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's messages say of routes, and what follows from it. Pure: virtual machines run it, too."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

NETLINK_ROUTE = 0
GROUP_IPV4_ROUTES = 0x40
_NEW_ROUTE, _DELETE_ROUTE = 24, 25
_DESTINATION, _DEVICE, _PRIORITY = 1, 4, 6
_HEADER, _ROUTE, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=8BI"), struct.Struct("=HH")
PLANNED_METRIC = 4000
"""The metric of the mesh's own routes: what is below is a routing daemon's."""


@dataclass(frozen=True)
class Change:
    """From `time` (monotonic) on it is `device`; None: the daemon has no route."""

    time: float
    device: str | None


def moves_in(changes: Sequence[Change], start: float, end: float | None = None) -> list[Change]:
    """Changes to another device than the one before, passing over moments without a route."""
    found, last = [], None
    for change in changes:
        if change.device is None:
            continue
        moved = last is not None and change.device != last
        last = change.device
        if moved and change.time >= start and (end is None or change.time < end):
            found.append(change)
    return found


def routes_in(data: bytes, destination: bytes) -> list[tuple[bool, int]]:
    """(is it new, index of its device) of each daemon's host route to that address in netlink messages."""
    return [
        # A route without a device says that the destination is unreachable.
        (is_new and device != 0, device)
        for is_new, target, device, priority in host_routes_in(data)
        if target == destination and priority < PLANNED_METRIC
    ]


def host_routes_in(data: bytes) -> list[tuple[bool, bytes, int, int]]:
    """(is it new, address, index of its device or 0, metric) of each IPv4 host route in netlink messages."""
    found = []
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        body, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
        if kind not in (_NEW_ROUTE, _DELETE_ROUTE) or len(body) < _ROUTE.size:
            continue
        _, bits, _, _, _, _, _, _, _ = _ROUTE.unpack_from(body)
        values = _attributes(body[_ROUTE.size :])
        if bits == 32 and _DESTINATION in values:
            device, priority = (
                int.from_bytes(values.get(key, b""), "little") for key in (_DEVICE, _PRIORITY)
            )
            found.append((kind == _NEW_ROUTE, values[_DESTINATION], device, priority))
    return found


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found
