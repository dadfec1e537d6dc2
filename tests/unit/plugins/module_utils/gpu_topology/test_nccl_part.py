# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/nccl.conf: made, kept, taken back, and never over somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.composite import Composite
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.model import (
    WIREGUARD,
    Nic,
    Topology,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.nccl_part import NcclPart, wanted_from
from topology_tree import SWITCH_A, gpu

ETH0 = Nic(interface="eth0", up=True, addressed=True)
MESHED = Topology(gpus=(gpu(0, SWITCH_A, 0),), nics=(ETH0, Nic(interface="wg0", kind=WIREGUARD)))
PLAIN = Topology(gpus=(gpu(0, SWITCH_A, 0),), nics=(ETH0,))


class Node:
    """A root directory and runs over it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.file = base / "root/etc/nccl.conf"
        self.file.parent.mkdir(parents=True)
        self.store = Store(str(base / "state"), str(base / "run"))

    def run(self, raw: Any, topology: Topology = MESHED) -> Outcome:
        wanted = wanted_from(raw, "group a")
        part = NcclPart(wanted, lambda: topology, self.base / "root", str(self.base / "state"), "group a")
        return reconcile(Composite("gpu", [part], lambda: ""), self.store, Request("gpu"))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_made_kept_and_taken_back(node: Node) -> None:
    assert [change.origin for change in node.run(True).plan.changes] == ["group a"]
    assert "NCCL_SOCKET_IFNAME=^docker,lo,virbr,wg0\n" in node.file.read_text()
    again = node.run(True)
    assert (again.changed, again.writes) == (False, 0)
    assert node.run(None).changed and not node.file.exists()
    assert node.store.load("gpu").claims == {}
    last = node.run(False)
    assert (last.changed, last.writes) == (False, 0)


def test_another_topology_is_another_file_and_none_takes_it_away(node: Node) -> None:
    node.run(True)
    node.run({"interfaces": ["eth0"], "settings": {"NCCL_DEBUG": "WARN"}}, PLAIN)
    assert "NCCL_SOCKET_IFNAME==eth0\n" in node.file.read_text()
    assert "NCCL_DEBUG=WARN\n" in node.file.read_text()
    assert node.run(True, PLAIN).changed and not node.file.exists()


@pytest.mark.parametrize("raw", [True, None])
def test_somebody_elses_file_stays(node: Node, raw: Any) -> None:
    node.file.write_text("NCCL_DEBUG=INFO\n")
    outcome = node.run(raw)
    assert not outcome.changed and node.file.read_text() == "NCCL_DEBUG=INFO\n"
    found = [(wish.key, wish.reason) for wish in outcome.plan.unapplied]
    assert found == ([("gpu.nccl", "managed_by")] if raw else [])
    assert all("NCCL_SOCKET_IFNAME=^docker,lo,virbr,wg0" in wish.detail for wish in outcome.plan.unapplied)


def test_an_edited_file_of_ours_is_kept_aside(node: Node) -> None:
    node.run(True)
    text = node.file.read_text()
    node.file.write_text("edited\n")
    assert any("edited by hand" in note for note in node.run(True).plan.notes)
    assert node.file.read_text() == text
    assert [copy.read_text() for copy in (node.base / "state/edited").iterdir()] == ["edited\n"]


def test_a_node_without_gpus_gets_no_file_and_is_refused_nothing(node: Node) -> None:
    outcome = node.run({"interfaces": ["ib7"]}, Topology(nics=(ETH0,)))
    assert not outcome.changed and not node.file.exists()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            "yes please",
            "gpu_nccl: 'yes please' is refused \\(from group a\\); allowed: true, false, or a map",
        ),
        ({"interface": ["eth0"]}, "gpu_nccl: 'interface' is refused"),
        ({"interfaces": "eth0"}, "interfaces as a list of names"),
        ({"settings": {"NCCL_DEBUG": True}}, "settings as a map"),
        ({"interfaces": ["eth9"]}, "eth9.*what this node has: eth0, wg0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(node: Node, raw: Any, message: str) -> None:
    with pytest.raises(BindError, match=message):
        node.run(raw)
    assert not node.file.exists() and not (node.base / "state").exists()


def test_after_a_damaged_record_the_file_is_ours_still(node: Node) -> None:
    node.run(True)
    node.store.record_path("gpu").write_text("{")
    node.run(True)
    assert node.run(None).changed and not node.file.exists()


def test_a_file_that_another_owner_holds_is_left_to_it(node: Node) -> None:
    node.run(True)
    record = node.store.record_path("gpu")
    record.rename(record.with_name("other.json"))
    assert not node.run(True).changed and node.store.load("gpu").claims == {}
    assert not node.run(None).changed and node.file.exists()
