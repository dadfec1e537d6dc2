# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sysctls the `transport_` wishes come to on a node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .values import (
    FAST,
    LEAST,
    LIMIT,
    OPTMEM,
    READ_MIDDLE,
    WRITE_MIDDLE,
    Survey,
    link_speed,
    socket_buffer,
    udp_mem,
)

SIMPLE: dict[str, tuple[str, ...]] = {
    "congestion_control": ("net.ipv4.tcp_congestion_control",),
    "mtu_probing": ("net.ipv4.tcp_mtu_probing",),
    "notsent_lowat": ("net.ipv4.tcp_notsent_lowat",),
    "slow_start_after_idle": ("net.ipv4.tcp_slow_start_after_idle",),
    "no_metrics_save": ("net.ipv4.tcp_no_metrics_save",),
    "busy_poll_us": ("net.core.busy_read", "net.core.busy_poll"),
}
"""Option → sysctls that get its value."""

FLOORS: dict[str, tuple[str, ...]] = {
    "backlog": ("net.core.netdev_max_backlog",),
    "budget": ("net.core.netdev_budget",),
    "budget_usecs": ("net.core.netdev_budget_usecs",),
}
"""Option → sysctls that get at least its value."""

DERIVED: dict[str, tuple[str, ...]] = {
    "qdisc": ("net.core.default_qdisc",),
    "rtt_ms": (
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
        "net.core.rmem_max",
        "net.core.wmem_max",
        "net.core.optmem_max",
    ),
    "udp_buffer": (
        "net.core.rmem_default",
        "net.core.wmem_default",
        "net.core.rmem_max",
        "net.core.wmem_max",
    ),
    "udp_memory_percent": ("net.ipv4.udp_mem",),
}
"""Option → sysctls that it decides."""

KEYS = frozenset(key for table in (SIMPLE, FLOORS, DERIVED) for keys in table.values() for key in keys)

FAIR = {"bbr": "fq"}
"""Congestion control → the discipline it was made for."""


def qdisc_of(wishes: Mapping[str, Any]) -> str:
    """The discipline asked for, or that which goes with the congestion control; "" for none.

    A `null` has an origin and no value: it is left alone.
    """
    if "qdisc" in wishes.get("origins", {}) or wishes.get("qdisc"):
        return str(wishes.get("qdisc") or "")
    return FAIR.get(str(wishes.get("congestion_control", "")), "")


class _Sysctls:
    """Collects values and origins. A key that two options ask a floor of gets the higher one."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self.origins = origins
        self.values: dict[str, Any] = {}
        self.said: dict[str, str] = {}

    def put(self, key: str, value: Any, option: str, why: str = "") -> None:
        origin = f"transport_{option} ({self.origins.get(option, 'task')}){': ' if why else ''}{why}"
        if key in self.values and _floor(self.values[key]) >= _floor(value):
            return
        self.values[key], self.said[key] = value, origin


def _floor(value: Any) -> int:
    return int(str(value)[2:]) if str(value).startswith(">=") else 0


def sysctls_of(wishes: Mapping[str, Any], survey: Survey) -> tuple[dict[str, Any], dict[str, str]]:
    """(sysctl → value for the module kernel, sysctl → where it is from and how it was reckoned).

    wishes: the merge's `layers.transport`; keys in its `left_to_kernel` are left out
    """
    found = _Sysctls(wishes.get("origins", {}))
    for option, keys in SIMPLE.items():
        for key in keys if option in wishes else ():
            value = wishes[option]
            found.put(key, int(value) if isinstance(value, bool) else value, option)
    for option, keys in FLOORS.items():
        for key in keys if option in wishes else ():
            found.put(key, f">={wishes[option]}", option)
    qdisc = qdisc_of(wishes)
    if qdisc:
        option = "qdisc" if "qdisc" in wishes else "congestion_control"
        why = "" if option == "qdisc" else f"{wishes[option]} goes with {qdisc}"
        found.put("net.core.default_qdisc", qdisc, option, why)
    if "rtt_ms" in wishes:
        _buffers(found, wishes, survey)
    if "udp_buffer" in wishes:
        for side in ("rmem", "wmem"):
            found.put(f"net.core.{side}_default", wishes["udp_buffer"], "udp_buffer")
            found.put(f"net.core.{side}_max", f">={wishes['udp_buffer']}", "udp_buffer")
    if "udp_memory_percent" in wishes:
        percent = wishes["udp_memory_percent"]
        pages = udp_mem(percent, survey.memory, survey.page_size)
        if pages:
            why = f"{percent:g} % of {survey.memory} bytes, in pages of {survey.page_size}"
            found.put("net.ipv4.udp_mem", pages, "udp_memory_percent", why)
    left = wishes.get("left_to_kernel", ())
    values = {key: value for key, value in found.values.items() if key not in left}
    return values, {key: found.said[key] for key in values}


def _buffers(found: _Sysctls, wishes: Mapping[str, Any], survey: Survey) -> None:
    """The largest TCP buffers, and what a program may ask for by itself."""
    mbit, source = link_speed(wishes.get("speed"), survey)
    rtt = wishes["rtt_ms"]
    size = socket_buffer(mbit, rtt, survey.memory, wishes.get("buffer_limit", LIMIT))
    why = f"{rtt:g} ms at {mbit} Mbit/s ({source})"
    found.put("net.ipv4.tcp_rmem", [LEAST, READ_MIDDLE, size], "rtt_ms", why)
    found.put("net.ipv4.tcp_wmem", [LEAST, WRITE_MIDDLE, size], "rtt_ms", why)
    for side in ("rmem", "wmem"):
        found.put(f"net.core.{side}_max", f">={size}", "rtt_ms", why)
    if mbit >= FAST:
        found.put("net.core.optmem_max", f">={OPTMEM}", "rtt_ms", why)
