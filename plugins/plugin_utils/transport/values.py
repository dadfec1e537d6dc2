# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of buffers from speed, round trip and memory. Pure; sizes in bytes. docs/transport.md has sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MIB = 1 << 20
FLOOR = 6 * MIB
"""The kernel's own largest tcp_rmem (6291456): a short or slow path gets no less than it has without us."""

LIMIT = 1 << 30
"""Where nobody says otherwise; ESnet's for 100 Gbit/s. The kernel's numbers end at 2 GiB."""

SHARE = 32
"""One socket may have this part of the memory. All of TCP feels pressure at a sixteenth (tcp_mem), so no
single socket brings it about."""

WINDOW = 2
"""A buffer is so many times the bytes under way: the kernel counts half of it as overhead (tcp_adv_win_scale
1), and a sender keeps what is sent until it is acknowledged, through one more round trip after a loss."""

LEAST, READ_MIDDLE, WRITE_MIDDLE = 4096, 131072, 65536
ASSUMED = 1000
"""Mbit/s of a node that does not tell. A guess: few servers have less."""

FAST = 100_000
OPTMEM = 1 << 20


@dataclass(frozen=True)
class Survey:
    """What a node says of itself (module nic). devices: name → Mbit/s or None; memory: 0 where unknown."""

    devices: Mapping[str, int | None] = field(default_factory=dict)
    memory: int = 0
    page_size: int = 4096


def survey_from(found: Mapping[str, Any] | None) -> Survey:
    """Of what the module answers; nothing is known where it did not."""
    found = found or {}
    return Survey(
        dict(found.get("devices") or {}), int(found.get("memory") or 0), int(found.get("page_size") or 4096)
    )


def link_speed(wish: Any, survey: Survey) -> tuple[int, str]:
    """(Mbit/s, where that is from). wish: `auto` or a number.

    Of several devices the fastest counts: one stream takes one way.
    """
    if wish not in (None, "auto"):
        return int(wish), "as asked for"
    known = {name: speed for name, speed in survey.devices.items() if speed}
    if known:
        name = max(sorted(known), key=lambda item: known[item] or 0)
        return int(known[name] or 0), f"of {name}"
    silent = ", ".join(sorted(survey.devices)) or "no device beneath the default route"
    return ASSUMED, f"assumed, as {silent} tells none"


def under_way(mbit: float, rtt_ms: float) -> int:
    """The bandwidth-delay product: bytes that are sent before the first can be acknowledged."""
    return math.ceil(mbit * 1e6 / 8 * rtt_ms / 1e3)


def socket_buffer(mbit: float, rtt_ms: float, memory: int = 0, limit: int = LIMIT) -> int:
    """The largest buffer of one TCP socket: whole MiB, no less than `FLOOR`, no more than `limit`.

    memory: the node's; a share of it counts more than the floor, as the kernel's own default does
    """
    wanted = max(FLOOR, math.ceil(WINDOW * under_way(mbit, rtt_ms) / MIB) * MIB)
    most = min(limit, max(MIB, memory // SHARE // MIB * MIB)) if memory else limit
    return min(wanted, most)


def udp_mem(percent: float, memory: int, page_size: int) -> list[int]:
    """`net.ipv4.udp_mem` in pages: least, pressure, most, in the proportions of the kernel's own (3 : 4 : 6).

    percent: of the memory, for the most. [] where the memory is not known.
    """
    most = int(memory * percent / 100) // page_size
    return [most // 2, most * 2 // 3, most] if most >= 6 else []
