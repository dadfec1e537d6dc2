# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that leave by half, and runs that are killed: the next one goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from .conftest import MEMBERS, MeshLab
from .kills import Step, killed, killed_at, take_back, until_quiet
from .test_life import everybody_answers, lost
from .traffic import Probes

pytestmark = pytest.mark.long

EVERYBODY = (*MEMBERS, "spare-1")
PAIRS = (("fra-1", "ams-1"), ("home-1", "home-2"), ("ams-2", "fra-3"), ("fra-2", "home-1"))
SPARING_MS = 50
"""Between two probes, as these tests take minutes. A shorter gap may go unseen; test_life has 10."""
SECONDS = 30
"""mesh_confirm_seconds where the nodes go back by themselves."""

LEARN = "Learn of the nodes that are to be members"
REGISTER = "Change the registry of each mesh"
CHANGE = "Change the members that need it, one first, then in batches"
APPLY = "Reconcile tunnels, routes, filters and the firewall's opening"
CONFIRM = "Confirm the change, or take it back"
MAKE_KEY = "Make the node's key, or find it"

APPLIED = Step(CHANGE, APPLY)
"""The first node has its share; the others have it, or get it; all are armed."""
CONFIRMED = Step(CHANGE, CONFIRM)
"""The first node has confirmed; those that have not go back."""


@pytest.fixture
def undisturbed(mesh: MeshLab) -> Iterator[None]:
    """No packet between members that stay is lost meanwhile."""
    pairs = [(source, mesh.address(target)) for source, target in PAIRS]
    probes = Probes(mesh.faults, pairs, SPARING_MS)
    yield
    assert lost(probes.stop()) == {}


def killed_again_and_again(
    lab: MeshLab, names: Sequence[str], runs: Sequence[tuple[str, Step]], **extra: object
) -> None:
    """Each run goes on where the one before was killed, until it is itself."""
    for playbook, step in runs:
        killed_at(lab, playbook, step, spares="spare-1", **extra)
        take_back(lab, names)


def settled(lab: MeshLab) -> bool:
    registry = lab.registry()
    return not any({"next", "old", "leaving"} & set(link) for link in registry["links"])


def test_a_join_goes_on_wherever_it_was_killed(mesh: MeshLab, undisturbed: None) -> None:
    before = {name: mesh.interfaces(name) for name in MEMBERS}
    registering = Step("Enter them into the registries", REGISTER)
    steps = (Step(LEARN, MAKE_KEY), registering)
    killed_again_and_again(mesh, EVERYBODY, [("join", step) for step in steps], node_hosts="spare-1")
    key = mesh.registry()["members"]["spare-1"]["keys"]
    assert mesh.interfaces("spare-1") == []
    assert {name: mesh.interfaces(name) for name in MEMBERS} == before
    steps = (APPLIED, CONFIRMED)
    killed_again_and_again(mesh, EVERYBODY, [("join", step) for step in steps], node_hosts="spare-1")
    run = mesh.mesh("join", spares=["spare-1"], node_hosts="spare-1", node_batches=["100%"])
    assert run.code == 0, run.output
    assert mesh.registry()["members"]["spare-1"]["keys"] == key
    everybody_answers(mesh, EVERYBODY)
    again = mesh.mesh("join", spares=["spare-1"])
    assert again.code == 0 and again.report["totals"]["writes"] == 0, again.output


def _some_have_them(lab: MeshLab) -> Callable[[], bool]:
    """Nodes are about to get the tunnels beside."""
    before = set(lab.interfaces("fra-2"))
    return lambda: bool(set(lab.interfaces("fra-2")) - before)


def _routes_move(lab: MeshLab) -> Callable[[], bool]:
    return lambda: any("old" in link for link in lab.registry()["links"])


@pytest.mark.parametrize("stage", [_some_have_them, _routes_move])
def test_a_rotation_that_was_killed_goes_on_with_the_same_command(
    mesh: MeshLab, undisturbed: None, stage: Callable[[MeshLab], Callable[[], bool]]
) -> None:
    before = mesh.registry()["members"]["fra-2"]["keys"]
    killed(
        mesh,
        "rotate",
        stage(mesh),
        spares="spare-1",
        node_hosts="fra-2",
        mesh_confirm_seconds=SECONDS,
    )
    until_quiet(mesh, EVERYBODY)
    run = mesh.mesh("rotate", spares=["spare-1"], node_hosts="fra-2", node_batches=["100%"])
    assert run.code == 0, run.output
    has_new_keys(mesh, before)


def test_a_rotation_goes_on_wherever_it_was_killed(mesh: MeshLab, undisturbed: None) -> None:
    before = mesh.registry()["members"]["fra-2"]["keys"]
    start = Step("Put them beside the old ones", REGISTER)
    killed_again_and_again(mesh, EVERYBODY, [("rotate", start)], node_hosts="fra-2")
    steps = (
        # The new tunnels.
        APPLIED,
        CONFIRMED,
        # The routes.
        Step("Decide which routes move", REGISTER),
        APPLIED,
        CONFIRMED,
        # The old tunnels.
        Step("Decide which routes move", REGISTER),
        APPLIED,
    )
    killed_again_and_again(mesh, EVERYBODY, [("settle", step) for step in steps])
    run = mesh.mesh("settle", spares=["spare-1"], node_batches=["100%"])
    assert run.code == 0, run.output
    has_new_keys(mesh, before)


def has_new_keys(lab: MeshLab, before: dict[int, str]) -> None:
    """fra-2 has, alone and everywhere."""
    registry = lab.registry()
    assert settled(lab), registry["links"]
    after = registry["members"]["fra-2"]["keys"]
    assert len(after) == 1 and after != before
    files = lab.run("fra-2", "ls", "/etc/swarm_node/mesh/wan/keys").split()
    assert files == [f"{number}.key" for number in after], "it still has its old key"
    everybody_answers(lab, EVERYBODY)
    assert lab.mesh("apply", spares=["spare-1"]).report["totals"]["writes"] == 0


def test_a_departure_goes_on_wherever_it_was_killed(mesh: MeshLab, undisturbed: None) -> None:
    number = mesh.registry()["members"]["spare-1"]["number"]
    runs = (
        ("leave", Step("Decide what the members' going means", REGISTER)),
        # The routes.
        ("leave", APPLIED),
        ("settle", CONFIRMED),
        # The tunnels. It has left, and others do not know yet: the same command again gets that done.
        ("leave", Step("Decide which routes move", REGISTER)),
        ("leave", APPLIED),
    )
    killed_again_and_again(mesh, EVERYBODY, runs, member="spare-1")
    taking = Step("Take the mesh away from those who left", APPLY)
    killed_again_and_again(mesh, EVERYBODY, [("leave", taking)], member="spare-1")
    run = mesh.mesh("leave", spares=["spare-1"], member="spare-1", node_batches=["100%"])
    assert run.code == 0, run.output
    assert "spare-1" not in mesh.registry()["members"]
    assert has_nothing(mesh, "spare-1")
    for name in MEMBERS:
        assert not {f"wan-{number}", f"wan-{number}b"} & set(mesh.interfaces(name))
    everybody_answers(mesh)
    assert mesh.mesh("apply").report["totals"]["writes"] == 0


def has_nothing(lab: MeshLab, name: str) -> bool:
    left = lab.sh(name, "find /etc/swarm_node/mesh /etc/wireguard -type f 2>/dev/null; true").split()
    return not left and not lab.interfaces(name)


def test_a_node_that_left_while_it_was_off_is_not_talked_to_when_it_is_back(mesh: MeshLab) -> None:
    run = mesh.mesh("join", spares=["spare-1"], node_hosts="spare-1", node_batches=["100%"])
    assert run.code == 0, run.output
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
    assert has_nothing(mesh, "spare-1")


def test_one_node_without_the_mesh_leaves_the_others_as_they_are(mesh: MeshLab) -> None:
    before = {name: mesh.interfaces(name) for name in MEMBERS}
    probes = Probes(mesh.faults, [("fra-1", mesh.address("ams-1")), ("home-1", mesh.address("home-2"))])
    try:
        run = mesh.mesh("apply", "--limit", "ams-3", mesh_state="absent", node_max_disruption="peer_jobs")
    finally:
        counts = probes.stop()
    assert run.code == 0, run.output
    assert lost(counts) == {}
    assert has_nothing(mesh, "ams-3")
    assert {name: mesh.interfaces(name) for name in MEMBERS if name != "ams-3"} == {
        name: found for name, found in before.items() if name != "ams-3"
    }
    # Its keys are gone, so it is a new node for the mesh.
    run = mesh.mesh("rekey", member="ams-3", node_batches=["100%"])
    assert run.code == 0, run.output
    everybody_answers(mesh)
