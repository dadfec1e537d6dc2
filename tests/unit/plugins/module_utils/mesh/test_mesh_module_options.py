# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `mesh` makes of its parameters, and what it does where programs are missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, LayerUnavailable
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.asked import options_from
from ansible_collections.swarm.node.plugins.module_utils.mesh.layer import MeshLayer, MeshOptions
from mesh_cases import share
from mesh_fake_node import FakeNode


def parameters(**wishes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "owner": None,
        "state": "present",
        "required": [],
        "origins": {"confirm_seconds": "group homes"},
        "state_dir": "/var/lib/swarm_node",
        "run_dir": "/run/swarm_node",
        "shares": {"wan": share().as_data()},
        "firewall": "auto",
        "confirm_seconds": 120,
        "token": "",
        "now": None,
        "max_disruption": "perf",
        "witnesses": {},
        "tools_pending": False,
        "root": "/",
    }
    return {**known, **wishes}


def test_shares_come_as_the_planner_sent_them_and_each_run_has_a_token() -> None:
    one, other = options_from(parameters(), False), options_from(parameters(), False)
    assert one.shares == {"wan": share()}
    assert one.token and one.token != other.token
    assert options_from(parameters(token="mine"), False).token == "mine"


def test_absent_needs_no_share() -> None:
    options = options_from(parameters(state="absent", shares={"wan": "nonsense"}), False)
    assert options.absent and options.shares == {}


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"confirm_seconds": -1}, ["mesh_confirm_seconds", "-1", "group homes"]),
        ({"shares": {"lab": share().as_data()}}, ["wan", "the mesh lab"]),
        ({"shares": {"wan": {"schema": 9}}}, ["schema 1", "shares wan"]),
        ({"shares": {"wan": {**share().as_data(), "number": 0}}}, ["number", "1 to 65535"]),
    ],
)
def test_what_makes_no_sense_is_refused(wishes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(BindError) as error:
        options_from(parameters(**wishes), False)
    assert all(word in str(error.value) for word in words)


def bare(tmp_path: Path) -> MeshOptions:
    """A node on which nothing is installed yet."""
    (tmp_path / "proc/sys").mkdir(parents=True)
    options = options_from(parameters(confirm_seconds=0, firewall="none"), False)
    return replace(
        options,
        root=tmp_path,
        state_dir=str(tmp_path / "var"),
        run_dir=str(tmp_path / "run"),
        runner=FakeNode(tmp_path),
    )


def test_missing_programs_are_named_and_a_check_before_their_installation_goes_on(tmp_path: Path) -> None:
    options = bare(tmp_path)
    store = Store(options.state_dir, options.run_dir)
    with pytest.raises(LayerUnavailable, match=r"wg, wg-quick, ip, systemctl; install wireguard-tools"):
        reconcile(MeshLayer(options), store, Request("mesh"))
    looking = replace(options, check=True, tools_pending=True)
    outcome = reconcile(MeshLayer(looking), store, Request("mesh", check=True))
    assert "mesh.tunnel" in [change.key for change in outcome.plan.changes]
    assert any("not installed yet: wg" in note for note in outcome.plan.notes)
    assert not (tmp_path / "etc").exists()


def test_a_frozen_node_stays_as_it_is_and_says_what_it_would_be(tmp_path: Path) -> None:
    looking = replace(bare(tmp_path), check=True, tools_pending=True)
    store = Store(looking.state_dir, looking.run_dir)
    outcome = reconcile(MeshLayer(looking), store, Request("mesh", frozen="an incident"))
    assert outcome.plan.changes == []
    assert ("mesh.tunnel", "frozen") in [(wish.key, wish.reason) for wish in outcome.plan.unapplied]
    assert not (tmp_path / "etc").exists()
