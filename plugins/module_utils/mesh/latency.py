# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips from this node to others below the mesh, by echo requests. Changes nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

from ..core.errors import BindError, Problem
from .ping import Ping, Target, ping
from .refresh import Resolver, resolve

MOST_TARGETS = 256
MOST_PROBES = 20
ROUND = 1.0
"""Seconds that an echo may take; longer round trips count as no answer."""

GAP = 0.2
"""Seconds between two requests to one target, at least."""

BURST = 64
"""Requests sent at once: more would measure their own queue."""

THREADS = 16


def measure(
    targets: Sequence[Mapping[str, str]],
    probes: int,
    timeout: float,
    pinger: Ping = ping,
    resolver: Resolver = resolve,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[dict[str, Any]]:
    """Per target `{name, host, address, ms, sent, answered}`; ms: median, null for no answer.

    targets: `{name, host}`, host: address or name; timeout: s, after which no more requests are sent
    Raises BindError, NodeError where echo requests may not be sent.
    """
    check(targets, probes)
    addresses = _addresses([target["host"] for target in targets], resolver)
    known = [(str(place), addresses[target["host"]]) for place, target in enumerate(targets)]
    usable = [Target(name, address) for name, address in known if address]
    took: dict[str, list[float]] = {name: [] for name, _address in known}
    sent = dict.fromkeys(took, 0)
    end = clock() + timeout
    for turn in range(probes if usable else 0):
        began = clock()
        if turn and began + ROUND > end:
            break
        for start in range(0, len(usable), BURST):
            burst = usable[start : start + BURST]
            answers = pinger(burst, ROUND)
            for target in burst:
                sent[target.name] += 1
                took[target.name] += [answers[target.name]] if target.name in answers else []
        if turn + 1 < probes:
            sleep(max(0.0, GAP - (clock() - began)))
    return [
        {
            "name": target["name"],
            "host": target["host"],
            "address": address,
            "ms": round(statistics.median(took[key]) * 1000, 2) if took[key] else None,
            "sent": sent[key],
            "answered": len(took[key]),
        }
        for target, (key, address) in zip(targets, known)
    ]


def pairs(name: str, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What mesh_registry takes as `latencies`: those that answered."""
    return [
        {"ends": [name, item["name"]], "ms": item["ms"]}
        for item in found
        if item["ms"] is not None and item["name"] != name
    ]


def check(targets: Sequence[Mapping[str, str]], probes: int) -> None:
    """Raises BindError."""
    problems = []
    if len(targets) > MOST_TARGETS:
        problems.append(Problem("targets", f"{len(targets)} of them", f"up to {MOST_TARGETS}"))
    if not 1 <= probes <= MOST_PROBES:
        problems.append(Problem("probes", probes, f"1 to {MOST_PROBES}"))
    names = [target["name"] for target in targets]
    problems += [
        Problem("targets", name, "each name once") for name in sorted(set(names)) if names.count(name) > 1
    ]
    problems += [
        Problem("targets", target["host"], "an address or a host's name", target=target["name"])
        for target in targets
        if not target["host"].strip() or target["host"].startswith("-")
    ]
    if problems:
        raise BindError(problems)


def _addresses(hosts: Sequence[str], resolver: Resolver) -> dict[str, Optional[str]]:
    """Host → its address by this node's resolver, the best; None where it has none."""
    distinct = list(dict.fromkeys(hosts))
    if not distinct:
        return {}
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(resolver, distinct))
    return {host: answer[0] if answer else None for host, answer in zip(distinct, found)}
