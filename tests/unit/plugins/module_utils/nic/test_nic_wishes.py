# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.nic.wishes import wishes_from
from hypothesis import given, settings
from hypothesis import strategies as st


def wishes(asked: Any, **origins: str) -> dict[str, Any]:
    return {wish.name: wish.text for wish in wishes_from({"eth0": asked}, [], origins)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"rings": {"rx": "max", "rx_mini": 4}}, {"rings.rx": "max", "rings.rx-mini": 4}),
        ({"rings": {"rx": ">= 1024", "tx": "512"}}, {"rings.rx": ">=1024", "rings.tx": 512}),
        ({"channels": {"combined": "cores"}}, {"channels.combined": "cores"}),
        ({"coalesce": {"adaptive_rx": "on", "tx-usecs": 8}},
         {"coalesce.adaptive-rx": True, "coalesce.tx-usecs": 8}),
        ({"features": {"gro": "off", "rx-udp-gro-forwarding": True}},
         {"features.gro": False, "features.rx-udp-gro-forwarding": True}),
        ({"rps": False, "xps": "local", "irq_affinity": "8,0-3"},
         {"rps": "off", "xps": "local", "irq_affinity": "0-3,8"}),
        ({"rps": 3}, {"rps": "3"}),
        ({"qdisc": "mq+fq", "txqueuelen": 10000}, {"qdisc": "mq+fq", "txqueuelen": 10000}),
        ({"rss": {"equal": 8}, "rings": {"rx": None}, "qdisc": None}, {"rss.equal": 8}),
    ],
)  # fmt: skip
def test_what_may_be_asked_for(asked, found):
    assert wishes(asked) == found


@pytest.mark.parametrize(
    ("asked", "key", "allowed"),
    [
        ({"ring": {"rx": 1}}, "ring", "one of rings"),
        ({"rings": 512}, "rings", "a map of rx"),
        ({"rings": {"rxx": 512}}, "rings.rxx", "one of rx, rx-mini"),
        ({"rings": {"rx": "maximum"}}, "rings.rx", "max, a whole number"),
        ({"rings": {"rx": True}}, "rings.rx", "max, a whole number"),
        ({"rings": {"rx": -1}}, "rings.rx", "from 0"),
        ({"rings": {"rx": 2**32}}, "rings.rx", "to 4294967295"),
        ({"rings": {"rx": "cores"}}, "rings.rx", "max, a whole number"),
        ({"txqueuelen": ">=10"}, "txqueuelen", "a whole number"),
        ({"coalesce": {"adaptive-rx": 3}}, "coalesce.adaptive-rx", "yes or no"),
        ({"features": {"Gro Please": True}}, "features.Gro Please", "names of features"),
        ({"features": {"gro": "maybe"}}, "features.gro", "yes or no"),
        ({"rss": {"equal": 0}}, "rss.equal", "from 1"),
        ({"rps": True}, "rps", "local, all, off"),
        ({"rps": "3-1"}, "rps", "local, all, off"),
        ({"irq_affinity": "off"}, "irq_affinity", "local, all, or a list"),
        ({"qdisc": "htb"}, "qdisc", "fq_codel"),
        ({"qdisc": "mq+mq"}, "qdisc", "mq+<one of those>"),
        ({"qdisc": "mq+noqueue"}, "qdisc", "mq+<one of those>"),
        ({"qdisc": ["fq"]}, "qdisc", "fq"),
    ],
)
def test_what_may_not(asked, key, allowed):
    with pytest.raises(BindError) as caught:
        wishes(asked, interfaces="group gpu")
    problem = caught.value.problems[0]
    assert problem.key == f"eth0: {key}" and problem.origin == "group gpu"
    assert allowed in problem.allowed


def test_every_problem_is_said_at_once():
    with pytest.raises(BindError) as caught:
        wishes_from({"eth0": {"a": 1, "rings": {"b": 2}}, "eth1": 3}, [], {})
    assert [problem.key for problem in caught.value.problems] == ["eth0: a", "eth0: rings.b", "eth1"]


def test_what_an_adaptive_mode_moves_cannot_be_asked_for_with_it():
    with pytest.raises(BindError, match=r"coalesce.rx-usecs: 8 .* the driver moves it"):
        wishes({"coalesce": {"adaptive-rx": True, "rx-usecs": 8}})
    assert wishes({"coalesce": {"adaptive-rx": False, "rx-usecs": 8}})["coalesce.rx-usecs"] == 8


def test_a_short_name_and_what_it_stands_for_must_agree():
    with pytest.raises(BindError, match=r"features.rx-gro: False .* as features.gro is the same"):
        wishes({"features": {"gro": True, "rx-gro": False}})
    assert wishes({"features": {"gro": True, "rx-gro": True}})["features.rx-gro"] is True


def test_the_origin_that_says_most_counts():
    found = wishes_from(
        {"all": {"txqueuelen": 1, "rps": "off"}, "eth0": {"rps": "off"}},
        ["nic.rps"],
        {"all txqueuelen": "profile x", "all": "group y", "interfaces": "group z"},
    )
    assert [wish.origin for wish in found] == ["profile x", "group y", "group z"]
    assert [wish.required for wish in found] == [False, True, True]


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["max", "local", ">=3", "mq+fq"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
names = st.sampled_from(
    ["rings", "channels", "coalesce", "features", "rss", "rps", "qdisc", "txqueuelen", "x"]
)
members = st.sampled_from(["rx", "tx", "combined", "adaptive-rx", "gro", "equal", "x"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, plain | st.dictionaries(members, plain, max_size=3), max_size=4))
def test_nothing_that_yaml_can_say_makes_it_fall_over(asked):
    try:
        found = wishes_from({"eth0": asked}, [], {})
    except BindError as error:
        assert all(problem.allowed for problem in error.problems)
    else:
        assert all(wish.value is not None for wish in found)
