# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several parts as one layer, one of them files: one record, one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.composite import Composite
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    BindError,
    Problem,
    TransactionFailed,
)
from ansible_collections.swarm.node.plugins.module_utils.core.managed_files import FILE, FilePort, file_change
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from engine_fakes import FIRST, MemoryLayer, Node

PATH = "/etc/ours.conf"


class Devices(MemoryLayer):
    """The devices of `engine_fakes` as a part."""

    def owns(self, key: str) -> bool:
        return key[0] in "ab"

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        assert all(self.owns(name) for name in record.claims), "a part sees its own claims only"
        plan = super().plan(state, record, others)
        if "bad" in self.wishes.get("d0", {}).values():
            raise BindError([Problem("a", "bad", "numbers")])
        return plan


class OneFile:
    """A file with a text."""

    def __init__(self, root: Path, text: str | None, state_dir: Path) -> None:
        self.text = text
        self.port = FilePort(root, str(state_dir))

    def owns(self, key: str) -> bool:
        return key == f"{FILE} {PATH}"

    def read(self) -> str | None:
        return self.port.read(PATH)

    def plan(self, state: str | None, record: Record, others: dict[str, str]) -> Plan:
        if self.text == "bad":
            raise BindError([Problem("text", "bad", "good words")])
        claim = record.claims.get(f"{FILE} {PATH}")
        change = file_change(PATH, state, self.text, bool(claim and claim.applied != state))
        plan = Plan(changes=[change] if change else [])
        if self.text is not None:
            plan.claims[f"{FILE} {PATH}"] = Claim(None, self.text)
        return plan


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def run(node: Node, wishes: dict[str, dict[str, Any]], text: str | None, **options: Any) -> Outcome:
    parts = [Devices(node.port, wishes), OneFile(node.base / "root", text, node.base / "state")]
    layer = Composite("both", parts, lambda: "")
    return reconcile(layer, node.store, Request("o", **options))


def test_both_parts_are_changed_in_one_transaction(node: Node) -> None:
    outcome = run(node, {"d0": {"a": 10}}, "ours\n")
    assert [change.key for change in outcome.plan.changes] == ["a", FILE]
    assert node.devices["d0"]["a"] == 10 and (node.base / "root/etc/ours.conf").read_text() == "ours\n"
    assert set(node.claims()) == {"a d0", f"{FILE} {PATH}"}
    assert outcome.writes == 2 + 4, "two changes; journal twice, record, log"
    again = run(node.fresh(), {"d0": {"a": 10}}, "ours\n")
    assert (again.changed, again.writes) == (False, 0)


def test_a_failure_of_one_part_undoes_the_other(node: Node) -> None:
    (node.base / "root/etc").mkdir(parents=True)
    (node.base / "root/etc/ours.conf").write_text("before\n")
    node.port.ignored.add("b")
    with pytest.raises(TransactionFailed):
        run(node, {"d0": {"a": 10, "b": 20}}, "ours\n")
    assert node.devices == FIRST
    assert (node.base / "root/etc/ours.conf").read_text() == "before\n"
    assert node.claims() == {}


def test_the_problems_of_all_parts_are_said_at_once(node: Node) -> None:
    with pytest.raises(BindError) as caught:
        run(node, {"d0": {"a": "bad"}}, "bad")
    assert [problem.key for problem in caught.value.problems] == ["a", "text"]


def test_an_edited_file_is_kept_aside_and_removal_takes_both_back(node: Node) -> None:
    run(node, {"d0": {"a": 10}}, "ours\n")
    (node.base / "root/etc/ours.conf").write_text("somebody else's\n")
    outcome = run(node.fresh(), {"d0": {"a": 10}}, "ours\n")
    assert [change.why for change in outcome.plan.changes] == ["edited by hand"]
    copies = list((node.base / "state/edited").iterdir())
    assert [copy.read_text() for copy in copies] == ["somebody else's\n"]
    run(node.fresh(), {}, None)
    assert node.devices == FIRST and not (node.base / "root/etc/ours.conf").exists()


def test_a_file_of_any_bytes_and_mode_survives(tmp_path: Path) -> None:
    text = bytes(range(256)).decode("utf-8", "surrogateescape")
    port = FilePort(tmp_path, str(tmp_path / "state"))
    change = file_change("/x.bin", None, text, mode=0o755)
    assert change
    port.apply(change)
    assert (tmp_path / "x.bin").read_bytes() == bytes(range(256))
    assert (tmp_path / "x.bin").stat().st_mode & 0o777 == 0o755
    assert port.readback(change) == change.after
    (tmp_path / "x.bin").write_bytes(b"else")
    assert port.readback(change) == "other content"
    port.undo(change)
    assert port.readback(change) is None


def test_a_program_with_fewer_parts_keeps_the_claims_of_the_others(node: Node) -> None:
    run(node, {"d0": {"a": 10}}, "ours\n")
    node.devices["d0"]["a"] = 5
    part = Devices(node.fresh().port, {"d0": {"a": 10}})
    reconcile(Composite("both", [part], lambda: ""), node.store, Request("o"))
    assert node.devices["d0"]["a"] == 10
    assert set(node.claims()) == {"a d0", f"{FILE} {PATH}"}
