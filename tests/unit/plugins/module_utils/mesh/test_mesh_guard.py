# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit-confirm on a node with a small layer: armed, confirmed, undone, refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.armed import TooLate
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    BindError,
    NodeError,
    TransactionFailed,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import Armed
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall import WISH
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import GUARD, PROGRAM
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, parse_share
from ansible_collections.swarm.node.plugins.module_utils.mesh.undoing import revert as undo_now
from ansible_collections.swarm.node.plugins.module_utils.mesh.units import (
    REFRESH,
    link_path,
    unit_path,
)
from guard_node import PROGRAM_TEXT, Layer, Node, share, use_small_layer

OLD, NEW = {"wan": share(number=1)}, {"wan": share(number=2)}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    use_small_layer(monkeypatch)
    found = Node(tmp_path)
    found.apply(OLD, seconds=0)
    assert found.residue() == [] and found.live() == {"wan": 1}
    return found


def shares_of(armed: Armed) -> dict[str, Share]:
    return {mesh: parse_share(data) for mesh, data in armed.snapshot.items()}


# -- arming


def test_a_change_is_armed_before_it_is_made(node: Node) -> None:
    outcome = node.apply(NEW)
    first = outcome.plan.changes[0]
    assert (first.key, first.before, first.after) == ("mesh.guard", None, "armed for 100 s")
    assert node.live() == {"wan": 2} and node.systemd.active
    armed = node.guard().armed()
    assert armed is not None and armed.token == "t1" and 100 <= armed.length < 120
    assert shares_of(armed) == OLD and armed.settings == {"firewall": "before"}
    assert armed.worked == ("wan-2 link",)
    assert node.armed_file.stat().st_mode & 0o777 == 0o600
    assert (node.root / PROGRAM.lstrip("/")).read_bytes() == PROGRAM_TEXT.encode("utf-8", "surrogateescape")
    assert (node.root / link_path(GUARD).lstrip("/")).readlink() == Path(unit_path(GUARD))
    assert not (node.base / "run/mesh-arming.json").exists()
    assert ["systemctl", "daemon-reload"] not in node.systemd.commands
    assert node.guard().confirm("t1")


@pytest.mark.parametrize("fault", ["systemctl fails", "it does not take over", "no systemd", "masked"])
def test_without_a_guard_nothing_is_changed(node: Node, fault: str) -> None:
    before = node.residue()
    if fault == "systemctl fails":
        node.systemd.refuse = "Job for it failed"
    elif fault == "it does not take over":
        node.systemd._start = lambda: type("D", (), {"good": True, "out": "", "err": "", "code": 0})()
    elif fault == "no systemd":
        (node.root / "run/systemd/system").rmdir()
    else:
        place = node.root / unit_path(GUARD).lstrip("/")
        place.parent.mkdir(parents=True)
        place.symlink_to("/dev/null")
    with pytest.raises(TransactionFailed, match="the guard did not start, so nothing was changed"):
        node.apply(NEW)
    assert node.live() == {"wan": 1}
    if fault == "masked":
        assert (node.root / unit_path(GUARD).lstrip("/")).readlink() == Path("/dev/null")
    else:
        assert node.residue() == before == []


def test_a_change_that_fails_is_not_armed_any_more(node: Node) -> None:
    Layer.fault = NodeError("wg: no")
    with pytest.raises(TransactionFailed, match="wg: no"):
        node.apply(NEW)
    assert node.residue() == [] and not node.systemd.active and node.live() == {"wan": 1}


def test_a_second_change_of_the_same_run_goes_back_to_where_the_first_began(node: Node) -> None:
    node.apply(NEW)
    first = node.guard().armed()
    time.sleep(0.02)
    outcome = node.apply({"wan": share(number=3), "lan": share("lan", 4)}, seconds=200)
    assert outcome.plan.changes[0].before == "armed"
    second = node.guard().armed()
    assert first and second and second.deadline > first.deadline + 50
    assert second.snapshot == {**first.snapshot, "lan": None}
    assert node.systemd.commands.count(["systemctl", "start", GUARD]) == 1
    undo_now(node.guard(), "test")
    assert node.live() == {"wan": 1}


def test_a_second_change_that_fails_leaves_the_first_armed(node: Node) -> None:
    node.apply(NEW)
    text = node.armed_file.read_text()
    Layer.fault = NodeError("wg: no")
    with pytest.raises(TransactionFailed):
        node.apply({"wan": share(number=3)}, seconds=200)
    assert node.armed_file.read_text() == text and node.systemd.active and node.live() == {"wan": 2}
    Layer.fault = None
    assert node.guard().confirm("t1")


def test_a_change_of_another_run_is_refused(node: Node) -> None:
    node.apply(NEW)
    with pytest.raises(BindError, match=r"'t1', armed at .* confirmed or undone"):
        node.apply({"wan": share(number=3)}, token="t2")
    assert node.live() == {"wan": 2} and node.systemd.active
    node.guard().confirm("t1")
    node.apply({"wan": share(number=3)}, token="t2")
    assert node.guard().confirm("t2")


def test_a_guard_that_died_is_started_again(node: Node) -> None:
    node.apply(NEW)
    node.systemd.stop()
    node.apply({"wan": share(number=3)})
    assert node.systemd.active
    armed = node.guard().armed()
    assert armed and shares_of(armed) == OLD
    undo_now(node.guard(), "test")
    assert node.live() == {"wan": 1}


def test_the_firewall_goes_back_to_the_wish_before(node: Node) -> None:
    place = node.root / WISH.lstrip("/")
    place.write_text('{"schema": 1, "firewall": "ufw"}')
    node.apply(NEW)
    place.write_text('{"schema": 1, "firewall": "none"}')
    undo_now(node.guard(), "test")
    assert Layer.asked[-1].firewall == "ufw"


@pytest.mark.parametrize(
    ("refused", "asked"),
    [
        (("nft chain inet f in",), "ufw"),
        (("nft chain inet f in", "ufw"), "none"),
    ],
)
def test_a_firewall_that_is_gone_does_not_keep_the_tunnels(
    node: Node, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...], asked: str
) -> None:
    place = node.root / WISH.lstrip("/")
    place.write_text('{"schema": 1, "firewall": "nft chain inet f in"}')
    node.apply(NEW)
    place.write_text('{"schema": 1, "firewall": "ufw"}')
    monkeypatch.setattr(Layer, "refused", refused)
    undo_now(node.guard(), "test")
    assert node.live() == {"wan": 1} and Layer.asked[-1].firewall == asked
    assert node.residue() == [] and not node.systemd.active
    reverted = node.guard().reverted()
    assert reverted and "nft chain inet f in" in reverted.left_out[0]
    (entry,) = node.guard().attention()
    assert entry["severity"] == "critical"


def test_an_undo_that_is_refused_for_another_reason_stays_armed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.apply(NEW)
    monkeypatch.setattr(Layer, "refused", ("before", "none"))
    with pytest.raises(BindError, match="'before' is refused"):
        undo_now(node.guard(), "test")
    assert node.live() == {"wan": 2} and node.armed_file.exists()


def test_a_firewall_wish_that_cannot_be_read(node: Node) -> None:
    (node.root / WISH.lstrip("/")).write_text("{")
    with pytest.raises(TransactionFailed, match=r"firewall\.json cannot be read"):
        node.apply(NEW)
    assert node.live() == {"wan": 1} and node.residue() == []


# -- confirm and revert


def test_confirm(node: Node) -> None:
    node.apply(NEW)
    guard = node.guard()
    with pytest.raises(BindError, match="token: 't2' is refused"):
        guard.confirm("t2")
    assert node.armed_file.exists() and node.systemd.active
    assert guard.confirm("t1", check=True) and node.armed_file.exists()
    assert guard.confirm("t1")
    assert node.residue() == [] and not node.systemd.active and node.live() == {"wan": 2}
    writes = guard.writes
    assert not guard.confirm("t1") and guard.writes == writes, "the second time nothing is written"


def test_confirm_where_nothing_was_armed(node: Node) -> None:
    assert not node.guard().confirm("t1") and node.residue() == []


def test_the_program_stays_while_another_unit_runs_it(node: Node) -> None:
    node.apply(NEW)
    other = node.root / unit_path(REFRESH).lstrip("/")
    other.write_text(f"ExecStart=python {PROGRAM} refresh\n")
    node.guard().confirm("t1")
    assert node.residue() == [str((node.root / PROGRAM.lstrip("/")).relative_to(node.base))]


def test_revert(node: Node) -> None:
    node.apply({**NEW, "lan": share("lan", 7)})
    guard = node.guard()
    with pytest.raises(BindError, match="token: 't2' is refused"):
        undo_now(guard, "why", token="t2")
    planned = undo_now(guard, "why", check=True)
    assert planned and len(planned.plan.changes) == 2 and node.live() == {"wan": 2, "lan": 7}
    outcome = undo_now(guard, "an operator asked", token="t1")
    assert outcome and [change.target for change in outcome.plan.changes] == [
        "/etc/swarm_node/mesh/lan/share.json",
        "/etc/swarm_node/mesh/wan/share.json",
    ]
    assert node.live() == {"wan": 1} and node.residue() == [] and not node.systemd.active
    assert undo_now(guard, "again") is None
    (note,) = guard.notes()
    assert "'t1'" in note and "an operator asked" in note
    (entry,) = guard.attention()
    assert entry["what"] == "mesh_reverted" and entry["severity"] == "warning" and entry["detail"] == note
    with pytest.raises(TooLate, match="too late to confirm: the change of the mesh by run 't1'"):
        guard.confirm("t1")


def test_the_undo_asks_the_layer_for_what_was_before(node: Node) -> None:
    node.apply({**NEW, "lan": share("lan", 7)}, seconds=0)
    node.apply({"wan": share(number=3), "lan": share("lan", 7)})
    armed = node.guard().armed()
    assert armed and set(armed.snapshot) == {"wan"}
    Layer.asked.clear()
    undo_now(node.guard(), "test")
    (options,) = Layer.asked
    assert options.shares == {"wan": NEW["wan"], "lan": share("lan", 7)}, "other meshes stay as they are"
    assert options.confirm_seconds == 0 and options.firewall == "before" and not options.absent
    assert node.live() == {"wan": 2, "lan": 7}


def test_a_first_mesh_is_undone_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_layer(monkeypatch)
    node = Node(tmp_path)
    node.apply(NEW)
    undo_now(node.guard(), "test")
    assert node.live() == {} and Layer.asked[-1].shares == {}
    assert not Layer.asked[-1].absent, "that would take the keys, too"


def test_a_note_goes_with_the_next_confirmed_change(node: Node) -> None:
    node.apply(NEW)
    undo_now(node.guard(), "test")
    node.apply(NEW, token="t2")
    assert node.guard().notes(), "until it is confirmed"
    node.guard().confirm("t2")
    assert node.guard().notes() == [] and node.guard().attention() == []
