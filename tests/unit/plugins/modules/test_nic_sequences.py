# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wish after wish by chance, on devices with the manners of drivers; boots in between; all given back."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.nic.wishes import wishes_from
from nic_node import NicNode, device, differences

STEPS = 8
SPOTS = ["local", "all", "0-1", "3"]


def some(chance: random.Random) -> dict[str, Any]:
    """Settings of one selector."""
    values: dict[str, Any] = {
        "rings": {"rx": chance.choice([256, 1000, 4096, "max", ">=2048"]), "tx": chance.choice([512, "max"])},
        "channels": {"combined": chance.choice([1, 2, 4, 8, "max", "cores", ">=3"])},
        "coalesce": {"rx-usecs": chance.randint(0, 60), "tx-usecs": chance.randint(0, 60)},
        "features": {
            name: chance.random() < 0.5 for name in chance.sample(["gro", "lro", "tso", "rx-gro-list"], 2)
        },
        "rss": {"equal": chance.choice([1, 2, 4, "max"])},
        "rps": chance.choice([*SPOTS, "off"]),
        "xps": chance.choice([*SPOTS, "off"]),
        "irq_affinity": chance.choice(SPOTS),
        "txqueuelen": chance.choice([1000, 5000, 10000]),
        "gro_flush_timeout": chance.choice([0, 20000]),
        "qdisc": chance.choice(["fq", "mq+fq", "mq+pfifo", "default", "pfifo"]),
    }
    return {name: values[name] for name in chance.sample(sorted(values), chance.randint(0, 6))}


def run(node: NicNode, interfaces: dict[str, Any], check: bool = False) -> Outcome:
    layer = node.layer(wishes=wishes_from(interfaces, [], {}), max_disruption="peer_jobs", check=check)
    store = Store(str(node.base / "state"), str(node.base / "run"))
    return reconcile(layer, store, Request("nic", check=check, max_disruption="peer_jobs"))


@pytest.mark.parametrize("seed", range(24))
def test_wish_after_wish(tmp_path, seed):
    chance = random.Random(seed)
    faults: list[dict[str, Any]] = [{}, {"rounds": True}, {"keeps": ["rx-lro"]}, {"no_qdisc": ["pfifo"]}]
    node = NicNode(tmp_path / "node", eth0=device(**chance.choice(faults)), eth1=device("mlx5_core", 2))
    first = node.live()
    for _step in range(STEPS):
        selectors = chance.sample(
            ["all", "eth0", "eth*", "driver:mlx5*", "default_route"], chance.randint(0, 3)
        )
        wish = {selector: some(chance) for selector in selectors}
        before = node.live()
        try:
            planned = run(node, wish, check=True)
            made = run(node, wish)
        except BindError as error:
            assert node.live() == before and all(problem.allowed for problem in error.problems)
            continue
        assert planned.plan.digest == made.plan.digest or made.plan.unapplied
        again = run(node, wish)
        assert [change.label for change in again.plan.changes] == [], (wish, again.plan.changes)
        assert again.writes == 0
        if chance.random() < 0.3 and node.record():
            was = node.live()
            node.reboot()
            assert all(not done.failed for done in node.boot())
            assert differences(node.live(), was) == [], wish
    run(node, {})
    assert differences(node.live(), first) == []
    assert node.record() is None and node.installed() == []
