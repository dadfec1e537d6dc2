# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a live tunnel that somebody changed by hand: seen and put right, and never said."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.layer import MeshLayer, MeshOptions
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Psk
from ansible_collections.swarm.node.plugins.module_utils.mesh.wg import Peer, mark_of, parse_dump
from mesh_cases import key, share, tunnel
from mesh_fake_node import PRIVATE, FakeNode, public_of

GOOD, BAD = (base64.b64encode(letter * 32).decode() for letter in (b"g", b"!"))
SHARE = share(tunnel(2, psk=Psk("me--two")), tunnel(3), keys={1: public_of(PRIVATE["1"])})


class Node(FakeNode):
    """Notes every command."""

    def __init__(self, root: Path) -> None:
        self.asked: list[list[str]] = []
        super().__init__(root)

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        self.asked.append([*argv, data])
        return super().__call__(argv, data, timeout)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    for name in ("wg", "wg-quick", "ip", "systemctl", "wireguard-go"):
        place = tmp_path / "usr/bin" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
        place.chmod(0o755)
    for name in ("all", "default"):
        place = tmp_path / f"proc/sys/net/ipv6/conf/{name}/disable_ipv6"
        place.parent.mkdir(parents=True)
        place.write_text("0\n")
    for name, secret in (("keys/1", PRIVATE["1"]), ("psk/me--two", GOOD)):
        place = tmp_path / f"etc/swarm_node/mesh/wan/{name}.key"
        place.parent.mkdir(parents=True, mode=0o700)
        place.write_text(f"{secret}\n")
        place.chmod(0o600)
    found = Node(tmp_path)
    assert apply(found).changed and not apply(found).changed
    found.asked.clear()
    return found


def apply(node: Node, check: bool = False) -> Outcome:
    places = {"state_dir": str(node.root / "var"), "run_dir": str(node.root / "run")}
    options = MeshOptions({"wan": SHARE}, firewall="none", root=node.root, runner=node, **places)
    request = Request("mesh", check=check, max_disruption="none")
    return reconcile(MeshLayer(options), Store(*places.values()), request)


def by_hand(node: Node, **peer: str) -> None:
    state = node.load()
    state["wg"]["wan-2"]["peers"][key("b")].update(peer)
    node.save(state)


def live(node: Node) -> str:
    return str(node.load()["wg"]["wan-2"]["peers"][key("b")]["psk"])


def said(node: Node, outcome: Any) -> str:
    """Results, every file but those of keys, and every command."""
    parts = [json.dumps(outcome.as_result()), repr(outcome.plan), json.dumps(node.asked)]
    for path in node.root.rglob("*"):
        if path.is_file() and path.suffix != ".key" and path.name != "kernel.json":
            parts.append(path.read_text())
    return "".join(parts)


def test_a_preshared_key_changed_by_hand_is_seen_and_put_right(node: Node) -> None:
    by_hand(node, psk=BAD)
    planned = apply(node, check=True)
    assert [change.key for change in planned.plan.changes] == ["mesh.peer"] and live(node) == BAD
    outcome = apply(node)
    (change,) = outcome.plan.changes
    assert (change.key, change.target, change.disruption) == ("mesh.peer", "wan-2", "none")
    assert change.before["psk"] == "(another)" and change.after["psk"] == "me--two"
    assert live(node) == GOOD and not apply(node).changed
    text = said(node, outcome)
    assert not [one for one in (GOOD, BAD, PRIVATE["1"], mark_of(GOOD), mark_of(BAD)) if one in text]
    sets = [words for words in node.asked if words[:2] == ["wg", "set"]]
    assert len(sets) == 1 and sets[0][3:7] == [
        "peer", key("b"), "preshared-key", "/etc/swarm_node/mesh/wan/psk/me--two.key"
    ]  # fmt: skip


def test_a_private_key_changed_by_hand_is_seen_and_put_right(node: Node) -> None:
    state = node.load()
    state["wg"]["wan-2"]["private"] = PRIVATE["2"]
    node.save(state)
    outcome = apply(node)
    assert [(change.key, change.before, change.after) for change in outcome.plan.changes] == [
        ("mesh.key", None, 1)
    ]
    assert node.load()["wg"]["wan-2"]["private"] == PRIVATE["1"] and not apply(node).changed
    assert not [one for one in PRIVATE.values() if one in said(node, outcome)]


def test_looking_costs_no_process(node: Node) -> None:
    apply(node)
    assert sum(words[:2] == ["wg", "show"] for words in node.asked) == 1
    assert not [words for words in node.asked if words[0] == "openssl"]


def test_what_wg_accepts_and_does_not_do_is_an_error(node: Node) -> None:
    """The key is read back after the write, too."""
    by_hand(node, psk=BAD)
    node.before = lambda number, argv: Done(0, "", "") if list(argv[:2]) == ["wg", "set"] else None
    with pytest.raises(TransactionFailed, match=r"mesh\.peer") as failed:
        apply(node)
    assert BAD not in str(failed.value) and GOOD not in str(failed.value)


def test_a_failure_after_it_leaves_our_key(node: Node) -> None:
    """What somebody set by hand is nowhere else: it does not come back, and nothing is broken for it."""
    by_hand(node, psk=BAD)
    state = node.load()
    state["links"]["wan-3"]["mtu"] = 1300
    node.save(state)
    node.before = lambda number, argv: Done(1, "", "no") if "mtu" in argv and "1420" in argv else None
    with pytest.raises(TransactionFailed) as failed:
        apply(node)
    assert failed.value.not_undone == [] and live(node) == GOOD


def test_a_mark_says_nothing_of_the_secret_elsewhere() -> None:
    peer = Peer("k", has_psk=True, psk_mark=mark_of(GOOD))
    assert mark_of(GOOD) == mark_of(f"{GOOD}\n") != mark_of(BAD)
    assert mark_of(GOOD) not in repr(peer) and replace(peer, psk_mark="") != peer
    dump = "\t".join(["wan-2", "k", GOOD, "(none)", "(none)", "0", "0", "0", "off"])
    head = "\t".join(["wan-2", PRIVATE["1"], "p", "51820", "off"])
    found = parse_dump(f"{head}\n{dump}\n")
    assert found["wan-2"].peers["k"].psk_mark == mark_of(GOOD)
    assert not [one for one in (GOOD, PRIVATE["1"]) if one in repr(found)]
