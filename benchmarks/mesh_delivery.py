# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller does to deliver a mesh to many hosts: our shares against a template over all hosts.

Neither side runs a module, so it needs no lab. Both are tasks of one play, the order changing with the
repetition.
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

ACTION = CHECKOUT / "benchmarks" / "action_plugins" / "bench_mesh_share.py"
REGION = 50
"""Members of a region, six of them with transit; of the others each fourth is behind NAT."""

TIMEOUT = 600.0

TEMPLATE = """\
[Interface]
Address = {{ wireguard_address }}/32
ListenPort = 51820
{% for peer in groups['all'] if peer != inventory_hostname %}
[Peer]
# {{ peer }}
PublicKey = {{ hostvars[peer].wireguard_public_key }}
AllowedIPs = {{ hostvars[peer].wireguard_address }}/32
{% if hostvars[peer].wireguard_endpoint is defined %}
Endpoint = {{ hostvars[peer].wireguard_endpoint }}:51820
{% endif %}
{% endfor %}
"""
"""As roles for WireGuard have it: one file per host, of what all others' variables say."""


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
        }
        if endpoint(number):
            hosts[name]["wireguard_endpoint"] = endpoint(number)
    return {"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}


def tasks(count: int, registry: Path, number: int) -> list[dict[str, Any]]:
    """Both tasks, and what Ansible needs for any. The template's one asserts that it has every other host."""
    ours = {"name": "ours", "bench_mesh_share": {"registry": str(registry)}}
    peer = {
        "name": "peer",
        "ansible.builtin.assert": {
            "that": f"rendered | regex_findall('(?m)^PublicKey = ') | length == {count - 1}",
            "quiet": True,
        },
        "vars": {"rendered": TEMPLATE},
    }
    return [FLOOR, ours, peer] if number % 2 else [peer, ours, FLOOR]


def benchmark(
    playbooks: Playbooks, repetitions: int, say: Callable[[str], None], work: Path, counts: list[int]
) -> list[Row]:
    """Per size the seconds of planning the mesh, and of each task over all hosts. Raises BenchmarkError."""
    plugins = playbooks.work / "action_plugins"
    plugins.mkdir(exist_ok=True)
    shutil.copy(ACTION, plugins)
    rows: list[Row] = []
    for count in counts:
        fleet, registry = work / f"mesh-{count}.yml", work / f"registry-{count}" / "wan.yml"
        fleet.write_text(json.dumps(inventory(count)), "utf-8")
        registry.parent.mkdir(exist_ok=True)
        found: dict[str, list[float]] = {"ours": [], "peer": [], "floor": [], "planned": []}
        for number in range(1, repetitions + 1):
            say(f"mesh delivery {number}/{repetitions}: {count} hosts")
            found["planned"].append(planned(work, count, registry))
            run = playbooks.run("all", tasks(count, registry, number), fleet)
            check(run.trips, {task.name: len(task.hosts) for task in run.tasks}, count)
            for task in run.tasks:
                found[task.name].append(task.seconds)
        rows += rows_of(count, found)
    return rows


def rows_of(count: int, found: dict[str, list[float]]) -> list[Row]:
    ours, peer = samples(found["ours"]), samples(found["peer"])
    return [
        Row("mesh delivery", f"{count} hosts: all shares", "s", ours, peer, "peer/ours"),
        Row("mesh delivery", f"{count} hosts: a debug, for comparison", "s", samples(found["floor"])),
        Row("mesh delivery", f"{count} hosts: the registry from nothing", "s", samples(found["planned"])),
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
