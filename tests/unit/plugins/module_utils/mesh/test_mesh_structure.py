# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the mesh's node half is put together: no file needs, by whatever way, one that needs it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils import mesh

HOME = Path(next(iter(mesh.__path__)))
LONGEST = 300
"""Lines of a file."""


def imports_of(source: str, known: set[str]) -> set[str]:
    """Files of the same package that a file imports, within its functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module.partition(".")[0]} if node.module else {item.name for item in node.names}
    return found & known


def graph(directory: Path) -> dict[str, set[str]]:
    paths = {path.stem: path for path in directory.glob("*.py")}
    return {name: imports_of(path.read_text(), set(paths)) for name, path in paths.items()}


def circle(found: Mapping[str, set[str]]) -> list[str]:
    try:
        list(TopologicalSorter(found).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_of_the_mesh_imports_in_a_circle() -> None:
    found = graph(HOME)
    assert len(found) > 50 and found["layer"] >= {"guard", "part"}
    assert circle(found) == []


def test_a_circle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def late():\n    from .two import three\n    return three\n")
    (tmp_path / "two.py").write_text("from . import one\n")
    assert sorted(set(circle(graph(tmp_path)))) == ["one", "two"]


@pytest.mark.parametrize("path", sorted(HOME.glob("*.py")), ids=lambda path: str(path.stem))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
