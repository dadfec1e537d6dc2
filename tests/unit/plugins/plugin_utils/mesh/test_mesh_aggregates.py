# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which blocks of numbers are announced as a whole, and that all members are told the same."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import parse_share
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.aggregates import aggregated
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import BLOCK, Registry, Way
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares, digest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.tables import Tables
from mesh_cast import PREFIXES, do, finished, host
from mesh_packets import lost, nodes
from mesh_stories import begun
from mesh_stories import changed as operated

SETTINGS = {
    "prefixes": list(PREFIXES),
    "full_mesh_up_to": 2,
    "neighbours": 2,
    "max_degree": 24,
    "aggregate_above": 4,
}


@cache
def _planned(regions: tuple[tuple[str, int, int], ...], settings: tuple[tuple[str, Any], ...]) -> Registry:
    told = {**SETTINGS, **dict(settings)}
    hosts = [
        host(f"{region}{at}", region=region, transit=at < hubs, settings=told)
        for region, hubs, leaves in regions
        for at in range(hubs + leaves)
    ]
    return finished(do(None, "join", *hosts)[0])


def planned(regions: Mapping[str, tuple[int, int]], **settings: Any) -> Registry:
    """regions: name → hubs and others; a sparse mesh at rest."""
    found = tuple((region, *counts) for region, counts in regions.items())
    return _planned(found, tuple(sorted(settings.items())))


def blocks(registry: Registry) -> dict[int, str]:
    return aggregated(registry, Tables(registry))


def with_links(registry: Registry, *gone: tuple[str, str], **flags: bool) -> Registry:
    """Without these links, or with flags on them."""
    pairs = {tuple(sorted(pair)) for pair in gone}
    assert pairs <= registry.links.keys(), sorted(registry.links)
    links = {
        pair: replace(link, **flags) if pair in pairs else link
        for pair, link in registry.links.items()
        if flags or pair not in pairs
    }
    return replace(registry, links=links)


def with_member(registry: Registry, name: str, **more: Any) -> Registry:
    member = replace(registry.members[name], **more)
    return replace(registry, members={**registry.members, name: member})


PLAIN = {"a": (2, 3), "b": (3, 2)}


def test_all_members_are_told_the_same() -> None:
    registry = planned(PLAIN)
    assert blocks(registry) == {0: "a", 1: "b"}
    for share in Shares(registry).all():
        own = (0,) if share.member.startswith("a") else (1,)
        assert (share.own_blocks, share.other_blocks) == (own, ((1,) if own == (0,) else (0,)))
        assert parse_share(share.as_data()) == share


@pytest.mark.parametrize(("above", "regions"), [(0, PLAIN), (10, PLAIN), (100, PLAIN), (4, {"a": (2, 8)})])
def test_small_meshes_and_those_of_one_region_have_none(
    above: int, regions: Mapping[str, tuple[int, int]]
) -> None:
    """And their shares are what they were, digest and all."""
    registry = planned(regions, aggregate_above=above)
    assert blocks(registry) == {}
    data = [share.as_data() for share in Shares(registry).all()]
    assert not any("own_blocks" in one or "other_blocks" in one for one in data)
    large = replace(registry, settings=replace(registry.settings, aggregate_above=4))
    if above == 10:
        assert [digest(one) for one in data] != [digest(one.as_data()) for one in Shares(large).all()]


def test_a_mesh_that_is_not_sparse_has_none() -> None:
    registry = planned(PLAIN)
    full = replace(registry, settings=replace(registry.settings, full_mesh_up_to=10))
    assert blocks(full) == {}


@pytest.mark.parametrize(
    ("regions", "found"),
    [
        ({"a": (2, 1), "b": (1, 3)}, {0: "a"}),
        ({"a": (2, 1), "b": (0, 3)}, {0: "a"}),
        ({"a": (2, 1), "b": (2, 0), "c": (0, 1)}, {0: "a", 1: "b"}),
        ({"a": (2, 80), "b": (2, 1)}, {0: "a", 1: "a", 2: "b"}),
        ({"a": (1, 2), "b": (1, 2)}, {}),
    ],
    ids=["one hub", "no hub", "one member", "two blocks", "nobody has two hubs"],
)
def test_regions_of_all_kinds(regions: Mapping[str, tuple[int, int]], found: dict[int, str]) -> None:
    registry = planned(regions, max_degree=200)
    assert blocks(registry) == found


def hubs_of(registry: Registry, name: str) -> list[str]:
    members = registry.members
    return [
        end
        for end in (link.other(name) for link in registry.links_of(name))
        if members[end].transit and members[end].region == members[name].region
    ]


def test_a_member_that_one_hub_could_cut_off_keeps_its_block_open() -> None:
    registry = planned(PLAIN)
    hub = hubs_of(registry, "a4")[0]
    for found in (with_links(registry, (hub, "a4")), with_links(registry, (hub, "a4"), leaving=True)):
        assert blocks(found) == {1: "b"}
    assert blocks(with_links(registry, (hub, "a4"), leaving=True, held=True)) == {0: "a", 1: "b"}
    assert blocks(with_links(registry, (hub, "a4"), fresh=True)) == {0: "a", 1: "b"}


def test_who_has_no_links_yet_or_leaves_is_not_waited_for() -> None:
    registry = planned(PLAIN)
    ends = [link.ends for link in registry.links_of("a4")]
    assert blocks(with_links(registry, *ends)) == {0: "a", 1: "b"}
    assert blocks(with_member(registry, "a4", leaving=True)) == {0: "a", 1: "b"}


@pytest.mark.parametrize("ends", [{"stops": True}, {"transit": False, "held": True}, {"leaving": True}])
def test_a_hub_that_ends_does_not_count(ends: dict[str, bool]) -> None:
    registry = with_member(planned(PLAIN), "a0", **ends)
    assert blocks(registry) == {1: "b"}, "one hub is left in a"


def test_hubs_have_to_hold_together_inside() -> None:
    registry = planned(PLAIN)
    assert blocks(with_links(registry, ("a0", "a1"))) == {1: "b"}
    # Without b1 the others would be apart, which only the way by another region joins.
    assert blocks(with_links(registry, ("b0", "b2"))) == {0: "a"}


def test_a_way_that_leaves_the_region_while_routes_move_keeps_its_block_open() -> None:
    registry = planned(PLAIN)
    by = next(link.other("a0") for link in registry.links_of("a0") if link.other("a0").startswith("b"))
    number = registry.members["a4"].number
    for kept in (True, False):
        away = replace(registry, ways=(Way("a0", by, to=(number,), kept=kept),))
        assert blocks(away) == {1: "b"}
    assert blocks(replace(registry, ways=(Way("a0", "a1", to=(number,)),))) == {0: "a", 1: "b"}
    assert blocks(replace(registry, ways=(Way("a0", by, blocks=(1,)),))) == {0: "a", 1: "b"}


def test_the_setting_is_in_the_file_only_where_somebody_has_said_it() -> None:
    told = {name: value for name, value in SETTINGS.items() if name != "aggregate_above"}
    usual = do(None, "join", host("one", settings=told), host("two", settings=told, transit=True))[0]
    assert usual.settings.aggregate_above == 100 and "aggregate_above" not in dump_registry(usual)
    text = dump_registry(planned(PLAIN))
    assert "aggregate_above: 4" in text
    assert parse_registry(text, "wan.yml").settings.aggregate_above == 4
    for value in ("-1", "many", "70000"):
        with pytest.raises(BindError, match="aggregate_above"):
            parse_registry(text.replace("aggregate_above: 4", f"aggregate_above: {value}"), "wan.yml")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"own_blocks": [1024]}, "0 to 1023"),
        ({"other_blocks": [-1]}, "0 to 1023"),
        ({"own_blocks": [2], "other_blocks": [3, 2]}, "another region"),
    ],
)
def test_a_share_with_nonsense_is_refused(more: dict[str, Any], words: str) -> None:
    data = {**Shares(planned(PLAIN)).of("a4").as_data(), **more}
    with pytest.raises(BindError, match=words):
        parse_share(data)


@pytest.mark.parametrize("seed", range(25))
def test_hubs_never_send_out_of_a_region_for_a_block_that_is_whole(seed: int) -> None:
    """Whatever has happened to the mesh: else packets could go back and forth between regions."""
    rng = random.Random(seed)
    registry, wishes = begun(rng)
    registry = replace(registry, settings=replace(registry.settings, aggregate_above=1))
    for kind in rng.choices(("join leaf", "join hub", "leave", "replan", "transit on", "transit off"), k=4):
        try:
            registry = operated(kind, registry, wishes, rng)
        except BindError:
            continue
        confined(registry)
    confined(finished(registry))


def confined(registry: Registry) -> None:
    found, members, shares = blocks(registry), registry.members, list(Shares(registry).all())
    by_number = {member.number: member for member in members.values()}
    assert all(members[name].region in registry.regions for name in members)
    for share in shares:
        region = members[share.member].region
        told = dict.fromkeys(share.own_blocks, region)
        assert told == {block: name for block, name in found.items() if name == region}
        for interface, destinations in share.routes.items() if share.transit else ():
            peer = by_number.get(int(interface.partition("-")[2].rstrip("b")))
            for text in destinations:
                network = ipaddress.ip_network(text)
                if network.prefixlen < 32 or network.version == 6:
                    continue
                number = int(network[0]) - int(ipaddress.ip_network(PREFIXES[0])[0])
                if number // BLOCK in told and number in by_number and peer:
                    assert peer.region == region or peer.number == number, (share.member, text, interface)


def test_a_mesh_of_hundreds_is_aggregated_by_default() -> None:
    regions = dict.fromkeys("abcd", (4, 46))
    told = {"prefixes": list(PREFIXES), "neighbours": 4, "max_degree": 40}
    hosts = [
        host(f"{region}{at}", region=region, transit=at < hubs, settings=told)
        for region, (hubs, leaves) in regions.items()
        for at in range(hubs + leaves)
    ]
    registry = do(None, "join", *hosts)[0]
    assert Counter(blocks(registry).values()) == dict.fromkeys("abcd", 1)
    world = nodes(registry)
    for one, other in (("a5", "d9"), ("b0", "c49"), ("d49", "a0")):
        assert lost(world, one, other, world[other].address) == ""
