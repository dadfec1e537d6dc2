# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's own firewalld and ufw, of both releases, with everything closed that they do not open themselves.

On the set `mesh`, or on `mesh-three`, its first three nodes. fra-1 (Debian 12, a transit member) and fra-2
(Debian 13) have the firewalls; fra-3 calls them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import sets
from lab.paths import LabPaths

from .conftest import MeshLab
from .packages import install
from .walls import (
    CALLER,
    CHAIN,
    FILES,
    FIREWALLD,
    NODES,
    OPERATOR,
    PORT,
    RELOAD,
    SWITCH_OFF,
    SWITCH_ON,
    TRANSIT,
    UFW,
    WALLED,
    Walls,
    changes,
    theirs,
    zones,
)

pytestmark = pytest.mark.long
with_firewalld = pytest.mark.parametrize("walls", [FIREWALLD], indirect=True)


@pytest.fixture(scope="module")
def three(lab: MeshLab, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MeshLab:
    """The lab's mesh, and the packages in the nodes."""
    name = os.environ["SWARM_NODE_LAB"]
    for node in WALLED:
        work = tmp_path_factory.mktemp(node)
        install(name, node, ["firewalld", "ufw", "iptables", "conntrack"], work)
    if len(sets.nodes_of(LabPaths(name))) == len(NODES):
        run = lab.mesh("join", "--limit", ",".join(NODES), node_batches=["100%"], mesh_firewall="none")
        assert run.code == 0, run.output
        return lab
    found = request.getfixturevalue("mesh")
    assert isinstance(found, MeshLab)
    return found


@pytest.fixture(scope="module", params=[FIREWALLD, UFW])
def walls(three: MeshLab, request: pytest.FixtureRequest) -> Iterator[Walls]:
    found = Walls(three, request.param)
    found.each(SWITCH_ON[request.param], check=False)
    # `nft flush ruleset` took the mesh's tables, too.
    found.good(wish="none")
    yield found
    found.each(SWITCH_OFF, check=False)
    found.good(wish="none")


@pytest.fixture(scope="module")
def before(walls: Walls) -> list[dict[str, str]]:
    return walls.seen()


def test_nothing_gets_in_before_it_is_opened(walls: Walls, before: list[dict[str, str]]) -> None:
    assert walls.all_called() == [False, False]


def test_check_mode_says_what_it_would_open_and_writes_nothing(
    walls: Walls, before: list[dict[str, str]]
) -> None:
    files = walls.each(FILES[walls.daemon])
    run = walls.good("--check")
    for node in WALLED:
        assert [change["target"] for change in changes(run, node)] == [f"wan {walls.daemon}"]
    assert walls.each(FILES[walls.daemon]) == files
    assert walls.seen() == before


def test_auto_finds_the_daemon_and_opens_the_ports(walls: Walls, before: list[dict[str, str]]) -> None:
    run = walls.good()
    for node in WALLED:
        assert [change["target"] for change in changes(run, node)] == [f"wan {walls.daemon}"]
    assert walls.all_called() == [True, True]
    configuration, ruleset = walls.seen()
    assert zones(configuration) == zones(before[0])
    assert theirs(ruleset) == theirs(before[1])


def test_a_second_run_changes_and_writes_nothing(walls: Walls) -> None:
    files = walls.each(FILES[walls.daemon])
    run = walls.good()
    assert run.report["totals"]["changes"] == 0 and run.report["totals"]["writes"] == 0, run.output
    assert walls.each(FILES[walls.daemon]) == files


def test_it_outlasts_a_reload_and_a_reboot(walls: Walls) -> None:
    walls.each(RELOAD[walls.daemon])
    assert walls.all_called() == [True, True]
    for node in WALLED:
        walls.lab.faults.reboot(node)
    assert walls.all_called() == [True, True]
    assert walls.good().report["totals"]["changes"] == 0


def test_another_range_of_ports(walls: Walls) -> None:
    def wider(registry: dict[str, Any]) -> None:
        registry["settings"]["max_degree"] = 30

    text = walls.lab.edit(wider)
    try:
        run = walls.good()
        for node in WALLED:
            (change,) = changes(run, node)
            assert "51879" in str(change["after"]) and "51867" not in str(change["after"])
    finally:
        walls.lab.put_back(text)
    walls.good()
    assert walls.all_called() == [True, True]


def test_a_wrong_change_is_taken_back_with_what_it_opened(walls: Walls) -> None:
    before = [{node: sorted(text.splitlines()) for node, text in found.items()} for found in walls.seen()]

    def wrong(registry: dict[str, Any]) -> None:
        registry["settings"]["max_degree"] = 30
        caller = registry["members"][CALLER]
        caller["keys"][caller["generation"]] = "A" * 42 + "E="

    text = walls.lab.edit(wrong)
    try:
        run = walls.apply(node_max_disruption="peer_jobs")
    finally:
        walls.lab.put_back(text)
    assert run.code != 0
    after = [{node: sorted(text.splitlines()) for node, text in found.items()} for found in walls.seen()]
    assert after == before
    assert walls.good().report["totals"]["changes"] == 0


def test_a_transit_member_forwards(walls: Walls) -> None:
    target = walls.lab.address(CALLER)
    with walls.service(CALLER):
        number = walls.lab.registry()["members"][TRANSIT]["number"]
        route = f"{target}/32 dev wan-{number} metric 5"
        connect = f"import socket; socket.create_connection(('{target}', {PORT}), 10)"
        try:
            walls.lab.sh("fra-2", f'ip route replace {route}; python3 -c "{connect}"')
        finally:
            walls.lab.sh("fra-2", f"ip route del {route}")


def test_services_on_a_member_are_the_daemons_matter(walls: Walls) -> None:
    for node in WALLED:
        with walls.service(node):
            reached = f"import socket; socket.create_connection(('{walls.lab.address(node)}', {PORT}), 5)"
            assert "kept out" in walls.lab.sh(CALLER, f'python3 -c "{reached}" 2>&1 || echo kept out')


@with_firewalld
def test_the_zone_that_the_tunnels_come_to_is_opened(walls: Walls) -> None:
    """The underlay is in another zone than the default, and there is no default route."""
    move = "firewall-cmd --zone=internal --change-interface=eth0 && firewall-cmd --permanent"
    walls.each(f"{move} --zone=internal --change-interface=eth0")
    try:
        assert walls.all_called() == [False, False]
        walls.good()
        assert walls.all_called() == [True, True]
        walls.each("firewall-cmd --reload")
        assert walls.all_called() == [True, True]
        public = walls.each("firewall-cmd --zone=public --list-all; firewall-cmd --permanent --list-all")
        assert not any("51820" in text for text in public.values())
    finally:
        walls.each("firewall-cmd --zone=internal --remove-interface=eth0", check=False)
        walls.each("firewall-cmd --permanent --zone=internal --remove-interface=eth0", check=False)
    walls.good()
    assert walls.all_called() == [True, True]


@with_firewalld
def test_the_zone_of_a_source_comes_first(walls: Walls) -> None:
    for verb in ("add", "remove"):
        source = f"--zone=work --{verb}-source=10.77.0.0/24"
        walls.each(f"firewall-cmd {source} && firewall-cmd --permanent {source}")
        assert walls.all_called() == [False, False]
        walls.good()
        assert walls.all_called() == [True, True]


def test_switched_off_and_on_again(walls: Walls) -> None:
    off = {FIREWALLD: "systemctl stop firewalld", UFW: "ufw disable"}[walls.daemon]
    on = {FIREWALLD: "systemctl start firewalld", UFW: "ufw --force enable"}[walls.daemon]
    walls.each(off)
    run = walls.good()
    assert run.report["totals"]["changes"] == 0, run.output
    walls.each(on)
    assert walls.all_called() == [True, True]
    assert walls.good().report["totals"]["changes"] == 0


@with_firewalld
def test_a_firewalld_that_died_is_named(walls: Walls) -> None:
    walls.each("systemctl kill -s KILL firewalld; sleep 1; firewall-cmd --state", check=False)
    try:
        run = walls.apply()
        assert run.code != 0
        for node in WALLED:
            assert "firewalld, which does not answer" in run.failure(node), run.output
    finally:
        walls.each("systemctl reset-failed firewalld; systemctl start firewalld")
    assert walls.good().report["totals"]["changes"] == 0


@with_firewalld
def test_a_masked_firewalld_is_refused_where_it_is_asked_for(walls: Walls) -> None:
    walls.each("systemctl stop firewalld; systemctl mask firewalld")
    try:
        run = walls.apply(wish="firewalld")
        assert run.code != 0 and "firewalld does not" in run.failure("fra-1"), run.output
    finally:
        walls.each("systemctl unmask firewalld; systemctl start firewalld")


@with_firewalld
def test_both_at_once_are_refused(walls: Walls) -> None:
    walls.each("ufw allow in on eth9; ufw --force enable")
    try:
        run = walls.apply()
        assert run.code != 0 and "firewalld and ufw, both of them active" in run.failure("fra-1"), run.output
    finally:
        walls.each("ufw --force disable; ufw delete allow in on eth9; systemctl restart firewalld")


def test_a_reset_by_hand_is_put_right(walls: Walls) -> None:
    reset = {
        # What `firewall-cmd --reset-to-defaults` does, which Debian 12 does not have.
        FIREWALLD: "rm -f /etc/firewalld/zones/*; firewall-cmd --reload",
        UFW: "ufw --force reset; rm -f /etc/ufw/*.rules.2*; ufw allow in on eth9; ufw --force enable",
    }[walls.daemon]
    walls.each(reset)
    assert walls.all_called() == [False, False]
    run = walls.good()
    assert all(changes(run, node) for node in WALLED)
    assert walls.all_called() == [True, True]
    walls.good(wish="none")
    walls.each(SWITCH_ON[walls.daemon], check=False)
    walls.good(wish="none")
    walls.good()


def test_what_is_not_asked_for_any_more_leaves_nothing(walls: Walls, before: list[dict[str, str]]) -> None:
    walls.good(wish="none")
    after = walls.seen()
    for found, wanted in zip(after, before):
        assert {node: sorted(text.splitlines()) for node, text in found.items()} == {
            node: sorted(text.splitlines()) for node, text in wanted.items()
        }
    assert walls.all_called() == [False, False]


# -- nftables.service, without a daemon


@pytest.fixture
def operator(three: MeshLab, tmp_path: Path) -> Iterator[Walls]:
    found = Walls(three, "nftables")
    found.each("cp /etc/nftables.conf /root/nftables.conf")
    found.each(f"cat >/etc/nftables.conf <<'END'\n{OPERATOR}END\nsystemctl enable --now nftables")
    yield found
    found.each("cp /root/nftables.conf /etc/nftables.conf; systemctl disable --now nftables")
    found.each("nft delete table inet site", check=False)
    found.good(wish="none")


def test_a_reload_of_nftables_service_brings_the_filter_and_the_opening_back(operator: Walls) -> None:
    refused = operator.apply()
    assert refused.code != 0 and CHAIN in refused.failure("fra-1"), refused.output
    operator.good(wish=CHAIN)
    assert operator.all_called() == [True, True]
    tables = operator.each("nft -s list ruleset")
    for verb in ("reload", "restart"):
        operator.each(f"systemctl {verb} nftables")
        assert operator.each("nft -s list ruleset") == tables, verb
        assert operator.all_called() == [True, True]
    assert operator.good(wish=CHAIN).report["totals"]["changes"] == 0
