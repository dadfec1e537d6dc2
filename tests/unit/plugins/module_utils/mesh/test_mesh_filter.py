# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh's own packet filter: made, the same, drifted, gone; its unit; what would cut the node off."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.filter import unit_text
from ansible_collections.swarm.node.plugins.module_utils.mesh.filter_rules import rules_of
from mesh_firewall_world import GATEWAY, SHARE, Machine, Namespace, keys, needs_nft, run, tree

THEIRS = "table inet theirs {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n"
OUR_TABLE = ("inet", "swarm_node_mesh_wan")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    namespace = Namespace()
    namespace.must("nft", "-f", "-", data=THEIRS)
    yield Machine(tmp_path, namespace)
    namespace.close()


@needs_nft
def test_nothing_here_can_reach_the_hosts_ruleset(tmp_path: Path) -> None:
    namespace = Namespace()
    with subprocess.Popen(["sleep", "60"]) as outside:
        inside, namespace.process = namespace.process, outside
        try:
            with pytest.raises(AssertionError, match="is the host's"):
                namespace.run(["true"])
        finally:
            namespace.close()
            namespace.process = inside
            namespace.close()


@needs_nft
@pytest.mark.parametrize("share", [SHARE, GATEWAY], ids=["member", "gateway"])
def test_it_is_made_once_and_seen_as_it_is(machine: Machine, tmp_path: Path, share: object) -> None:
    assert isinstance(share, type(SHARE))
    first = run(machine, tmp_path, {"wan": share})
    second = run(machine, tmp_path, {"wan": share})
    assert "mesh.filter wan" in keys(first)
    assert "mesh.unit swarm-node-mesh@wan.service" in keys(first)
    assert keys(second) == [] and second.writes == 0


@needs_nft
def test_check_mode_and_report_change_nothing(machine: Machine, tmp_path: Path) -> None:
    before = machine.ruleset()
    planned = run(machine, tmp_path, {"wan": SHARE}, check=True)
    reported = run(machine, tmp_path, {"wan": SHARE}, managed_by="the operator (manage: report)")
    assert "mesh.filter wan" in keys(planned)
    assert {"mesh.filter"} <= {wish.key for wish in reported.plan.unapplied}
    assert machine.ruleset() == before
    assert tree(tmp_path / "root") == {}


@needs_nft
@pytest.mark.parametrize(
    "by_hand",
    [
        ("flush", "chain", *OUR_TABLE, "source"),
        ("delete", "table", *OUR_TABLE),
        ("add", "rule", *OUR_TABLE, "input", "accept"),
        ("add", "set", *OUR_TABLE, "x", "{ type ipv4_addr; }"),
        ("add", "chain", *OUR_TABLE, "extra"),
    ],
)
def test_what_is_changed_by_hand_is_seen_and_put_right(
    machine: Machine, tmp_path: Path, by_hand: tuple[str, ...]
) -> None:
    run(machine, tmp_path, {"wan": SHARE})
    good = machine.ruleset()
    assert machine.namespace
    machine.namespace.must("nft", *by_hand)
    outcome = run(machine, tmp_path, {"wan": SHARE})
    assert keys(outcome) == ["mesh.filter wan"]
    assert machine.ruleset() == good


@needs_nft
def test_a_deleted_rule_is_seen(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path, {"wan": SHARE})
    assert machine.namespace
    text = machine.namespace.must("nft", "-a", "list", "chain", *OUR_TABLE, "source")
    handle = text.splitlines()[-3].rpartition(" ")[2]
    machine.namespace.must("nft", "delete", "rule", *OUR_TABLE, "source", "handle", handle)
    assert keys(run(machine, tmp_path, {"wan": SHARE}, check=True)) == ["mesh.filter wan"]


@needs_nft
def test_removal_leaves_nothing_but_what_was_there(machine: Machine, tmp_path: Path) -> None:
    before = machine.ruleset()
    run(machine, tmp_path, {"wan": SHARE})
    outcome = run(machine, tmp_path, {})
    assert "mesh.filter wan" in keys(outcome)
    assert machine.ruleset() == before
    assert tree(tmp_path / "root") == {}
    assert machine.active == set()
    assert keys(run(machine, tmp_path, {})) == []


@needs_nft
@pytest.mark.parametrize("damaged", [False, True])
def test_removal_where_the_record_was_lost(machine: Machine, tmp_path: Path, damaged: bool) -> None:
    before = machine.ruleset()
    run(machine, tmp_path, {"wan": SHARE})
    (record,) = (tmp_path / "state").glob("*.json")
    if damaged:
        record.write_text("{")
    else:
        record.unlink()
    run(machine, tmp_path, {})
    assert machine.ruleset() == before
    assert tree(tmp_path / "root") == {}
    assert machine.active == set()
    assert keys(run(machine, tmp_path, {})) == []


@needs_nft
def test_of_two_meshes_one_goes(machine: Machine, tmp_path: Path) -> None:
    other = replace(SHARE, mesh="lab", prefixes=("10.98.0.0/16",), tunnels=(), routes={})
    run(machine, tmp_path, {"wan": SHARE})
    alone = machine.ruleset()
    run(machine, tmp_path, {"wan": SHARE, "lab": other})
    run(machine, tmp_path, {"wan": SHARE})
    assert machine.ruleset() == alone
    assert machine.active == {"swarm-node-mesh@wan.service"}


def test_without_nft_it_is_unapplied_and_the_routes_have_their_unit(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    outcome = run(machine, tmp_path, {"wan": SHARE})
    assert [(wish.key, wish.reason) for wish in outcome.plan.unapplied] == [("mesh.filter", "unsupported")]
    unit = tree(tmp_path / "root")["etc/systemd/system/swarm-node-mesh@.service"]
    assert "nft -f" not in unit and "mesh.routes" in unit
    assert keys(run(machine, tmp_path, {"wan": SHARE})) == []


def test_without_nft_a_required_filter_changes_nothing(tmp_path: Path) -> None:
    outcome = run(Machine(tmp_path), tmp_path, {"wan": SHARE}, required=("mesh.filter",))
    assert [wish.key for wish in outcome.missing_required] == ["mesh.filter"]
    assert tree(tmp_path / "root") == {}


def test_prefixes_that_the_node_is_in_are_refused(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    address = '[{"ifname": "eth0", "addr_info": [{"local": "10.99.7.1", "prefixlen": 24}]}]'
    machine.answers["ip"] = Done(0, address, "")
    with pytest.raises(BindError, match=r"10\.99\.0\.0/16.*eth0"):
        run(machine, tmp_path, {"wan": SHARE})
    assert tree(tmp_path / "root") == {}


def test_the_nodes_own_addresses_in_the_mesh_are_no_clash(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    own = '[{"ifname": "%s", "addr_info": [{"local": "10.99.0.1", "prefixlen": 32}]}]'
    for device in ("wan-2", "lo", "dummy0"):
        machine.answers["ip"] = Done(0, own % device, "")
        run(machine, tmp_path, {"wan": SHARE}, check=True)


def test_meshes_with_one_prefix_are_refused(tmp_path: Path) -> None:
    other = replace(SHARE, mesh="lab", prefixes=("10.0.0.0/8",), tunnels=(), routes={})
    with pytest.raises(BindError, match=r"lab"):
        run(Machine(tmp_path), tmp_path, {"wan": SHARE, "lab": other})


def test_networks_behind_other_members_may_come_from_them() -> None:
    share = replace(SHARE, routes={"wan-2": ("10.55.0.0/24", "10.99.0.64/26")})
    sources = rules_of(share)["source"]
    assert "ip saddr 10.55.0.0/24 return" in sources
    assert not any("10.99.0.64" in line for line in sources)


def test_the_unit_comes_before_the_tunnels_and_after_what_flushes() -> None:
    text = unit_text(with_filter=True)
    for line in ("PartOf=nftables.service", "ReloadPropagatedFrom=nftables.service"):
        assert line in text.splitlines()
    assert "Before=network-online.target" in text
    assert "nftables.service" in text.partition("After=")[2].splitlines()[0]
