# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module dies on its node in the midst of writing: the node goes back, the next run goes on from there."""

from __future__ import annotations

import pytest

from .conftest import MEMBERS, MeshLab
from .kills import KILL_MODULE, take_back
from .test_half_way import SPARING_MS
from .test_life import everybody_answers, lost
from .traffic import Probes

pytestmark = pytest.mark.long

NODE = "fra-2"
KEYS = "/etc/swarm_node/mesh/wan"
DEATHS = (
    ("rotate", f"{KEYS}/keys/*.key", "new", "the key is made, and not registered"),
    ("rotate", "/var/lib/swarm_node/mesh/armed.json", "new", "armed"),
    ("settle", "/etc/wireguard/wan-*.conf", "new", "the first file of a new tunnel"),
    ("settle", "/sys/class/net/wan-*", "new", "the first new tunnel is up"),
    ("settle", f"{KEYS}/share.json", "changed", "nearly all is done"),
    ("settle", "/etc/wireguard/wan-*.conf", "gone", "the first old tunnel has no file any more"),
    ("settle", f"{KEYS}/keys/*.key", "gone", "the old key is gone"),
)
"""In the order of a rotation: the playbook, files to look at, what happens to them, what it means."""


def test_a_rotation_goes_on_wherever_the_module_died(mesh: MeshLab) -> None:
    before = mesh.registry()["members"][NODE]["keys"]
    pairs = [("fra-1", "ams-1"), ("home-1", "home-2"), ("ams-2", "fra-3"), (NODE, "home-1")]
    probes = Probes(mesh.faults, [(source, mesh.address(target)) for source, target in pairs], SPARING_MS)
    for playbook, pattern, event, meaning in DEATHS:
        killer = mesh.faults.background(NODE, "python3", "-c", KILL_MODULE, pattern, event)
        hosts = {"node_hosts": NODE} if playbook == "rotate" else {}
        run = mesh.mesh(playbook, node_batches=["100%"], **hosts)
        assert "killed" in killer.stop(), f"{meaning}: {run.output}"
        assert run.code != 0, f"{meaning}: {run.output}"
        take_back(mesh, MEMBERS)
    run = mesh.mesh("settle", node_batches=["100%"])
    assert run.code == 0, run.output
    assert lost(probes.stop()) == {}
    registry = mesh.registry()
    assert not any({"next", "old", "leaving"} & set(link) for link in registry["links"]), registry["links"]
    after = registry["members"][NODE]["keys"]
    assert len(after) == 1 and after != before
    assert mesh.run(NODE, "ls", f"{KEYS}/keys").split() == [f"{number}.key" for number in after]
    everybody_answers(mesh)
    assert mesh.mesh("apply").report["totals"]["writes"] == 0
