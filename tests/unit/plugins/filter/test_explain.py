# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of `swarm.node.explain`."""

from __future__ import annotations

from ansible_collections.swarm.node.plugins.filter.explain import FilterModule, explain


def entry(key, value, origin, source="", losers=()):
    return {"key": key, "value": value, "origin": origin, "source": source, "losers": list(losers)}


def test_wishes_with_source_and_losers():
    merged = {
        "profile": "training@1",
        "explain": [
            entry("kernel_thp", "always", "profile training@1", "tuned hpc-compute"),
            entry(
                "gpu_power_limit",
                None,
                "host h",
                losers=[{"value": "default", "origin": "profile training@1"}],
            ),
            entry("kernel_sysctl.vm.swappiness", 5, "host h", losers=[{"value": None, "origin": "group g"}]),
        ],
    }
    assert explain(merged) == [
        "profile: training@1",
        "kernel_thp = always  (profile training@1)",
        "    source: tuned hpc-compute",
        "gpu_power_limit = left alone  (host h)",
        "    beats default of profile training@1",
        "kernel_sysctl.vm.swappiness = 5  (host h)",
        "    beats left alone of group g",
    ]


def test_live_details_stand_below_their_key_and_the_rest_last():
    kernel = {
        "details": [
            {
                "key": "vm.swappiness",
                "live": "60",
                "wanted": "5",
                "persistent": "/etc/sysctl.d/x",
                "after_reboot": "5",
                "owner": "kernel",
            },
            {"key": "thp.enabled", "live": "madvise", "after_reboot": None},
            {"key": "vm.max_map_count", "live": "1", "owner": "kernel"},
        ]
    }
    gpu = {"details": [{"key": "gpu.power_limit", "target_name": "gpu 0", "live": 700, "wanted": 630}]}
    merged = {
        "profile": None,
        "explain": [
            entry("kernel_sysctl.vm.swappiness", 5, "host h"),
            entry("kernel_thp", "always", "host h"),
            entry("gpu_power_limit", 630, "host h"),
        ],
    }
    lines = explain(merged, [kernel, gpu, {"skipped": True}, None])
    assert lines == [
        "profile: none",
        "kernel_sysctl.vm.swappiness = 5  (host h)",
        "    live 60, wanted 5, after a reboot 5 (/etc/sysctl.d/x), held by kernel",
        "kernel_thp = always  (host h)",
        "    live madvise, after a reboot whatever the kernel or driver starts with, not held",
        "gpu_power_limit = 630  (host h)",
        "    gpu 0: live 700, wanted 630, not held",
        "vm.max_map_count: nobody asks for it",
        "    live 1, held by kernel",
    ]


def test_what_is_not_as_it_is_wished_is_said_so():
    merged = {"profile": None, "explain": [entry("kernel_sysctl.vm.swappiness", 5, "host h")]}
    detail = {"key": "vm.swappiness", "live": "60", "wanted": "5", "persistent": None, "after_reboot": None}
    kernel = {"details": [{**detail, "owner": None}]}
    after = "after a reboot whatever the kernel or driver starts with, not held"
    for steps in (
        {"changes": [{"key": "vm.swappiness", "target": ""}]},
        {"unapplied": [{"key": "vm.swappiness"}]},
    ):
        said = explain(merged, [{**kernel, **steps}])[-1]
        assert said == f"    live 60, wanted 5, not applied, {after}"
    assert explain(merged, [{**kernel, "changes": []}])[-1] == f"    live 60, wanted 5, {after}"


def test_registered_as_explain():
    assert FilterModule().filters() == {"explain": explain}


def test_settings_of_gpus_tell_what_a_boot_makes_of_them() -> None:
    detail = {"target_name": "gpu 0", "after_reboot": 700, "persistent": None, "wanted": 630}
    held = {**detail, "key": "gpu.power_limit", "live": 630, "owner": "gpu"}
    ecc = {
        **detail,
        "key": "gpu.ecc",
        "live": True,
        "wanted": False,
        "after_reboot": False,
        "persistent": False,
    }
    layout = {**detail, "key": "gpu_mig.layout", "live": [], "wanted": ["3g.40gb:4"], "after_reboot": []}
    merged = {
        "profile": None,
        "explain": [entry("gpu_power_limit", 630, "host h"), entry("gpu_mig", ["3g.40gb"], "host h")],
    }
    lines = explain(merged, [{"details": [held, ecc]}, {"details": [layout]}])
    until = "until the boot unit, or a run, sets what is held"
    assert lines[1:] == [
        "gpu_power_limit = 630  (host h)",
        f"    gpu 0: live 630, wanted 630, after a reboot 700 {until}, held by gpu",
        'gpu_mig = ["3g.40gb"]  (host h)',
        '    gpu 0: live [], wanted ["3g.40gb:4"], after a reboot [], not held',
        "gpu.ecc: nobody asks for it",
        "    gpu 0: live true, wanted false, after a reboot false, not held",
    ]
