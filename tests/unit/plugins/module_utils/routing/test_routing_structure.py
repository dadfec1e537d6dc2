# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the routing layer is put together: no imports in a circle, of other layers the mesh's share alone."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils import routing

HOME = Path(next(iter(routing.__path__)))
FILES = sorted(HOME.glob("*.py"))
LONGEST = 300
PURE = ["distribution", "filter", "packets", "paths", "plan", "render", "settings", "state", "units"]
TOUCHING = {"os", "subprocess", "socket", "fcntl", "time"}
OF_OTHERS = {"mesh.paths", "mesh.share", "mesh.stored"}


def imported(path: Path) -> set[tuple[int, str]]:
    """(level, module) of all imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add((node.level, node.module))
        elif isinstance(node, ast.Import):
            found |= {(0, item.name) for item in node.names}
    return found


def test_no_file_imports_in_a_circle() -> None:
    names = {path.stem for path in FILES}
    graph = {
        path.stem: {name for level, name in imported(path) if level == 1 and name in names} for path in FILES
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES) > 15


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_a_file_is_short_and_needs_little(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
    for level, name in imported(path):
        assert level < 2 or name == "core" or name.startswith("core.") or name in OF_OTHERS, name
        assert level != 0 or not name.startswith("ansible"), name
        if path.stem in PURE:
            assert level != 0 or name not in TOUCHING, name
