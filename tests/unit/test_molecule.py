# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule passes over tests and playbooks that it does not find; this does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2] / "molecule"
SCENARIOS = sorted(path.parent for path in ROOT.glob("*/molecule.yml") if path.parent.name != "default")
PLAYBOOKS = {"prepare", "converge", "side_effect", "cleanup"}


ON_A_MESH = {"verify": "measure.yml"}
"""Role that needs a mesh → the playbook of the scenario `mesh` that runs it."""

WITH_A_PACKAGE = {"routing": "tests/meshes/test_routing.py"}
"""Role that needs a mesh and a package that the lab's nodes do not have: these tests bring it."""


def test_every_role_has_a_scenario_of_its_name(checkout: Path) -> None:
    roles = {path.name for path in (checkout / "roles").iterdir()}
    # Those on virtual machines are for whatever needs a kernel of its own, of any role.
    names = {scenario.name for scenario in SCENARIOS if scenario.name.split("-")[0] != "vm"}
    assert roles == names | set(ON_A_MESH) | set(WITH_A_PACKAGE)
    assert all((checkout / tests).is_file() for tests in WITH_A_PACKAGE.values())


@pytest.mark.parametrize("role", ON_A_MESH)
def test_a_role_without_one_is_run_on_the_mesh(role: str) -> None:
    playbook = ON_A_MESH[role]
    steps = yaml.safe_load((ROOT / "mesh/molecule.yml").read_text("utf-8"))["scenario"]["test_sequence"]
    assert f"side_effect {playbook}" in steps
    plays = yaml.safe_load((ROOT / "mesh" / playbook).read_text("utf-8"))
    assert [f"swarm.node.{role}"] in [play.get("roles") for play in plays]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_every_step_has_what_it_needs(scenario: Path) -> None:
    steps = yaml.safe_load((scenario / "molecule.yml").read_text("utf-8"))["scenario"]["test_sequence"]
    assert steps.index("check") < steps.index("converge") < steps.index("idempotence")
    for step in steps:
        action, _blank, argument = step.partition(" ")
        if action in PLAYBOOKS:
            assert (scenario / (argument or f"{action}.yml")).is_file(), step
        if action == "verify":
            assert list((scenario / argument).glob("test_*.py")), step


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_no_test_directory_is_forgotten(scenario: Path) -> None:
    text = (scenario / "molecule.yml").read_text("utf-8")
    for directory in (scenario / "tests").iterdir():
        if directory.name != "__pycache__":
            assert f"verify tests/{directory.name}\n" in text
