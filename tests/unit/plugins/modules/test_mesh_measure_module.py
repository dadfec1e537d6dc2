# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mesh_measure as Ansible runs it, and the program that it starts; what they measure is tested
elsewhere."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.agent import program_text
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.control import Control
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.place import Place

sys.path.append(str(Path(__file__).parents[3]))
from module_runner import run_forked

UTIL = "ansible_collections.swarm.node.plugins.module_utils.mesh_measure.control"
UP = {"state": "up", "mesh": "wan", "token": "t", "address": "192.0.2.1"}
JOB = {"start": 1.0, "window": 10, "end": 20, "late": 1}


def run(root: Path, answers: dict[str, int], **options: Any) -> dict[str, Any]:
    """root: instead of /run; answers: first word of a command → its return code"""

    def before() -> None:
        module: Any = importlib.import_module(UTIL)
        real = module.Control.__init__

        def init(self: Control, mesh: str) -> None:
            real(
                self,
                mesh,
                root,
                lambda argv: (answers.get(argv[0], 0), "as it was told"),
                lambda seconds: None,
            )

        module.Control.__init__ = init
        module.READY_SECONDS = 0.3

    return run_forked("mesh_measure", options, before)


def test_a_check_says_what_would_be_sent_and_does_nothing(tmp_path: Path) -> None:
    expected = {"bytes": 7, "seconds": 9}
    found = run(tmp_path, {}, **UP, expected=expected, _ansible_check_mode=True)
    assert found["would"] == expected and found["changed"] is False
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({**UP, "address": "0.0.0.0"}, "address: '0.0.0.0'"),
        ({**UP, "mesh": "../etc"}, "mesh: '../etc'"),
        ({**UP, "tools": ["sh"]}, "tools: 'sh'"),
        ({"state": "go", "mesh": "wan", "token": "t", "job": {}}, "not there any more"),
        ({"state": "go", "mesh": "wan", "token": "t"}, "missing"),
        ({"state": "up", "mesh": "wan", "token": "t"}, "missing"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_left(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    found = run(tmp_path, {}, **options)
    assert found["failed"] and words in found["msg"], found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"systemd-run": 1}, "systemd-run: as it was told"),
        ({"systemd-run": 127}, "systemd-run: as it was told"),
        ({"systemctl": 3}, "the program ended at once"),
        ({}, "the servers were not there after"),
    ],
)
def test_a_start_that_fails_leaves_nothing(tmp_path: Path, answers: dict[str, int], words: str) -> None:
    found = run(tmp_path, answers, **UP)
    assert found["failed"] and found["failure_kind"] == "unavailable" and words in found["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = Control("wan", tmp_path, lambda argv: (0, ""))
    monkeypatch.setattr(f"{UTIL}.missing", lambda tools: ["irtt", "fping"])
    order = importlib.import_module(UTIL).Order("t", "192.0.2.1", 22112, ("irtt", "fping"), 9, 9, 9)
    with pytest.raises(NodeError, match="irtt, fping missing on this node: install Debian's packages"):
        control.up(order)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_fetch_is_no_failure(tmp_path: Path) -> None:
    found = run(tmp_path, {}, state="down", mesh="wan", token="t")
    assert found["measured"] is None and found["clock"]["now"] > 0 and found["clock"]["took"] >= 0


def test_a_job_is_handed_over_whole_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    place = Place("wan", tmp_path)
    place.make()
    place.write("order", {"token": "t"})
    wrong = run(tmp_path, {}, state="go", mesh="wan", token="t", job={**JOB, "window": 0})
    assert wrong["failure_kind"] == "refused" and wrong["problems"][0]["key"] == "window"
    assert place.read("job") is None
    late = run(tmp_path, {"systemctl": 3}, state="go", mesh="wan", token="t", job=JOB)
    assert late["failed"] and "too late" in late["msg"] and place.read("job") is None
    assert not run(tmp_path, {}, state="go", mesh="wan", token="t", job=JOB).get("failed")
    assert place.read("job") == {
        **JOB,
        "window": 10.0,
        "end": 20.0,
        "late": 1.0,
        "probes": [],
        "transfers": [],
    }


def test_the_program_needs_nothing_but_itself(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(program_text().encode("utf-8", "surrogateescape"))
    assert b"ansible" not in program.read_bytes().replace(b"GNU", b"")
    line = [sys.executable, "-I", str(program), "wan", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "there is nothing to serve" in done.stdout, done.stderr
