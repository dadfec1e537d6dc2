# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of the mesh alone: links and all routes of a fleet, and one more member. Needs no lab.

Each plan runs in a process of its own, whose largest memory is read at its end.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ansible_run import CHECKOUT
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, samples

REGION = 50
"""Members of a region."""

HUBS = 6
"""Transit members of a region; of its other members each fourth is behind NAT."""

LIMITS = (16, 6, 24)
"""full_mesh_up_to, neighbours, max_degree."""

WALKS = 2000
"""Pairs of members between which a packet is followed."""

TIMEOUT = 600.0


def benchmark(
    repetitions: int, say: Callable[[str], None], work: Path, counts: list[int]
) -> tuple[list[Row], dict[str, Any]]:
    """Rows per size, and what was planned. Raises BenchmarkError."""
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    home = collection_home(work)
    for count in counts:
        found = []
        for number in range(1, repetitions + 1):
            say(f"mesh planner {number}/{repetitions}: {count} members")
            found.append(_run(home, count))
            check(found[-1], count)
        for name, measure, unit in (
            ("links", "links", "s"),
            ("routes", "all routes", "s"),
            ("join", "one member joins", "s"),
            ("memory", "largest memory of the process", "MB"),
        ):
            values = samples([one[name] for one in found])
            rows.append(Row("mesh planner", f"{count} members: {measure}", unit, values))
        facts[f"mesh of {count}"] = found[0]["counts"]
    return rows, facts


def check(found: dict[str, Any], count: int) -> None:
    """Raises BenchmarkError where the plan is not what it has to be."""
    counts = found["counts"]
    wrong = [
        text
        for text, bad in (
            (f"{counts['members']} members", counts["members"] != count),
            (f"a member with {counts['degree']} links", counts["degree"] > LIMITS[2]),
            (f"{counts['lost']} of {WALKS} packets lost", counts["lost"] > 0),
            (f"{counts['lonely']} leaves with less than two transit members", counts["lonely"] > 0),
            (f"{counts['joined']} links for one more member", not 2 <= counts["joined"] <= LIMITS[1]),
            (f"{counts['moved']} links moved by one more member", counts["moved"] > 0),
        )
        if bad
    ]
    if wrong:
        raise BenchmarkError(f"mesh of {count}: {', '.join(wrong)}")


def collection_home(work: Path) -> Path:
    """A directory from which the checkout can be imported as the collection."""
    link = work / "planner" / "ansible_collections" / "swarm" / "node"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(CHECKOUT)
    return work / "planner"


def _run(home: Path, count: int) -> dict[str, Any]:
    line = [sys.executable, "-m", "benchmarks.mesh_planner", str(count)]
    environment = {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{CHECKOUT}"}
    try:
        done = subprocess.run(
            line, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"planning {count} members did not end in {TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise BenchmarkError(f"planning {count} members ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def fleet(count: int) -> tuple[list[dict[str, Any]], dict[tuple[str, str], float]]:
    """Members of regions as keyword arguments of Spot, and measured latency, alike in each run.

    Known: from each member to the hubs of its region and ten others of it, between hubs of three
    neighbouring regions.
    """
    chance = random.Random(count)
    members: list[dict[str, Any]] = []
    for number in range(count):
        region, place = divmod(number, REGION)
        transit = place < HUBS
        reachable = transit or place % 4 > 0
        name = f"node-{number:05d}"
        members.append(
            {"name": name, "region": f"region-{region:03d}", "transit": transit, "reachable": reachable}
        )
    latency: dict[tuple[str, str], float] = {}
    for number, member in enumerate(members):
        first = number - number % REGION
        inside = range(first, min(first + REGION, count))
        near = [*inside[:HUBS], *chance.sample(inside, min(10, len(inside)))]
        for other in near:
            if other != number:
                latency[member["name"], members[other]["name"]] = round(chance.uniform(0.2, 4), 2)
        if member["transit"]:
            for step in (1, 2, 3):
                other = number + step * REGION
                if other < count:
                    latency[member["name"], members[other]["name"]] = round(chance.uniform(5, 80), 2)
    return members, latency


def plan(count: int) -> dict[str, Any]:
    """One plan in this process: seconds, largest memory in MB, counts."""
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh import routes, topology

    members, latency = fleet(count)
    spots, limits = [topology.Spot(**member) for member in members], topology.Limits(*LIMITS)
    start = time.monotonic()
    links = topology.plan_links(spots, limits, latency, ())
    planned = time.monotonic()
    places = []
    for index, spot in enumerate(spots):
        number = index // REGION * routes.BLOCK + index % REGION + 1
        places.append(routes.Place(spot.name, spot.region, spot.transit, number, number // routes.BLOCK))
    table = routes.RouteTable(places, links.pairs, latency)
    # As a run over all hosts needs them: one after the other, none kept but for the check.
    total = sum(len(found) for spot in spots for found in table.next_hops(spot.name).values())
    routed = time.monotonic()
    more = topology.plan_links(
        [*spots, topology.Spot("new", spots[-1].region, False, True)], limits, latency, links.pairs, ["new"]
    )
    joined = time.monotonic()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    degree = Counter(end for ends in links.pairs for end in ends)
    hubs = {spot.name for spot in spots if spot.transit}
    held = Counter(end for ends in links.pairs for end, hub in (ends, ends[::-1]) if hub in hubs)
    counts = {
        "members": len(spots),
        "links": len(links.pairs),
        "routes": total,
        "degree": max(degree.values()),
        "lonely": sum(held[spot.name] < 2 for spot in spots if not spot.transit),
        "lost": _lost(table, places),
        "joined": len(set(more.pairs) - set(links.pairs)),
        "moved": len(set(links.pairs) - set(more.pairs)),
    }
    return {
        "links": planned - start,
        "routes": routed - planned,
        "join": joined - routed,
        "memory": memory,
        "counts": counts,
    }


def _lost(table: Any, places: list[Any]) -> int:
    """Packets between pairs taken by chance that do not arrive."""
    chance = random.Random(1)
    known: dict[str, dict[tuple[str, int], str]] = {}
    lost = 0
    for _ in range(WALKS):
        start, end = chance.sample(places, 2)
        wanted = (("member", end.number), ("block", end.block), ("all", 0))
        at, hops = start.name, 0
        while at and at != end.name and hops <= len(places):
            if at not in known:
                hops_of = table.next_hops(at)
                known[at] = {tuple(item): name for name, found in hops_of.items() for item in found}
            at = next((known[at][item] for item in wanted if item in known[at]), "")
            hops += 1
        lost += at != end.name
    return lost


if __name__ == "__main__":
    print(json.dumps(plan(int(sys.argv[1]))))
