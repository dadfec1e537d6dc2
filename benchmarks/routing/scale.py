# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same daemons in a larger, sparse mesh: how long until all have all routes, and what a node pays."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from itertools import combinations
from pathlib import Path

from benchmarks.routing.candidates import Candidate
from benchmarks.routing.daemons import KINDS, Daemon
from benchmarks.routing.netlink import PLANNED_METRIC
from benchmarks.routing.network import Network
from benchmarks.routing.probes import Prober
from benchmarks.routing.programs import provide

Links = dict[tuple[int, int], float]
PATIENCE, REST = 120.0, 20.0
_HOST_MASK = "FFFFFFFF"


def graph(count: int, degree: int, seed: int) -> tuple[Links, list[int]]:
    """(links with their round trip in ms, who forwards): as the planner does it, every leaf has two hubs.

    A fifth of the nodes, at least three, are hubs and linked with each other; other links join leaves.
    """
    dice = random.Random(seed)
    hubs = list(range(1, 1 + max(3, count // 5)))
    leaves = list(range(hubs[-1] + 1, count + 1))
    pairs = set(combinations(hubs, 2))
    for leaf in leaves:
        pairs |= {(hub, leaf) for hub in dice.sample(hubs, 2)}
    open_ends = dict.fromkeys(leaves, degree - 2)
    wanted = list(combinations(leaves, 2))
    dice.shuffle(wanted)
    for pair in wanted:
        if all(open_ends[end] > 0 for end in pair):
            pairs.add(pair)
            for end in pair:
                open_ends[end] -= 1
    return {pair: dice.uniform(2, 80) for pair in sorted(pairs)}, hubs


def host_routes(pid_path: str) -> int:
    """How many single addresses a daemon has routes to in the namespace of that process."""
    rows = [line.split() for line in Path(pid_path, "net/route").read_text().splitlines()[1:]]
    return sum(row[7] == _HOST_MASK and int(row[6]) < PLANNED_METRIC for row in rows)


def measure(candidate: Candidate, count: int, degree: int, seed: int = 1) -> dict[str, float | None]:
    """All of it once. Raises LabError."""
    links, hubs = graph(count, degree, seed)
    daemons: dict[int, Daemon] = {}
    with tempfile.TemporaryDirectory(prefix="routing-scale-") as work:
        network = Network(links, hubs, seed)
        try:
            for place, number in enumerate(network.numbers):
                programs = provide(candidate.releases[place % len(candidate.releases)])
                daemons[number] = KINDS[candidate.daemon](programs, candidate, network, number, Path(work))
            began = time.monotonic()
            for daemon in daemons.values():
                daemon.start()
            routes = _wait_routes(network, began)
            values = _at_rest(network, daemons)
            return {
                "nodes": count,
                "links": len(links),
                "routes_s": routes,
                **values,
                **_outage(network, hubs),
            }
        finally:
            for daemon in daemons.values():
                daemon.kill()
            network.close()


def _wait_routes(network: Network, began: float) -> float | None:
    """Seconds until every node has a route to every other."""
    missing = list(network.spaces.values())
    while time.monotonic() < began + PATIENCE:
        missing = [one for one in missing if host_routes(one.process_path) < len(network.numbers) - 1]
        if not missing:
            return time.monotonic() - began
        time.sleep(0.05)
    return None


def _at_rest(network: Network, daemons: dict[int, Daemon]) -> dict[str, float | None]:
    time.sleep(REST)
    began = time.monotonic()
    used = {number: daemon.seconds() for number, daemon in daemons.items()}
    sent = {number: network.sent(number) for number in daemons}
    time.sleep(REST)
    took = time.monotonic() - began
    cpu = [100 * (daemon.seconds() - used[number]) / took for number, daemon in daemons.items()]
    after = {number: network.sent(number) for number in daemons}
    kbit = [8 * (after[number][1] - sent[number][1]) / took / 1000 for number in daemons]
    packets = [(after[number][0] - sent[number][0]) / took for number in daemons]
    memory = [_resident(daemon.pid) for daemon in daemons.values()]
    return {
        "cpu_median": statistics.median(cpu),
        "cpu_worst": max(cpu),
        "kbit_median": statistics.median(kbit),
        "kbit_worst": max(kbit),
        "packets_median": statistics.median(packets),
        "packets_worst": max(packets),
        "mb_worst": max(memory),
        "load": os.getloadavg()[0],
    }


def _resident(pid: int) -> float:
    """MB of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _outage(network: Network, hubs: list[int]) -> dict[str, float | None]:
    """The shortest link of two leaves drops everything: seconds without an answer between them."""
    here, there = min(
        (pair for pair in network.links if not set(pair) & set(hubs)), key=network.links.__getitem__
    )
    spaces, address = network.spaces, network.address
    prober = Prober(spaces[here], address(here), spaces[there], address(there))
    try:
        time.sleep(3)
        began = time.monotonic()
        network.shape([(here, there)], up=0)
        time.sleep(8)
        return {"outage_s": prober.lost(began, began + 8) / 100}
    finally:
        prober.close()
