# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buffers by speed, round trip and memory: by hand, and what holds for all of them."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.transport.values import (
    ASSUMED,
    FLOOR,
    LIMIT,
    MIB,
    SHARE,
    Survey,
    link_speed,
    socket_buffer,
    survey_from,
    udp_mem,
    under_way,
)
from hypothesis import given
from hypothesis import strategies as st

GIB = 1 << 30


@pytest.mark.parametrize(
    ("mbit", "rtt_ms", "size"),
    [
        (1000, 80, 10_000_000),
        (10_000, 100, 125_000_000),
        (100_000, 100, 1_250_000_000),
        (25_000, 0.2, 625_000),
        (1, 0.01, 2),
    ],
)
def test_bytes_under_way(mbit, rtt_ms, size):
    assert under_way(mbit, rtt_ms) == size


@pytest.mark.parametrize(
    ("mbit", "rtt_ms", "memory", "limit", "mib"),
    [
        (1000, 80, 0, LIMIT, 20),  # 2 x 10 MB is 19.07 MiB
        (1000, 1, 0, LIMIT, 6),  # the kernel's own
        (10_000, 100, 512 * GIB, LIMIT, 239),
        (100_000, 100, 512 * GIB, LIMIT, 1024),
        (100_000, 100, 512 * GIB, 256 * MIB, 256),
        (100_000, 100, 512 * GIB, 2147483647, 2147483647 / MIB),
        (1000, 80, 384 * MIB, LIMIT, 12),  # a 32nd of the memory
        (1000, 80, 64 * MIB, LIMIT, 2),  # which counts more than the floor
        (1000, 80, 16 * MIB, LIMIT, 1),
        (1000, 80, 0, MIB, 1),
    ],
)
def test_socket_buffers(mbit, rtt_ms, memory, limit, mib):
    assert socket_buffer(mbit, rtt_ms, memory, limit) == mib * MIB


SPEEDS = st.integers(1, 1_000_000)
TRIPS = st.floats(0.01, 5000)
MEMORIES = st.integers(0, 1 << 44)
LIMITS = st.integers(MIB, 2147483647)


@given(mbit=SPEEDS, rtt_ms=TRIPS, memory=MEMORIES, limit=LIMITS)
def test_a_buffer_is_what_the_kernel_takes_and_no_bound_is_broken(mbit, rtt_ms, memory, limit):
    size = socket_buffer(mbit, rtt_ms, memory, limit)
    assert MIB <= size <= limit and isinstance(size, int)
    assert not memory or size <= max(MIB, memory // SHARE)
    if size < min(limit, max(MIB, memory // SHARE // MIB * MIB) if memory else limit):
        assert size >= max(FLOOR, 2 * under_way(mbit, rtt_ms)), "nothing but a bound makes it too small"
        assert size < max(FLOOR, 2 * under_way(mbit, rtt_ms)) + MIB


@given(mbit=SPEEDS, rtt_ms=TRIPS, memory=MEMORIES, limit=LIMITS, more=st.floats(1, 10))
def test_more_of_anything_never_makes_it_smaller(mbit, rtt_ms, memory, limit, more):
    size = socket_buffer(mbit, rtt_ms, memory, limit)
    assert socket_buffer(int(mbit * more), rtt_ms, memory, limit) >= size
    assert socket_buffer(mbit, rtt_ms * more, memory, limit) >= size
    assert socket_buffer(mbit, rtt_ms, memory, min(2147483647, int(limit * more))) >= size
    assert not memory or socket_buffer(mbit, rtt_ms, int(memory * more), limit) >= size


@pytest.mark.parametrize(
    ("wish", "devices", "found"),
    [
        (400, {"eth0": 10}, (400, "as asked for")),
        ("400", {}, (400, "as asked for")),
        ("auto", {"eth0": 25000, "eth1": 10000}, (25000, "of eth0")),
        (None, {"b": 100, "a": 100, "c": None}, (100, "of a")),
        ("auto", {"eth1": None, "eth0": None}, (ASSUMED, "assumed, as eth0, eth1 tells none")),
        ("auto", {}, (ASSUMED, "assumed, as no device beneath the default route tells none")),
    ],
)
def test_the_speed_that_counts(wish, devices, found):
    assert link_speed(wish, Survey(devices)) == found


@pytest.mark.parametrize(
    ("percent", "memory", "page", "pages"),
    [
        (12, 512 * GIB, 4096, [8053063, 10737418, 16106127]),
        (50, GIB, 4096, [65536, 87381, 131072]),
        (10, GIB, 65536, [819, 1092, 1638]),
        (0.1, MIB, 4096, []),
        (10, 0, 4096, []),
    ],
)
def test_udp_memory_is_in_pages_of_the_node(percent, memory, page, pages):
    assert udp_mem(percent, memory, page) == pages


@given(percent=st.floats(0.1, 50), memory=MEMORIES, page=st.sampled_from([4096, 16384, 65536]))
def test_udp_memory_rises_and_stays_within_its_share(percent, memory, page):
    pages = udp_mem(percent, memory, page)
    assert not pages or 0 < pages[0] < pages[1] < pages[2]
    assert not pages or pages[2] * page <= memory * percent / 100


def test_a_module_that_said_nothing_knows_nothing():
    assert survey_from(None) == survey_from({}) == Survey()
    told = {"devices": {"eth0": 5}, "memory": 7, "page_size": 65536, "beneath": ""}
    assert survey_from(told) == Survey({"eth0": 5}, 7, 65536)
