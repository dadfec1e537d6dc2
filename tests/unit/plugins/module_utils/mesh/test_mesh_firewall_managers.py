# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld and ufw, what `auto` finds on a node, and how a wish may be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall import (
    FirewallPart,
    mistakes_in_firewall,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_ranges import edit
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall_set import types_of
from mesh_firewall_world import SHARE, Machine, keys, run

SOURCES = replace(SHARE, endpoints=("203.0.113.7", "203.0.113.9", "2001:db8::9"))
MORE = replace(SHARE, ports=(51820, 51899))


@pytest.mark.parametrize("wish", ["ufw", "auto"])
@pytest.mark.parametrize("share", [SHARE, SOURCES], ids=["anywhere", "sources"])
def test_ufw(tmp_path: Path, wish: str, share: Any) -> None:
    machine = Machine(tmp_path)
    machine.ufw = ["ufw allow 22/tcp", "ufw deny from 192.0.2.1 comment 'a bad one'"]
    before = list(machine.ufw)
    run(machine, tmp_path, {"wan": share}, wish)
    ours = machine.ufw[2:]
    assert len(ours) == (3 if share is SOURCES else 1)
    assert all(line.endswith("comment 'swarm.node mesh wan'") for line in ours)
    assert keys(run(machine, tmp_path, {"wan": share}, wish)) == []
    run(machine, tmp_path, {"wan": MORE}, wish)
    assert machine.ufw[2:] == ["ufw allow 51820:51899/udp comment 'swarm.node mesh wan'"]
    run(machine, tmp_path, {})
    assert machine.ufw == before


def test_the_same_rule_of_somebody_else_in_ufw_stays(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.ufw = ["ufw allow 51820:51867/udp comment 'mine'"]
    run(machine, tmp_path, {"wan": SHARE}, "ufw")
    run(machine, tmp_path, {})
    assert machine.ufw == ["ufw allow 51820:51867/udp comment 'mine'"]


@pytest.mark.parametrize("wish", ["firewalld", "auto"])
@pytest.mark.parametrize("share", [SHARE, SOURCES], ids=["anywhere", "sources"])
def test_firewalld(tmp_path: Path, wish: str, share: Any) -> None:
    machine = Machine(tmp_path)
    machine.firewalld = {"public runtime": ["51825/udp", "22/tcp"], "public permanent": ["22/tcp"]}
    before = {name: sorted(found) for name, found in machine.firewalld.items()}
    run(machine, tmp_path, {"wan": share}, wish)
    added = set(machine.firewalld["public permanent"]) - {"22/tcp"}
    if share is SHARE:
        assert added == {"51820-51867/udp"}
    else:
        rule = 'rule family="ipv6" source address="2001:db8::9" port port="51820-51867" protocol="udp" accept'
        assert rule in added and len(added) == 3
    assert not any("--reload" in word for call in machine.calls for word in call)
    assert keys(run(machine, tmp_path, {"wan": share}, wish)) == []
    run(machine, tmp_path, {})
    after = {name: sorted(found) for name, found in machine.firewalld.items() if found}
    assert after == before


def test_another_range_in_firewalld_keeps_what_is_common(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.firewalld = {"public runtime": ["22/tcp"]}
    for share in (SHARE, MORE, SHARE):
        run(machine, tmp_path, {"wan": share}, "firewalld")
    assert sorted(machine.firewalld["public runtime"]) == ["22/tcp", "51820-51867/udp"]


def test_firewalld_that_stopped_keeps_its_claim(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.firewalld = {"public runtime": ["22/tcp"]}
    run(machine, tmp_path, {"wan": SHARE}, "firewalld")
    machine.firewalld = {}
    outcome = run(machine, tmp_path, {"wan": SHARE}, "none")
    assert [(one.key, one.reason) for one in outcome.plan.unapplied if one.key == "mesh.firewall"] == [
        ("mesh.firewall", "unsupported")
    ]
    assert "mesh.firewall wan firewalld" in outcome.plan.claims
    machine.firewalld = None
    outcome = run(machine, tmp_path, {"wan": SHARE}, "none")
    assert "mesh.firewall wan firewalld" not in outcome.plan.claims


def test_a_wish_of_firewalld_that_was_uninstalled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="firewalld"):
        run(Machine(tmp_path), tmp_path, {"wan": SHARE}, "firewalld")


def test_firewalld_opens_the_zones_of_the_devices_that_tunnels_go_over(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.firewalld = {"public runtime": ["22/tcp"]}
    machine.answers["ip"] = Done(0, '[{"dst": "default", "dev": "eth1"}]', "")
    run(machine, tmp_path, {"wan": SHARE}, "firewalld")
    assert machine.firewalld["internal permanent"] == ["51820-51867/udp"]
    assert machine.firewalld["public runtime"] == ["22/tcp"]


def test_ports_that_firewalld_joined_are_parted_again() -> None:
    """firewalld makes one entry of ranges that touch; what was there before us stays."""
    deleted, added = edit([("public runtime", (51820, 51867))], {"public runtime": ((51821, 51867),)}, {})
    assert deleted == ["51820-51867 public runtime"]
    assert added == ["51820-51820 public runtime"]


# -- what auto finds else


def test_the_old_iptables_is_refused(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    names = tmp_path / "root/proc/net/ip_tables_names"
    names.parent.mkdir(parents=True)
    names.write_text("filter\n")
    machine.answers["iptables-legacy-save"] = Done(0, "*filter\n:INPUT DROP [0:0]\nCOMMIT\n", "")
    with pytest.raises(BindError, match="INPUT is DROP"):
        run(machine, tmp_path, {"wan": SHARE}, "auto")


def test_the_old_iptables_is_not_asked_where_it_is_not_loaded(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    run(machine, tmp_path, {"wan": SHARE}, "auto")
    assert not any("legacy" in call[0] for call in machine.calls)


def test_a_ruleset_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.answers["nft"] = Done(1, "", "Error: JSON support not compiled-in")
    notes = run(machine, tmp_path, {"wan": SHARE}, "auto").plan.notes
    assert any("JSON support not compiled-in" in note for note in notes)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("auto", True),
        ("none", True),
        (None, True),
        ("nft chain inet filter input", True),
        ("nft set ip6 filter mesh-ports", True),
        ("nft chain bridge filter input", False),
        ("nft chain inet filter", False),
        ("nft table inet filter input", False),
        ("nft chain inet filter input;flush", False),
        ("nft chain inet swarm_node_mesh_wan input", False),
        ("iptables", False),
        (True, False),
        (["auto"], False),
    ],
)
def test_how_it_may_be_written(value: Any, good: bool) -> None:
    assert (mistakes_in_firewall(value) == []) is good


def test_a_wrong_wish_is_refused_before_anything_else(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(BindError, match="iptables"):
        FirewallPart("iptables", {"wan": SHARE}, tmp_path, str(tmp_path), machine).read()
    assert machine.calls == []


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("inet_service", ("inet_service",)),
        (["inet_service", "ipv4_addr"], ("inet_service", "ipv4_addr")),
        # As nft 1.1 writes a set that was made with typeof.
        (
            {
                "typeof": {
                    "concat": [
                        {"payload": {"protocol": "ip", "field": "saddr"}},
                        {"payload": {"protocol": "udp", "field": "dport"}},
                    ]
                }
            },
            ("ipv4_addr", "inet_service"),
        ),
        ({"typeof": {"payload": {"protocol": "tcp", "field": "dport"}}}, ("",)),
    ],
)
def test_the_types_of_sets(written: Any, parts: tuple[str, ...]) -> None:
    assert types_of(written) == parts
