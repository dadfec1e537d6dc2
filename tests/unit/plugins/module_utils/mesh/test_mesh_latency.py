# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips below the mesh: bounded, in parallel, and null where nothing answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.latency import BURST, measure, pairs
from ansible_collections.swarm.node.plugins.module_utils.mesh.ping import Target

NAMES = {"gw.example.org": ("2001:db8::7", "192.0.2.7"), "gone.example.org": ()}


class World:
    """seconds: address → round trips of one request after the other, None for no answer"""

    def __init__(self, seconds: Mapping[str, Sequence[float | None]]) -> None:
        self.seconds = {address: list(found) for address, found in seconds.items()}
        self.bursts: list[int] = []
        self.now = 0.0

    def ping(self, targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
        self.bursts.append(len(targets))
        answers = {one.name: self.seconds[one.destination].pop(0) for one in targets}
        slow = max((took if took is not None else timeout) for took in answers.values())
        self.now += slow
        return {name: took for name, took in answers.items() if took is not None}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def measure(self, targets: Sequence[Mapping[str, str]], probes: int = 5, timeout: float = 15) -> list:
        return measure(
            targets, probes, timeout, self.ping, lambda name: NAMES.get(name, (name,)), self.sleep,
            lambda: self.now,
        )  # fmt: skip


def target(name: str, host: str) -> dict[str, str]:
    return {"name": name, "host": host}


def test_the_median_of_those_that_answered() -> None:
    world = World({"192.0.2.1": [0.010, 0.5, 0.012, None, 0.011], "192.0.2.2": [None] * 5})
    found = world.measure([target("a", "192.0.2.1"), target("b", "192.0.2.2")])
    assert [(item["name"], item["ms"], item["sent"], item["answered"]) for item in found] == [
        ("a", 11.5, 5, 4),
        ("b", None, 5, 0),
    ]
    assert pairs("me", found) == [{"ends": ["me", "a"], "ms": 11.5}]
    assert pairs("a", found) == []


def test_names_are_resolved_here_and_one_without_address_gets_no_packet() -> None:
    world = World({"2001:db8::7": [0.002]})
    found = world.measure([target("gw", "gw.example.org"), target("gone", "gone.example.org")], probes=1)
    assert (found[0]["address"], found[0]["ms"], found[0]["host"]) == ("2001:db8::7", 2.0, "gw.example.org")
    assert (found[1]["address"], found[1]["ms"], found[1]["sent"]) == (None, None, 0)
    assert world.bursts == [1]


def test_two_targets_may_have_one_address() -> None:
    world = World({"192.0.2.1": [0.001, 0.003]})
    found = world.measure([target("a", "192.0.2.1"), target("b", "192.0.2.1")], probes=1)
    assert [item["ms"] for item in found] == [1.0, 3.0]


def test_many_are_sent_in_bursts() -> None:
    addresses = [f"192.0.2.{number}" for number in range(1, 151)]
    world = World({address: [0.001] * 2 for address in addresses})
    found = world.measure([target(address, address) for address in addresses], probes=2)
    assert world.bursts == [BURST, BURST, 150 - 2 * BURST] * 2
    assert all(item["answered"] == 2 for item in found)


def test_it_ends_in_time_though_nobody_answers() -> None:
    world = World({"192.0.2.1": [None] * 20})
    found = world.measure([target("a", "192.0.2.1")], probes=20, timeout=4)
    assert world.now <= 4.2 and found[0]["sent"] == 4


def test_nothing_to_measure() -> None:
    assert World({}).measure([]) == []


@pytest.mark.parametrize(
    ("targets", "probes", "words"),
    [
        ([target(str(n), "192.0.2.1") for n in range(257)], 5, "up to 256"),
        ([target("a", "192.0.2.1")], 0, "probes: 0"),
        ([target("a", "192.0.2.1")], 21, "1 to 20"),
        ([target("a", "192.0.2.1"), target("a", "192.0.2.2")], 5, "each name once"),
        ([target("a", " ")], 5, "an address or a host's name"),
    ],
)
def test_what_is_refused(targets: list[dict[str, str]], probes: int, words: str) -> None:
    with pytest.raises(BindError) as caught:
        World({}).measure(targets, probes)
    assert words in str(caught.value)
