# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the merge refuses: each with key, value, what is allowed and origin, all of a host's at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

PLAY = """
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - {name: merge, swarm.node.merge: {layers: [kernel, gpu]}, ignore_errors: true}
    - {name: layers, swarm.node.merge: {layers: [gpu, gpus]}, ignore_errors: true}
    - {name: gone, swarm.node.merge: {}, ignore_errors: true}
"""

PARTS = ("expect", "selector", "no_dir", "mig", "several", "ecc", "reset", "nccl", "mig_layout", "mig_named")
"""Hosts where a part of the value is refused, not the whole."""

# host → (its variables, {key: part of what is said to be allowed})
REFUSED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "option": ({"gpu_power_limt": 630}, {"gpu_power_limt": "did you mean gpu_power_limit?"}),
    "node_option": ({"node_profle": "training"}, {"node_profle": "did you mean node_profile?"}),
    "secret": ({"gpu_license_token": "s3cr3t"}, {"gpu_license_token": "node_ignore_variables"}),
    "profile": ({"node_profile": "trainin"}, {"node_profile": "training@1"}),
    "version": ({"node_profile": "training@9"}, {"node_profile": "training@1"}),
    "profile_type": ({"node_profile": ["training"]}, {"node_profile": "type str"}),
    "no_dir": (
        {"node_profile": "x", "node_profile_dirs": ["gone"]},
        {"node_profile_dirs": "directories that exist"},
    ),
    "bare": ({"gpu_power_limit": "80%"}, {"gpu_power_limit": "a bare '%' does not say of what"}),
    "suffix": ({"gpu_power_limit": "80%defaul"}, {"gpu_power_limit": "'90%default'"}),
    "clock_suffix": ({"gpu_graphics_clocks": "80%default"}, {"gpu_graphics_clocks": "application clocks"}),
    "selector": ({"gpu_power_limit": {"GPU-zz": 300}}, {"gpu_power_limit": "as a selector"}),
    "mig": ({"gpu_power_limit": {"MIG-1": 300}}, {"gpu_power_limit": "a MIG instance"}),
    "power_type": ({"gpu_power_limit": [300]}, {"gpu_power_limit": "watts"}),
    "switch": ({"gpu_persistence_mode": "perhaps"}, {"gpu_persistence_mode": "true or false"}),
    "choice": ({"kernel_thp": "alway"}, {"kernel_thp": "did you mean always?"}),
    "list": ({"gpu_required": [{"a": 1}]}, {"gpu_required": "list of type str"}),
    "map": ({"kernel_sysctl": [1]}, {"kernel_sysctl": "type dict"}),
    "sysctl": ({"kernel_sysctl": {"vm.swapiness": 1}}, {"vm.swapiness": "did you mean vm.swappiness?"}),
    "range": ({"kernel_sysctl": {"vm.swappiness": 300}}, {"vm.swappiness": "0 to 200"}),
    "strict": (
        {
            "kernel_sysctl": {"vm.overcommit_memory": 2},
            "kernel_allow_unknown": True,
            "node_trusted_tenancy": True,
        },
        {"vm.overcommit_memory": "anything but 2"},
    ),
    "path": (
        {"kernel_sysctl": {"net/../../etc/motd": 1}, "kernel_allow_unknown": True},
        {"net/../../etc/motd": "the name of one sysctl"},
    ),
    "tenants": (
        {"kernel_sysctl": {"kernel.kptr_restrict": 0}},
        {"kernel.kptr_restrict": "node_trusted_tenancy"},
    ),
    "undefined": ({"gpu_power_limit": "{{ no_such_thing }}"}, {"gpu_power_limit": "no_such_thing"}),
    "expect": (
        {"node_expect": {"gpu": 5, "count": -1, "uniform": "x", "cont": 8}},
        {"node_expect": ""},
    ),
    "disruption": ({"node_max_disruption": "perff"}, {"node_max_disruption": "did you mean perf?"}),
    "batches": ({"node_batches": [1, 0, "abc", "5%", "101%"]}, {"node_batches": "whole numbers from 1"}),
    "no_batch": ({"node_batches": []}, {"node_batches": "not empty"}),
    "freeze": ({"node_freeze": ["no"]}, {"node_freeze": "the reason in words"}),
    "compute": ({"gpu_compute_mode": "exclusive"}, {"gpu_compute_mode": "exclusive_process"}),
    "ecc": ({"gpu_ecc": {"0": "perhaps"}}, {"gpu_ecc": "true"}),
    "reset": ({"gpu_reset": ["-3"]}, {"gpu_reset": "as a selector"}),
    "nccl": ({"gpu_nccl": {"interfaces": "eth0"}}, {"gpu_nccl": "a list of names"}),
    "mig_layout": ({"gpu_mig": {"0": "half"}}, {"gpu_mig": ""}),
    "mig_named": ({"gpu_mig_layouts": {"half": ["3g.x"]}, "gpu_mig": "half"}, {"gpu_mig_layouts": ""}),
    "taken": ({}, {}),
    "several": (
        {
            "gpu_power_limt": 1,
            "node_profile": "trainin",
            "gpu_memory_clocks": "5%",
            "kernel_thp": "x",
            "kernel_sysctl": {"vm.swappiness": 300, "vm.swapiness": 1, "vm.overcommit_memory": 2},
            "node_expect": {"count": "8"},
            "gpu_graphics_clocks": "{{ nothing }}",
        },
        {
            "gpu_power_limt": "",
            "node_profile": "",
            "gpu_memory_clocks": "",
            "kernel_thp": "",
            "vm.swappiness": "",
            "vm.swapiness": "",
            "vm.overcommit_memory": "",
            "node_expect": "",
            "gpu_graphics_clocks": "",
        },
    ),
    "broken_profile": ({"node_profile": "broken"}, {"kernel.thp": "value and source"}),
    "strange_profile": (
        {"node_profile": "strange"},
        {"gpu_pover_limit": "did you mean gpu_power_limit?", "vm.swappiness": "0 to 200"},
    ),
}


@pytest.fixture
def answers(play):
    hosts = {name: variables for name, (variables, _allowed) in REFUSED.items()}
    del hosts["taken"]
    files = {
        "inv/hosts.yml": json.dumps(
            {
                "all": {
                    "hosts": hosts,
                    "vars": {"node_ignore_variables": ["gpu_burn_time"], "gpu_burn_time": 5},
                }
            }
        ),
        "inv/profiles/broken/1.yml": "{name: broken, version: 1, kernel: {thp: always}}",
        "inv/profiles/strange/1.yml": "{name: strange, version: 1, gpu: {pover_limit: {value: 1, source: s}},"
        " kernel: {sysctl: {vm.swappiness: {value: 300, source: s}}}}",
        "inv2/hosts.yml": "all: {hosts: {taken: {node_profile: training@1}}}",
        "inv2/profiles/training/2.yml": "{name: training, version: 2}",
        "pb/play.yml": PLAY,
    }
    return play(files, "-i", "inv2/hosts.yml")


def test_refusals(answers, tmp_path):
    for host, (variables, expected) in REFUSED.items():
        if host == "taken":
            continue
        problems = answers.refused(host)
        assert {problem["key"] for problem in problems} == set(expected), host
        for problem in problems:
            assert expected[problem["key"]] in problem["allowed"], problem
            where = str(tmp_path / "inv" / "profiles") if host.endswith("_profile") else f"host {host}"
            assert where in problem["origin"], problem
            if problem["key"] in variables and host not in PARTS:
                unknown = "an option of the role" in problem["allowed"]
                value = variables[problem["key"]]
                assert problem["value"] == ("a text" if unknown and isinstance(value, str) else value), (
                    problem
                )
    assert "s3cr3t" not in answers.output
    assert len(answers.refused("expect")) == 4
    assert {problem["origin"].rpartition("/")[2] for problem in answers.refused("strange_profile")} == {
        "1.yml"
    }

    (taken,) = answers.refused("taken")
    assert taken["key"] == "node_profile" and "a name of its own" in taken["allowed"]
    assert taken["origin"] == str(tmp_path / "inv2" / "profiles" / "training")

    # a layer nobody knows, and no layers at all
    (layer,) = answers.refused("option", "layers")
    assert layer["value"] == "gpus" and "gpu, kernel" in layer["allowed"]
    assert ("gone", "option") in answers.failed and "layers" in answers.found["gone", "option"]["msg"]
