# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sparse mesh with four hubs, beside the full one, is planned anew under traffic: routes move in turn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.swarm.node.plugins.plugin_utils.mesh import lifecycle
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.changes import Context
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.latency_file import latency_path, save_latency
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry_file import load, registry_path

from .conftest import MEMBERS, MeshLab
from .traffic import Probes

pytestmark = pytest.mark.long

HUBS = ("ams-1", "ams-2", "fra-1", "fra-2")
THIN = {
    "port": 53000,
    "settings": {"prefixes": ["10.98.0.0/16"], "full_mesh_up_to": 4, "neighbours": 2},
}
SEED = 88
"""Of round trips after which some hubs have to keep their old ways for a while; the test says so if not."""

Latencies = dict[tuple[str, str], float]


def round_trips(rng: random.Random) -> Latencies:
    return {
        (one, other): rng.choice([2.0, 10.0, 40.0, 90.0])
        for one in MEMBERS
        for other in MEMBERS
        if one < other
    }


class Thin:
    """The mesh `thin` of all members."""

    def __init__(self, lab: MeshLab) -> None:
        self.lab = lab
        self.path = registry_path(lab.registries, "thin")
        self.hosts = lab.registries.parent / "thin.yml"
        hosts = {
            name: {
                "mesh_name": ["wan", "thin"],
                "mesh_overrides": {"thin": {**THIN, "transit": name in HUBS}},
            }
            for name in MEMBERS
        }
        self.hosts.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")

    def run(self, playbook: str, **extra: Any) -> None:
        run = self.lab.mesh(playbook, "-i", str(self.hosts), node_batches=["100%"], mesh="thin", **extra)
        assert run.code == 0, run.output

    def address(self, name: str) -> str:
        return f"10.98.0.{self.lab.registry('thin')['members'][name]['number']}"

    def links(self) -> set[tuple[str, ...]]:
        return {tuple(link["ends"]) for link in self.lab.registry("thin")["links"]}

    def replan(self, latencies: Latencies) -> None:
        latency_path(self.path).unlink(missing_ok=True)
        save_latency(self.path, latencies)
        self.run("replan", measure=False)

    def ways_kept(self, latencies: Latencies) -> int:
        """How many old ways are kept in the first step of a replan by these."""
        registry, _text = load(self.path)
        known = Context(0.0, lambda name: [], remembered=latencies)
        after, _report = lifecycle.run(registry, lifecycle.Order("replan", "thin"), known)
        return sum(way.kept for way in after.ways)


@pytest.fixture
def thin(mesh: MeshLab) -> Iterator[Thin]:
    found = Thin(mesh)
    found.run("join")
    yield found
    assert mesh.mesh("apply", node_batches=["100%"]).code == 0


def test_routes_of_a_sparse_mesh_move_without_a_lost_packet(mesh: MeshLab, thin: Thin) -> None:
    rng = random.Random(SEED)
    thin.replan(round_trips(rng))
    then = round_trips(rng)
    kept = thin.ways_kept(then)
    assert kept, "other round trips are needed: no hub has to wait for another"
    before = thin.links()
    pairs = [(one, thin.address(other)) for one in MEMBERS for other in MEMBERS if one != other]
    probes = Probes(mesh.faults, pairs, interval_ms=50)
    thin.replan(then)
    counts = probes.stop()
    assert all(count.sent > 100 for count in counts)
    assert [count for count in counts if count.lost] == []
    assert thin.links() != before
    registry = mesh.registry("thin")
    assert not registry.get("ways")
    assert not [link for link in registry["links"] if {"leaving", "fresh", "held", "next", "old"} & set(link)]
