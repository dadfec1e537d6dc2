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


def test_every_role_has_a_scenario_of_its_name(checkout: Path) -> None:
    roles = {path.name for path in (checkout / "roles").iterdir()}
    # Those on virtual machines are for whatever needs a kernel of its own, of any role.
    assert roles == {scenario.name for scenario in SCENARIOS if scenario.name.split("-")[0] != "vm"}


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
