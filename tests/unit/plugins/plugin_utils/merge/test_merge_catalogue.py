# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's judgement of single sysctls, and the types of options."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.merge import catalogue, schema


def allowed(name, value, unknown=False, trusted=False) -> str:
    problem = catalogue.check(name, value, "group g", unknown, trusted)
    assert problem is None or problem.origin == "group g"
    return problem.allowed if problem else ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vm.swappiness", 0),
        ("vm.swappiness", "200"),
        ("vm/swappiness", " 10 "),
        ("vm.swappiness", ">=10"),
        ("vm.swappiness", ">= 10"),
        ("vm.swappiness", None),
        ("kernel.sched_rt_runtime_us", -1),
        ("net.ipv4.tcp_rmem", [4096, 87380, 268435456]),
        ("net.ipv4.tcp_rmem", "4096\t87380 268435456"),
        ("net.ipv4.tcp_rmem", ">=4096 87380 268435456"),
        ("net.ipv4.conf.all.arp_ignore", 1),
        ("net/ipv4/conf/eth0.100/rp_filter", 2),
        ("net.ipv4.conf.eth0/100.rp_filter", 2),
        ("net.core.default_qdisc", "fq"),
        ("kernel.core_pattern", "|/bin/false %p"),
        ("vm.overcommit_memory", 1),
    ],
)
def test_accepted(name, value):
    assert allowed(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("vm.swappiness", 201, "0 to 200"),
        ("vm.swappiness", -1, "0 to 200"),
        ("vm.swappiness", ">=201", "0 to 200"),
        ("vm.swappiness", 1.5, "a whole number"),
        ("vm.swappiness", "1_0", "a whole number"),
        ("vm.swappiness", "١", "a whole number"),
        ("vm.swappiness", "0x10", "a whole number"),
        ("vm.swappiness", "ten", "a whole number"),
        ("vm.swappiness", "", "a whole number"),
        ("vm.swappiness", [1, 2], "a whole number"),
        ("vm.swappiness", True, "write 0 or 1"),
        ("vm.swappiness", [True], "write 0 or 1"),
        ("vm.swappiness", {"a": 1}, "a number or a text"),
        ("vm.swappiness", [], "a number or a text"),
        ("kernel.sched_rt_runtime_us", ">=-1", "0 or more after '>='"),
        ("vm.dirty_expire_centisecs", -1, "0 to any"),
        ("net.ipv4.tcp_rmem", "4096 87380", "3 whole numbers"),
        ("net.ipv4.tcp_rmem", [0, 1, 2], "1 to 2147483647"),
        ("kernel.timer_migration", 2, "one of 0, 1"),
        # a floor would keep a live 2
        ("vm.overcommit_memory", ">=0", "only a quantity"),
        ("vm.overcommit_memory", 2, "anything but 2: strict accounting"),
        ("vm.overcommit_memory", "2", "anything but 2"),
        ("net.core.default_qdisc", "fqq", "one of fq, "),
        ("net.core.default_qdisc", ">=fq", "only a quantity"),
        ("kernel.core_pattern", " ", "not empty"),
        ("net.ipv4.conf.a.b.arp_ignore", 1, "of the catalogue"),
        ("vm.swapiness", 1, "did you mean vm.swappiness?"),
        ("vm.swapiness", None, "did you mean vm.swappiness?"),
        ("entirely.made.up", 1, "kernel_allow_unknown"),
    ],
)
def test_refused(name, value, hint):
    assert hint in allowed(name, value)
    assert hint in allowed(name, value, trusted=True)


def test_never_beats_every_permission():
    assert "anything but 2" in allowed("vm.overcommit_memory", 2, unknown=True, trusted=True)


@pytest.mark.parametrize("value", [1, "1", 0])
def test_isolation_needs_trust(value):
    assert "node_trusted_tenancy" in allowed("kernel.randomize_va_space", value)
    assert allowed("kernel.randomize_va_space", value, trusted=True) == ""
    assert allowed("kernel.randomize_va_space", 2) == ""


def test_allow_unknown_is_for_names_only():
    assert allowed("site.special", "what ever", unknown=True) == ""
    assert "0 to 200" in allowed("vm.swappiness", 500, unknown=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "net/../../etc/passwd",
        "net.ipv4.conf.*.rp_filter",
        "net.ipv4.conf.all.[ab]",
        "a b",
        "a=b",
        "vm.swappiness\nkernel.x",
        "a//b",
    ],
)
def test_what_is_no_name_is_refused_whatever_is_allowed(name):
    assert "the name of one sysctl" in allowed(name, 1, unknown=True, trusted=True)


# -- schema

SPECS = {
    "str": {"type": "str"},
    "choice": {"type": "str", "choices": ["always", "never"]},
    "bool": {"type": "bool"},
    "int": {"type": "int"},
    "dict": {"type": "dict"},
    "names": {"type": "list", "elements": "str"},
    "raw": {"type": "raw"},
}


@pytest.mark.parametrize(
    ("kind", "value", "converted"),
    [
        ("str", "a", "a"),
        ("choice", "never", "never"),
        ("bool", "yes", True),
        ("bool", 0, False),
        ("int", "8", 8),
        ("dict", {"a": 1}, {"a": 1}),
        ("dict", '{"a": 1}', {"a": 1}),
        ("dict", {}, {}),
        ("names", ["a"], ["a"]),
        ("names", "a,b", ["a", "b"]),
        ("raw", {"all": None}, {"all": None}),
        ("str", None, None),
        ("names", None, None),
    ],
)
def test_types_accepted(kind, value, converted):
    assert schema.checked("v", SPECS[kind], value, "o") == (converted, None)


@pytest.mark.parametrize(
    ("kind", "value", "hint"),
    [
        ("str", 5, "a value of type str"),
        ("str", ["a"], "a value of type str"),
        ("choice", "nevr", "one of always, never (did you mean never?)"),
        ("choice", "zzz", "one of always, never"),
        ("bool", "maybe", "a value of type bool"),
        ("int", 1.5, "a value of type int"),
        ("dict", [1], "a value of type dict"),
        ("dict", "{broken", "a value of type dict"),
        ("names", {"a": 1}, "a value of type list"),
        ("names", [["a"]], "a list of type str"),
        ("names", [5], "a list of type str"),
    ],
)
def test_types_refused(kind, value, hint):
    converted, problem = schema.checked("v", SPECS[kind], value, "group g")
    assert converted is None and problem is not None
    assert (problem.key, problem.value, problem.origin) == ("v", value, "group g")
    assert problem.allowed == hint


@pytest.mark.parametrize(
    ("name", "suspicious"),
    [
        ("gpu_power_limt", True),
        ("gpu_operator_version", True),
        ("gpu_power_limit", False),
        ("kernel_thp", False),
        ("node_profle", True),
        ("node_exporter_port", False),
        ("node_profile", False),
        ("ansible_host", False),
        ("gpus", False),
    ],
)
def test_unknown_variables(name, suspicious):
    layers = schema.known_layers()
    assert schema.unknown_variables([name], layers, []) == ([name] if suspicious else [])
    assert schema.unknown_variables([name], layers, [name]) == []


def test_near_misses_leave_other_names_alone():
    names = ["gpu_power_limt", "gpu_result", "kernel_version", "node_profle", "node_info", "gpu_power_limit"]
    assert schema.near_misses(names, schema.known_layers()) == ["gpu_power_limt", "node_profle"]


def test_unknown_problem_hints_and_shows_no_insides():
    problem = schema.unknown_problem("gpu_power_limt", ["gpu"], 630, "host h")
    assert "did you mean gpu_power_limit?" in problem.allowed and problem.value == 630
    assert "secret" not in str(schema.unknown_problem("gpu_api", ["gpu"], {"token": "secret"}, "host h"))
