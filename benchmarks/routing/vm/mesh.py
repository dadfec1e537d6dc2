# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's four guests as a mesh: two leaves, two relays, babeld on all of them, by our own playbooks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_runs import Run

from benchmarks.ansible_run import CHECKOUT
from benchmarks.routing.scene import C, D
from benchmarks.routing.vm.scene import MESH, NAMES
from lab import sets
from lab.errors import LabError
from lab.paths import LabPaths
from tests.meshes.conftest import MeshLab

RELAYS = (C, D)
BATCHES: dict[str, Any] = {"node_batches": ["100%"], "mesh_confirm_seconds": 1800}
"""A translated guest takes long to answer for a change: nothing is to be taken back for that."""


def inventory() -> dict[str, Any]:
    """What the lab's own inventory does not say."""
    hosts = {name: {"mesh_transit": True} if number in RELAYS else {} for number, name in NAMES.items()}
    return {"all": {"hosts": hosts, "vars": {"mesh_name": MESH, "routing_daemon": "babeld"}}}


def failures_in(output: str) -> str:
    """From the first failure of a playbook on: what comes at its end is a summary, which may be long."""
    first = min((at for at in (output.find("[ERROR]"), output.find("fatal: ")) if at >= 0), default=-4000)
    return output[first:][:4000]


class TrialMesh(MeshLab):
    """The registry goes with the lab, so that a second trial finds it."""

    playbook_seconds = 3600.0
    command_seconds = 600.0

    def __init__(self, work: Path, lab: str) -> None:
        os.environ.setdefault("ANSIBLE_CONFIG", str(CHECKOUT / "ansible.cfg"))
        self.paths = LabPaths(lab)
        registries = self.paths.state / "mesh"
        registries.mkdir(exist_ok=True)
        super().__init__(work, registries, lab, "lab-vm")
        self.extra_inventory = work / "more.yml"
        self.roles = work / "trial.json"
        self.roles.write_text(json.dumps(inventory()), encoding="utf-8")

    def raw(self, playbook: str, *arguments: str) -> Run:
        # More guests at work at once than there are processors only wait for each other.
        forks = str(os.cpu_count() or 1)
        # After the lab's own inventory: hosts belong to the one that names them first.
        run = super().raw(playbook, *arguments, "-i", str(self.roles), "--forks", forks)
        if run.code:
            raise LabError(f"{playbook} returned {run.code}:\n{failures_in(run.output)}")
        return run

    def join(self, say: Callable[[str], None]) -> None:
        """All of it, from guests that have nothing. Raises LabError."""
        say("mesh_join")
        self.mesh("join", **BATCHES)
        say("routing")
        self.node("routing", **BATCHES)

    def numbers(self) -> dict[int, int]:
        """Guest → its number in the mesh."""
        members = self.registry(MESH)["members"]
        return {number: int(members[name]["number"]) for number, name in NAMES.items()}

    def underlay(self) -> dict[int, str]:
        return {number: sets.node_of(self.paths, name).address for number, name in NAMES.items()}
