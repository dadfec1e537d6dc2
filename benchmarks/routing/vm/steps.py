# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pass in guests has beside the columns: kernels that agree upon new keys, and our own playbooks."""

from __future__ import annotations

import time

from benchmarks.routing import columns
from benchmarks.routing.columns import RETURN, Values
from benchmarks.routing.scene import B, C, Scene
from benchmarks.routing.trial import Step
from benchmarks.routing.vm.mesh import BATCHES, TrialMesh
from benchmarks.routing.vm.scene import NAMES, GuestScene

REKEYED = 130.0
"""s: WireGuard agrees upon new keys after 120."""


def still(stage: Scene) -> Values:
    """Nothing happens for so long that every tunnel gets new keys."""
    assert isinstance(stage, GuestScene)
    before, began = _handshakes(stage), time.monotonic()
    time.sleep(REKEYED)
    ended = time.monotonic()
    return {
        "still_rekeyed": sum(after > then for then, after in zip(before, _handshakes(stage), strict=True)),
        "still_moves": stage.moves(began, ended),
        "still_lost": stage.prober.lost(began, ended),
    }


def _handshakes(stage: GuestScene) -> list[int]:
    """When each tunnel of each guest has agreed upon keys last."""
    lines = [agent.run(["wg", "show", "all", "latest-handshakes"]) for agent in stage.agents.values()]
    return [int(line.split()[2]) for text in lines for line in sorted(text.splitlines())]


def by_playbooks(mesh: TrialMesh) -> dict[str, Step]:
    """Steps that take minutes in guests without KVM."""

    def drained(stage: Scene) -> Values:
        """C is drained, and taken back."""
        began = time.monotonic()
        mesh.node("drain", node_hosts=NAMES[C], **BATCHES)
        away = not stage.via(C)
        mesh.node("undrain", node_hosts=NAMES[C], **BATCHES)
        returned = stage.wait_via(C, RETURN, steady=2)
        lost = stage.prober.lost(began, time.monotonic())
        return {"play_drain_away": int(away), "play_drain_lost": lost, "play_undrain_s": returned}

    def rotated(stage: Scene) -> Values:
        """All keys of all members are replaced."""
        began = time.monotonic()
        mesh.mesh("rotate", **BATCHES)
        ended = time.monotonic()
        lost = stage.prober.lost(began, ended)
        assert isinstance(stage, GuestScene)
        # Tunnels with the new keys have another name than those before.
        stage.network.learn()
        stage.wait_via(B, RETURN, steady=2)
        return {"rotate_moves": stage.moves(began, ended), "rotate_lost": lost}

    return {"play_drain": drained, "rotate": rotated}


def all_steps(mesh: TrialMesh) -> dict[str, Step]:
    """In the order in which a pass takes them: those that need a dead link last."""
    known = dict(columns.STEPS)
    late = {name: known.pop(name) for name in columns.BY_RELAY}
    more = by_playbooks(mesh)
    return {"still": still, **known, "rotate": more["rotate"], **late, "play_drain": more["play_drain"]}


BY_RELAY = (*columns.BY_RELAY, "play_drain")
