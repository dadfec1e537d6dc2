# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport layer's wishes: what is refused, and which sysctls and settings of devices they come to."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.swarm.node.plugins.action.merge import _validators
from ansible_collections.swarm.node.plugins.filter.transport_devices import transport_devices
from ansible_collections.swarm.node.plugins.filter.transport_sysctls import transport_sysctls
from ansible_collections.swarm.node.plugins.module_utils.kernel.model import wishes_from as kernel_wishes
from ansible_collections.swarm.node.plugins.module_utils.nic.wishes import wishes_from as nic_wishes
from ansible_collections.swarm.node.plugins.plugin_utils.merge import catalogue, schema
from ansible_collections.swarm.node.plugins.plugin_utils.transport.sysctls import KEYS, sysctls_of
from ansible_collections.swarm.node.plugins.plugin_utils.transport.values import Survey
from ansible_collections.swarm.node.plugins.plugin_utils.transport.wishes import (
    additions,
    beaten,
    deciding,
    validators,
)
from hypothesis import given, settings
from hypothesis import strategies as st

OPTIONS = schema.layer_options("transport")
NODE = {"devices": {"eth0": 10000}, "memory": 512 << 30, "page_size": 4096, "beneath": ""}
MORE = {"max_disruption": "perf", "run": {}, "freeze": ""}


def wished(**options):
    """As the merge hands them on."""
    return {**options, **MORE, "origins": dict.fromkeys(options, "group g"), **additions(options, [])}


def sysctls(node=NODE, **options):
    return transport_sysctls(wished(**options), node)["sysctl"]


# -- what is refused before a node is touched

GOOD: dict[str, list[Any]] = {
    "transport_speed": ["auto", 1, "25000", 1_000_000],
    "transport_rtt_ms": [0.01, 80.0, 5000.0],
    "transport_buffer_limit": [1 << 20, 2147483647],
    "transport_udp_buffer": [4608, 7_500_000],
    "transport_udp_memory_percent": [0.1, 50.0],
    "transport_notsent_lowat": [1024, 131072, 4294967295],
    "transport_backlog": [1, 10000],
    "transport_budget": [300],
    "transport_budget_usecs": [1, 8000],
    "transport_busy_poll_us": [0, 50],
    "transport_confirm_seconds": [0, 10, 86400],
    "transport_devices": [["default_route"], ["eth0", "driver:mlx5_core"]],
    "transport_interfaces": [{}, {"all": {"rings": {"rx": "max"}, "xps": "local"}}],
    "transport_required": [[], ["net.ipv4.tcp_rmem", "nic.qdisc"]],
}
BAD: dict[str, list[Any]] = {
    "transport_speed": ["fast", 0, -1, True, 1_000_001, "1e3", 10.5, "", "٣"],
    "transport_rtt_ms": [0.0, -1.0, 5001.0, float("nan")],
    "transport_buffer_limit": [0, 2147483648],
    "transport_udp_buffer": [0, 4607],
    "transport_udp_memory_percent": [0.0, 51.0, float("inf")],
    "transport_notsent_lowat": [0, 4294967296],
    "transport_backlog": [0],
    "transport_budget": [-5],
    "transport_budget_usecs": [0],
    "transport_busy_poll_us": [-1, 1001],
    "transport_confirm_seconds": [9, -1, 86401],
    "transport_devices": [[], [""], [" eth0"]],
    "transport_interfaces": [{"all": 3}, {"eth0": {"rings": {"rx": "huge"}}}, {"eth0": {"ring": {"rx": 5}}}],
    "transport_required": [["net.ipv4.tcp_rmen"], ["vm.swappiness"], ["qdisc"]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in GOOD for value in GOOD[name]])
def test_accepted(name, value):
    assert validators()[name](value) == []


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_refused_with_what_is_allowed(name, value):
    mistakes = validators()[name](value)
    assert mistakes and all(allowed for _wrong, allowed in mistakes)


def test_every_validator_is_of_an_option_and_is_used():
    assert set(validators()) <= set(OPTIONS) and set(GOOD) == set(BAD) == set(validators())
    assert set(validators()) <= set(_validators())


def test_words_are_those_of_the_catalogue():
    known = catalogue.find("net/ipv4/tcp_congestion_control")["choices"]
    assert OPTIONS["transport_congestion_control"]["choices"] == known
    assert set(OPTIONS["transport_qdisc"]["choices"]) <= set(
        catalogue.find("net/core/default_qdisc")["choices"]
    )


def test_a_near_miss_in_required_is_hinted_at():
    ((name, allowed),) = validators()["transport_required"](["net.ipv4.tcp_rmen"])
    assert name == "net.ipv4.tcp_rmen" and "did you mean net.ipv4.tcp_rmem?" in allowed


# -- sysctls

SIMPLE = [
    ({"congestion_control": "cubic"}, {"net.ipv4.tcp_congestion_control": "cubic"}),
    (
        {"congestion_control": "bbr"},
        {"net.ipv4.tcp_congestion_control": "bbr", "net.core.default_qdisc": "fq"},
    ),
    (
        {"congestion_control": "bbr", "qdisc": "fq_codel"},
        {"net.ipv4.tcp_congestion_control": "bbr", "net.core.default_qdisc": "fq_codel"},
    ),
    ({"qdisc": "sfq"}, {"net.core.default_qdisc": "sfq"}),
    ({"mtu_probing": 1}, {"net.ipv4.tcp_mtu_probing": 1}),
    ({"notsent_lowat": 131072}, {"net.ipv4.tcp_notsent_lowat": 131072}),
    ({"slow_start_after_idle": False}, {"net.ipv4.tcp_slow_start_after_idle": 0}),
    ({"slow_start_after_idle": True}, {"net.ipv4.tcp_slow_start_after_idle": 1}),
    ({"no_metrics_save": True}, {"net.ipv4.tcp_no_metrics_save": 1}),
    ({"backlog": 10000}, {"net.core.netdev_max_backlog": ">=10000"}),
    ({"budget": 600}, {"net.core.netdev_budget": ">=600"}),
    ({"budget_usecs": 8000}, {"net.core.netdev_budget_usecs": ">=8000"}),
    ({"busy_poll_us": 50}, {"net.core.busy_read": 50, "net.core.busy_poll": 50}),
    ({"busy_poll_us": 0}, {"net.core.busy_read": 0, "net.core.busy_poll": 0}),
    (
        {"udp_buffer": 7500000},
        {
            "net.core.rmem_default": 7500000,
            "net.core.wmem_default": 7500000,
            "net.core.rmem_max": ">=7500000",
            "net.core.wmem_max": ">=7500000",
        },
    ),
    ({"udp_memory_percent": 50}, {"net.ipv4.udp_mem": [33554432, 44739242, 67108864]}),
    ({"speed": 5, "buffer_limit": 1 << 20, "devices": ["eth0"]}, {}),
    ({}, {}),
]


@pytest.mark.parametrize(("options", "found"), SIMPLE)
def test_what_options_come_to(options, found):
    assert sysctls(**options) == found


def test_buffers_follow_from_path_link_and_memory_and_say_how():
    made = transport_sysctls(wished(rtt_ms=100.0), NODE)
    size = 239 << 20
    assert made["sysctl"] == {
        "net.ipv4.tcp_rmem": [4096, 131072, size],
        "net.ipv4.tcp_wmem": [4096, 65536, size],
        "net.core.rmem_max": f">={size}",
        "net.core.wmem_max": f">={size}",
    }
    assert set(made["origins"].values()) == {"transport_rtt_ms (group g): 100 ms at 10000 Mbit/s (of eth0)"}
    fast = sysctls(rtt_ms=100.0, speed=100000)
    assert fast["net.core.optmem_max"] == ">=1048576" and fast["net.ipv4.tcp_rmem"][2] == 1 << 30
    assert sysctls(rtt_ms=100.0, buffer_limit=32 << 20)["net.ipv4.tcp_wmem"][2] == 32 << 20


def test_of_two_floors_the_higher_one_counts_with_its_origin():
    for udp, size in ((7_500_000, 20 << 20), (100 << 20, 100 << 20)):
        made = transport_sysctls(wished(rtt_ms=80.0, speed=1000, udp_buffer=udp), NODE)
        assert made["sysctl"]["net.core.rmem_max"] == f">={size}"
        assert ("rtt_ms" in made["origins"]["net.core.rmem_max"]) == (udp < size)


def test_an_unknown_speed_is_assumed_and_said():
    made = transport_sysctls(wished(rtt_ms=80.0), {"devices": {"eth0": None}, "memory": 0})
    assert "1000 Mbit/s (assumed, as eth0 tells none)" in made["origins"]["net.ipv4.tcp_rmem"]
    assert made["sysctl"]["net.ipv4.tcp_rmem"][2] == 20 << 20


def test_a_share_of_a_memory_that_nobody_knows_is_refused():
    with pytest.raises(AnsibleFilterError, match=r"transport_udp_memory_percent: 5 .*group g.*allowed"):
        transport_sysctls(wished(udp_memory_percent=5), {})
    assert transport_sysctls(wished(udp_memory_percent=5, manage="none"), {})["sysctl"] == {}


def test_required_names_go_to_the_module_that_knows_them():
    wishes = wished(required=["net.ipv4.tcp_rmem", "nic.qdisc"], rtt_ms=5.0)
    assert transport_sysctls(wishes, NODE)["required"] == ["net.ipv4.tcp_rmem"]
    assert transport_devices(wishes)["required"] == ["nic.qdisc"]


ANY = st.fixed_dictionaries(
    {},
    optional={
        "rtt_ms": st.floats(0.01, 5000),
        "speed": st.one_of(st.just("auto"), st.integers(1, 1_000_000)),
        "buffer_limit": st.integers(1 << 20, 2147483647),
        "congestion_control": st.sampled_from(OPTIONS["transport_congestion_control"]["choices"]),
        "qdisc": st.sampled_from(OPTIONS["transport_qdisc"]["choices"]),
        "mtu_probing": st.sampled_from([0, 1, 2]),
        "notsent_lowat": st.integers(1024, 4294967295),
        "slow_start_after_idle": st.booleans(),
        "no_metrics_save": st.booleans(),
        "udp_buffer": st.integers(4608, 2147483647),
        "udp_memory_percent": st.floats(0.1, 50),
        "udp_gro": st.booleans(),
        "backlog": st.integers(1, 2147483647),
        "budget": st.integers(1, 2147483647),
        "budget_usecs": st.integers(1, 1_000_000),
        "busy_poll_us": st.integers(0, 1000),
        "devices": st.just(["eth0", "all"]),
    },
)


@settings(max_examples=60)
@given(options=ANY, memory=st.integers(1 << 24, 1 << 44))
def test_whatever_is_wished_is_what_the_catalogue_and_the_modules_take(options, memory):
    wishes = wished(**options)
    values, origins = sysctls_of(wishes, Survey({"eth0": None}, memory))
    assert set(values) <= KEYS and set(values) == set(origins)
    for key, value in values.items():
        assert catalogue.check(key, value, "", allow_unknown=False, trusted=False) is None, (key, value)
        assert all(f"transport_{option}" in OPTIONS for option in deciding(wishes)[key])
    assert set(values) >= set(deciding(wishes)) - {"net.core.optmem_max", "net.ipv4.udp_mem"}
    kernel_wishes(values, {}, [], origins)
    asked = transport_devices(wishes)
    nic_wishes(asked["interfaces"], [], asked["origins"])


# -- the kernel layer's word


def test_what_kernel_sysctl_names_is_the_kernel_layers():
    options = {"rtt_ms": 80.0, "congestion_control": "bbr"}
    named = ["net.ipv4.tcp_rmem", "net.core.default_qdisc", "vm.swappiness", "net.core.busy_poll"]
    found = additions(options, named)
    assert found == {"asked": True, "left_to_kernel": ["net.core.default_qdisc", "net.ipv4.tcp_rmem"]}
    wishes = {**wished(**options), **found}
    assert not set(found["left_to_kernel"]) & set(transport_sysctls(wishes, NODE)["sysctl"])
    assert beaten(wishes, wishes["origins"], "net.ipv4.tcp_rmem") == [
        {"value": "transport_rtt_ms: 80.0", "origin": "group g"}
    ]
    assert beaten(wishes, wishes["origins"], "net.core.default_qdisc")[0]["value"] == (
        "transport_congestion_control: bbr"
    )


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, False),
        ({"speed": "auto", "devices": ["eth0"], "confirm_seconds": 0, "buffer_limit": 1 << 20}, False),
        ({"state": "present"}, False),
        ({"state": "absent"}, True),
        ({"state": "absent", "manage": "none"}, False),
        ({"rtt_ms": 5.0}, True),
        ({"rtt_ms": 5.0, "manage": "none"}, False),
        ({"udp_gro": False}, True),
        ({"interfaces": {"all": {"txqueuelen": 5}}}, True),
    ],
)
def test_whether_anything_is_asked_for(options, asked):
    assert additions({**options, **MORE, "origins": {}}, [])["asked"] is asked


# -- devices


def devices(**options):
    return transport_devices(wished(**options))["interfaces"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"congestion_control": "cubic"}, {}),
        ({"congestion_control": "bbr"}, {"default_route": {"qdisc": "mq+fq"}}),
        ({"qdisc": "fq_codel", "devices": ["eth0"]}, {"eth0": {"qdisc": "mq+fq_codel"}}),
        (
            {"udp_gro": True},
            {"default_route": {"features": {"rx-udp-gro-forwarding": True, "rx-gro-list": False}}},
        ),
        ({"udp_gro": False}, {"default_route": {"features": {"rx-udp-gro-forwarding": False}}}),
        (
            {
                "qdisc": "fq",
                "interfaces": {"default_route": {"rings": {"rx": "max"}}, "eth1": {"rps": "local"}},
            },
            {"default_route": {"qdisc": "mq+fq", "rings": {"rx": "max"}}, "eth1": {"rps": "local"}},
        ),
        (
            {"qdisc": "fq", "interfaces": {"default_route": {"qdisc": "pfifo"}}},
            {"default_route": {"qdisc": "pfifo"}},
        ),
        (
            {
                "udp_gro": True,
                "interfaces": {"default_route": {"features": {"rx-gro-list": True, "lro": False}}},
            },
            {
                "default_route": {
                    "features": {"rx-udp-gro-forwarding": True, "rx-gro-list": True, "lro": False}
                }
            },
        ),
    ],
)
def test_what_is_asked_of_devices(options, found):
    assert devices(**options) == found


def test_a_discipline_that_is_left_alone_stays_left_alone():
    wishes = wished(congestion_control="bbr")
    wishes["origins"]["qdisc"] = "host h"
    assert transport_devices(wishes)["interfaces"] == {}
    assert "net.core.default_qdisc" not in transport_sysctls(wishes, NODE)["sysctl"]


def test_origins_say_which_variable_a_setting_is_of():
    interfaces = {"default_route": {"features": {"rx-gro-list": True}}, "eth1": {"rps": "local"}}
    asked = transport_devices(wished(congestion_control="bbr", udp_gro=True, interfaces=interfaces))
    found = {
        f"{wish.selector} {wish.name}": wish.origin
        for wish in nic_wishes(asked["interfaces"], [], asked["origins"])
    }
    assert found == {
        "default_route qdisc": "transport_congestion_control (group g): bbr goes with fq",
        "default_route features.rx-udp-gro-forwarding": "transport_udp_gro (group g)",
        "default_route features.rx-gro-list": "transport_interfaces (group g)",
        "eth1 rps": "transport_interfaces (group g)",
    }


def test_the_wishes_are_not_changed_by_looking():
    features = {"rx-gro-list": True}
    interfaces = {"default_route": {"features": features}}
    wishes = wished(udp_gro=True, interfaces=interfaces)
    transport_devices(wishes)
    assert interfaces == {"default_route": {"features": {"rx-gro-list": True}}} and features == {
        "rx-gro-list": True
    }


def test_every_option_changes_what_is_asked_for():
    """What no filter hands on would do nothing; the role's tasks hand on the rest."""
    by_tasks = {"confirm_seconds", "manage", "state"}
    example = {
        "speed": 777, "rtt_ms": 80.0, "buffer_limit": 1 << 20, "congestion_control": "bbr", "qdisc": "sfq",
        "mtu_probing": 2, "notsent_lowat": 5000, "slow_start_after_idle": True, "no_metrics_save": True,
        "udp_buffer": 9999, "udp_memory_percent": 7.0, "udp_gro": True, "backlog": 7, "budget": 7,
        "budget_usecs": 7, "busy_poll_us": 7, "devices": ["eth7"],
        "interfaces": {"all": {"txqueuelen": 7}}, "required": ["nic.qdisc"],
    }  # fmt: skip
    assert {f"transport_{name}" for name in (*example, *by_tasks)} == set(OPTIONS)

    def answer(options):
        wishes = wished(**options)
        return transport_sysctls(wishes, NODE), transport_devices(wishes)

    whole = answer(example)
    for name in example:
        assert answer({key: value for key, value in example.items() if key != name}) != whole, name
