# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every touch of the machine fails once: the old state, or all of the new one."""

from __future__ import annotations

import pytest
from nic_node import NicNode
from nic_steps import FIRST, SECOND, at_step, steps_of
from stepping import fail


def prepared(base, wishes) -> NicNode:
    node = NicNode(base)
    for wish in wishes:
        node.apply(interfaces=wish)
    return node


CASES = {
    "first": ([], {"interfaces": FIRST}),
    "second": ([FIRST], {"interfaces": SECOND}),
    "removal": ([FIRST, SECOND], {"state": "absent"}),
    "armed": ([FIRST], {"interfaces": SECOND, "confirm_seconds": 600}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_step_fails(tmp_path, case):
    before, options = CASES[case]
    trial = prepared(tmp_path / "trial", before)
    steps = steps_of(trial, **options)
    trial.layer().guard.lift()
    failed = 0
    for step in range(1, steps + 1):
        node = prepared(tmp_path / str(step), before)
        was, files, record = node.live(), node.installed(), node.record()
        made = node.apply(at_step(step, fail), **options)
        if made.get("failed"):
            failed += 1
            assert not made.get("not_undone"), (case, step, made)
            assert node.live() == was, (case, step, made["msg"])
            assert node.installed() == files and node.record() == record, (case, step)
            assert not node.armed(), (case, step)
        else:  # What is swept up by the way may fail.
            assert node.live() == trial.live() and node.record() == trial.record(), (case, step)
        node.layer().guard.lift()
        again = node.apply(**{**options, "confirm_seconds": 0})
        assert not again.get("failed"), (case, step, again["msg"])
        assert not node.apply(**{**options, "confirm_seconds": 0})["changed"], (case, step)
        assert node.live() == trial.live() and node.installed() == trial.installed(), (case, step)
    assert failed > steps / 2


def test_the_first_refused_write_and_the_first_refused_undo(tmp_path):
    """Two failures in a row: what could not be put back is said, and the next run finishes the work."""
    for step in range(1, 8):
        node = prepared(tmp_path / str(step), [FIRST])

        def twice(name, hits=[]):  # noqa: B006
            hits.append(name)
            fail(name)

        def patch(step=step, twice=twice):
            at_step(step, twice, devices_only=True)()
            at_step(step, twice, devices_only=True)()

        made = node.apply(patch, interfaces=SECOND)
        again = node.apply(interfaces=SECOND)
        assert not again.get("failed"), (step, made.get("msg"), again["msg"])
        assert not node.apply(interfaces=SECOND)["changed"]
        node.apply(state="absent")
        assert node.record() is None and node.installed() == []
