# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is to send to one destination by a new way, so that no packet can go round in a circle. Pure.

Each member that forwards has ways that it may use now: mostly one, several where it is not known which.
Whatever mixture of them is in use, there is no circle as long as the graph of all these ways has none. So a
member gets its new way when that closes no circle with all ways that anybody may use; else it keeps its own.

Those nearest to the destination come first. When everybody is known to use one way, and some are still to
change, the nearest of them can: from there on the new ways are in use already, and lead to the destination.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

Graph = dict[str, set[str]]


def waiting(
    wanted: Mapping[str, str], possible: Callable[[str], Iterable[str]], fixed: Collection[str] = ()
) -> set[str]:
    """Those of `wanted` that have to keep their way as yet.

    wanted: member → the neighbour that is to be its new way; "" for the destination itself
    possible: member → neighbours that it may send to now; only such as send on
    fixed: of `wanted`, those that cannot keep a way, as they have none
    """
    now = _explored(wanted, possible)
    both = {name: ends | {wanted[name]} if wanted.get(name) else ends for name, ends in now.items()}
    core = _core(both)
    turning = [name for name in wanted if name in core]
    if not turning:
        return set()
    graph = {name: now[name] & core for name in core}
    found = set()
    for name in sorted(turning, key=lambda name: (name not in fixed, _steps(name, wanted, now), name)):
        end = wanted[name]
        if end not in core or end in graph[name]:
            continue
        if name not in fixed and _leads(graph, end, name):
            found.add(name)
        else:
            graph[name].add(end)
    return found


def _explored(wanted: Mapping[str, str], possible: Callable[[str], Iterable[str]]) -> Graph:
    """The ways of all whom a packet can come to."""
    found: Graph = {}
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = set(possible(name))
        todo += found[name]
        if wanted.get(name):
            todo.append(wanted[name])
    return found


def _core(graph: Mapping[str, Collection[str]]) -> set[str]:
    """Without those from whom no way leads to a circle. Empty: there is none."""
    before: dict[str, list[str]] = {name: [] for name in graph}
    left = {}
    for name, ends in graph.items():
        left[name] = len(ends)
        for end in ends:
            before[end].append(name)
    done = [name for name, count in left.items() if not count]
    for name in done:
        for other in before[name]:
            left[other] -= 1
            if not left[other]:
                done.append(other)
    return graph.keys() - set(done)


def _steps(name: str, wanted: Mapping[str, str], now: Mapping[str, Collection[str]]) -> int:
    """How many members the new way leads over; where it leads nowhere, more than there are."""
    for count in range(len(now) + 1):
        ends = now.get(name, ())
        after = wanted[name] if name in wanted else min(ends, default="")
        if not after:
            return count
        name = after
    return len(now) + 1


def _leads(graph: Mapping[str, Collection[str]], start: str, end: str) -> bool:
    seen, todo = {start}, [start]
    while todo:
        name = todo.pop()
        if name == end:
            return True
        fresh = [other for other in graph[name] if other not in seen]
        seen.update(fresh)
        todo += fresh
    return False
