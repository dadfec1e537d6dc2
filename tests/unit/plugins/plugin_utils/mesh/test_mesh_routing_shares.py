# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner says for routing: who is a relay for whom, ranks, and what a tunnel carries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Member, Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares, ranks
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.wishes import MEMBER
from mesh_cast import do, host, small


def changed(registry: Registry, name: str, **more: Any) -> Registry:
    member = replace(registry.members[name], **more)
    return replace(registry, members={**registry.members, name: member})


def flags(registry: Registry, name: str) -> dict[str, bool]:
    return {tunnel.peer: tunnel.transit for tunnel in Shares(registry).of(name).tunnels}


def test_a_neighbour_is_a_relay_until_it_is_about_to_end_it() -> None:
    registry = small()
    hub = next(name for name, member in registry.members.items() if member.transit)
    others = [link.other(hub) for link in registry.links_of(hub)]
    for name in others:
        assert flags(registry, name)[hub]
        assert flags(registry, hub)[name] == registry.members[name].transit
    for end in ({"transit": False, "held": True}, {"leaving": True}):
        ending = changed(registry, hub, **end)
        assert Shares(ending).of(hub).transit, "it forwards until nobody sends over it"
        assert not any(flags(ending, name)[hub] for name in others)
    assert all(flags(changed(registry, hub, stops=True), name)[hub] for name in others)
    assert all(flags(changed(registry, hub, fresh=True), name)[hub] for name in others)


def test_ranks_go_by_number_within_a_region() -> None:
    members = {
        f"m{number}": Member(f"m{number}", number, region, transit=transit, held=held, keys={1: "k"})
        for number, region, transit, held in (
            *((number, "fra", True, False) for number in (9, 1, 5, 3, 7)),
            (2, "fra", False, False),
            (65, "ams", True, False),
            (66, "ams", False, True),
        )
    }
    found = ranks(replace(small(), members=members))
    assert found == {"m1": 0, "m3": 1, "m5": 2, "m7": 3, "m9": 0, "m65": 0, "m66": 1}


@pytest.mark.parametrize(
    ("one", "other", "carried"), [(0, 0, 0), (100, 0, 100), (0, 40, 40), (100, 40, 40), (40, 10000, 40)]
)
def test_a_tunnel_carries_what_its_thinner_end_does(one: int, other: int, carried: int) -> None:
    registry = small()
    link = next(iter(registry.links.values()))
    registry = changed(registry, link.ends[0], capacity=one)
    registry = changed(registry, link.ends[1], capacity=other)
    for name in link.ends:
        found = next(t for t in Shares(registry).of(name).tunnels if t.peer == link.other(name))
        assert found.capacity == carried


def test_what_is_declared_is_in_the_registry_and_can_be_changed() -> None:
    registry, _report = do(None, "join", host("one", capacity=100), host("two"))
    text = dump_registry(registry)
    assert "capacity: 100" in text and text.count("capacity") == 1
    assert parse_registry(text, "wan.yml") == registry
    again, _report = do(registry, "join", host("one", capacity=40))
    assert again.members["one"].capacity == 40
    none, _report = do(again, "join", host("one"))
    assert none.members["one"].capacity == 0 and "capacity" not in dump_registry(none)


@pytest.mark.parametrize(
    ("value", "good"),
    [(1, True), (10_000_000, True), (0, False), (-1, False), (1.5, False), ("100", False), (True, False)],
)
def test_what_may_be_declared(value: object, good: bool) -> None:
    assert (MEMBER["capacity"](value) == []) == good
    if not good:
        assert "Mbit/s" in MEMBER["capacity"](value)[0][1]
