# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: python -m benchmarks [--short] [--only NAME].

All but those of the mesh need the lab that SWARM_NODE_LAB names.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import gpu, kernel, merge, mesh_delivery, mesh_life, mesh_planner, node, peer
from benchmarks.ansible_run import CHECKOUT, Playbooks
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, table

REPORTS = CHECKOUT / "reports" / "benchmarks"
NAMES = ["kernel", "gpu", "merge", "mesh_planner", "mesh_life", "mesh_delivery"]
WITHOUT_LAB = {"mesh_planner", "mesh_life", "mesh_delivery"}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="one repetition; merge of 100 hosts, small meshes only"
    )
    parser.add_argument("--only", choices=NAMES, action="append", help="this benchmark; may be repeated")
    return parser.parse_args(argv)


def say(text: str) -> None:
    print(f"benchmarks: {text}", flush=True)


def measure(short: bool, names: list[str]) -> tuple[list[Row], dict[str, Any]]:
    """All rows, and what they were measured with. Raises BenchmarkError."""
    lab = None if WITHOUT_LAB.issuperset(names) else node.require_lab()
    repetitions = 1 if short else 3
    collections, facts = [], machine()
    if "kernel" in names:
        home, facts["ansible.posix"] = peer.provide()
        collections.append(home)
    rows: list[Row] = []
    load = [os.getloadavg()[0]]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="swarm-node-bench-") as name:
        work = Path(name)
        playbooks = Playbooks(work, collections)
        if "kernel" in names:
            rows += kernel.benchmark(playbooks, repetitions, say)
        if "gpu" in names:
            rows += gpu.benchmark(playbooks, repetitions, say)
        if "merge" in names:
            rows += merge.benchmark(playbooks, repetitions, say, work, [100] if short else [100, 1000])
        if "mesh_planner" in names:
            counts = [100, 1000] if short else [100, 1000, 10000]
            planned, meshes = mesh_planner.benchmark(repetitions, say, work, counts)
            rows += planned
            facts.update(meshes)
        if "mesh_life" in names:
            lived, meshes = mesh_life.benchmark(
                repetitions, say, work, [100] if short else [100, 1000, 10000]
            )
            rows += lived
            facts.update(meshes)
        if "mesh_delivery" in names:
            counts = [50] if short else [50, 100, 200]
            rows += mesh_delivery.benchmark(playbooks, repetitions, say, work, counts)
    load.append(os.getloadavg()[0])
    facts.update(lab=lab, short=short, repetitions=repetitions, load_1min_before_after=load)
    facts["seconds"] = round(time.monotonic() - start, 1)
    return rows, facts


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "ansible-core": version("ansible-core"),
    }


def write(rows: list[Row], facts: dict[str, Any]) -> Path:
    """The result as JSON, named by its time in UTC."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    stamp = facts["date"].replace(":", "").replace("-", "").partition("+")[0]
    path = REPORTS / f"{stamp}Z.json"
    data = {"facts": facts, "rows": [row.as_json() for row in rows]}
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    return path


def main(argv: list[str] | None = None) -> int:
    """0 when all ran, whatever the times; 1 if one could not run, or a count is wrong."""
    options = arguments(argv)
    # As an exception it lets the nodes be restored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        rows, facts = measure(options.short, options.only or NAMES)
    except BenchmarkError as error:
        print(f"benchmarks: error: {error}", file=sys.stderr)
        # Where restoring the node failed, too, the first failure is the one that matters.
        if isinstance(error.__context__, BenchmarkError):
            print(f"benchmarks: that was after: {error.__context__}", file=sys.stderr)
        return 1
    path = write(rows, facts)
    print(f"\n{table(rows)}\n")
    print("median (min-max); " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"written to {path.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
