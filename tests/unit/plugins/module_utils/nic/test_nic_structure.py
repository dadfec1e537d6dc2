# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the nic layer is put together: no imports in a circle, nothing of another layer, short files."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils import nic

HOME = Path(next(iter(nic.__path__)))
FILES = sorted(HOME.glob("*.py"))
LONGEST = 300
PURE = [
    "answers",
    "armed",
    "bind",
    "cpus",
    "giving_back",
    "model",
    "plan",
    "qdisc",
    "rivals",
    "select",
    "settings",
    "steps",
    "tuned",
    "wishes",
]
TOUCHING = {"os", "subprocess", "socket", "fcntl", "pathlib", "time"}


def imported(path: Path) -> set[tuple[int, str]]:
    """(level, module) of all imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            for item in node.names if not node.module else [None]:
                found.add((node.level, node.module or (item.name if item else "")))
        elif isinstance(node, ast.Import):
            found |= {(0, item.name) for item in node.names}
    return found


def test_no_file_imports_in_a_circle():
    known = {path.stem for path in FILES}
    graph = {path.stem: {name for level, name in imported(path) if level == 1} & known for path in FILES}
    assert graph["layer"] >= {"guard", "plan", "port"}
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_a_file_is_short_and_needs_only_core_and_its_own(path):
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST
    for level, name in imported(path):
        assert (
            level == 1
            or (level == 2 and name.startswith("core"))
            or (level == 0 and not name.startswith("ansible"))
        )
    assert path.stem not in PURE or not {name for level, name in imported(path) if level == 0} & TOUCHING
    assert not re.search(r"^\s*match ", text, re.MULTILINE)
