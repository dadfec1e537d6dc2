# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artefact: what it holds, and that it works installed, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from .conftest import BIN, CHECKOUT, CPU, Lab

NOT_SHIPPED = (
    "tests/",
    "lab/",
    "molecule/",
    ".venv",
    ".cache",
    ".lab",
    "benchmarks/",
    "scripts/",
    "requirements/",
    ".ci/",
)

NEEDED = (
    "COPYING",
    "README.md",
    "catalogue/sysctl.yml",
    "meta/runtime.yml",
    "playbooks/optimize.yml",
    "plugins/modules/kernel.py",
    "profiles/training/1.yml",
    "roles/kernel/meta/argument_specs.yml",
)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build")
    line = [str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(out), str(CHECKOUT)]
    subprocess.run(line, check=True, capture_output=True, cwd=CHECKOUT)
    return next(out.glob("swarm-node-*.tar.gz"))


def test_holds_what_runs_and_nothing_else(artefact: Path) -> None:
    with tarfile.open(artefact) as archive:
        names = archive.getnames()
    wrong = [name for name in names if name.startswith(NOT_SHIPPED)]
    assert not wrong
    for needed in NEEDED:
        assert needed in names


def test_installed_it_optimises_a_node(artefact: Path, lab: Lab, tmp_path: Path) -> None:
    installed, empty = tmp_path / "collections", tmp_path / "ansible.cfg"
    empty.touch()
    # Nothing of the checkout may be found: neither its settings nor its link.
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "ANSIBLE_CONFIG": str(empty),
        "ANSIBLE_CALLBACKS_ENABLED": "swarm.node.summary",
        "SWARM_NODE_REPORT_DIR": str(tmp_path / "reports"),
    }
    galaxy = [
        str(BIN / "ansible-galaxy"),
        "collection",
        "install",
        str(artefact),
        "-p",
        str(installed),
        "--offline",
    ]
    subprocess.run(galaxy, check=True, capture_output=True, cwd=tmp_path, env=environment)
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "swarm.node.optimize", "-i", str(CHECKOUT / "inventories" / "lab"),
         "--limit", CPU, "--check"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "reports" / "latest.html").exists()


def test_the_repository_as_an_awx_project_installs_itself(tmp_path: Path) -> None:
    """What AWX does on a project sync, and then the file a job template names."""
    empty = tmp_path / "ansible.cfg"
    empty.touch()
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "c"),
        "ANSIBLE_CONFIG": str(empty),
    }
    galaxy = ["ansible-galaxy", "collection", "install", "-r", "collections/requirements.yml"]
    play = ["ansible-playbook", "playbooks/optimize.yml", "--syntax-check", "-i", "inventories/example"]
    for line in ([*galaxy, "-p", str(tmp_path / "c")], play):
        command = [str(BIN / line[0]), *line[1:]]
        done = subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
