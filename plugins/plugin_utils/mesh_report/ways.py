# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way packets take from each member to each other, out of what each says of its next one. Pure.

Members are looked at one after the other: while routes change, ways that do not fit together may be seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

DIRECT, RELAYED, UNREACHABLE, UNKNOWN, LOOP = "direct", "relayed", "unreachable", "unknown", "loop"
KINDS = (DIRECT, RELAYED, UNREACHABLE, UNKNOWN, LOOP)

NextHops = Mapping[str, Mapping[str, str]]
"""Member → destination → next member, "" where it knows that there is no way."""


KEPT = 500
"""Of the pairs that are worth naming, the worst."""


@dataclass(frozen=True)
class Path:
    """members: from the first to the last that is known; rtt: ms, None where a link's is not known"""

    kind: str
    goal: str
    members: tuple[str, ...]
    rtt: float | None = None


@dataclass
class Overview:
    """counts: member → kind → destinations. relays: member → ordered pairs that send over it.

    over: pairs whose way is longer than their target (ms), the worst KEPT of over_count.
    broken: KEPT of those that do not arrive. paths: all of them, where they were asked for.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    relays: Counter[str] = field(default_factory=Counter)
    over: list[tuple[Path, float]] = field(default_factory=list)
    over_count: int = 0
    broken: list[Path] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def take(self, path: Path, target: float) -> None:
        if path.kind == RELAYED:
            self.relays.update(path.members[1:-1])
        if path.kind in (UNREACHABLE, LOOP):
            if len(self.broken) < KEPT:
                self.broken.append(path)
        elif path.rtt is not None and path.rtt > target:
            self.over_count += 1
            self.over.append((path, target))
            if len(self.over) >= 4 * KEPT:
                self.cut()

    def cut(self) -> None:
        self.over.sort(key=lambda one: one[1] - (one[0].rtt or 0.0))
        del self.over[KEPT:]


def follow(start: str, goal: str, hops: NextHops, rtts: Mapping[tuple[str, str], float]) -> Path:
    """From one member to another. rtts: ms of links, by their ends in alphabetical order."""
    members, at, total = [start], start, 0.0
    known = True
    while at != goal:
        there = hops[at].get(goal) if at in hops else None
        if not there:
            return Path(UNKNOWN if there is None else UNREACHABLE, goal, tuple(members))
        rtt = rtts.get((at, there) if at < there else (there, at))
        if rtt is None:
            known = False
        else:
            total += rtt
        if there in members:
            return Path(LOOP, goal, (*members, there))
        members.append(there)
        at = there
    return Path(
        DIRECT if len(members) == 2 else RELAYED, goal, tuple(members), round(total, 3) if known else None
    )


def overview(
    members: Iterable[str],
    hops: NextHops,
    rtts: Mapping[tuple[str, str], float],
    target: Callable[[str, str], float],
    every: bool,
) -> Overview:
    """All ordered pairs, from members that have answered. target: ms of a pair; every: keep all paths."""
    found = Overview()
    names = sorted(members)
    for start in names:
        if start not in hops:
            continue
        counts: Counter[str] = Counter()
        for goal in names:
            if goal != start:
                path = follow(start, goal, hops, rtts)
                counts[path.kind] += 1
                found.take(path, target(start, goal))
                if every:
                    found.paths.append(path)
        found.counts[start] = counts
    found.cut()
    return found
