# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node is told to measure, as plain data, checked when it comes in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

from ..core.errors import BindError, Problem

IRTT, FPING, IPERF = "irtt", "fping", "iperf3"
TOOLS = (IRTT, FPING, IPERF)
"""Programs, and Debian's packages of them, which have the same names."""

MESH = re.compile(r"[a-z][a-z0-9]{0,7}")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,100}")

MOST_PEERS = 512
LONGEST = 86400.0
"""s"""

ECHO_EVERY = 1000.0
"""ms between two echo requests that run beside irtt: they tell a closed port from a way that is down."""

LEAST_MBIT, MOST_MBIT = 0.1, 1e6
"""Mbit/s of a transfer. iperf3 takes 0 for no limit."""

TRANSFER_OVERHEAD = 2.0
"""s that a transfer takes beside its seconds: connecting, its first second that does not count."""


@dataclass(frozen=True)
class Probe:
    """Round trips to one member. latency_ms, jitter_ms: limits above which an answer is counted as over.

    share: of the answers that is to be within them, 0 to 1
    """

    name: str
    address: str
    port: int
    tool: str
    interval_ms: float
    latency_ms: float
    jitter_ms: float
    share: float


@dataclass(frozen=True)
class Transfer:
    """TCP to one member and back, one after the other. at: s after the start; mbit: the most that is sent"""

    name: str
    address: str
    port: int
    at: float
    mbit: float
    seconds: int


@dataclass(frozen=True)
class Job:
    """What one node does as a client.

    start: on this node's monotonic clock; window: s of round trips; end: s after the start, when all are done
    late: s by which a transfer may begin too late; after that its turn is another pair's
    """

    start: float
    window: float
    end: float
    late: float
    probes: tuple[Probe, ...] = ()
    transfers: tuple[Transfer, ...] = ()

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def job_from(data: Mapping[str, Any]) -> Job:
    """Raises BindError with all that is wrong."""
    problems: list[Problem] = []

    def number(entry: Mapping[str, Any], key: str, where: str, low: float, high: float) -> float:
        value = entry.get(key)
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        if not good:
            problems.append(Problem(key, value, f"a number from {low:g} to {high:g}", "job", where))
        return float(value) if good and value is not None else low

    job = Job(
        start=number(data, "start", "job", 0, 1e12),
        window=number(data, "window", "job", 1, LONGEST),
        end=number(data, "end", "job", 1, LONGEST),
        late=number(data, "late", "job", 0, LONGEST),
        probes=tuple(_probe(entry, number, problems) for entry in _list(data, "probes", problems)),
        transfers=tuple(_transfer(entry, number, problems) for entry in _list(data, "transfers", problems)),
    )
    for kind, names in (("probes", job.probes), ("transfers", job.transfers)):
        seen = [item.name for item in names]
        problems += [
            Problem(kind, name, "each member once", "job")
            for name in sorted(set(seen))
            if seen.count(name) > 1
        ]
    if problems:
        raise BindError(problems)
    return job


_Number = Callable[[Mapping[str, Any], str, str, float, float], float]


def _probe(entry: Mapping[str, Any], number: _Number, problems: list[Problem]) -> Probe:
    name = str(entry.get("name", ""))
    tool = entry.get("tool")
    if tool not in (IRTT, FPING):
        problems.append(Problem("tool", tool, f"{IRTT} or {FPING}", "job", name))
    return Probe(
        name=name,
        address=address_of(entry.get("address"), name, problems),
        port=int(number(entry, "port", name, 1, 65535)),
        tool=str(tool),
        interval_ms=number(entry, "interval_ms", name, 1, 60000),
        latency_ms=number(entry, "latency_ms", name, 0, 1e6),
        jitter_ms=number(entry, "jitter_ms", name, 0, 1e6),
        share=number(entry, "share", name, 0.01, 1),
    )


def _transfer(entry: Mapping[str, Any], number: _Number, problems: list[Problem]) -> Transfer:
    name = str(entry.get("name", ""))
    return Transfer(
        name=name,
        address=address_of(entry.get("address"), name, problems),
        port=int(number(entry, "port", name, 1, 65535)),
        at=number(entry, "at", name, 0, LONGEST),
        mbit=number(entry, "mbit", name, LEAST_MBIT, MOST_MBIT),
        seconds=int(number(entry, "seconds", name, 1, 60)),
    )


def _list(data: Mapping[str, Any], key: str, problems: list[Problem]) -> list[Mapping[str, Any]]:
    value = data.get(key, [])
    good = isinstance(value, list) and all(isinstance(item, Mapping) for item in value)
    if not good or len(value) > MOST_PEERS:
        problems.append(Problem(key, f"{type(value).__name__}", f"a list of up to {MOST_PEERS} maps", "job"))
        return []
    return list(value)


def address_of(value: Any, where: str, problems: list[Problem]) -> str:
    """One address without prefix length. Never one that stands for all of them."""
    found: Optional[str] = None
    try:
        address = ipaddress.ip_address(str(value))
        if not (address.is_unspecified or address.is_multicast):
            found = str(address)
    except ValueError:
        pass
    if found is None:
        problems.append(Problem("address", value, "the one IPv4 or IPv6 address of a member", "job", where))
        return ""
    return found


def with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
