# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes on the running lab of virtual machines whose name is in SWARM_NODE_LAB."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ansible_run import CHECKOUT
from benchmarks.routing import trial
from benchmarks.routing.scene import DIRECT, Scene
from benchmarks.routing.vm import agents as programs
from benchmarks.routing.vm import steps as all_about
from benchmarks.routing.vm.agents import Agent
from benchmarks.routing.vm.mesh import TrialMesh
from benchmarks.routing.vm.scene import NAMES, GuestScene, GuestWatch, address, together
from lab.errors import LabError
from lab.faults import Faults
from lab.shell import run

Say = Callable[[str], None]
Passes = list[dict[str, Any]]
_UP = "systemctl is-active --quiet swarm-node-routing@wan && echo up || true"
_ABOUT = """
printf 'kernel '; uname -r
printf 'babeld '; dpkg-query -W -f '${Version}\n' babeld
"""
_LOG = "journalctl -q -b -u swarm-node-routing@wan -o cat --no-pager | sort | uniq -c | sort -rn | head -40"


def lab_name() -> str:
    """Raises LabError."""
    name = os.environ.get("SWARM_NODE_LAB")
    if not name:
        lines = "scripts/with-lab routing:vm .venv/bin/python scripts/routing-trial --vm"
        raise LabError(f"SWARM_NODE_LAB names no lab; this brings one up and removes it: {lines}")
    return name


def measure(
    wanted: Sequence[str], count: int, say: Say, keep: Callable[[dict[str, Any], Passes], None]
) -> tuple[dict[str, Any], Passes]:
    """(with what it was measured, passes); `keep` gets the same after each pass. Raises LabError.

    Ctrl-C ends it with the passes that are whole.
    """
    name = lab_name()
    # `python -m lab` is found from there, by all that is called.
    os.chdir(CHECKOUT)
    known: dict[str, Any] = {}
    found: Passes = []
    with tempfile.TemporaryDirectory(prefix="routing-vm-") as work:
        mesh = TrialMesh(Path(work), name)
        guests = reach(name)
        try:
            if not all(agent.shell(_UP, 300).strip() for agent in guests.values()):
                mesh.join(say)
            numbers, underlay = mesh.numbers(), mesh.underlay()
            known = facts(guests)
            watches = [
                GuestWatch(guests[one], address(numbers[other])) for one, other in (DIRECT, DIRECT[::-1])
            ]
            chosen = {key: step for key, step in all_about.all_steps(mesh).items() if key in wanted}
            for number in range(1, count + 1):
                began = time.monotonic()
                scene = GuestScene(guests, watches, numbers, underlay)
                try:
                    found.append({**one_pass(scene, chosen), "seed": number})
                finally:
                    scene.close()
                found[-1]["seconds"] = round(time.monotonic() - began)
                keep(known, found)
                say(f"pass {number}: {found[-1]['seconds']} s {found[-1]['error']}")
        except KeyboardInterrupt:
            say("interrupted")
        finally:
            for agent in guests.values():
                agent.close()
    return known, found


def one_pass(scene: GuestScene, chosen: Mapping[str, Callable[[Scene], Any]]) -> dict[str, Any]:
    """What trial.walk finds, and how calm the guests were meanwhile."""
    late: dict[str, dict[str, float]] = {}

    def listened(name: str, step: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
        def do(stage: Scene) -> Any:
            scene.late()
            found = step(stage)
            late[name] = scene.late()
            return found

        return do

    steps = {name: listened(name, step) for name, step in chosen.items()}
    found = trial.walk(scene, steps, all_about.BY_RELAY)
    trips = scene.prober.round_trips()
    return {
        **found,
        "late": late,
        "skew_ms": {agent.name: round(1000 * agent.skew, 1) for agent in scene.agents.values()},
        "probe_interval_ms": round(1000 * scene.prober.interval, 2),
        "round_trip_ms": {
            "median": round(statistics.median(trips), 1),
            "99 %": round(sorted(trips)[len(trips) * 99 // 100], 1),
            "worst": round(max(trips), 1),
        },
        "log": {agent.name: agent.shell(_LOG, 120).splitlines() for agent in scene.agents.values()},
    }


def reach(name: str) -> dict[int, Agent]:
    """An agent in each guest. Raises LabError."""
    faults, data = Faults(name), programs.program()

    def put(guest: str) -> Callable[[], Agent]:
        def do() -> Agent:
            run(faults.command("exec", guest, "sh", "-c", f"cat >{programs.PROGRAM}"), data=data, timeout=300)
            agent = Agent(guest, faults.command("exec", guest, "python3", "-I", programs.PROGRAM))
            agent.ask("clock", 120)
            agent.synchronize()
            return agent

        return do

    return together({number: put(guest) for number, guest in NAMES.items()})


def facts(guests: Mapping[int, Agent]) -> dict[str, Any]:
    """{guest: {kernel, babeld}}"""
    found = {}
    for agent in guests.values():
        lines = [line.split(" ", 1) for line in agent.shell(_ABOUT).splitlines()]
        found[agent.name] = dict(lines)
    return found
