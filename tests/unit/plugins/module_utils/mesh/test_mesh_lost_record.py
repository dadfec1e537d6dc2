# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner's record was deleted by hand: what is ours is found again by its marks, and goes too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.mesh.forwarding import DROPIN
from ansible_collections.swarm.node.plugins.module_utils.mesh.plan import Wish, plan_mesh
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Psk, Share
from ansible_collections.swarm.node.plugins.module_utils.mesh.state import MeshState
from mesh_cases import OWN, key, share, tunnel
from mesh_cases import node as node_as
from mesh_firewall_world import SHARE, Machine, Namespace, needs_nft, node, run

CHAIN, SET = "nft chain inet theirs input", "nft set inet theirs spans"
THEIRS = """
table inet theirs {
    set spans { type inet_service; flags interval; elements = { 51860-51870 }; }
    chain input { type filter hook input priority 0; policy accept; tcp dport 22 accept comment "ssh"; }
}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    namespace = Namespace()
    namespace.must("nft", "-f", "-", data=THEIRS)
    yield Machine(tmp_path, namespace)
    namespace.close()


def lose(tmp_path: Path, machine: Machine, everything: bool = False) -> None:
    """everything: our files below /etc, too"""
    _root, store = node(tmp_path, machine)
    store.record_path("mesh").unlink()
    if everything:
        (machine.root / "etc/swarm_node/mesh/firewall.json").unlink()


def theirs(machine: Machine) -> str:
    assert machine.namespace
    return machine.namespace.must("nft", "-s", "list", "table", "inet", "theirs")


def other_world(tmp_path: Path, kind: str) -> Machine:
    machine = Machine(tmp_path)
    if kind == "ufw":
        machine.ufw = ["ufw allow 22/tcp"]
    else:
        machine.firewalld = {"public runtime": ["22/tcp"], "public permanent": ["51860-51870/udp"]}
    return machine


@needs_nft
@pytest.mark.parametrize("wish", [CHAIN, SET])
@pytest.mark.parametrize("shares", [{}, {"wan": SHARE}], ids=["no mesh", "another wish"])
def test_rules_and_elements_are_found_again(
    machine: Machine, tmp_path: Path, wish: str, shares: dict[str, Share]
) -> None:
    before = theirs(machine)
    run(machine, tmp_path, {"wan": SHARE}, wish)
    assert theirs(machine) != before
    lose(tmp_path, machine)
    run(machine, tmp_path, shares, "none")
    assert theirs(machine) == before
    assert "swarm-node-mesh-firewall.service" not in machine.active
    assert not run(machine, tmp_path, shares, "none").changed


@needs_nft
def test_what_is_adopted_is_in_the_record_again(machine: Machine, tmp_path: Path) -> None:
    before = theirs(machine)
    run(machine, tmp_path, {"wan": SHARE}, SET)
    record = node(tmp_path, machine)[1].load("mesh").claims
    lose(tmp_path, machine)
    more = {"wan": replace(SHARE, tunnels=(replace(SHARE.tunnels[0], foreign=True),))}
    assert run(machine, tmp_path, more, SET).changed
    claim = next(name for name in record if name.startswith("mesh.firewall "))
    assert node(tmp_path, machine)[1].load("mesh").claims[claim] == record[claim], "theirs before is still so"
    run(machine, tmp_path, {}, "none")
    assert theirs(machine) == before


@needs_nft
def test_a_chains_rule_is_known_by_its_comment_alone(machine: Machine, tmp_path: Path) -> None:
    before = theirs(machine)
    run(machine, tmp_path, {"wan": SHARE}, CHAIN)
    lose(tmp_path, machine, everything=True)
    run(machine, tmp_path, {}, "none")
    assert theirs(machine) == before


@pytest.mark.parametrize("kind", ["ufw", "firewalld"])
def test_of_ufw_and_firewalld(tmp_path: Path, kind: str) -> None:
    machine = other_world(tmp_path, kind)
    before = json.dumps([machine.ufw, machine.firewalld])
    run(machine, tmp_path, {"wan": SHARE}, kind)
    assert json.dumps([machine.ufw, machine.firewalld]) != before
    lose(tmp_path, machine)
    run(machine, tmp_path, {}, "none")
    assert (
        json.dumps([machine.ufw, {k: v for k, v in (machine.firewalld or {}).items() if v} or None]) == before
    )


def test_ufw_by_its_comment_alone(tmp_path: Path) -> None:
    machine = other_world(tmp_path, "ufw")
    run(machine, tmp_path, {"wan": SHARE}, "ufw")
    lose(tmp_path, machine, everything=True)
    run(machine, tmp_path, {}, "none")
    assert machine.ufw == ["ufw allow 22/tcp"]


def test_firewalld_without_any_mark_is_left_alone(tmp_path: Path) -> None:
    """Its entries carry none: what is not known to be ours is not taken away."""
    machine = other_world(tmp_path, "firewalld")
    run(machine, tmp_path, {"wan": SHARE}, "firewalld")
    opened = json.dumps(machine.firewalld)
    lose(tmp_path, machine, everything=True)
    run(machine, tmp_path, {}, "none")
    assert json.dumps(machine.firewalld) == opened


@pytest.mark.parametrize("text", ["{", "[]", '{"opened": 1}', '{"opened": {"../x ufw": {}}}'])
def test_a_damaged_note_is_no_note(tmp_path: Path, text: str) -> None:
    machine = other_world(tmp_path, "ufw")
    run(machine, tmp_path, {"wan": SHARE}, "ufw")
    lose(tmp_path, machine)
    (machine.root / "etc/swarm_node/mesh/firewall.json").write_text(text)
    assert run(machine, tmp_path, {"wan": SHARE}, "ufw").changed
    assert (machine.ufw or [])[-1].endswith("comment 'swarm.node mesh wan'")


# -- sysctls and keys


def planned(state: MeshState, record: Record, *shares: Share) -> Any:
    return plan_mesh(Wish({one.mesh: one for one in shares}), state, record)


def test_forwarding_is_given_back(tmp_path: Path) -> None:
    hub = share(transit=True)
    off = {**node_as(hub).sysctls, "net/ipv6/conf/all/forwarding": "0"}
    first = planned(node_as(hub, sysctls=off), Record("mesh"), hub)
    text = next(c for c in first.changes if c.target == DROPIN).data["after_text"]
    assert "# net/ipv6/conf/all/forwarding was 0" in text
    plain = replace(hub, transit=False)
    state = node_as(hub, sysctls={**off, "net/ipv6/conf/all/forwarding": "1"})
    state = replace(state, files={**state.files, DROPIN: text})
    found = [c for c in planned(state, Record("mesh"), plain).changes if "ipv6" in c.target]
    assert [(c.before, c.after) for c in found] == [("1", "0")]
    edited = replace(state, files={**state.files, DROPIN: text.replace("was 0", "was 7")})
    assert not [c for c in planned(edited, Record("mesh"), plain).changes if "ipv6" in c.target]
    claims = planned(state, Record("mesh"), hub).claims
    assert claims["mesh.forwarding net.ipv6.conf.all.forwarding"].first_seen == "0"


def test_old_keys_go_and_new_ones_wait() -> None:
    """The share before names them; a generation below those of the registry is nobody's."""
    old = share(tunnel(2, psk=Psk("me--two")), keys={1: OWN, 2: key("p")})
    new = share(tunnel(2, generation=2), keys={2: key("p")})
    state = replace(
        node_as(old),
        generations={"wan": (1, 2, 3)},
        psks={("wan", "me--two"): True, ("wan", "made--just-now"): True},
    )
    gone = {c.target for c in planned(state, Record("mesh"), new).changes if "secret" in c.data}
    assert gone == {"wan/1", "wan/me--two"}
    later = replace(state, stored={"wan": new}, generations={"wan": (1, 2, 3)})
    assert "wan/1" in {c.target for c in planned(later, Record("mesh"), new).changes}


def test_keys_that_wait_for_a_confirmation_are_not_forgotten() -> None:
    old = share(tunnel(2), keys={1: OWN, 2: key("p")})
    new = share(tunnel(2, generation=2), keys={2: key("p")})
    state = replace(node_as(old), generations={"wan": (1, 2)}, armed="t1")
    plan = plan_mesh(Wish({"wan": new}, keep_keys=True), state, Record("mesh"))
    assert not [c for c in plan.changes if "secret" in c.data]
    assert "mesh.key wan/1" in plan.claims, "so a later run removes it"
