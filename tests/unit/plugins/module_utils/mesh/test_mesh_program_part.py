# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's file, and the timer for names of endpoints: there while a tunnel needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.composite import Composite
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.core.model import Change, Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record, Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import PROGRAM
from ansible_collections.swarm.node.plugins.module_utils.mesh.program import program_text
from ansible_collections.swarm.node.plugins.module_utils.mesh.program_part import ProgramPart
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel
from ansible_collections.swarm.node.plugins.module_utils.mesh.units import (
    REFRESH,
    REFRESH_TIMER,
    link_path,
    unit_path,
)

NAME, ADDRESS = "home.example:51820", "192.0.2.1:51820"
FIREWALL = "mesh.unit swarm-node-mesh-firewall.service"


class Layer(Composite):
    """The part in a layer that arms as `armed` says and claims as the firewall's part does."""

    def __init__(self, part: ProgramPart, armed: bool, claims: dict[str, Claim]) -> None:
        super().__init__("mesh", [part], lambda: "")
        self.part, self.armed, self.more = part, armed, claims

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        plan = super().plan(state, record, others)
        plan.claims = dict(self.more)
        self.part.add_to(plan, record, self.armed)
        return plan


class Node:
    def __init__(self, base: Path) -> None:
        self.base, self.root = base, base / "root"
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.active = False
        self.commands: list[list[str]] = []
        self.refuse = False

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60) -> Done:
        self.commands.append(list(argv))
        verb = argv[1]
        if verb == "is-active":
            return Done(0 if self.active else 3, "", "")
        if verb == "start" and self.refuse:
            return Done(1, "", "no")
        if verb in ("start", "stop"):
            self.active = verb == "start"
        return Done(0, "LoadState=loaded\nNeedDaemonReload=no\n" if verb == "show" else "", "")

    def apply(self, endpoint: str, armed: bool = False, firewall: bool = False) -> Outcome:
        tunnel = Tunnel("wan-2", "peer2", 2, 1, 51820, "A" * 42 + "A=", endpoint)
        shares = {"wan": Share("wan", "me", 1, (), (), (51820, 51867), tunnels=(tunnel,))}
        part = ProgramPart(shares, self.root, str(self.base / "state"), self, program_text)
        claims = {FIREWALL: Claim(None, {})} if firewall else {}
        store = Store(str(self.base / "state"), str(self.base / "run"))
        return reconcile(Layer(part, armed, claims), store, Request("mesh"))

    def there(self, path: str) -> bool:
        place = self.root / path.lstrip("/")
        return place.is_symlink() or place.exists()

    @property
    def state(self) -> tuple[bool, bool, bool]:
        """(program, units, timer enabled and running)."""
        units = {self.there(unit_path(REFRESH)), self.there(unit_path(REFRESH_TIMER))}
        assert len(units) == 1
        assert self.there(link_path(REFRESH_TIMER)) == self.active
        return self.there(PROGRAM), units.pop(), self.active


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def keys(outcome: Outcome) -> list[str]:
    return [change.label for change in outcome.plan.changes]


def test_addresses_need_nothing(node: Node) -> None:
    assert keys(node.apply(ADDRESS)) == [] and node.state == (False, False, False)
    assert node.commands == [], "systemd is not even asked"


def test_a_name_needs_the_timer(node: Node) -> None:
    assert keys(node.apply(NAME)) == [
        f"file ({PROGRAM})",
        f"file ({unit_path(REFRESH)})",
        f"file ({unit_path(REFRESH_TIMER)})",
        f"mesh.unit ({REFRESH_TIMER})",
    ]
    assert node.state == (True, True, True)
    assert (node.root / PROGRAM.lstrip("/")).stat().st_mode & 0o777 == 0o755
    assert ["systemctl", "daemon-reload"] not in node.commands
    assert not node.apply(NAME).changed, "idempotent"


def test_it_goes_with_the_last_name(node: Node) -> None:
    node.apply(NAME)
    assert keys(node.apply(ADDRESS))[0] == f"mesh.unit ({REFRESH_TIMER})", "stopped before its files go"
    assert node.state == (False, False, False) and not node.apply(ADDRESS).changed


def test_the_program_stays_while_armed(node: Node) -> None:
    """The guard runs it, and removes it once the change is confirmed."""
    node.apply(NAME)
    node.apply(ADDRESS, armed=True)
    assert node.state == (True, False, False)
    (node.root / PROGRAM.lstrip("/")).unlink()
    assert not node.apply(ADDRESS).changed


def test_the_firewall_needs_the_program_alone(node: Node) -> None:
    node.apply(ADDRESS, firewall=True)
    assert node.state == (True, False, False)
    node.apply(ADDRESS)
    assert node.state == (False, False, False)


def test_a_program_that_is_not_ours_to_remove(node: Node) -> None:
    """What the guard put there is no claim of this part."""
    place = node.root / PROGRAM.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_text("the guard's")
    assert not node.apply(ADDRESS).changed and place.exists()


def test_what_was_stopped_by_hand_is_started(node: Node) -> None:
    node.apply(NAME)
    node.active = False
    outcome = node.apply(NAME)
    assert [(change.before, change.after) for change in outcome.plan.changes] == [("half", "up")]
    assert node.state == (True, True, True)


def test_an_edit_is_kept_beside(node: Node) -> None:
    node.apply(NAME)
    place = node.root / unit_path(REFRESH).lstrip("/")
    place.write_text("mine\n")
    node.apply(NAME)
    assert [path.read_text() for path in (node.base / "state/edited").iterdir()] == ["mine\n"]


def test_a_timer_that_does_not_start_undoes_all(node: Node) -> None:
    node.refuse = True
    with pytest.raises(TransactionFailed):
        node.apply(NAME)
    assert node.state == (False, False, False)


@pytest.mark.parametrize("fault", ["masked", "no systemd"])
def test_where_it_cannot_be(node: Node, fault: str) -> None:
    if fault == "masked":
        place = node.root / unit_path(REFRESH_TIMER).lstrip("/")
        place.parent.mkdir(parents=True)
        place.symlink_to("/dev/null")
    else:
        (node.root / "run/systemd/system").rmdir()
    outcome = node.apply(NAME)
    (wish,) = outcome.plan.unapplied
    assert wish.reason == ("shadowed_by" if fault == "masked" else "unsupported")
    assert "not again" in wish.detail and not outcome.changed


def test_the_program_is_not_shown_in_a_diff(node: Node) -> None:
    change: Change = node.apply(NAME).plan.changes[0]
    assert str(change.data["after_text"]).endswith("characters)")


def test_it_goes_with_the_last_name_also_where_the_record_was_lost(node: Node) -> None:
    node.apply(NAME)
    (node.base / "state/mesh.json").unlink()
    node.apply(ADDRESS)
    assert node.state == (False, False, False) and not node.apply(ADDRESS).changed


def test_a_program_of_somebody_else_stays(node: Node) -> None:
    place = node.root / PROGRAM.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\n")
    assert not node.apply(ADDRESS).changed and place.exists()
