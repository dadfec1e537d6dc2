# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines: within a boot, after one, and spread over a fleet."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import (
    Clock,
    identity,
    jittered,
    left,
    moment,
    read_clock,
)
from hypothesis import given
from hypothesis import strategies as st

BEGUN = Clock(1000.0, 50.0, "boot-1")
NOON = 1_800_000_000.0
ARMED_AT, LENGTH = Clock(NOON, 5000.0, "first"), 120.0


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (Clock(1000.0, 50.0, "boot-1"), 60.0),
        (Clock(1.0, 80.0, "boot-1"), 30.0),
        (Clock(9e9, 80.0, "boot-1"), 30.0),
        (Clock(1000.0, 110.0, "boot-1"), 0.0),
        (Clock(1000.0, 500.0, "boot-1"), 0.0),
        (Clock(1001.0, 51.0, "boot-2"), 0.0),
        (Clock(1001.0, 10.0, "boot-1"), 0.0),
    ],
)
def test_what_is_left(now, seconds):
    """Whatever the wall clock says; a clock that went back is not that of this boot."""
    assert left(BEGUN, 60.0, now) == seconds


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
def test_what_is_left_of_what_outlasts_a_boot(clock, seen, expected):
    assert left(ARMED_AT, LENGTH, clock, seen) == pytest.approx(expected)


def test_it_never_lengthens_while_time_passes():
    for boot, wall in (("first", NOON), ("second", NOON), ("second", 0.0), ("second", NOON * 3)):
        before = 1e9
        for passed in range(0, 200, 7):
            clock = Clock(wall + passed, 5000.0 + passed, boot)
            now = left(ARMED_AT, LENGTH, clock, 5000.0)
            assert 0 <= now <= min(before, LENGTH)
            before = now
        assert before == 0


@given(st.floats(1, 1e5), st.text(max_size=20), st.text(max_size=20))
def test_a_deadline_is_up_to_a_fifth_longer_and_the_same_each_time(seconds, identity, token):
    found = jittered(seconds, identity, token)
    assert seconds <= found <= seconds * 1.2 and found == jittered(seconds, identity, token)


def test_nodes_are_spread():
    assert jittered(120, "node1", "t") != jittered(120, "node1", "u")
    lengths = [jittered(100, f"machine\nnode{number}", "t") for number in range(1000)]
    assert all(100 <= length < 120 for length in lengths)
    for step in range(10):
        within = sum(100 + 2 * step <= length < 102 + 2 * step for length in lengths)
        assert 60 < within < 150, "a tenth of the fleet in each tenth of the time"


def test_clones_of_one_image_are_told_apart(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0123\n")
    names = []
    for name in ("node-1", "node-2"):
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        names += [identity(tmp_path), identity(tmp_path / "nothing")]
    assert names == ["0123\nnode-1", "node-1", "0123\nnode-2", "node-2"]


def test_moments():
    assert moment(0) == "1970-01-01T00:00:00Z"
    assert moment(1e30).startswith("Unix time")


def test_the_nodes_clock(tmp_path):
    place = tmp_path / "proc/sys/kernel/random"
    place.mkdir(parents=True)
    (place / "boot_id").write_text("abc\n")
    first, second = read_clock(tmp_path), read_clock(tmp_path)
    assert first.boot_id == "abc" and second.boottime >= first.boottime > 0 and first.wall > 1e9
    assert read_clock(tmp_path / "nothing").boot_id == ""
