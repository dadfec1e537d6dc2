# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones of firewalld that tunnels come to, what transit members need, managers that are switched off."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_firewalld import Firewalld
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_ranges import opening_of
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_ufw import Ufw
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_zones import (
    parse_routes,
    parse_zones,
    zones_of,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Tunnel
from mesh_firewall_world import GATEWAY, KEY, SHARE, Machine, keys, run

PEERS = replace(SHARE, endpoints=("203.0.113.7", "10.1.0.9"))
TRANSIT = replace(SHARE, transit=True)
ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "10.1.0.0/24", "dev": "eth1"},
    {"type": "unreachable", "dst": "10.99.0.0/16", "dev": "lo"},
]
DENIED = [
    {"table": {"family": "inet", "name": "firewalld"}},
    {
        "chain": {
            "family": "inet",
            "table": "firewalld",
            "name": "filter_INPUT",
            "hook": "input",
            "type": "filter",
            "prio": 10,
            "policy": "drop",
        }
    },
]


def firewalld(tmp_path: Path, routes: Any = ROUTES) -> Machine:
    machine = Machine(tmp_path)
    machine.firewalld = {"public runtime": ["22/tcp"]}
    machine.answers["ip"] = Done(0, json.dumps(routes), "")
    return machine


def with_ports(machine: Machine) -> dict[str, list[str]]:
    """Zone and kind → what was opened in it."""
    assert machine.firewalld is not None
    found = {
        place: [one for one in entries if "51820" in one] for place, entries in machine.firewalld.items()
    }
    return {place: entries for place, entries in found.items() if entries}


def test_each_source_is_let_in_where_its_packets_come(tmp_path: Path) -> None:
    machine = firewalld(tmp_path)
    run(machine, tmp_path, {"wan": PEERS}, "firewalld")
    opened = with_ports(machine)
    assert sorted(opened) == ["internal permanent", "internal runtime", "public permanent", "public runtime"]
    assert ['"10.1.0.9"' in rule for rule in opened["internal runtime"]] == [True]
    assert ['"203.0.113.7"' in rule for rule in opened["public runtime"]] == [True]


def test_a_zone_of_a_source_comes_before_that_of_the_device(tmp_path: Path) -> None:
    machine = firewalld(tmp_path)
    machine.firewalld = {f"work {kind}": ["source=10.1.0.0/16"] for kind in ("runtime", "permanent")}
    run(machine, tmp_path, {"wan": PEERS}, "firewalld")
    opened = with_ports(machine)
    assert sorted(opened) == ["public permanent", "public runtime", "work permanent", "work runtime"]


def test_without_a_default_route_the_zone_of_the_only_way_is_opened(tmp_path: Path) -> None:
    machine = firewalld(tmp_path, ROUTES[1:])
    run(machine, tmp_path, {"wan": SHARE}, "firewalld")
    assert sorted(with_ports(machine)) == ["internal permanent", "internal runtime"]


def test_a_known_peer_on_another_device_counts_although_others_roam(tmp_path: Path) -> None:
    machine = firewalld(tmp_path)
    share = replace(SHARE, tunnels=(Tunnel("wan-2", "two", 2, 1, 51820, KEY, endpoint="10.1.0.9:51820"),))
    run(machine, tmp_path, {"wan": share}, "firewalld")
    assert {place.split()[0] for place in with_ports(machine)} == {"internal", "public"}


def test_the_routes_of_both_families_and_several_hops() -> None:
    six = [
        {"dst": "default", "nexthops": [{"dev": "eth0"}, {"dev": "eth2"}]},
        {"dst": "fd00::/8", "dev": "eth1"},
    ]
    routes = parse_routes(ROUTES, six)
    sources = ("203.0.113.7", "fd00::9", "2001:db8::9")
    opening = opening_of(replace(SHARE, endpoints=sources))
    assert routes.devices(opening) == {"eth0", "eth1", "eth2"}
    zones = parse_zones(
        "a (active)\n  interfaces: eth0\nb (default, active)\n  interfaces: eth+\n  sources: ipset:x\n"
    )
    found = [zones_of(opening, source, routes, zones, {"": "a"}) for source in sources]
    assert found == [{"a"}, {"b"}, {"a", "b"}]


# -- what members forward


def test_a_transit_members_tunnels_get_into_a_zone_by_name(tmp_path: Path) -> None:
    """firewalld forwards nothing between devices that are in the default zone because no zone names them."""
    machine = firewalld(tmp_path)
    run(machine, tmp_path, {"wan": TRANSIT}, "firewalld")
    assert machine.bound == {"public runtime": ["wan-+"], "public permanent": ["wan-+"]}
    assert keys(run(machine, tmp_path, {"wan": TRANSIT}, "firewalld")) == []
    run(machine, tmp_path, {"wan": SHARE}, "firewalld")
    assert not any(machine.bound.values())


@pytest.mark.parametrize("device", ["wan-+", "wan-2"])
def test_an_operators_zone_for_the_tunnels_stays_theirs(tmp_path: Path, device: str) -> None:
    machine = firewalld(tmp_path)
    machine.bound = {"work runtime": [device], "work permanent": [device]}
    run(machine, tmp_path, {"wan": TRANSIT}, "firewalld")
    assert set(machine.bound) == {"work runtime", "work permanent"}
    run(machine, tmp_path, {}, "firewalld")
    assert machine.bound == {"work runtime": [device], "work permanent": [device]}


def test_tunnels_of_a_transit_member_move_with_the_operators_zone(tmp_path: Path) -> None:
    machine = firewalld(tmp_path)
    run(machine, tmp_path, {"wan": TRANSIT}, "firewalld")
    for place in ("work runtime", "work permanent"):
        machine.bound[place] = ["wan-2"]
    run(machine, tmp_path, {"wan": TRANSIT}, "firewalld")
    assert machine.bound["work runtime"] == ["wan-2", "wan-+"] and machine.bound["public runtime"] == []


def test_a_transit_member_forwards_through_ufw(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.ufw = ["ufw route allow in on eth0 out on eth1"]
    run(machine, tmp_path, {"wan": GATEWAY}, "ufw")
    assert "ufw route allow from 10.99.0.0/16 to 10.99.0.0/16 comment 'swarm.node mesh wan'" in machine.ufw
    assert len(machine.ufw) == 4
    assert keys(run(machine, tmp_path, {"wan": GATEWAY}, "ufw")) == []
    run(machine, tmp_path, {"wan": SHARE}, "ufw")
    assert not any("10.99" in rule for rule in machine.ufw)
    run(machine, tmp_path, {})
    assert machine.ufw == ["ufw route allow in on eth0 out on eth1"]


# -- what cannot be opened


def test_tunnels_in_a_zone_that_drops_everything_are_named(tmp_path: Path) -> None:
    machine = firewalld(tmp_path)
    machine.bound = {"drop runtime": ["wan-+"]}
    notes = run(machine, tmp_path, {"wan": SHARE}, "firewalld").plan.notes
    assert any("zone drop" in note and "--zone=trusted" in note for note in notes)


def test_a_strict_filter_of_paths_is_named(tmp_path: Path) -> None:
    machine = firewalld(tmp_path)
    assert rpfilter_notes(machine) == []
    machine.answers["nft"] = Done(0, "\tmeta nfproto ipv6 fib saddr . mark . iif oif missing drop\n", "")
    assert len(rpfilter_notes(machine)) == 1


def rpfilter_notes(machine: Machine) -> list[str]:
    manager = Firewalld(machine)
    return [note for note in manager.notes(manager.survey(), opening_of(SHARE)) if "IPv6_rpfilter" in note]


def test_firewalld_and_ufw_at_once_are_refused(tmp_path: Path) -> None:
    machine = firewalld(tmp_path)
    machine.ufw = []
    place = tmp_path / "root/etc/ufw/ufw.conf"
    place.parent.mkdir(parents=True)
    place.write_text("ENABLED=yes\nLOGLEVEL=low\n")
    with pytest.raises(BindError, match="firewalld and ufw, both"):
        run(machine, tmp_path, {"wan": SHARE}, "auto")
    place.write_text("ENABLED=no\n")
    run(machine, tmp_path, {"wan": SHARE}, "auto")
    assert with_ports(machine)


def test_rules_of_a_firewalld_that_died_are_not_taken_for_an_operators(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.firewalld = {}
    machine.answers["nft"] = Done(0, json.dumps({"nftables": DENIED}), "")
    with pytest.raises(BindError, match="firewalld, which does not answer") as caught:
        run(machine, tmp_path, {"wan": SHARE}, "auto", check=True)
    assert "nft chain" not in str(caught.value)


# -- switched off and on


def test_auto_leaves_its_rules_in_an_ufw_that_is_switched_off(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.ufw = []
    run(machine, tmp_path, {"wan": SHARE}, "auto")
    before = list(machine.ufw)
    assert before
    machine.ufw_active = False
    outcome = run(machine, tmp_path, {"wan": SHARE}, "auto")
    assert machine.ufw == before and any("ufw is not active" in note for note in outcome.plan.notes)
    machine.ufw_active = True
    assert keys(run(machine, tmp_path, {"wan": SHARE}, "auto")) == []
    machine.ufw_active = False
    run(machine, tmp_path, {"wan": SHARE}, "none")
    assert machine.ufw == []


def test_a_ruleset_that_ufw_lost_is_said_to_be() -> None:
    def runner(argv: Any, data: str = "", timeout: float = 60.0) -> Done:
        return Done(1, "", "ERROR: problem running")

    with pytest.raises(NodeError, match="ufw reload"):
        Ufw(runner).change("wan", [], ["51820:51867/udp"])
