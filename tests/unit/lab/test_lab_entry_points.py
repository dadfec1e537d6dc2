# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make and scripts/: what is called with which words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

# Under `make test` its own options and variables would reach the make that is tested.
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}


def dry_run(checkout: Path, *words: str) -> str:
    """What make would run, with all white space as one blank."""
    command = ["make", "--dry-run", *words]
    done = subprocess.run(command, cwd=checkout, env=CLEAN, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


def test_own_nodes_need_neither_lab_nor_podman(checkout: Path) -> None:
    text = dry_run(checkout, "optimize", "INVENTORY=inv/production", "LIMIT=a:b", "CHECK=1", "DIFF=1")
    assert "scripts/bootstrap runtime" in text
    assert "python -m lab" not in text
    assert "swarm.node.optimize -i inv/production --limit 'a:b' --check --diff" in text


def test_without_inventory_the_lab_comes_first(checkout: Path) -> None:
    text = dry_run(checkout, "optimize", "PROFILE=idle@1", "ARGS=-v")
    assert text.index("python -m lab up") < text.index("swarm.node.optimize -i inventories/lab")
    assert text.endswith("-e node_profile='idle@1' -v")
    assert "--check" not in text


def test_check_can_be_switched_off_by_words(checkout: Path) -> None:
    assert "--check" not in dry_run(checkout, "optimize", "INVENTORY=x", "CHECK=0", "DIFF=no")


@pytest.mark.parametrize(("live", "lab"), [("", False), ("1", True)])
def test_explain_needs_the_lab_only_for_live_values(checkout: Path, live: str, lab: bool) -> None:
    text = dry_run(checkout, "explain", "HOST=h100-1", f"LIVE={live}")
    assert "--limit 'h100-1'" in text
    assert ("python -m lab up" in text) is lab
    assert ("-e live=true" in text) is lab


def test_no_locale_from_outside_reaches_ansible(checkout: Path) -> None:
    command = ["make", "--silent", "--eval", "locale: ; @echo $$LC_ALL", "locale"]
    environment = {**CLEAN, "LC_ALL": "xx_XX.ISO8859-1"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "C.UTF-8\n"


def test_every_target_for_people_is_in_the_help(checkout: Path) -> None:
    done = subprocess.run(["make"], cwd=checkout, env=CLEAN, capture_output=True, text=True, check=True)
    text = done.stdout
    shown = {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
    wanted = "optimize explain lint test-fast test bench build lab-up lab-stop lab-down clean help"
    assert set(wanted.split()) <= shown


def test_continuous_integration_runs_make_test_and_nothing_else(checkout: Path) -> None:
    script = checkout / ".ci/run"
    assert script.stat().st_mode & 0o111
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "make" in line] == ["exec make test"]


def test_an_unknown_level_is_refused_before_anything_is_done(checkout: Path) -> None:
    command = [str(checkout / "scripts/bootstrap"), "everything"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unknown level 'everything'" in done.stderr
    assert "runtime, lab, dev, vm" in done.stderr


def test_virtual_machines_cost_only_those_who_ask_for_them(checkout: Path) -> None:
    for target in ("optimize", "integration"):
        assert "bootstrap vm" not in dry_run(checkout, target)
    text = dry_run(checkout, "vm")
    assert text.index("scripts/bootstrap vm") < text.index("scripts/with-lab vm:vm")
    assert text.endswith("-m pytest -q tests/vm")


@pytest.mark.parametrize("tag", ["py311", "py313"])
def test_locked_requirements_are_hashed_and_name_no_place(checkout: Path, tag: str) -> None:
    text = (checkout / f"requirements/{tag}.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    names = {line.split("==")[0].lower() for line in pins}
    wanted = (checkout / "requirements/requirements.in").read_text(encoding="utf-8").splitlines()
    assert {line.lower() for line in wanted if not line.startswith("#")} <= names
    assert all(line.endswith("\\") for line in pins), "a pin without a hash"
    assert "://" not in text


def test_a_stage_passes_its_failure_on(checkout: Path) -> None:
    stage = str(checkout / "scripts/stage")
    done = subprocess.run([stage, "three", "sh", "-c", "exit 3"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "FAIL three" in done.stdout
    done = subprocess.run([stage, "fine", "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "ok   fine" in done.stdout
