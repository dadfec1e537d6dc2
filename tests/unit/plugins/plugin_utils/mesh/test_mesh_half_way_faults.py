# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some members have the new share and some still the old: no packet of others is lost meanwhile."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.candidates import Candidate
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Pair, Registry
from mesh_cast import PREFIXES, do, everybody_saw, host
from mesh_packets import all_lost

pytestmark = pytest.mark.faults

HUBS = 2


def fleet(rng: random.Random, regions: int, full_mesh_up_to: int) -> list[Candidate]:
    wished = {"prefixes": list(PREFIXES), "full_mesh_up_to": full_mesh_up_to, "neighbours": 4}
    return [
        host(
            f"r{region}n{at}",
            region=f"r{region}",
            transit=at < HUBS,
            nat=at >= HUBS and rng.random() < 0.4,
            settings=wished,
        )
        for region in range(regions)
        for at in range(4)
    ]


def latency(rng: random.Random, hosts: list[Candidate]) -> dict[Pair, float]:
    names = [item.name for item in hosts]
    return {(a, b): rng.uniform(1, 80) for a in names for b in names if a < b and rng.random() < 0.5}


def changed(
    kind: str, registry: Registry, hosts: list[Candidate], rng: random.Random
) -> tuple[Registry, set[str]]:
    """The registry after it, and whom it is about."""
    hub = rng.choice([item.name for item in hosts if item.transit])
    leaf = rng.choice([item.name for item in hosts if not item.transit])
    if kind == "join leaf":
        return do(registry, "join", host("new", region="r0", nat=rng.random() < 0.5))[0], {"new"}
    if kind == "join hub":
        return do(registry, "join", host("new", region=rng.choice(["r0", "rx"]), transit=True))[0], {"new"}
    if kind in ("leave leaf", "leave hub"):
        name = hub if kind == "leave hub" else leaf
        return do(registry, "leave", names=[name])[0], {name}
    if kind == "rotate":
        names = {hub, leaf}
        news = [
            replace(item, generation=2, public_key=host(item.name, 2).public_key)
            for item in hosts
            if item.name in names
        ]
        return do(registry, "rotate", *news)[0], set()
    if kind == "endpoint":
        item = next(item for item in hosts if item.name == hub)
        return do(registry, "endpoint", replace(item, endpoint="192.0.2.7"))[0], set()
    if kind == "transit on":
        item = next(item for item in hosts if item.name == leaf)
        on = replace(item, transit=True, nat=False, endpoint=item.endpoint or "192.0.2.8")
        return do(registry, "endpoint", on)[0], set()
    if kind == "transit off":
        item = next(item for item in hosts if item.name == hub)
        return do(registry, "endpoint", replace(item, transit=False))[0], set()
    known = {"latency": latency(rng, hosts)}
    return do(registry, "replan", with_context=known)[0], set()


def steps(kind: str, seed: int, full_mesh_up_to: int, regions: int) -> list[str]:
    """What is lost in any step of an operation, up to its end."""
    rng = random.Random(f"{kind} {seed}")
    hosts = fleet(rng, regions, full_mesh_up_to)
    registry = do(None, "join", *hosts, with_context={"latency": latency(rng, hosts)})[0]
    after, apart = changed(kind, registry, hosts, rng)
    found = all_lost(registry, after, rng, apart)
    while after != registry:
        registry = after
        assert parse_registry(dump_registry(registry), "wan.yml") == registry
        told = {"proofs": everybody_saw(registry), "applied": tuple(registry.members)}
        after = do(registry, "finish", **told)[0]
        found += all_lost(registry, after, rng, apart)
    assert not [link for link in after.links.values() if link.fresh or link.held or link.leaving]
    assert not [item for item in after.members.values() if item.fresh or item.held or item.stops]
    assert after.ways == ()
    return found


KINDS = [
    "join leaf",
    "join hub",
    "leave leaf",
    "leave hub",
    "rotate",
    "endpoint",
    "replan",
    "transit on",
    "transit off",
]


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_full_mesh_nothing_is_lost(kind: str) -> None:
    assert [steps(kind, seed, 16, 3) for seed in range(3)] == [[], [], []]


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_sparse_mesh_nothing_is_lost_or_goes_in_circles(kind: str) -> None:
    assert [steps(kind, seed, 4, 3) for seed in range(4)] == [[], [], [], []]


def test_new_links_carry_routes_only_when_both_ends_have_them() -> None:
    hosts = fleet(random.Random(1), 1, 16)
    before = do(None, "join", *hosts)[0]
    assert not any(link.fresh for link in before.links.values())
    leaf = do(before, "join", host("new", region="r0"))[0]
    assert not any(link.fresh for link in leaf.links.values())
    hub = do(before, "join", host("new", region="r0", transit=True))[0]
    assert {pair for pair, link in hub.links.items() if link.fresh} == {p for p in hub.links if "new" in p}
    one = ("new", f"wan-{hub.members['r0n0'].number}")
    done, report = do(hub, "finish", proofs={one}, applied=tuple(hub.members))
    assert {pair for pair, link in hub.links.items() if link != done.links[pair]} == {("new", "r0n0")}
    assert not done.links["new", "r0n0"].fresh and {"new", "r0n0"} <= report.affected
    waiting = {tuple(entry["ends"]) for entry in report.pending if "ends" in entry}
    assert waiting == {pair for pair in hub.links if "new" in pair} - {("new", "r0n0")}
