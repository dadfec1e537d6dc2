# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel layer refuses before the first write, and how names are understood."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.kernel.model import Live, wishes_from
from kernel_cases import (
    plan,
    record,
    state,
    steps,
    text_of,
)

SWAP = "vm.swappiness"
RMEM = "net.ipv4.tcp_rmem"


@pytest.mark.parametrize(
    "name",
    ["net/ipv4/conf/eth0.100/rp_filter", "net.ipv4.conf.eth0/100.rp_filter"],
)
def test_interface_names_with_dots_keep_their_dot(name):
    found = plan({name: 1})
    assert steps(found) == [("net/ipv4/conf/eth0.100/rp_filter", "2", "1")]
    assert text_of(found).endswith("\nnet/ipv4/conf/eth0.100/rp_filter = 1\n")


@pytest.mark.parametrize(
    ("sysctl", "node", "others", "words"),
    [
        ({SWAP: True}, None, None, "write 0 or 1"),
        ({SWAP: {"a": 1}}, None, None, "a number, a text or a list"),
        ({SWAP: None}, None, None, "a number"),
        ({SWAP: [1, [2]]}, None, None, "a number"),
        ({SWAP: ""}, None, None, "not empty"),
        ({SWAP: []}, None, None, "not empty"),
        ({SWAP: "1\nvm.x=2"}, None, None, "no line break"),
        ({SWAP: "yes"}, None, None, "a whole number"),
        ({SWAP: "10 20"}, None, None, "a whole number"),
        ({SWAP: "010"}, None, None, "a whole number"),
        ({SWAP: "1_0"}, None, None, "a whole number"),
        ({SWAP: 1.5}, None, None, "a whole number"),
        ({RMEM: "1 2"}, None, None, "3 whole numbers"),
        ({RMEM: ">=1 2"}, None, None, "3 whole numbers"),
        ({SWAP: ">=ten"}, None, None, "whole numbers after '>='"),
        ({SWAP: [">=ten"]}, None, None, "whole numbers after '>='"),
        ({"kernel.core_pattern": ">=5"}, None, None, "no floor"),
        ({"net.core/../../../../../etc/passwd": 1}, None, None, "names of sysctls"),
        ({"vm/../vm/swappiness": 1}, None, None, "names of sysctls"),
        ({"vm.swap*": 1}, None, None, "names of sysctls"),
        ({"-vm.swappiness": 1}, None, None, "names of sysctls"),
        ({"": 1}, None, None, "names of sysctls"),
        ({"vm.a b": 1}, None, None, "names of sysctls"),
        ({"vm.overcommit_memory": 2}, None, None, "0 or 1"),
        ({SWAP: 10}, None, {SWAP: "storage"}, "'storage' holds this key"),
        ({"vm.dirty_bytes": 8192}, None, {"vm.dirty_ratio": "storage"}, "'storage' holds vm.dirty_ratio"),
        ({"vm.dirty_bytes": 0}, None, None, "the kernel refuses 0"),
        ({"vm.dirty_bytes": 8192, "vm.dirty_ratio": 10}, None, None, "only one of the two"),
        ({SWAP: 10, "vm/swappiness": 20}, None, None, "it is also asked to be '10'"),
        ({SWAP: 10, "vm/swappiness": ">=10"}, None, None, "it is also asked to be '10'"),
        ({"vm.drop_caches": 3}, {"vm__drop_caches": Live(True)}, None, "trigger"),
    ],
)
def test_refused_wishes_name_key_value_and_origin(sysctl: dict[str, Any], node, others, words):
    with pytest.raises(BindError) as caught:
        plan(sysctl, state(**node) if node else None, others=others)
    for problem in caught.value.problems:
        assert problem.origin == "group g"
        assert "(from group g)" in str(problem)
        assert repr(problem.value) in str(problem)
    assert words in str(caught.value)


def test_thp_word_that_this_kernel_does_not_offer():
    wishes = wishes_from({}, {"thp.enabled": "inherit"}, [], {"thp.enabled": "host h"})
    with pytest.raises(BindError, match="always, madvise, never") as caught:
        from ansible_collections.swarm.node.plugins.module_utils.kernel.plan import plan_kernel

        plan_kernel(wishes, state(), record(), {})
    assert caught.value.problems[0].origin == "host h"


def test_every_problem_is_said_at_once():
    with pytest.raises(BindError) as caught:
        plan({SWAP: "ten", RMEM: "1"})
    assert [problem.key for problem in caught.value.problems] == [SWAP, RMEM]


def test_two_spellings_that_agree_are_one_wish():
    assert steps(plan({SWAP: 10, "vm/swappiness": "10"})) == [(SWAP, "60", "10")]
