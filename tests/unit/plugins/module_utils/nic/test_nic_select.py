# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices selectors name, and which selector has its way."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.nic.select import choose, could_name, matching
from ansible_collections.swarm.node.plugins.module_utils.nic.wishes import wishes_from
from nic_cases import nic, state

NODE = state(
    nic("enp1s0f0", "mlx5_core"),
    nic("enp1s0f1", "mlx5_core"),
    nic("eno1", "ixgbe"),
    nic("all", "dummy", physical=False),
    nic("br0", "bridge", physical=False),
    nic("veth1a", "veth", physical=False),
    nic("lo", "", physical=False),
    default_route=("eno1", "gone"),
)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("all", ["eno1", "enp1s0f0", "enp1s0f1"]),
        ("name:all", ["all"]),
        ("default_route", ["eno1"]),
        ("driver:mlx5_core", ["enp1s0f0", "enp1s0f1"]),
        ("driver:i*", ["eno1"]),
        ("driver:veth", ["veth1a"]),
        ("en*", ["eno1", "enp1s0f0", "enp1s0f1"]),
        ("enp1s0f[1-9]", ["enp1s0f1"]),
        ("*", ["eno1", "enp1s0f0", "enp1s0f1"]),
        ("*0", ["enp1s0f0"]),
        ("veth*", ["veth1a"]),
        ("l*", []),
        ("lo", ["lo"]),
        ("br0", ["br0"]),
        ("wlan*", []),
        ("eno2", []),
    ],
)
def test_selectors(selector, names):
    assert matching(selector, NODE) == names


def chosen(interfaces):
    return {
        device: {name: wish.value for name, wish in asked.items()}
        for device, asked in choose(wishes_from(interfaces, [], {}), NODE).items()
    }


def test_what_says_more_counts_more_setting_by_setting():
    found = chosen(
        {
            "eno1": {"rings": {"rx": 1}},
            "all": {"rings": {"rx": 5, "tx": 5}, "txqueuelen": 5},
            "en*": {"rings": {"rx": 2}},
            "driver:*": {"rings": {"rx": 3}, "txqueuelen": 3},
            "default_route": {"rings": {"rx": 4, "tx": 4}, "txqueuelen": 4},
        }
    )
    assert found["eno1"] == {"rings.rx": 1, "rings.tx": 4, "txqueuelen": 3}
    assert found["enp1s0f0"] == {"rings.rx": 2, "rings.tx": 5, "txqueuelen": 3}


def test_short_names_are_the_kernels():
    assert chosen({"eno1": {"features": {"gro": False, "tso": True}}})["eno1"] == {
        "features.rx-gro": False,
        "features.tx-tcp-segmentation": True,
        "features.tx-tcp-ecn-segmentation": True,
        "features.tx-tcp6-segmentation": True,
    }


def test_a_draw_is_refused():
    with pytest.raises(BindError, match=r"enp1s0\*: txqueuelen.*eno1|en\*.*asks for 1") as caught:
        chosen({"en*": {"txqueuelen": 1}, "enp1s0*": {"txqueuelen": 2}})
    assert {problem.target for problem in caught.value.problems} == {"enp1s0f0", "enp1s0f1"}
    assert chosen({"en*": {"txqueuelen": 1}, "enp*": {"txqueuelen": 1}})


def test_a_name_that_does_not_exist_is_refused_and_a_pattern_is_not():
    with pytest.raises(BindError, match=r"'eth9' is refused.*an interface of this node.*eno1"):
        chosen({"eth9": {"txqueuelen": 1}})
    assert chosen({"eth*": {"txqueuelen": 1}, "driver:e1000e": {"txqueuelen": 1}}) == {}


@pytest.mark.parametrize(
    ("selector", "there"),
    [
        ("all", True),
        ("default_route", True),
        ("driver:x", True),
        ("et*", True),
        ("en*", False),
        ("eth1", False),
    ],
)
def test_a_device_that_is_away_may_be_meant(selector, there):
    assert could_name(selector, "eth0") is there
