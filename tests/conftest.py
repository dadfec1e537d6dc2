# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the checkout importable as `ansible_collections.swarm.node`, as Ansible itself sees it."""

from __future__ import annotations

import os
import sys
import tempfile
import zlib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def _link_collection() -> Path:
    """Returns a directory that holds `ansible_collections/swarm/node` -> checkout."""
    root = (
        Path(tempfile.gettempdir())
        / f"swarm-node-tests-{os.getuid()}-{zlib.crc32(str(CHECKOUT).encode()):08x}"
    )
    link = root / "ansible_collections" / "swarm" / "node"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.resolve() != CHECKOUT:
        link.unlink(missing_ok=True)
        link.symlink_to(CHECKOUT)
    return root


COLLECTIONS = _link_collection()
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)
sys.path.insert(0, str(COLLECTIONS))


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout."""
    return CHECKOUT


@pytest.fixture(scope="session")
def collections_path() -> Path:
    """A directory usable as ANSIBLE_COLLECTIONS_PATH."""
    return COLLECTIONS


FAULTS = ("_crash.py", "_faults.py", "_matrix.py", "_sequences.py")
"""Files that go through every step of a run, hundreds of runs each: `make faults`, not `make test-fast`."""

SLOW = (
    "test_gpu_boot_freeze.py",
    "test_mesh_guard_deadline.py",
    "test_mesh_planner_properties.py",
    "test_mesh_playbooks.py",
    "test_mesh_runs.py",
    "test_transport_role.py",
)
"""Whole playbooks, deadlines in real seconds, hundreds of random fleets: with `make faults`, too."""

SIMULATOR = ("lab/test_nvml_", "modules/test_gpu_")
"""The simulated NVML library's own tests, which build it again and again, and modules over it:
`make simulator`. Directory and beginning of the file's name."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name.endswith(FAULTS) or item.path.name in SLOW:
            item.add_marker(pytest.mark.faults)
        elif f"{item.path.parent.name}/{item.path.name}".startswith(SIMULATOR):
            item.add_marker(pytest.mark.simulator)
