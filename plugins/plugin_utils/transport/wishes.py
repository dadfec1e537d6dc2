# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory's `transport_` variables may hold, and what the kernel layer's decide instead. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...module_utils.core.errors import BindError
from ...module_utils.nic.wishes import wishes_from
from .sysctls import DERIVED, FLOORS, KEYS, SIMPLE, qdisc_of
from .values import MIB

Mistakes = list[tuple[Any, str]]

LONGEST_MS = 5000
MOST_MBIT = 1_000_000
MOST_BYTES = 2_147_483_647
NIC = "nic."
NUMBER = re.compile("[0-9]{1,7}")
QUIET = frozenset({"confirm_seconds", "devices", "manage", "required", "buffer_limit", "speed"})
"""Options that ask for nothing by themselves."""

COMMON = frozenset({"origins", "max_disruption", "run", "freeze"})
"""What the merge puts into the wishes of every layer."""


def _whole(least: int, most: int, unit: str) -> Callable[[Any], Mistakes]:
    def mistakes(value: Any) -> Mistakes:
        return [] if least <= value <= most else [(value, f"{least} to {most} {unit}")]

    return mistakes


def mistakes_in_speed(value: Any) -> Mistakes:
    """`auto`, or a number, which the command line gives as a text."""
    number = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    whole = isinstance(number, str) and NUMBER.fullmatch(number) is not None
    if value == "auto" or (whole and 1 <= int(number) <= MOST_MBIT):
        return []
    return [(value, f"auto, or 1 to {MOST_MBIT} Mbit/s")]


def mistakes_in_rtt(value: float) -> Mistakes:
    return [] if 0 < value <= LONGEST_MS else [(value, f"above 0 to {LONGEST_MS} ms")]


def mistakes_in_percent(value: float) -> Mistakes:
    return [] if 0.1 <= value <= 50 else [(value, "0.1 to 50 % of the node's memory")]


def mistakes_in_seconds(value: int) -> Mistakes:
    return [] if value == 0 or 10 <= value <= 86400 else [(value, "0 (never taken back), or 10 to 86400 s")]


def mistakes_in_devices(value: list[str]) -> Mistakes:
    good = bool(value) and all(item.strip() == item and item for item in value)
    return (
        [] if good else [(value, "a list of selectors: default_route, all, driver:mlx5_core, eth0, 'enp*'")]
    )


def mistakes_in_interfaces(value: dict[str, Any]) -> Mistakes:
    """As far as they can be told without the node."""
    try:
        wishes_from(value, [], {})
    except BindError as error:
        return [(f"{problem.key}: {problem.value}", problem.allowed) for problem in error.problems]
    return []


def mistakes_in_required(value: list[str]) -> Mistakes:
    """Names that mean nothing would require nothing."""
    found: Mistakes = []
    for name in value:
        if name in KEYS or name.startswith(NIC):
            continue
        near = difflib.get_close_matches(name, sorted(KEYS), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        found.append((name, f"{hint}a sysctl that this layer sets, or nic.<setting> such as nic.qdisc"))
    return found


def validators() -> dict[str, Callable[[Any], Mistakes]]:
    """Variable → what is wrong with a value that has the right type."""
    return {
        "transport_speed": mistakes_in_speed,
        "transport_rtt_ms": mistakes_in_rtt,
        "transport_buffer_limit": _whole(MIB, MOST_BYTES, "bytes"),
        "transport_udp_buffer": _whole(4608, MOST_BYTES, "bytes"),
        "transport_udp_memory_percent": mistakes_in_percent,
        "transport_notsent_lowat": _whole(1024, 4294967295, "bytes"),
        "transport_backlog": _whole(1, MOST_BYTES, "packets"),
        "transport_budget": _whole(1, MOST_BYTES, "packets"),
        "transport_budget_usecs": _whole(1, 1_000_000, "µs"),
        "transport_busy_poll_us": _whole(0, 1000, "µs"),
        "transport_confirm_seconds": mistakes_in_seconds,
        "transport_devices": mistakes_in_devices,
        "transport_interfaces": mistakes_in_interfaces,
        "transport_required": mistakes_in_required,
    }


def deciding(wishes: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sysctl → options of these wishes that it follows from."""
    found: dict[str, list[str]] = {}
    for table in (SIMPLE, FLOORS, DERIVED):
        for option, keys in table.items():
            for key in keys if option in wishes else ():
                found.setdefault(key, []).append(option)
    if qdisc_of(wishes):
        found.setdefault("net.core.default_qdisc", ["congestion_control"])
    return found


def additions(wishes: Mapping[str, Any], kernel_sysctl: Iterable[str]) -> dict[str, Any]:
    """What the merge adds to this layer's wishes, origins included.

    asked: whether anything is asked for; left_to_kernel: sysctls that `kernel_sysctl` names outright
    """
    asks = {option for option in wishes if option not in QUIET and option not in COMMON}
    if wishes.get("state") != "absent":
        asks.discard("state")
    asked = bool(asks) and wishes.get("manage") != "none"
    return {"asked": asked, "left_to_kernel": sorted(set(kernel_sysctl) & set(deciding(wishes)))}


def beaten(wishes: Mapping[str, Any], origins: Mapping[str, str], key: str) -> list[dict[str, Any]]:
    """Entries for the `losers` of a sysctl that `kernel_sysctl` names: what would have been reckoned."""
    return [
        {"value": f"transport_{option}: {wishes[option]}", "origin": origins.get(option, "")}
        for option in deciding(wishes).get(key, ())
    ]
