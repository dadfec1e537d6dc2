# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints of live tunnels that become names: `wg` says only what a name was looked up to."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.mesh import refresh
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share
from mesh_cases import device, node, planned, share, steps, tunnel
from mesh_fake_node import FakeNode
from test_mesh_layer_faults import KEYS, apply, made, picture

NAME = "gw.example.org"
LIVE = "192.0.2.2"
PORT = 51820


class Names:
    """Stands for the node's resolver; asked: the names it was asked for"""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def __call__(self, name: str, *_more: Any, **_words: Any) -> list[Any]:
        self.asked.append(name)
        if name not in self.addresses:
            raise socket.gaierror("not known")
        return [(0, 0, 0, "", (address, 0)) for address in self.addresses[name]]


class NamingNode(FakeNode):
    """Looks a name up where it is set, as wg does."""

    names: Names

    def _wg_set(self, device: dict[str, Any], words: list[str]) -> Done:
        words = list(words)
        for place, word in enumerate(words[:-1]):
            host, _colon, port = words[place + 1].rpartition(":")
            if word == "endpoint" and refresh.has_name(words[place + 1]):
                words[place + 1] = f"{self.names.addresses[host][0]}:{port}"
        return super()._wg_set(device, words)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(refresh.socket, "getaddrinfo", found)
    return found


@pytest.fixture
def live(tmp_path: Path, names: Names) -> NamingNode:
    """A node with one tunnel, to an address."""
    found = NamingNode(made(tmp_path).root)
    found.names = names
    assert apply(found, with_endpoint(f"{LIVE}:{PORT}")).changed
    return found


def with_endpoint(endpoint: str, **more: Any) -> Share:
    return share(tunnel(2, endpoint=endpoint, **more), keys={1: KEYS[1]})


def endpoint_of(found: FakeNode) -> str:
    return str(next(iter(found.load()["wg"]["wan-2"]["peers"].values()))["endpoint"])


def applied(found: FakeNode, *shares: Share) -> Sequence[str]:
    """Keys of what was done. The second run finds nothing to do."""
    outcome = apply(found, *shares)
    assert not apply(found, *shares).changed
    return [change.key for change in outcome.plan.changes]


def test_a_name_for_the_address_that_is_live_changes_no_tunnel(live: NamingNode, names: Names) -> None:
    names.addresses[NAME] = ["198.51.100.7", LIVE]
    assert applied(live, with_endpoint(f"{NAME}:{PORT}")) == ["file", "file"]
    assert endpoint_of(live) == f"{LIVE}:{PORT}"


def test_a_name_for_another_address_moves_the_tunnel_there(live: NamingNode, names: Names) -> None:
    names.addresses[NAME] = ["192.0.2.99"]
    assert applied(live, with_endpoint(f"{NAME}:{PORT}")) == ["file", "mesh.peer", "file"]
    assert endpoint_of(live) == f"192.0.2.99:{PORT}"


def test_a_name_with_another_port_moves_the_tunnel_there(live: NamingNode, names: Names) -> None:
    names.addresses[NAME] = [LIVE]
    assert "mesh.peer" in applied(live, with_endpoint(f"{NAME}:4000"))
    assert endpoint_of(live) == f"{LIVE}:4000"


def test_a_name_and_another_keepalive_at_once(live: NamingNode, names: Names) -> None:
    names.addresses[NAME] = [LIVE]
    assert "mesh.peer" in applied(live, with_endpoint(f"{NAME}:{PORT}", keepalive=25))


def test_a_name_goes_back_to_its_address(live: NamingNode, names: Names) -> None:
    names.addresses[NAME] = ["192.0.2.99"]
    applied(live, with_endpoint(f"{NAME}:{PORT}"))
    assert "mesh.peer" not in applied(live, with_endpoint(f"192.0.2.99:{PORT}"))
    assert "mesh.peer" in applied(live, with_endpoint(f"{LIVE}:{PORT}"))
    assert endpoint_of(live) == f"{LIVE}:{PORT}"


def test_what_cannot_be_done_is_undone_to_the_address(live: NamingNode, names: Names) -> None:
    names.addresses[NAME] = ["192.0.2.99"]
    before = picture(live)

    def fail(_number: int, argv: Sequence[str]) -> Done | None:
        return Done(1, "", "no") if list(argv)[:3] == ["ip", "link", "set"] else None

    live.before = fail
    with pytest.raises(TransactionFailed, match="every change of this run was undone"):
        apply(live, with_endpoint(f"{NAME}:{PORT}", mtu=1400))
    assert picture(live) == before


def test_nobody_is_asked_while_nothing_changes(live: NamingNode, names: Names) -> None:
    names.addresses[NAME] = [LIVE]
    apply(live, with_endpoint(f"{NAME}:{PORT}"))
    names.asked.clear()
    assert not apply(live, with_endpoint(f"{NAME}:{PORT}")).changed
    assert names.asked == []


@pytest.mark.parametrize("meant", [(), ("192.0.2.2:4000",), ("198.51.100.1:51820",)])
def test_the_plan_sets_a_name_unless_it_means_what_is_live(meant: tuple[str, ...]) -> None:
    named = share(tunnel(endpoint=f"{NAME}:{PORT}"))
    before = share(tunnel(endpoint=f"{LIVE}:{PORT}"))
    state = node(before, devices={"wan-2": device(before.tunnels[0])})
    state = replace(state, named={f"{NAME}:{PORT}": meant})
    assert ("mesh.peer", "wan-2") in steps(planned(state, named))
