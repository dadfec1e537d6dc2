# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh that is planned anew: what is clearly better comes, noise moves nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.changes import Report
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.latency_file import (
    latency_path,
    load_latency,
    save_latency,
)
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.lifecycle import latencies_of
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.measuring import targets
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Pair, Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.steady import believed, differs
from mesh_cast import PREFIXES, do, finished, host

SIZES = {"full_mesh_up_to": 8, "neighbours": 4, "max_degree": 16}


def fleet(regions: int, size: int, **settings: object) -> Registry:
    """Regions of `size` members, three of them hubs; each fourth of the others is behind NAT."""
    wished = {"settings": {"prefixes": list(PREFIXES), **SIZES, **settings}}
    hosts = [
        host(f"{chr(97 + r)}{n}", region=f"r{r}", transit=n < 3, nat=n > 2 and n % 4 == 3, **wished)
        for r in range(regions)
        for n in range(size)
    ]
    return do(None, "join", *hosts)[0]


def distances(registry: Registry, seed: int) -> dict[Pair, float]:
    """True round trips, ms, between all members: places in a plane, regions apart."""
    chance = random.Random(seed)
    centres = {name: (chance.uniform(0, 80), chance.uniform(0, 80)) for name in sorted(registry.regions)}
    spots = {}
    for name, member in sorted(registry.members.items()):
        x, y = centres[member.region]
        spots[name] = (x + chance.uniform(-8, 8), y + chance.uniform(-8, 8))
    return {
        (one, other): ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5 + 0.3
        for one, a in spots.items()
        for other, b in spots.items()
        if one < other
    }


def noisy(true: dict[Pair, float], seed: int) -> dict[Pair, float]:
    """Each up to a fifth off."""
    chance = random.Random(seed)
    return {pair: ms * chance.uniform(0.8, 1.2) for pair, ms in true.items()}


class Mesh:
    """A registry, and what is remembered beside it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.remembered: dict[Pair, float] = {}

    def replan(self, latency: dict[Pair, float]) -> Report:
        known = {"latency": latency, "remembered": self.remembered}
        after, report = do(self.registry, "replan", with_context=known)
        self.remembered = self.remembered if report.latency is None else report.latency
        self.registry = finished(after)
        return report

    @property
    def links(self) -> set[Pair]:
        return set(self.registry.links)


def planned(registry: Registry, latency: dict[Pair, float]) -> Mesh:
    """Twice: new links may wait for the ports of those that go."""
    mesh = Mesh(registry)
    mesh.replan(latency)
    mesh.replan(latency)
    return mesh


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("regions", "size"), [(1, 20), (3, 10), (5, 8), (9, 5)])
def test_noise_moves_nothing(regions: int, size: int, seed: int) -> None:
    before = fleet(regions, size)
    true = distances(before, seed)
    mesh = planned(before, noisy(true, seed))
    assert mesh.links != set(before.links)
    registry, remembered = mesh.registry, mesh.remembered
    for turn in range(3):
        report = mesh.replan(noisy(true, 100 * seed + turn))
        assert (mesh.registry, mesh.remembered) == (registry, remembered), report.lines
        assert report.affected == set() and report.latency is None
    assert mesh.replan({}).affected == set()
    assert mesh.registry == registry


@pytest.mark.parametrize("seed", range(4))
def test_noise_moves_nothing_after_somebody_joined_and_somebody_left(seed: int) -> None:
    mesh = planned(fleet(3, 10), {})
    true = distances(mesh.registry, seed)
    mesh.replan(true)
    mesh.registry = do(mesh.registry, "join", host("new", region="r1"))[0]
    mesh.registry = finished(do(mesh.registry, "leave", names=["a5"])[0])
    true = {**{("b" + str(n), "new"): 5.0 + n for n in range(10)}, **true}
    mesh.replan(noisy(true, seed + 7))
    registry = mesh.registry
    for turn in range(3):
        report = mesh.replan(noisy(true, 100 * seed + turn))
        assert report.affected == set(), report.lines
    assert mesh.registry == registry


def test_noise_moves_no_link_in_other_operations() -> None:
    before = fleet(3, 8)
    true = distances(before, 1)
    registry = planned(before, true).registry
    noise = {"with_context": {"latency": noisy(true, 2)}}
    joined = do(registry, "join", host("new", region="r1"), **noise)[0]
    assert {pair for pair in joined.links if "new" not in pair} == set(registry.links)
    moved = replace(host("c6", region="r2"), endpoint="192.0.2.1")
    assert set(do(registry, "endpoint", moved, **noise)[0].links) >= set(registry.links)
    rotated = do(registry, "rotate", host("c4", 2, region="r2"), **noise)[0]
    assert set(rotated.links) == set(registry.links) == set(finished(rotated).links)
    left = finished(do(registry, "leave", names=["c5"], **noise)[0])
    assert set(left.links) == {pair for pair in registry.links if "c5" not in pair}


def test_a_link_that_became_clearly_worse_goes_for_a_better_one() -> None:
    before = fleet(1, 20)
    true = distances(before, 3)
    mesh = planned(before, true)
    links = mesh.links
    pair = min(pair for pair in links if all(int(name[1:]) > 2 for name in pair))
    mesh.replan({**true, pair: 400.0})
    assert pair not in mesh.links
    gone, come = links - mesh.links, mesh.links - links
    assert len(gone) <= 2 and len(come) <= 2
    assert all(set(pair) & set(found) for found in come)


def test_a_hub_far_away_is_replaced_by_a_near_one() -> None:
    before = fleet(2, 8)
    true = dict.fromkeys(distances(before, 1), 20.0)
    mesh = planned(before, true)
    hub = min(end for pair in mesh.links if "a5" in pair for end in pair if end in ("a0", "a1", "a2"))
    mesh.replan({**true, (hub, "a5"): 300.0})
    hubs = {end for pair in mesh.links if "a5" in pair for end in pair if int(end[1:]) < 3}
    assert hub not in hubs and len(hubs) >= 2


def test_other_settings_make_another_mesh() -> None:
    whole = fleet(2, 10, full_mesh_up_to=20, max_degree=24)
    assert len(whole.links) > 150
    mesh = Mesh(replace(whole, settings=replace(whole.settings, full_mesh_up_to=8)))
    mesh.replan({})
    assert len(mesh.links) < 90


def test_a_member_that_lost_its_neighbours_gets_others() -> None:
    mesh = planned(fleet(1, 20), {})
    going = [link.other("a5") for link in mesh.registry.links_of("a5")]
    going = [name for name in going if int(name[1:]) > 2]
    mesh.registry = finished(do(mesh.registry, "leave", names=going)[0])
    assert len(mesh.registry.links_of("a5")) < SIZES["neighbours"]
    mesh.replan({})
    assert len(mesh.registry.links_of("a5")) >= SIZES["neighbours"]


def test_what_leads_to_who_has_left_is_forgotten() -> None:
    mesh = planned(fleet(1, 20), {})
    mesh.replan({("a4", "a5"): 3.0, ("a4", "a6"): 4.0})
    mesh.registry = finished(do(mesh.registry, "leave", names=["a5"])[0])
    mesh.replan({})
    assert mesh.remembered == {("a4", "a6"): 4.0}


def test_what_counts_as_noise() -> None:
    assert not differs(10, 14.9) and not differs(14.9, 10) and differs(10, 15.1)
    assert not differs(0.2, 2.1)  # ten times as long, and still nothing
    assert differs(0.2, 2.3)
    known = {("a", "b"): 10.0}
    assert believed(known, {("a", "b"): 12.0, ("a", "c"): 3.0}) == {("a", "b"): 10.0, ("a", "c"): 3.0}
    assert believed(known, {("a", "b"): 30.0}) == {("a", "b"): 30.0}


def test_the_file_beside_the_registry(tmp_path: Path) -> None:
    registry = tmp_path / "wan.yml"
    assert load_latency(registry) == {}
    save_latency(registry, {("a", "b"): 1.5, ("a", "c"): 2.0, ("b", "c"): 0.25})
    assert load_latency(registry) == {("a", "b"): 1.5, ("a", "c"): 2.0, ("b", "c"): 0.25}
    assert len(latency_path(registry).read_text().splitlines()) == 4
    save_latency(registry, {})
    assert load_latency(registry) == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', '{"a": {"b": "x"}}', '{"a": {"b": -1}}'])
def test_a_file_that_is_damaged_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "wan.latency.json").write_text(text)
    with pytest.raises(BindError, match=r"wan\.latency\.json"):
        load_latency(tmp_path / "wan.yml")


# -- who is measured


def test_in_a_small_mesh_everybody_measures_everybody_who_can_be_called() -> None:
    registry = fleet(2, 8)
    found = targets(registry, "a3")
    assert [item["name"] for item in found] == [
        name for name in sorted(registry.members) if name != "a3" and registry.members[name].endpoint
    ]
    assert found[0]["host"] == registry.members["a0"].endpoint
    assert targets(registry, "nobody") == []


def test_ports_and_local_addresses() -> None:
    registry = fleet(1, 4)
    a1 = replace(registry.members["a1"], endpoint="[2001:db8::7]:4000")
    a2 = replace(registry.members["a2"], local_endpoint="10.1.0.2", endpoint="gw.example.org:51999")
    a0 = replace(registry.members["a0"], local_endpoint="10.1.0.1")
    registry = replace(registry, members={**registry.members, "a0": a0, "a1": a1, "a2": a2})
    assert {item["name"]: item["host"] for item in targets(registry, "a0")} == {
        "a1": "2001:db8::7",
        "a2": "10.1.0.2",
    }
    assert targets(registry, "a3")[2] == {"name": "a2", "host": "gw.example.org"}


def test_in_a_large_mesh_few_are_measured_and_always_the_same() -> None:
    registry = fleet(8, 60, max_degree=48)
    found = {name: targets(registry, name) for name in ("a0", "a3", "h59")}
    for name, items in found.items():
        names = {item["name"] for item in items}
        assert 32 < len(items) <= 32 + 32 + 8 + 48
        assert {link.other(name) for link in registry.links_of(name)} - names <= {
            member.name for member in registry.members.values() if not member.endpoint
        }
        assert items == targets(registry, name)
    joined = do(registry, "join", host("new", region="r7"))[0]
    before, after = ({item["name"] for item in targets(one, "a3")} for one in (registry, joined))
    assert len(before ^ after) <= 2


def test_of_a_pair_that_was_measured_from_both_ends_the_shorter_counts() -> None:
    found = [{"ends": ["a", "b"], "ms": 5}, {"ends": ["b", "a"], "ms": 4}, {"ends": ["a", "b"], "ms": 6}]
    assert latencies_of(found) == latencies_of(found[::-1]) == {("a", "b"): 4.0}
