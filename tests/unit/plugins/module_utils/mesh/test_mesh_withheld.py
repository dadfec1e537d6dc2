# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a share that is left out as too disruptive never counts as applied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.model import Change
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.layer import MeshLayer, MeshOptions
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, parse_share
from ansible_collections.swarm.node.plugins.module_utils.mesh.stored import stored_shares
from ansible_collections.swarm.node.plugins.module_utils.mesh.withheld import in_effect, too_much
from mesh_cases import share, tunnel
from mesh_fake_node import PRIVATE, FakeNode, public_of
from test_mesh_layer_faults import made

OLD = share(tunnel(2), tunnel(3), keys={1: public_of(PRIVATE["1"])})
MOVED = replace(OLD.tunnels[0], listen_port=51899)
NEW = share(MOVED, OLD.tunnels[1], tunnel(5), keys=OLD.keys)
"""A port changed in place, which cuts the tunnel until the other end follows; and a new tunnel."""


def layer(node: FakeNode, *shares: Share, disruption: str = "perf") -> MeshLayer:
    return MeshLayer(
        MeshOptions(
            {one.mesh: one for one in shares},
            firewall="none",
            root=node.root,
            state_dir=str(node.root / "var"),
            run_dir=str(node.root / "run"),
            runner=node,
            max_disruption=disruption,
        )
    )


def apply(node: FakeNode, *shares: Share, disruption: str = "perf") -> Outcome:
    store = Store(str(node.root / "var"), str(node.root / "run"))
    request = Request("mesh", max_disruption=disruption)
    return reconcile(layer(node, *shares, disruption=disruption), store, request)


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    found = made(tmp_path)
    apply(found, OLD)
    return found


def test_what_is_kept_as_the_share_is_how_the_node_is(node: FakeNode) -> None:
    outcome = apply(node, NEW)
    assert "needs_more_disruption" in {wish.reason for wish in outcome.plan.unapplied}
    kept = stored_shares(node.root)["wan"]
    assert kept.withheld == ("wan-2",) and kept.tunnels == (OLD.tunnels[0], *NEW.tunnels[1:])
    assert kept.routes == NEW.routes, "what is new and disturbs nobody is applied, and kept as such"
    assert {name: wg["port"] for name, wg in node.load()["wg"].items()} == {
        one.interface: one.listen_port for one in kept.tunnels
    }


def test_every_run_says_that_it_is_left_out_and_changes_nothing(node: FakeNode) -> None:
    apply(node, NEW)
    again = apply(node, NEW)
    assert not again.changed and "mesh.listen_port" in [wish.key for wish in again.plan.unapplied]
    assert layer(node, NEW).describe()["wan"]["withheld"] == ["wan-2"]
    assert apply(node, NEW, disruption="peer_jobs").changed
    assert stored_shares(node.root)["wan"] == NEW and "withheld" not in NEW.as_data()
    assert layer(node, NEW).describe()["wan"]["withheld"] == []


def test_a_lost_record_is_written_again(node: FakeNode) -> None:
    record = Store(str(node.root / "var"), str(node.root / "run")).record_path("mesh")
    before = record.read_text()
    record.unlink()
    outcome = apply(node, OLD)
    assert [change.key for change in outcome.plan.changes] == ["record"]
    assert any("record" in note for note in outcome.plan.notes)
    assert record.read_text() == before and not apply(node, OLD).changed


def test_an_undo_of_a_later_change_keeps_what_was_applied_before(node: FakeNode) -> None:
    """The snapshot of the run after: with an old share it would take away the tunnel that is new by now."""
    apply(node, NEW)
    after = layer(node, NEW)
    after.read()
    snapshot = after._snapshot()["wan"]
    assert snapshot is not None
    back = parse_share(snapshot)
    assert [one.interface for one in back.tunnels] == ["wan-2", "wan-3", "wan-5"]
    before = node.load()
    assert not apply(node, back, disruption="reboot").changed and node.load() == before


def test_a_tunnel_that_may_not_go_yet_is_still_in_the_share(node: FakeNode) -> None:
    less = replace(OLD, tunnels=OLD.tunnels[:1], routes={"wan-2": OLD.routes["wan-2"]})
    apply(node, less, disruption="none")
    kept = stored_shares(node.root)["wan"]
    assert kept.tunnels == OLD.tunnels and kept.routes == OLD.routes and kept.withheld == ("wan-3",)
    assert "wan-3" in node.load()["links"]
    assert apply(node, less, disruption="peer_jobs").changed
    assert stored_shares(node.root)["wan"] == less and "wan-3" not in node.load()["links"]


def test_routes_that_may_not_move_stay_where_they_are() -> None:
    far = ("10.99.0.9/32", "10.99.0.10/32")
    old = replace(OLD, routes={"wan-2": (*OLD.routes["wan-2"], *far), "wan-3": OLD.routes["wan-3"]})
    new = replace(OLD, routes={"wan-2": OLD.routes["wan-2"], "wan-3": (*OLD.routes["wan-3"], far[0])})
    held = too_much([Change("mesh.routes", [], [], target="wan-2", disruption="perf")], "none")
    kept = in_effect(new, old, held)
    assert kept.routes["wan-2"] == tuple(sorted((*OLD.routes["wan-2"], far[1]))), "nobody else has it"
    assert far[0] in kept.routes["wan-3"] and kept.withheld == ("wan-2",)
    other = too_much([Change("mesh.routes", [], [], target="wan-3", disruption="perf")], "none")
    assert far[0] in in_effect(new, old, other).routes["wan-2"], "what wan-3 does not gain stays"
    assert in_effect(new, None, held) == new == in_effect(new, old, [])
