# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chosen setting, once, with wide limits: a link dies, a relay is drained, its daemon is restarted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.routing import columns
from benchmarks.routing.candidates import CANDIDATES
from benchmarks.routing.programs import cached
from benchmarks.routing.stage import Stage

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft"),
    pytest.mark.skipif(
        not all(cached(release).root.is_dir() for release in ("bookworm", "trixie")),
        reason="scripts/bootstrap fetches the daemons",
    ),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Debian 12's and 13's daemons in turn, settled."""
    made = Stage(CANDIDATES["babeld-mixed"], tmp_path_factory.mktemp("stage"), seed=1)
    try:
        assert columns.start(made)["start_s"] is not None
        yield made
    finally:
        made.close()


def found(values: columns.Values, key: str) -> float:
    """What happened at all."""
    value = values[key]
    assert value is not None, key
    return value


def test_a_dead_link_is_left_and_taken_back(stage: Stage) -> None:
    values = columns.dead_link(stage)
    assert found(values, "link_outage_s") < 3
    assert found(values, "link_return_s") < 30
    assert values["link_return_lost"] == 0


def test_a_relay_is_drained_and_restarted_without_loss(stage: Stage) -> None:
    assert found(columns.by_relay(stage), "relay_settled_s") < 30
    values = columns.drained(stage)
    assert found(values, "drain_left_s") < 3
    assert values["drain_lost"] == 0
    assert found(values, "undrain_return_s") < 30
    assert found(columns.restarted(stage), "restart_lost_ms") <= 200


def test_what_the_daemon_says_of_itself(stage: Stage) -> None:
    """Neighbours with their round trips; with the direct link down A has two of them left."""
    trips = stage.daemons[1].round_trips()
    assert set(trips) >= {"w1x3", "w1x4"}
    assert 9 < trips["w1x3"] < 30 < 2 * trips["w1x4"]
