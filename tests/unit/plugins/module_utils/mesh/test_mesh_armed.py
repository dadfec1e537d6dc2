# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is armed of the mesh: its file, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import moment
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import Armed, Reverted, parse_armed

NOON = 1_800_000_000.0
ARMED = Armed("t1", NOON, "first", 5000.0, 120.0, {"wan": None, "lan": {"mesh": "lan"}}, {"firewall": "auto"})


def test_the_file_round_trips() -> None:
    text = replace(ARMED, worked=("wan-2 link",)).to_text()
    assert parse_armed(text, "x") == replace(ARMED, worked=("wan-2 link",))
    body = json.loads(text)
    assert body["deadline"] == NOON + 120 and body["schema"] == 1 and body["snapshot"]["wan"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema 2, this version knows 1"),
        ({"token": None, "length": "long"}, "could not convert"),
        ({"snapshot": []}, "AttributeError"),
        ({"snapshot": {"wan": 3}}, "TypeError"),
        ({"worked": 3}, "TypeError"),
    ],
)
def test_a_file_that_makes_no_sense(change: dict[str, object], words: str) -> None:
    body = {**json.loads(ARMED.to_text()), **change}
    with pytest.raises(NodeError, match=f"/place cannot be read .*{words}"):
        parse_armed(json.dumps(body), "/place")
    for text in ("", "[]", "{}", ARMED.to_text()[:-20]):
        with pytest.raises(NodeError, match="/place cannot be read"):
            parse_armed(text, "/place")


def test_a_refusal_says_who_until_when_and_how() -> None:
    said = str(ARMED.refusal("t2"))
    for word in ("'t2'", "'t1'", moment(NOON), moment(NOON + 120), "action: confirm", "action: revert"):
        assert word in said


def test_notes_of_what_was_undone() -> None:
    note = Reverted("t1", NOON, "nobody confirmed it", ("file (x)",), ("mesh.psk wan-2: gone",))
    assert Reverted.parse(note.to_text()) == note
    assert moment(NOON) in note.sentence and "not undone: mesh.psk wan-2" in note.sentence
    for text in ("", "{}", "[]", "null", '{"token": "t", "when": "x"}'):
        assert Reverted.parse(text) is None
