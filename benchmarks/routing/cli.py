# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/routing-trial: measures routing daemons over emulated links, as root: docs/routing-trials.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.ansible_run import CHECKOUT
from benchmarks.mesh_planner import collection_home
from benchmarks.routing import columns, report, trial
from benchmarks.routing.candidates import CANDIDATES, Candidate, variant
from benchmarks.routing.programs import PACKAGES, RELEASES, provide
from lab.errors import LabError

VM_USUAL = tuple(step for step in columns.STEPS if step not in ("tcp20", "tcp100", "bbr"))
VM_STEPS = (*columns.STEPS, "still", "rotate", "play_drain")
REPORTS = CHECKOUT / "reports" / "routing"


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/routing-trial", description=__doc__)
    parser.add_argument(
        "candidate",
        nargs="*",
        help="NAME or NAME:option=value,option=value… (default: all); names: " + ", ".join(CANDIDATES),
    )
    parser.add_argument("--passes", type=int, default=5, help="of each candidate (5)")
    parser.add_argument("--jobs", type=int, default=3, help="passes at a time (3)")
    parser.add_argument("--only", help=f"these steps, with commas between: {','.join(columns.STEPS)}")
    parser.add_argument(
        "--scale",
        metavar="N:K",
        action="append",
        help="instead of the columns: once each in a mesh of N nodes with K neighbours; may be repeated",
    )
    parser.add_argument(
        "--vm",
        action="store_true",
        help="instead: the chosen setting on four virtual machines, the running lab of SWARM_NODE_LAB",
    )
    parser.add_argument("--unplanned", action="store_true", help="without the mesh's own routes below")
    parser.add_argument("--wireguard", action="store_true", help="links are tunnels of wireguard-go")
    parser.add_argument("--cold", action="store_true", help="these, and their first handshakes fail")
    parser.add_argument(
        "--long",
        metavar="MINUTES",
        type=float,
        help="instead: faults by chance in a mesh under load, that long",
    )
    parser.add_argument("--nodes", type=int, default=8, help="of the long trial (8)")
    parser.add_argument("--seed", type=int, default=1, help="of the long trial (1)")
    parser.add_argument("--raw", type=Path, help="of the long trial: file for every probe, link and route")
    parser.add_argument("--again", type=Path, help="reckon this long trial's JSON anew, from its --raw")
    parser.add_argument("--json", type=Path, help="file for all values (else below reports/routing)")
    options = parser.parse_args(argv)
    if options.long is not None and not (1 <= options.long <= 1440 and 6 <= options.nodes <= 20):
        parser.error("--long: 1 to 1440 minutes, with --nodes 6 to 20")
    if options.again and not options.raw:
        parser.error("--again: needs --raw, the file with every probe of that trial")
    usual, known = (VM_USUAL, VM_STEPS) if options.vm else (tuple(columns.STEPS),) * 2
    options.steps = options.only.split(",") if options.only else list(usual)
    strange = [step for step in options.steps if step not in known]
    if strange:
        parser.error(f"--only: {', '.join(strange)}; there are {', '.join(known)}")
    if options.vm and (options.candidate or options.scale or options.wireguard or options.cold):
        parser.error(
            "--vm: the mesh is the role's own, so there is no candidate, --scale, --wireguard or --cold"
        )
    try:
        options.scale = sizes(options.scale or [])
        options.chosen = dict(parse(word) for word in options.candidate) or dict(CANDIDATES)
    except ValueError as error:
        parser.error(str(error))
    return options


def parse(word: str) -> tuple[str, Candidate]:
    """A candidate as it is called on the command line."""
    name, _, changes = word.partition(":")
    if name not in CANDIDATES:
        raise ValueError(f"candidate {name}: there are {', '.join(CANDIDATES)}")
    words = changes.split(",") if changes else []
    if not all("=" in one for one in words):
        raise ValueError(f"candidate {word}: changes are option=value, with commas between")
    return word, variant(name, words)


def sizes(words: list[str]) -> list[tuple[int, int]]:
    """N:K as numbers. Raises ValueError."""
    found = []
    for word in words:
        count, _, degree = word.partition(":")
        if not (count.isdigit() and degree.isdigit() and 8 <= int(count) <= 60 and 3 <= int(degree) <= 8):
            raise ValueError(f"--scale {word}: N:K, 8 to 60 nodes with 3 to 8 neighbours")
        found.append((int(count), int(degree)))
    return found


def facts(options: argparse.Namespace) -> dict[str, Any]:
    """With what it was measured."""
    releases = sorted({release for one in options.chosen.values() for release in one.releases})
    return {
        "date": datetime.now(timezone.utc).replace(microsecond=0).isoformat(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "versions": {
            f"{package} {one}": provide(one).version(package) for one in releases for package in PACKAGES
        },
        "jobs": options.jobs,
        "planned": not options.unplanned,
        "wireguard": options.wireguard or options.cold,
    }


def long_trial(options: argparse.Namespace) -> int:
    """Faults by chance, with the schedule and the result in one file; raises LabError."""
    # The routing layer's own renderer is needed here, and nowhere else.
    with tempfile.TemporaryDirectory(prefix="routing-long-") as home:
        sys.path.insert(0, str(collection_home(Path(home))))
        from benchmarks.routing.long import report as long_report
        from benchmarks.routing.long import run

        sys.path.pop(0)

    if options.again:
        data = json.loads(options.again.read_text(encoding="utf-8"))
        data["result"].update(run.reckon_again(options.raw, data["facts"]["forwarding"]))
        options.json = options.again
        print(f"{long_report.table(data['result'])}\n\n{write(options, data)}")
        return 0
    plan = run.make_plan(options.long, options.nodes, options.seed)
    found = run.measure(plan, lambda line: print(line, flush=True), options.raw)
    known = {
        "date": datetime.now(timezone.utc).replace(microsecond=0).isoformat(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "versions": {one: provide(one).version("babeld") for one in RELEASES},
        "minutes": options.long,
        "nodes": options.nodes,
        "seed": options.seed,
        "links": {"-".join(map(str, pair)): link.rtt for pair, link in plan.links.items()},
        "forwarding": plan.forwarding,
        "streams": [asdict(stream) for stream in plan.streams],
    }
    path = write(options, {"facts": known, "result": found}, "long-")
    print(f"\n{long_report.table(found)}\n\n{path}")
    return 0


def vm_trial(options: argparse.Namespace) -> int:
    """The columns on virtual machines; raises LabError."""
    # The routing layer's own texts and the tests' ways with a lab are needed here, and nowhere else.
    with tempfile.TemporaryDirectory(prefix="routing-vm-") as home:
        sys.path[:0] = [str(collection_home(Path(home))), str(CHECKOUT / "tests")]
        from benchmarks.routing.vm.run import measure

        del sys.path[:2]
    options.json = options.json or REPORTS / f"vm-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}.json"

    def keep(guests: dict[str, Any], passes: list[dict[str, Any]]) -> None:
        known = {
            "date": datetime.now(timezone.utc).replace(microsecond=0).isoformat(),
            "kernel": platform.release(),
            "cores": os.cpu_count(),
            "guests": guests,
        }
        write(options, {"facts": known, "passes": {"babeld": passes}})

    _, found = measure(options.steps, options.passes, lambda line: print(line, flush=True), keep)
    print(report.table({"babeld": found}))
    print(options.json)
    return 1 if any(one["error"] for one in found) else 0


def write(options: argparse.Namespace, data: dict[str, Any], prefix: str = "") -> Path:
    path: Path = options.json or REPORTS / f"{prefix}{datetime.now(timezone.utc):%Y%m%dT%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return path


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if os.geteuid() != 0:
        print("routing-trial: namespaces and TUN devices need root", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, trial.interrupt)
    try:
        if options.long is not None or options.again:
            return long_trial(options)
        if options.vm:
            return vm_trial(options)
        known = facts(options)
        if options.scale:
            found, shown = trial.scales(options.chosen, options.scale), report.SCALE
        else:
            shown = report.COLUMNS
            how = trial.How(not options.unplanned, options.wireguard or options.cold, options.cold)
            found = trial.passes(options.chosen, options.steps, options.passes, options.jobs, how)
    except LabError as error:
        print(f"routing-trial: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("routing-trial: interrupted", file=sys.stderr)
        return 130
    path = write(options, {"facts": known, "passes": found})
    print(report.table(found, shown))
    print(f"{', '.join(f'{name} {version}' for name, version in known['versions'].items())}. {path}")
    return 1 if any(one["error"] for passes in found.values() for one in passes) else 0
