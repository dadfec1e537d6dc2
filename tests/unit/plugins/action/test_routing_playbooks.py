# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where playbooks of the mesh call the routing layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

LEFT = ("swarm.node.mesh", "left.yml")
RECONCILE = ("swarm.node.routing", "reconcile.yml")


def roles(tasks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(role, its file) of each task that calls one, in order."""
    found = []
    for task in tasks:
        for verb in ("import_role", "include_role"):
            call = task.get(f"ansible.builtin.{verb}")
            if call:
                found.append((call["name"], call.get("tasks_from", "main.yml")))
    return found


@pytest.mark.parametrize("playbook", ["mesh_leave", "mesh_pull"])
def test_who_has_left_a_mesh_has_no_routing_of_it_either(checkout: Path, playbook: str) -> None:
    plays = yaml.safe_load((checkout / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))
    (called,) = (roles(play["tasks"]) for play in plays if LEFT in roles(play.get("tasks", [])))
    assert RECONCILE in called[called.index(LEFT) :]
