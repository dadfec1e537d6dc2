# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the packages layer's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import packages_fakes


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> packages_fakes.Distribution:
    return packages_fakes.distribution(tmp_path, monkeypatch)


@pytest.fixture
def node(distribution: packages_fakes.Distribution, tmp_path: Path) -> packages_fakes.Node:
    return packages_fakes.Node(distribution, tmp_path)
