# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What shares say for routing: who forwards, ranks, what a tunnel carries. Old shares stay readable."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.plan import is_live
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import parse_share
from mesh_cases import node, planned, share, tunnel

OLD = share(tunnel(2), tunnel(3))
NEW = replace(
    OLD, rank=2, tunnels=(replace(OLD.tunnels[0], transit=True), replace(OLD.tunnels[1], capacity=100))
)


def test_a_share_survives_its_way_to_the_node() -> None:
    for found in (OLD, NEW):
        assert parse_share(json.loads(json.dumps(found.as_data()))) == found


def test_what_says_nothing_is_not_in_it() -> None:
    """Shares of before, and their digests, stay what they were."""
    data = OLD.as_data()
    assert "rank" not in data and not any({"transit", "capacity"} & set(one) for one in data["tunnels"])
    assert parse_share(data) == OLD and parse_share(data).rank == 0


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"rank": 4}, "rank"),
        ({"rank": -1}, "rank"),
        ({"rank": "much"}, "share"),
        ({"tunnels": [{**NEW.as_data()["tunnels"][0], "capacity": -1}]}, "tunnels wan-2 capacity"),
        ({"tunnels": [{**NEW.as_data()["tunnels"][0], "capacity": "thin"}]}, "share"),
    ],
)
def test_nonsense_is_named(change: dict[str, Any], key: str) -> None:
    with pytest.raises(BindError) as caught:
        parse_share({**NEW.as_data(), "routes": {}, **change}, "share.json")
    assert caught.value.problems[0].key == key and caught.value.problems[0].origin == "share.json"


def test_a_node_that_only_learns_of_it_keeps_its_tunnels() -> None:
    """Its share.json is another; that disturbs nobody, and is not armed."""
    plan = planned(node(OLD), NEW)
    assert [(change.key, change.target, change.disruption) for change in plan.changes] == [
        ("file", "/etc/swarm_node/mesh/wan/share.json", "none")
    ]
    assert not any(is_live(change) for change in plan.changes)
