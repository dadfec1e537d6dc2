# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a mesh of eight members in three sites, two of them behind NAT; probes run meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .conftest import MEMBERS, MeshLab
from .traffic import Bulk, Count, Probes, stalls

PAIRS = (("fra-1", "ams-1"), ("home-1", "home-2"), ("fra-2", "home-1"), ("ams-2", "fra-3"))
"""Within a site, between sites, to a node behind NAT, and between two of those: through a relay."""


@pytest.fixture
def probes(mesh: MeshLab) -> Iterator[Probes]:
    """100 probes a second between each of PAIRS."""
    running = Probes(mesh.faults, [(source, mesh.address(target)) for source, target in PAIRS])
    yield running
    running.stop()


def lost(counts: list[Count]) -> dict[str, int]:
    for count in counts:
        assert count.sent > 100, count  # the probe itself has worked
    return {f"{count.source} -> {count.target}": count.lost for count in counts if count.lost}


def everybody_answers(lab: MeshLab, names: tuple[str, ...] = MEMBERS, patience: float = 0) -> None:
    """patience: s that may pass until all do"""
    deadline = time.monotonic() + patience
    for name in names:
        others = [other for other in names if other != name]
        addresses = [lab.address(other) for other in others]
        while (silent := lab.silent(name, addresses)) and time.monotonic() < deadline:
            time.sleep(1)
        assert silent == [], name
        assert lab.silent(name, ["-6", *(lab.address6(other) for other in others)]) == [], name


def test_every_member_reaches_every_other(mesh: MeshLab) -> None:
    everybody_answers(mesh)
    # Two nodes behind NAT have no tunnel with each other; both have one with every other member.
    assert len(mesh.interfaces("home-1")) == 6
    assert len(mesh.interfaces("fra-1")) == 7


def test_a_second_run_changes_nothing_in_one_round_trip(mesh: MeshLab) -> None:
    before = mesh.registry()
    again = mesh.mesh("join")
    assert again.code == 0, again.output
    assert again.report["totals"]["changes"] == 0 and again.report["totals"]["writes"] == 0
    assert mesh.registry() == before
    second = mesh.mesh("apply")
    assert second.report["totals"]["writes"] == 0
    for name in MEMBERS:
        assert second.host(name)["state"] == "unchanged"
        assert second.host(name)["round_trips"] == 1
    assert second.report["totals"]["mesh"]["links_not_up"] == 0


def test_optimize_has_the_mesh_too_and_finds_it_as_wished(mesh: MeshLab) -> None:
    run = mesh.node("optimize", "--limit", "fra-1,home-1", "--check")
    assert run.code == 0, run.output
    for name in ("fra-1", "home-1"):
        assert run.layer(name, "mesh")["changes"] == []
    assert run.report["meshes"]["wan"]


def test_a_limited_run_neither_forgets_the_others_nor_needs_them(mesh: MeshLab) -> None:
    before = {name: mesh.interfaces(name) for name in MEMBERS}
    run = mesh.mesh("apply", "--limit", "fra-1,home-1")
    assert run.code == 0 and run.report["totals"]["changes"] == 0, run.output
    assert {name: mesh.interfaces(name) for name in MEMBERS} == before


def test_a_member_is_added_and_nobody_else_loses_a_packet(mesh: MeshLab, probes: Probes) -> None:
    tunnels = {name: mesh.processes(name) for name in MEMBERS}
    bulk = Bulk(mesh.faults, "fra-2", "ams-2", mesh.address("ams-2"))
    run = mesh.mesh("join", spares=["spare-1"], node_hosts="spare-1", node_batches=["100%"])
    report = bulk.stop()
    assert run.code == 0, run.output
    assert lost(probes.stop()) == {}
    assert stalls(report) == 0
    everybody_answers(mesh, (*MEMBERS, "spare-1"))
    for name, before in tunnels.items():
        assert before.items() <= mesh.processes(name).items(), f"{name}: a tunnel was restarted"


def test_all_keys_are_replaced_without_a_lost_packet(mesh: MeshLab, probes: Probes) -> None:
    before = mesh.registry()
    bulk = Bulk(mesh.faults, "fra-2", "ams-2", mesh.address("ams-2"))
    run = mesh.mesh("rotate", spares=["spare-1"], node_batches=["100%"])
    report = bulk.stop()
    assert run.code == 0, run.output
    assert lost(probes.stop()) == {}
    assert stalls(report) == 0
    after = mesh.registry()
    assert list(after["members"]) == list(before["members"])
    for name, member in after["members"].items():
        assert member["number"] == before["members"][name]["number"]
        assert list(member["keys"]) == [member["generation"]]
        assert member["keys"] != before["members"][name]["keys"]
        keys = mesh.run(name, "ls", "/etc/swarm_node/mesh/wan/keys").split()
        assert keys == [f"{member['generation']}.key"], f"{name} still has its old key"
    assert all("next" not in link and "old" not in link for link in after["links"])
    assert mesh.mesh("apply", spares=["spare-1"]).report["totals"]["writes"] == 0


def test_a_member_leaves_and_nobody_else_loses_a_packet(mesh: MeshLab, probes: Probes) -> None:
    number = mesh.registry()["members"]["spare-1"]["number"]
    run = mesh.mesh("leave", spares=["spare-1"], member="spare-1", node_batches=["100%"])
    assert run.code == 0, run.output
    assert lost(probes.stop()) == {}
    registry = mesh.registry()
    assert "spare-1" not in registry["members"]
    assert registry["departed"]["spare-1"]["number"] == number
    for name in MEMBERS:
        assert not {f"wan-{number}", f"wan-{number}b"} & set(mesh.interfaces(name))
    assert mesh.interfaces("spare-1") == []
    left = mesh.sh("spare-1", "find /etc/swarm_node/mesh /etc/wireguard -type f 2>/dev/null", check=False)
    assert left.split() == []
    assert "swarm" not in mesh.run("spare-1", "nft", "list", "ruleset")


def test_a_node_that_was_installed_again_gets_a_new_key(mesh: MeshLab, probes: Probes) -> None:
    before = mesh.registry()["members"]["ams-3"]
    mesh.sh(
        "ams-3", "systemctl stop 'wg-quick@*' 'swarm-node-mesh@*'; rm -rf /etc/swarm_node /var/lib/swarm_node"
    )
    mesh.sh(
        "ams-3", "rm -f /etc/wireguard/* /etc/systemd/system/*.wants/wg-quick@* /etc/systemd/system/swarm-*"
    )
    refused = mesh.mesh("join")
    assert refused.code != 0 and "mesh_rekey" in refused.output, refused.output
    run = mesh.mesh("rekey", member="ams-3", node_batches=["100%"])
    assert run.code == 0, run.output
    after = mesh.registry()["members"]["ams-3"]
    assert after["number"] == before["number"] and after["keys"] != before["keys"]
    # The refused run had a key made, too.
    keys = mesh.run("ams-3", "ls", "/etc/swarm_node/mesh/wan/keys").split()
    assert keys == [f"{after['generation']}.key"]
    assert lost(probes.stop()) == {}
    everybody_answers(mesh)


def test_a_reboot_brings_all_tunnels_back_and_costs_nobody_else_a_packet(mesh: MeshLab) -> None:
    interfaces = mesh.interfaces("fra-3")
    pairs = [(source, mesh.address(target)) for source, target in PAIRS if "fra-3" not in (source, target)]
    running = Probes(mesh.faults, pairs)
    mesh.faults.reboot("fra-3")
    counts = running.stop()
    assert lost(counts) == {}
    assert mesh.interfaces("fra-3") == interfaces
    # Nobody can call those behind NAT. Where they send nothing, WireGuard has them shake hands anew
    # when their session is two minutes old.
    everybody_answers(mesh, patience=150)
    run = mesh.mesh("apply")
    assert run.code == 0 and run.report["totals"]["changes"] == 0, run.output
