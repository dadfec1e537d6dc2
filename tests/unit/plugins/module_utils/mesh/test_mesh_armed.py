# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is armed, and when it is due: by two clocks of which one can be wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import (
    Armed,
    Clock,
    Reverted,
    jittered,
    left,
    moment,
    parse_armed,
    parse_reverted,
    read_clock,
)

NOON = 1_800_000_000.0
ARMED = Armed("t1", NOON, "first", 5000.0, 120.0, {"wan": None, "lan": {"mesh": "lan"}}, {"firewall": "auto"})


@pytest.mark.parametrize(
    ("clock", "seen", "expected"),
    [
        # The same boot: the kernel's clock counts, whatever is done to the wall clock.
        (Clock(NOON, 5000.0, "first"), 0.0, 120.0),
        (Clock(NOON + 50, 5050.0, "first"), 0.0, 70.0),
        (Clock(NOON + 120, 5120.0, "first"), 0.0, 0.0),
        (Clock(NOON + 999, 5999.0, "first"), 0.0, 0.0),
        (Clock(0.0, 5030.0, "first"), 0.0, 90.0),
        (Clock(NOON * 2, 5030.0, "first"), 0.0, 90.0),
        # Another boot, a clock that is right: the deadline holds.
        (Clock(NOON + 40, 12.0, "second"), 10.0, 80.0),
        (Clock(NOON + 119, 12.0, "second"), 10.0, 1.0),
        (Clock(NOON + 121, 12.0, "second"), 10.0, 0.0),
        # Off for days: due at once.
        (Clock(NOON + 500_000, 12.0, "second"), 10.0, 0.0),
        # A clock before the arming, or far too early: never more than the length from the first look.
        (Clock(NOON - 1, 10.0, "second"), 10.0, 120.0),
        (Clock(5.0, 10.0, "second"), 10.0, 120.0),
        (Clock(5.0, 100.0, "second"), 10.0, 30.0),
        (Clock(5.0, 130.0, "second"), 10.0, 0.0),
        # The clock is put right meanwhile.
        (Clock(NOON + 60, 30.0, "second"), 10.0, 60.0),
        # A first look in the future cannot lengthen it.
        (Clock(5.0, 10.0, "second"), 50.0, 120.0),
        # A counter that went back is another boot, whatever the id says (a restored snapshot).
        (Clock(NOON + 40, 20.0, "first"), 20.0, 80.0),
        # No boot id can be read: it is like any other id.
        (Clock(NOON + 40, 20.0, ""), 20.0, 80.0),
    ],
)
def test_what_is_left(clock: Clock, seen: float, expected: float) -> None:
    assert left(ARMED, clock, seen) == pytest.approx(expected)


def test_it_never_lengthens_while_time_passes() -> None:
    for boot, wall in (("first", NOON), ("second", NOON), ("second", 0.0), ("second", NOON * 3)):
        before = 1e9
        for passed in range(0, 200, 7):
            clock = Clock(wall + passed, 5000.0 + passed, boot)
            now = left(ARMED, clock, 5000.0)
            assert 0 <= now <= min(before, ARMED.length)
            before = now
        assert before == 0


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


def test_the_jitter() -> None:
    """Stable for one node and run, spread over a fleet, never shorter than asked for."""
    assert jittered(120, "node1", "t") == jittered(120, "node1", "t")
    assert jittered(120, "node1", "t") != jittered(120, "node1", "u")
    lengths = [jittered(100, f"machine\nnode{number}", "t") for number in range(1000)]
    assert all(100 <= length < 120 for length in lengths)
    for step in range(10):
        within = sum(100 + 2 * step <= length < 102 + 2 * step for length in lengths)
        assert 60 < within < 150, "a tenth of the fleet in each tenth of the time"


def test_a_refusal_says_who_until_when_and_how() -> None:
    said = str(ARMED.refusal("t2"))
    for word in ("'t2'", "'t1'", moment(NOON), moment(NOON + 120), "action: confirm", "action: revert"):
        assert word in said


def test_notes_of_what_was_undone() -> None:
    note = Reverted("t1", NOON, "nobody confirmed it", ("file (x)",), ("mesh.psk wan-2: gone",))
    assert parse_reverted(note.to_text()) == note
    assert moment(NOON) in note.sentence and "not undone: mesh.psk wan-2" in note.sentence
    for text in ("", "{}", "[]", "null", '{"token": "t", "when": "x"}'):
        assert parse_reverted(text) is None


def test_moments() -> None:
    assert moment(0) == "1970-01-01T00:00:00Z"
    assert "Unix time" in moment(1e30)


def test_the_real_clock() -> None:
    first, second = read_clock(), read_clock()
    assert (
        first.boot_id == second.boot_id != "" and first.boottime <= second.boottime and first.wall > NOON / 2
    )
