# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of CPUs, and how they are handed out to queues."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.nic import cpus
from hypothesis import given, settings
from hypothesis import strategies as st

quick = settings(max_examples=80, deadline=None)
numbers = st.sets(st.integers(0, 300), max_size=24).map(lambda found: tuple(sorted(found)))
some = numbers.filter(bool)


@quick
@given(numbers)
def test_lists_and_masks_are_read_as_they_are_written(found):
    assert cpus.cpus_of(cpus.text(found)) == found
    assert cpus.from_mask(cpus.to_mask(found)) == found


@pytest.mark.parametrize(
    ("text", "mask"),
    [((), "00000000"), ((0, 1, 32), "00000001,00000003"), ((63,), "80000000,00000000")],
)
def test_masks_are_the_kernels(text, mask):
    assert cpus.to_mask(text) == mask
    assert cpus.from_mask(f"{mask}\n") == text
    assert cpus.from_mask(f"00000000,{mask}") == text  # The kernel writes as many words as it has CPUs for.


@pytest.mark.parametrize("text", ["x", "1-", "3-1", "-1", "1--2", "0x1", "٣", "99999999"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ValueError, match=r"no CPU|no range"):
        cpus.parse(text)


@quick
@given(st.lists(st.sampled_from(["0", "1", "0-3", "off", "2,5"]), min_size=1, max_size=12))
def test_a_joined_text_expands_to_its_parts(parts):
    text = cpus.joined(parts)
    assert cpus.expand(text, len(parts)) == parts
    assert len(text) <= len(";".join(parts))


@quick
@given(some, st.integers(1, 40))
def test_every_cpu_has_one_queue_and_every_queue_a_cpu(found, count):
    parts = cpus.expand(cpus.spread(found, count), count)
    held = [cpu for part in parts for cpu in cpus.cpus_of(part)]
    assert all(cpus.cpus_of(part) for part in parts)
    if count <= len(found):
        assert sorted(held) == list(found)
    else:
        assert set(held) == set(found)


@quick
@given(some, st.integers(1, 40))
def test_an_interrupt_has_one_cpu(found, count):
    parts = cpus.expand(cpus.one_each(found), count)
    assert all(len(cpus.cpus_of(part)) == 1 for part in parts)
    assert {cpu for part in parts for cpu in cpus.cpus_of(part)} == set(found[:count])


def test_nothing_is_off():
    assert cpus.text(()) == cpus.spread((), 4) == cpus.one_each(()) == cpus.joined([]) == "off"
    assert cpus.spread((1, 2), 0) == "off"
