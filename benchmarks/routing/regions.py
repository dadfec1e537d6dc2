# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What members of a mesh of several regions pay, announced as a whole and one by one; as root.

python -m benchmarks.routing.regions [--regions N] [--relays N] [--others N] [--timers NAME]

Files, shares and planned routes are those of nodes; babeld 1.12 and 1.13 in turns, in network namespaces.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent.parent.parent
SETTLE, PATIENCE, REST = 20.0, 240.0, 30.0
"""Seconds: at rest before it is measured; until all have their routes; measured."""

sys.path[:0] = [str(HERE / "tests"), str(HERE / "tests/unit/plugins/module_utils/routing")]

if not TYPE_CHECKING:
    import conftest  # noqa: F401 - it makes the collection importable

from routing_regions import World, planned  # noqa: E402 - by the path above


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, value in (("regions", 4), ("relays", 2), ("others", 10), ("neighbours", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--timers", default="small")
    options = parser.parse_args()
    for above in (0, 4):
        print(json.dumps(measure(options, above)), flush=True)


def measure(options: argparse.Namespace, above: int) -> dict[str, Any]:
    """One mesh, from its start on. above: 0 for members one by one"""
    regions = {f"r{at}n": (options.relays, options.others) for at in range(options.regions)}
    registry = planned(regions, neighbours=options.neighbours, aggregate_above=above)
    with tempfile.TemporaryDirectory(prefix="routing-regions-") as work:
        world = World(Path(work), registry, timers=options.timers)
        try:
            began = time.monotonic()
            for node in world.nodes.values():
                node.start()
            started = time.monotonic() - began
            routed = _wait(world, began)
            time.sleep(SETTLE)
            return {
                "announced": "as a whole" if above else "one by one",
                "members": len(world.nodes),
                "links": len(world.links),
                "timers": options.timers,
                "started_s": round(started, 1),
                "all_routes_s": routed,
                **_routes(world),
                **_traffic(world),
                "load": os.getloadavg()[0],
            }
        finally:
            world.close()


def _wanted(world: World, number: int) -> int:
    """IPv4 routes that a daemon is to have in the end."""
    share = world.shares[number]
    members = world.registry.members.values()
    far = {link.other(share.member) for link in world.registry.links_of(share.member)}
    single = [one for one in members if one.number // 64 not in share.other_blocks and one.number != number]
    near = [one for one in members if one.number // 64 in share.other_blocks and one.name in far]
    return len(single) + len(near) + len(share.other_blocks)


def _wait(world: World, began: float) -> float | None:
    """Seconds until every member has all its routes."""
    missing = list(world.numbers)
    while time.monotonic() < began + PATIENCE:
        missing = [one for one in missing if len(world.installed(one)) < _wanted(world, world.numbers[one])]
        if not missing:
            return round(time.monotonic() - began, 1)
        time.sleep(0.2)
    return None


def _routes(world: World) -> dict[str, Any]:
    counts = [len(world.installed(name)) for name in world.numbers]
    wanted = [_wanted(world, number) for number in world.numbers.values()]
    return {"routes": [min(counts), max(counts)], "wanted": [min(wanted), max(wanted)]}


def _traffic(world: World) -> dict[str, Any]:
    """Bytes a second that a member sends to each neighbour, IPv6 headers included."""
    before, began, used = _sent(world), time.monotonic(), _seconds(world)
    time.sleep(REST)
    after, took = _sent(world), time.monotonic() - began
    spent = _seconds(world)
    found: dict[str, Any] = {}
    for kind, transit in (("relays", True), ("others", False)):
        chosen = [number for number, share in world.shares.items() if share.transit == transit]
        rates = [
            (after[number] - before[number]) / took / sum(number in pair for pair in world.links)
            for number in chosen
        ]
        cpu = [100 * (spent[number] - used[number]) / took for number in chosen]
        found[kind] = {
            "bytes_s_median": round(statistics.median(rates)),
            "bytes_s_worst": round(max(rates)),
            "cpu_percent_median": round(statistics.median(cpu), 2),
        }
    return found


def _sent(world: World) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for (wire, end), row in world.wires.counters().items():
        found[int(wire.split("-")[int(end)])] += row["bytes"]
    return found


def _seconds(world: World) -> dict[int, float]:
    """Processor time of each daemon."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for number, node in world.nodes.items():
        assert node.daemon is not None
        fields = Path(f"/proc/{node.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        found[number] = (int(fields[11]) + int(fields[12])) / tick
    return found


if __name__ == "__main__":
    main()
