# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mesh's registry goes through on the controller: all join, plan anew, get new keys. Needs no lab.

With the registry, its checks and the steps in which routes move; the planner alone is `mesh_planner`. Each
mesh is made in a process of its own. Seconds are those of the processor.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ansible_run import CHECKOUT
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, samples
from benchmarks.mesh_planner import collection_home, fleet

NOW = 1_800_000_000.0
PREFIXES = ("10.64.0.0/10", "fd12:3456:789a::/48")
TIMEOUT = 1800.0
MEASURES = (
    ("join", "all join", "s"),
    ("replan", "planned anew by measured latency", "s"),
    ("finish", "the step after that", "s"),
    ("rotate", "all get new keys", "s"),
    ("memory", "largest memory of the process", "MB"),
)


def benchmark(
    repetitions: int, say: Callable[[str], None], work: Path, counts: list[int]
) -> tuple[list[Row], dict[str, Any]]:
    """Rows per size, and what came of it. Raises BenchmarkError."""
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    home = collection_home(work)
    for count in counts:
        found = []
        for number in range(1, repetitions + 1):
            say(f"mesh life {number}/{repetitions}: {count} members")
            found.append(_run(home, count))
            check(found[-1], count)
        for name, measure, unit in MEASURES:
            rows.append(
                Row("mesh life", f"{count} members: {measure}", unit, samples([one[name] for one in found]))
            )
        facts[f"life of a mesh of {count}"] = found[0]["counts"]
    return rows, facts


def check(found: dict[str, Any], count: int) -> None:
    """Raises BenchmarkError where it did not come to what it has to."""
    counts = found["counts"]
    wrong = [
        text
        for text, bad in (
            (f"{counts['members']} members", counts["members"] != count),
            (
                f"{counts['beside']} of {counts['links']} links with new keys",
                counts["beside"] != counts["links"],
            ),
            (f"{counts['waiting']} steps are waited for", not counts["waiting"]),
        )
        if bad
    ]
    if wrong:
        raise BenchmarkError(f"mesh of {count}: {', '.join(wrong)}")


def _run(home: Path, count: int) -> dict[str, Any]:
    line = [sys.executable, "-m", "benchmarks.mesh_life", str(count)]
    environment = {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{CHECKOUT}"}
    try:
        done = subprocess.run(
            line, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"a mesh of {count} was not done in {TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise BenchmarkError(f"a mesh of {count} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def life(count: int) -> dict[str, Any]:
    """One mesh in this process: seconds of the processor, largest memory in MB, counts."""
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh import changes, lifecycle, shares

    members, latency = fleet(count)

    def run(registry: Any, operation: str, candidates: Any = (), known: Any = None, **more: Any) -> Any:
        context = changes.Context(now=NOW, resolver=lambda name: [], latency=known or {})
        order = lifecycle.Order(operation, "wan", candidates=tuple(candidates), **more)
        start = time.process_time()
        done, report = lifecycle.run(registry, order, context)
        return done, report, time.process_time() - start

    joined, _, join = run(None, "join", _candidates(members, 1))
    planned, report, replan = run(joined, "replan", known=latency)
    saw = {
        (item.member, tunnel.interface) for item in shares.Shares(planned).all() for tunnel in item.tunnels
    }
    _, _, finish = run(planned, "finish", proofs=saw, applied=tuple(planned.members))
    rotated, _, rotate = run(joined, "rotate", _candidates(members, 2))
    counts = {
        "members": len(joined.members),
        "links": len(joined.links),
        "links planned anew": len(planned.links),
        "ways": len(planned.ways),
        "waiting": len(report.pending),
        "beside": sum(link.next is not None for link in rotated.links.values()),
    }
    return {
        "join": join,
        "replan": replan,
        "finish": finish,
        "rotate": rotate,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "counts": counts,
    }


def _candidates(members: list[dict[str, Any]], generation: int) -> list[Any]:
    """Hosts that ask to join, or bring another key."""
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh.candidates import Candidate

    found = []
    for number, member in enumerate(members):
        key = hashlib.sha256(f"{member['name']} {generation}".encode()).digest()
        found.append(
            Candidate(
                member["name"],
                public_key=base64.b64encode(key).decode(),
                generation=generation,
                region=member["region"],
                transit=member["transit"],
                nat=not member["reachable"],
                endpoint=f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
                if member["reachable"]
                else "",
                underlay_mtu=1500,
                time=NOW,
                settings={"prefixes": list(PREFIXES)},
            )
        )
    return found


if __name__ == "__main__":
    print(json.dumps(life(int(sys.argv[1]))))
