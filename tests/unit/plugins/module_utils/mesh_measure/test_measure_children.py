# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are started for a while, transfers that come too late, and where all of it is kept."""

from __future__ import annotations

import ast
import os
import stat
import time
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils import mesh_measure
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure import children
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.children import Children, missing
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.model import Transfer
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.place import Place
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.transferring import transferred

HOME = Path(next(iter(mesh_measure.__path__)))


def test_what_does_not_want_to_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "STOP_SECONDS", 0.3)
    every = Children(tmp_path, tmp_path)
    stubborn = every.start(
        ["sh", "-c", "trap '' TERM; echo ready >&2; while :; do sleep 0.05; done"], root=True
    )
    willing = every.start(["sleep", "60"], root=True)
    deadline = time.monotonic() + 10
    while "ready" not in stubborn.errors and time.monotonic() < deadline:
        time.sleep(0.02)
    every.stop()
    assert (stubborn.code, willing.code) == (-9, -15)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_programs_do_not_run_as_root_unless_they_have_to(tmp_path: Path) -> None:
    every = Children(tmp_path, tmp_path)
    for root, expected in ((False, "65534 65534 65534"), (True, "0")):
        output = tmp_path / f"{root}"
        child = every.start(["sh", "-c", "echo $(id -u) $(id -g) $(id -G)"], output, root)
        assert child.wait(time.monotonic() + 10) == 0
        assert output.read_text().startswith(expected)


def test_a_program_that_is_not_there_is_an_error_and_can_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        Children(tmp_path, tmp_path).start(["no-such-program"])
    assert missing(["sh", "no-such-program"]) == ["no-such-program"]


def test_a_turn_that_is_over_is_left_to_the_next_pair(tmp_path: Path) -> None:
    transfer = Transfer("two", "192.0.2.1", 22112, 0.0, 10.0, 2)
    found = transferred(Children(tmp_path, tmp_path), transfer, "192.0.2.2", 100.0, 3.0, lambda: 104.5)
    assert found == {"out": {"why": "its turn was 4.5 s ago"}, "back": {"why": "its turn was 4.5 s ago"}}
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_closed_to_others_whatever_the_umask_and_goes_whole(tmp_path: Path) -> None:
    place = Place("wan", tmp_path)
    old = os.umask(0o077)
    try:
        place.make()
    finally:
        os.umask(old)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (place.path, place.printed, place.scratch)
    }
    assert modes == {"swarm-node-verify-wan": 0o711, "printed": 0o700, "scratch": 0o700}
    place.write("order", {"token": "t"})
    assert place.read("order") == {"token": "t"} and place.read("job") is None
    (place.path / "job.json").write_text('{"cut')
    (place.path / "results.json").write_text("[]")
    assert place.read("job") is None and place.read("results") is None
    with pytest.raises(FileExistsError):
        place.make()
    place.remove()
    place.remove()
    assert list(tmp_path.iterdir()) == []


def test_no_file_imports_in_a_circle_or_grows_long() -> None:
    paths = {path.stem: path for path in HOME.glob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        text = path.read_text()
        assert len(text.splitlines()) <= 300, name
        graph[name] = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                graph[name] |= {node.module} if node.module else {item.name for item in node.names}
            # What runs on a node needs nothing but the core and itself.
            assert not (isinstance(node, ast.ImportFrom) and node.level > 2), name
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                assert str(node.module).startswith("core."), name
    assert len(graph) > 8
    list(TopologicalSorter({name: found & set(paths) for name, found in graph.items()}).static_order())
