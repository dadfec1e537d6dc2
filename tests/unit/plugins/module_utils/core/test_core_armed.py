# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be confirmed, and notes of what was undone, whichever layer armed it."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.armed import TooLate, confirmable
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import Clock
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh import armed as mesh
from ansible_collections.swarm.node.plugins.module_utils.nic import armed as nic

LAYERS = {
    "mesh": (mesh.Armed("t1", 1000.0, "boot-1", 50.0, 60.0), mesh.Reverted("t1", 1000.0, "nobody did")),
    "nic": (
        nic.Armed("t1", 1000.0, "boot-1", 50.0, 60.0, "nic"),
        nic.Reverted("t1", 1000.0, "nobody did"),
    ),
}


@pytest.fixture(params=sorted(LAYERS))
def layer(request):
    return LAYERS[request.param]


def test_when_it_was_and_when_it_is_due(layer):
    armed, _reverted = layer
    assert armed.begun == Clock(1000.0, 50.0, "boot-1") and armed.deadline == 1060.0


def test_only_the_run_that_armed_it_confirms_it(layer):
    armed, reverted = layer
    assert confirmable("t1", armed, None) and not confirmable("t1", None, None)
    assert confirmable("t1", armed, reverted), "a run that arms a second time"
    with pytest.raises(BindError, match="'t2'"):
        confirmable("t2", armed, None)


def test_what_is_undone_cannot_be_confirmed(layer):
    _armed, reverted = layer
    assert not confirmable("t2", None, reverted), "another run's"
    with pytest.raises(TooLate, match=r"too late to confirm: .*'t1'.*nobody did"):
        confirmable("t1", None, reverted)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"token": "t", "when": "x"}', '{"token": "t", "when": 1, "why": ""}'],
)
def test_a_note_that_makes_no_sense_is_none(layer, text):
    _armed, reverted = layer
    assert type(reverted).parse(text) is None and type(reverted).parse(reverted.to_text()) == reverted
