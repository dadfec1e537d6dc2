# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports in somebody else's firewall: opened, held, closed again, and nothing else touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall import (
    reinsert,
)
from mesh_firewall_world import SHARE, Machine, Namespace, keys, needs_nft, run, tree

SOURCES = replace(SHARE, endpoints=("203.0.113.7", "203.0.113.9", "2001:db8::9"))
MORE = replace(SHARE, ports=(51820, 51899))
CHAIN, SET = "nft chain inet theirs input", "nft set inet theirs {}"
THEIRS = """
table inet theirs {
    set plain { type inet_service; elements = { 22, 51821 }; }
    set spans { type inet_service; flags interval; auto-merge; elements = { 51868-51870 }; }
    set pairs { type inet_service . ipv4_addr; flags interval; elements = { 22 . 198.51.100.1 }; }
    set triples { type ipv4_addr . inet_proto . inet_service; }
    set marks { type mark; }
    chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        tcp dport 22 accept comment "ssh"
    }
}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    namespace = Namespace()
    namespace.must("nft", "-f", "-", data=THEIRS)
    yield Machine(tmp_path, namespace)
    namespace.close()


def theirs(machine: Machine) -> str:
    assert machine.namespace
    return machine.namespace.must("nft", "-s", "list", "table", "inet", "theirs")


@needs_nft
@pytest.mark.parametrize(
    ("wish", "share"),
    [
        (CHAIN, SHARE),
        (CHAIN, SOURCES),
        (SET.format("plain"), SHARE),
        (SET.format("spans"), SHARE),
        (SET.format("spans"), MORE),
        (SET.format("pairs"), SOURCES),
        (SET.format("triples"), SOURCES),
    ],
)
def test_opened_the_same_and_closed_again(machine: Machine, tmp_path: Path, wish: str, share: Any) -> None:
    before = theirs(machine)
    first = run(machine, tmp_path, {"wan": share}, wish)
    opened = theirs(machine)
    assert f"mesh.firewall wan {wish}" in keys(first)
    assert opened != before
    second = run(machine, tmp_path, {"wan": share}, wish)
    assert keys(second) == [] and second.writes == 0
    run(machine, tmp_path, {})
    assert theirs(machine) == before
    assert tree(tmp_path / "root") == {}
    assert machine.active == set()


@needs_nft
def test_the_rule_is_at_the_head_and_says_whose_it_is(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path, {"wan": SHARE}, CHAIN)
    lines = [line.strip() for line in theirs(machine).splitlines()]
    head = lines[lines.index("type filter hook input priority filter; policy drop;") + 1]
    assert head == 'udp dport 51820-51867 counter accept comment "swarm.node mesh wan"'


@needs_nft
def test_other_ports_replace_the_rule(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path, {"wan": SHARE}, CHAIN)
    outcome = run(machine, tmp_path, {"wan": MORE}, CHAIN)
    # The note for a lost record comes behind it.
    assert keys(outcome)[-2:] == [
        f"mesh.firewall wan {CHAIN}",
        "file /etc/swarm_node/mesh/firewall.json",
    ]
    assert theirs(machine).count("swarm.node mesh") == 1
    assert "51820-51899" in theirs(machine)


@needs_nft
def test_a_rule_that_vanished_comes_back(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path, {"wan": SHARE}, CHAIN)
    opened = theirs(machine)
    assert machine.namespace
    machine.namespace.must("nft", "-f", "-", data="delete table inet theirs\n" + THEIRS)
    assert keys(run(machine, tmp_path, {"wan": SHARE}, CHAIN)) == [f"mesh.firewall wan {CHAIN}"]
    assert theirs(machine) == opened


@needs_nft
@pytest.mark.parametrize("wish", [CHAIN, SET.format("plain")])
def test_the_boot_unit_puts_it_in_again(machine: Machine, tmp_path: Path, wish: str) -> None:
    run(machine, tmp_path, {"wan": SHARE}, wish)
    opened = theirs(machine)
    share = tmp_path / "root/etc/swarm_node/mesh/wan/share.json"
    share.write_text(json.dumps(SHARE.as_data()))
    assert machine.namespace
    machine.namespace.must("nft", "-f", "-", data="delete table inet theirs\n" + THEIRS)
    assert reinsert(tmp_path / "root", machine) != []
    assert theirs(machine) == opened
    assert reinsert(tmp_path / "root", machine) == []


def test_the_boot_unit_has_nothing_to_do_without_a_wish(tmp_path: Path) -> None:
    assert reinsert(tmp_path, Machine(tmp_path)) == []


@needs_nft
def test_elements_that_were_there_stay(machine: Machine, tmp_path: Path) -> None:
    wish = SET.format("plain")
    outcome = run(machine, tmp_path, {"wan": SHARE}, wish)
    claim = outcome.plan.claims[f"mesh.firewall wan {wish}"]
    assert claim.first_seen == ["51821-51821"]
    assert claim.applied == ["51820-51820", "51822-51867"]
    run(machine, tmp_path, {})
    assert "22, 51821" in theirs(machine)


@needs_nft
def test_a_wish_that_changes_moves_the_opening(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path, {"wan": SHARE}, CHAIN)
    machine.ufw = []
    run(machine, tmp_path, {"wan": SHARE}, "ufw")
    assert "swarm.node" not in theirs(machine)
    assert machine.ufw == ["ufw allow 51820:51867/udp comment 'swarm.node mesh wan'"]
    run(machine, tmp_path, {"wan": SHARE}, "none")
    assert machine.ufw == []


@needs_nft
@pytest.mark.parametrize(
    ("wish", "share", "said"),
    [
        ("nft chain inet theirs forward", SHARE, "inet theirs input"),
        ("nft set inet theirs nope", SHARE, "inet theirs pairs"),
        (SET.format("marks"), SHARE, "a set of ports"),
        (SET.format("pairs"), SHARE, "tunnels may come from any address"),
        ("firewalld", SHARE, "firewalld does not"),
        ("ufw", SHARE, "ufw is not"),
        ("auto", SHARE, "inet theirs input"),
    ],
)
def test_what_cannot_be_is_refused_and_says_what_can(
    machine: Machine, tmp_path: Path, wish: str, share: Any, said: str
) -> None:
    before = theirs(machine)
    with pytest.raises(BindError, match=r"mesh_firewall.*host_vars/gw1\.yml") as caught:
        run(machine, tmp_path, {"wan": share}, wish)
    assert said in str(caught.value)
    assert theirs(machine) == before


@needs_nft
def test_auto_leaves_a_ruleset_alone_that_lets_them_in(machine: Machine, tmp_path: Path) -> None:
    assert machine.namespace
    machine.namespace.must("nft", "insert rule inet theirs input udp dport 51820-51867 accept")
    before = theirs(machine)
    outcome = run(machine, tmp_path, {"wan": SHARE}, "auto")
    assert not any(name.startswith("mesh.firewall") for name in keys(outcome))
    assert theirs(machine) == before


@needs_nft
def test_auto_does_not_take_our_own_rule_for_theirs(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path, {"wan": SHARE}, CHAIN)
    opened = theirs(machine)
    with pytest.raises(BindError, match="inet theirs input"):
        run(machine, tmp_path, {"wan": SHARE}, "auto")
    assert theirs(machine) == opened


@needs_nft
def test_auto_after_a_set_is_refused(machine: Machine, tmp_path: Path) -> None:
    """The elements would let tunnels in, be taken for somebody else's, and be removed."""
    assert machine.namespace
    machine.namespace.must("nft", "add rule inet theirs input udp dport @spans accept")
    run(machine, tmp_path, {"wan": SHARE}, SET.format("spans"))
    opened = theirs(machine)
    with pytest.raises(BindError, match="nft set inet theirs spans"):
        run(machine, tmp_path, {"wan": SHARE}, "auto")
    assert theirs(machine) == opened
    run(machine, tmp_path, {"wan": SHARE}, "none")
    assert "swarm" not in theirs(machine) and "51820" not in theirs(machine)


@needs_nft
@pytest.mark.parametrize("wish", [CHAIN, SET.format("pairs")])
def test_sources_without_a_place_are_said(machine: Machine, tmp_path: Path, wish: str) -> None:
    notes = run(machine, tmp_path, {"wan": SOURCES}, wish).plan.notes
    assert any("2001:db8::9" in note for note in notes) is (wish != CHAIN)
