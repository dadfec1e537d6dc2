# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines: within a boot, after one, and spread over a fleet."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import (
    Clock,
    jittered,
    left,
    moment,
    read_clock,
)
from hypothesis import given
from hypothesis import strategies as st

BEGUN = Clock(1000.0, 50.0, "boot-1")


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


@given(st.floats(1, 1e5), st.text(max_size=20), st.text(max_size=20))
def test_a_deadline_is_up_to_a_fifth_longer_and_the_same_each_time(seconds, identity, token):
    found = jittered(seconds, identity, token)
    assert seconds <= found <= seconds * 1.2 and found == jittered(seconds, identity, token)


def test_nodes_are_spread():
    assert len({round(jittered(100, f"node-{index}", "run")) for index in range(200)}) > 15


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
