# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that leave by half, and runs that are killed: the next one goes on from there."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from lab_runs import BIN, CHECKOUT

from .conftest import MEMBERS, MeshLab
from .test_life import everybody_answers, lost
from .traffic import Probes

pytestmark = pytest.mark.long


def killed(lab: MeshLab, playbook: str, when: Callable[[], bool], **extra: Any) -> None:
    """Starts a playbook and kills it, with all that it started here, as soon as `when` says so."""
    spares = str(extra.pop("spares", ""))
    lab.extra_inventory.write_text(
        json.dumps({"all": {"hosts": {name: {"mesh_name": "wan"} for name in spares.split()}}}), "utf-8"
    )
    variables = {"mesh_registry_dir": str(lab.registries), "node_batches": ["100%"], **extra}
    line = [str(BIN / "ansible-playbook"), f"swarm.node.mesh_{playbook}", "-i", str(lab.inventory)]
    line += ["-i", str(lab.extra_inventory), "-e", json.dumps(variables)]
    process = subprocess.Popen(
        line,
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SWARM_NODE_REPORT_DIR": str(lab.reports)},
        start_new_session=True,
    )
    try:
        while not when():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def until_nothing_is_armed(lab: MeshLab, names: tuple[str, ...]) -> None:
    """A node whose change nobody confirms takes it back at its deadline. Until then it refuses others."""
    deadline = time.monotonic() + 30 + 60
    for name in names:
        while lab.sh(name, "ls /var/lib/swarm_node/mesh/armed.json 2>/dev/null; true"):
            assert time.monotonic() < deadline, f"{name} is armed still"
            time.sleep(1)


def settled(lab: MeshLab) -> bool:
    registry = lab.registry()
    return not any({"next", "old", "leaving"} & set(link) for link in registry["links"])


def test_a_join_that_was_killed_before_anything_was_applied_goes_on(mesh: MeshLab) -> None:
    before = {name: mesh.interfaces(name) for name in MEMBERS}
    killed(
        mesh,
        "join",
        lambda: "spare-1" in mesh.registry()["members"],
        spares="spare-1",
        node_hosts="spare-1",
    )
    key = mesh.registry()["members"]["spare-1"]["keys"]
    assert mesh.interfaces("spare-1") == []
    assert {name: mesh.interfaces(name) for name in MEMBERS} == before
    run = mesh.mesh("join", spares=["spare-1"], node_hosts="spare-1", node_batches=["100%"])
    assert run.code == 0, run.output
    assert mesh.registry()["members"]["spare-1"]["keys"] == key
    everybody_answers(mesh, (*MEMBERS, "spare-1"))
    again = mesh.mesh("join", spares=["spare-1"])
    assert again.code == 0 and again.report["totals"]["writes"] == 0, again.output


def _keys_are_in(lab: MeshLab) -> Callable[[], bool]:
    """The registry has the new keys; no node has them yet."""
    return lambda: any("next" in link for link in lab.registry()["links"])


def _some_have_them(lab: MeshLab) -> Callable[[], bool]:
    """Nodes are about to get the tunnels beside."""
    return lambda: any(name.endswith("b") for name in lab.interfaces("fra-2"))


def _routes_move(lab: MeshLab) -> Callable[[], bool]:
    return lambda: any("old" in link for link in lab.registry()["links"])


@pytest.mark.parametrize("stage", [_keys_are_in, _some_have_them, _routes_move])
def test_a_rotation_that_was_killed_goes_on(
    mesh: MeshLab, stage: Callable[[MeshLab], Callable[[], bool]]
) -> None:
    members = (*MEMBERS, "spare-1")
    before = mesh.registry()["members"]["fra-2"]["keys"]
    pairs = [("fra-1", "ams-1"), ("home-1", "home-2"), ("ams-2", "fra-3"), ("fra-2", "home-1")]
    probes = Probes(mesh.faults, [(source, mesh.address(target)) for source, target in pairs])
    try:
        killed(mesh, "rotate", stage(mesh), spares="spare-1", node_hosts="fra-2", mesh_confirm_seconds=30)
        until_nothing_is_armed(mesh, members)
        run = mesh.mesh("rotate", spares=["spare-1"], node_hosts="fra-2", node_batches=["100%"])
    finally:
        counts = probes.stop()
    assert run.code == 0, run.output
    assert lost(counts) == {}
    registry = mesh.registry()
    assert settled(mesh), registry["links"]
    after = registry["members"]["fra-2"]["keys"]
    assert len(after) == 1 and after != before
    everybody_answers(mesh, members)
    assert mesh.mesh("apply", spares=["spare-1"]).report["totals"]["writes"] == 0


def test_a_node_that_left_while_it_was_off_is_not_talked_to_when_it_is_back(mesh: MeshLab) -> None:
    number = mesh.registry()["members"]["spare-1"]["number"]
    mesh.faults.crash("spare-1")
    try:
        run = mesh.mesh("leave", spares=["spare-1"], member="spare-1", node_batches=["100%"])
    finally:
        mesh.faults.start("spare-1")
    assert "spare-1" not in mesh.registry()["members"], run.output
    for name in MEMBERS:
        assert not {f"wan-{number}", f"wan-{number}b"} & set(mesh.interfaces(name))
    # It comes up with its old files and calls those it knew.
    deadline = time.monotonic() + 60
    while not mesh.interfaces("spare-1"):
        assert time.monotonic() < deadline, "its tunnels did not come back"
        time.sleep(1)
    mesh.silent("spare-1", [mesh.address(name) for name in MEMBERS])
    time.sleep(6)
    handshakes = mesh.run("spare-1", "wg", "show", "all", "latest-handshakes").splitlines()
    assert len(handshakes) >= len(MEMBERS)
    assert all(line.split()[-1] == "0" for line in handshakes), handshakes
    everybody_answers(mesh)
    # The same playbook takes what it still has, as soon as it can be reached.
    before = mesh.registry()
    run = mesh.mesh("leave", spares=["spare-1"], member="spare-1", node_batches=["100%"])
    assert run.code == 0 and "has left already" in run.output, run.output
    assert mesh.registry() == before
    assert mesh.interfaces("spare-1") == []
    left = mesh.sh("spare-1", "find /etc/swarm_node/mesh /etc/wireguard -type f 2>/dev/null; true")
    assert left.split() == []


def test_one_node_without_the_mesh_leaves_the_others_as_they_are(mesh: MeshLab) -> None:
    before = {name: mesh.interfaces(name) for name in MEMBERS}
    probes = Probes(mesh.faults, [("fra-1", mesh.address("ams-1")), ("home-1", mesh.address("home-2"))])
    try:
        run = mesh.mesh("apply", "--limit", "ams-3", mesh_state="absent", max_disruption="peer_jobs")
    finally:
        counts = probes.stop()
    assert run.code == 0, run.output
    assert lost(counts) == {}
    assert mesh.interfaces("ams-3") == []
    left = mesh.sh("ams-3", "find /etc/swarm_node/mesh /etc/wireguard -type f 2>/dev/null; true").split()
    assert left == []
    assert {name: mesh.interfaces(name) for name in MEMBERS if name != "ams-3"} == {
        name: found for name, found in before.items() if name != "ams-3"
    }
    # Its keys are gone, so it is a new node for the mesh.
    run = mesh.mesh("rekey", member="ams-3", node_batches=["100%"])
    assert run.code == 0, run.output
    everybody_answers(mesh)
