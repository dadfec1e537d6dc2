# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller does to deliver a mesh to many hosts: our shares against a template over all hosts.

Neither side runs a module, so it needs no lab. Both are tasks of one play, the order changing with the
repetition, and a debug with them: what Ansible costs anyway. There are two plays: the least that a template
needs, on hosts without facts; and as a widely used role has it, on hosts whose facts were gathered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ansible_run import CHECKOUT, Playbooks
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, samples
from benchmarks.merge import FLOOR
from benchmarks.mesh_planner import collection_home
from benchmarks.mesh_templates import ROLE, SPARSE

ACTIONS = CHECKOUT / "benchmarks" / "action_plugins"
KINDS = {"plain": SPARSE, "as a role, with facts": ROLE}
REGION = 50
"""Members of a region, six of them with transit; of the others each fourth is behind NAT."""

ROLE_UP_TO = 100
"""Hosts; as a role it takes minutes for 200 (docs/benchmarks.md)."""

TIMEOUT = 600.0


def names(count: int) -> list[str]:
    return [f"node-{number:04d}" for number in range(1, count + 1)]


def public_key(name: str) -> str:
    """Made up; the last of its 32 bytes is zero so that it is a key's text."""
    return base64.b64encode(hashlib.sha256(name.encode()).digest()[:31] + b"\0").decode()


def endpoint(number: int) -> str:
    """Of the member `number` from 0; "" behind NAT."""
    place = number % REGION
    return "" if place >= 6 and place % 4 == 3 else f"192.0.{number // 250}.{number % 250 + 1}"


def inventory(count: int) -> dict[str, Any]:
    hosts: dict[str, Any] = {}
    for number, name in enumerate(names(count)):
        hosts[name] = {
            "wireguard_address": f"10.99.{number // 250}.{number % 250 + 1}",
            "wireguard_public_key": public_key(name),
            "wireguard_site": f"site-{number // REGION}",
        }
        if endpoint(number):
            hosts[name]["wireguard_endpoint"] = endpoint(number)
    return {"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}


def tasks(count: int, registry: Path, number: int, kind: str, facts: Path) -> list[dict[str, Any]]:
    """Both sides, and what Ansible needs for any. The template's asserts that it has the other hosts."""
    ours = {"name": "ours", "bench_mesh_share": {"registry": str(registry)}}
    callable_ones = sum(bool(endpoint(place)) for place in range(count))
    expected = f"length == {count - 1}"
    if kind != "plain":  # two behind NAT are no peers of each other
        expected = f"length == ({count - 1} if wireguard_endpoint is defined else {callable_ones})"
    peer = {
        "name": "peer",
        "ansible.builtin.assert": {
            "that": f"rendered | regex_findall('(?m)^PublicKey = ') | {expected}",
            "quiet": True,
        },
        "vars": {"rendered": KINDS[kind]},
    }
    order = [FLOOR, ours, peer] if number % 2 else [peer, ours, FLOOR]
    if kind == "plain":
        return order
    return [{"name": "facts", "bench_mesh_facts": {"file": str(facts)}}, *order]


def gathered(playbooks: Playbooks, work: Path) -> Path:
    """The facts of this machine as a file. Raises BenchmarkError."""
    fleet, facts = work / "here.yml", work / "facts.json"
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    fleet.write_text(json.dumps({"all": {"hosts": {"here": here}}}), "utf-8")
    setup = {"name": "setup", "ansible.builtin.setup": {}, "register": "found"}
    keep = {
        "name": "keep",
        "ansible.builtin.copy": {"content": "{{ found.ansible_facts | to_json }}", "dest": str(facts)},
    }
    playbooks.run("all", [setup, keep], fleet)
    return facts


def benchmark(
    playbooks: Playbooks,
    repetitions: int,
    say: Callable[[str], None],
    work: Path,
    counts: list[int],
    role_up_to: int = ROLE_UP_TO,
) -> list[Row]:
    """Per size the seconds of planning the mesh, and of each task over all hosts. Raises BenchmarkError.

    role_up_to: hosts up to which there is a run of the template as a role has it, too; one is enough, as it
    is far above the noise
    """
    plugins = playbooks.work / "action_plugins"
    shutil.copytree(ACTIONS, plugins, dirs_exist_ok=True)
    facts = gathered(playbooks, work)
    rows: list[Row] = []
    for count in counts:
        fleet, registry = work / f"mesh-{count}.yml", work / f"registry-{count}" / "wan.yml"
        fleet.write_text(json.dumps(inventory(count)), "utf-8")
        registry.parent.mkdir(exist_ok=True)
        plans: list[float] = []
        found: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
        for number in range(1, repetitions + 1):
            plans.append(planned(work, count, registry))
            for kind, times in found.items():
                if kind != "plain" and (number > 1 or count > role_up_to):
                    continue
                say(f"mesh delivery {number}/{repetitions}: {count} hosts, {kind}")
                run = playbooks.run("all", tasks(count, registry, number, kind, facts), fleet)
                answers = {task.name: len(task.hosts) for task in run.tasks if task.name != "facts"}
                check(run.trips, answers, count)
                for task in run.tasks:
                    times.setdefault(task.name, []).append(task.seconds)
                    times.setdefault(f"cpu of {task.name}", []).append(task.cpu)
                    if task.name == "ours":
                        own = [item["seconds"] for item in task.hosts.values()]
                        times.setdefault("own", []).append(1000 * sum(own) / len(own))
        for kind, times in found.items():
            if not times:
                continue
            rows += rows_of(f"{count} hosts, {kind}", times)
        rows.append(Row("mesh delivery", f"{count} hosts: the registry from nothing", "s", samples(plans)))
    size = facts.stat().st_size / 1024
    rows.append(Row("mesh delivery", "facts of a host", "KB", samples([size]), digits=0))
    return rows


def rows_of(fleet: str, found: dict[str, list[float]]) -> list[Row]:
    """Whole tasks, both less what Ansible needs for any task, and the action's own part of ours.

    Processor time says the same on a busy machine; what is less than a debug's noise may be below 0.
    """
    ours, peer, floor = (found[name] for name in ("ours", "peer", "floor"))
    cpu = [samples(found[f"cpu of {name}"]) for name in ("ours", "peer", "floor")]
    less = [
        samples([one - least for one, least in zip(side.values, cpu[2].values, strict=True)])
        for side in cpu[:2]
    ]
    return [
        Row("mesh delivery", f"{fleet}: all shares", "s", samples(ours), samples(peer), "peer/ours"),
        Row("mesh delivery", f"{fleet}: a debug, for comparison", "s", samples(floor)),
        Row("mesh delivery", f"{fleet}: processor time", "s", cpu[0], cpu[1], "peer/ours"),
        Row("mesh delivery", f"{fleet}: the same less that of a debug", "s", less[0], less[1]),
        Row("mesh delivery", f"{fleet}: in the action itself, per host", "ms", samples(found["own"])),
    ]


def check(trips: int, answers: dict[str, int], count: int) -> None:
    """Raises BenchmarkError."""
    if trips:
        raise BenchmarkError(f"mesh delivery to {count} hosts: {trips} round trips, should be none")
    if answers != dict.fromkeys(("ours", "peer", "floor"), count):
        raise BenchmarkError(f"mesh delivery to {count} hosts: answers of {answers}")


def planned(work: Path, count: int, registry: Path) -> float:
    """Writes the registry of all members, in a process of its own. Seconds without the process's start."""
    line = [sys.executable, "-m", "benchmarks.mesh_delivery", str(count), str(registry)]
    environment = {**os.environ, "PYTHONPATH": f"{collection_home(work)}{os.pathsep}{CHECKOUT}"}
    done = subprocess.run(
        line, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=TIMEOUT
    )
    if done.returncode != 0:
        raise BenchmarkError(f"a registry of {count} ended with {done.returncode}: {done.stderr.strip()}")
    return float(done.stdout)


def plan(count: int, path: Path) -> float:
    """A join of all members at once, in this process. Seconds."""
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh import lifecycle
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh.candidates import Candidate
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh.changes import Context
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry_file import save

    path.unlink(missing_ok=True)
    candidates = [
        Candidate(
            name,
            public_key=public_key(name),
            region=f"region-{number // REGION:02d}",
            endpoint=endpoint(number),
            nat=not endpoint(number),
            transit=number % REGION < 6,
            underlay_mtu=1500,
            settings={"prefixes": ["10.99.0.0/16"]},
        )
        for number, name in enumerate(names(count))
    ]
    start = time.monotonic()
    order = lifecycle.Order("join", "wan", candidates=candidates)
    registry, _report = lifecycle.run(None, order, Context(time.time(), lambda name: []))
    save(path, registry)
    return time.monotonic() - start


if __name__ == "__main__":
    print(plan(int(sys.argv[1]), Path(sys.argv[2])))
