# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All wishes of one host: types, maps, profile, permissions and complaints together."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.merge.profiles import Profile
from ansible_collections.swarm.node.plugins.plugin_utils.merge.resolve import (
    Level,
    Unrendered,
    group_rank,
    host_rank,
)
from ansible_collections.swarm.node.plugins.plugin_utils.merge.wishes import decide, merge, unknown

LAYERS = ["kernel", "gpu"]
PROFILE = Profile(
    "p",
    1,
    "/profiles/p/1.yml",
    {
        "kernel": {"thp": "always", "sysctl": {"vm.swappiness": 10, "vm.dirty_ratio": 10}},
        "gpu": {"power_limit": "80%max"},
    },
    {
        "kernel": {"thp": "a book", "sysctl": {"vm.swappiness": "tuned", "vm.dirty_ratio": "N"}},
        "gpu": {"power_limit": "Z"},
    },
)


def group(name="g", **variables) -> Level:
    return Level(f"group {name}", group_rank(1, 0, 1, 1), variables, name)


def host(**variables) -> Level:
    return Level("host h", host_rank(0, 0), variables, "h")


def values(*levels, profile=PROFILE):
    return merge(LAYERS, list(levels), profile, {}).values


def complaints(*levels, profile=PROFILE, validators=None) -> list[str]:
    with pytest.raises(BindError) as caught:
        merge(LAYERS, list(levels), profile, validators or {})
    return [str(problem) for problem in caught.value.problems]


def test_profile_alone_and_nothing_at_all():
    assert values() == {
        "kernel_thp": "always",
        "kernel_sysctl": {"vm.swappiness": 10, "vm.dirty_ratio": 10},
        "gpu_power_limit": "80%max",
    }
    assert values(profile=None) == {}


def test_maps_merge_key_by_key_with_source_of_each_key():
    merged = merge(LAYERS, [group(kernel_sysctl={"vm/swappiness": 5, "vm.page-cluster": 0})], PROFILE, {})
    assert merged.values["kernel_sysctl"] == {"vm.swappiness": 5, "vm.dirty_ratio": 10, "vm.page-cluster": 0}
    entries = {entry["key"]: entry for entry in merged.explain}
    assert entries["kernel_sysctl.vm.dirty_ratio"]["source"] == "N"
    assert entries["kernel_sysctl.vm.swappiness"] == {
        "key": "kernel_sysctl.vm.swappiness", "value": 5, "origin": "group g", "source": "",
        "losers": [{"value": 10, "origin": "profile p@1"}],
    }  # fmt: skip
    assert merged.origins["vm.swappiness"] == "group g"


@pytest.mark.parametrize("null", [{"kernel_thp": None}, {"gpu_power_limit": None}])
def test_null_leaves_a_scalar_alone(null):
    (name,) = null
    merged = merge(LAYERS, [host(**null)], PROFILE, {})
    assert name not in merged.values
    (entry,) = [entry for entry in merged.explain if entry["key"] == name]
    assert entry["value"] is None and entry["origin"] == "host h" and entry["losers"]


def test_null_leaves_a_key_of_a_map_alone_and_a_null_map_all_of_them():
    assert values(host(kernel_sysctl={"vm.swappiness": None}))["kernel_sysctl"] == {"vm.dirty_ratio": 10}
    assert "kernel_sysctl" not in values(host(kernel_sysctl=None))
    assert values(host(kernel_sysctl={}))["kernel_sysctl"] == {"vm.swappiness": 10, "vm.dirty_ratio": 10}


def test_a_key_left_alone_is_still_to_be_spelt_right():
    (problem,) = complaints(host(kernel_sysctl={"vm.swapiness": None}))
    assert "did you mean vm.swappiness" in problem and "host h" in problem
    assert values(host(kernel_sysctl={"vm.swapiness": None}, kernel_allow_unknown=True))


def test_a_map_that_is_none_names_the_variable():
    (problem,) = complaints(group(kernel_sysctl=["vm.swappiness"]))
    assert problem.startswith("kernel_sysctl: ") and "group g" in problem and "dict" in problem
    assert values(host(kernel_sysctl='{"vm.swappiness": 7}'))["kernel_sysctl"]["vm.swappiness"] == 7


def test_everything_wrong_is_said_at_once():
    found = complaints(
        group("a", kernel_thp="never", kernel_sysctl={"vm.swappiness": 1, "vm.dirty_ratio": 300}),
        group("b", kernel_thp="madvise", kernel_sysctl={"vm.swappiness": 2, "no.such.key": 1}),
        host(gpu_manage="mange", node_max_disruption="much", gpu_required={"a": 1}, gpu_power_limit="80%"),
        validators={"gpu_power_limit": lambda value: [(value, "a base")] if value == "80%" else []},
    )
    keys = sorted(problem.split(":")[0] for problem in found)
    assert keys == [
        "gpu_manage", "gpu_power_limit", "gpu_required", "kernel_thp", "no.such.key", "node_max_disruption",
        "vm.dirty_ratio", "vm.swappiness",
    ]  # fmt: skip
    assert all("allowed: " in problem and "(from " in problem for problem in found)


def test_trust_is_what_holds_for_this_host():
    wish = group(kernel_sysctl={"kernel.randomize_va_space": 1})
    (problem,) = complaints(wish)
    assert "node_trusted_tenancy" in problem and "group g" in problem
    assert values(wish, host(node_trusted_tenancy=True))["kernel_sysctl"]["kernel.randomize_va_space"] == 1
    assert complaints(wish, group("z", node_trusted_tenancy=True), host(node_trusted_tenancy=False))


def test_profile_of_options_and_layers_that_do_not_exist():
    strange = Profile(
        "p", 1, "/p/1.yml", {"moon": {"a": 1}, "gpu": {"pover_limit": 1}}, {"moon": {}, "gpu": {}}
    )
    strange.sources = {layer: dict.fromkeys(keys, "s") for layer, keys in strange.values.items()}
    moon, gpu = sorted(complaints(profile=strange), key=lambda said: not said.startswith("moon"))
    assert moon.startswith("moon: ['a']") and "gpu, kernel" in moon and "/p/1.yml" in moon
    assert "gpu_pover_limit" in gpu and "did you mean gpu_power_limit?" in gpu and "/p/1.yml" in gpu


def test_a_bad_value_in_a_profile_names_its_file():
    strange = Profile("p", 1, "/p/1.yml", {"kernel": {"thp": "often", "sysctl": {"vm.swappiness": 999}}},
                      {"kernel": {"thp": "s", "sysctl": {"vm.swappiness": "s"}}})  # fmt: skip
    found = complaints(profile=strange)
    assert len(found) == 2 and all("profile p@1, /p/1.yml" in problem for problem in found)


def test_a_template_that_does_not_render_matters_only_where_it_decides():
    broken = Unrendered("{{ watts }}", "'watts' is undefined")
    assert values(group(gpu_power_limit=broken), host(gpu_power_limit=300))["gpu_power_limit"] == 300
    (problem,) = complaints(group(gpu_power_limit=broken))
    assert "'{{ watts }}'" in problem and "'watts' is undefined" in problem and "group g" in problem
    assert complaints(group("a", gpu_power_limit=broken), group("b", gpu_power_limit=300))
    assert complaints(group(kernel_sysctl=broken), host(kernel_sysctl={}))


def test_unknown_variables_and_their_exemption():
    levels = [group(gpu_power_limt=630, gpu_burn_minutes=5), host(node_profle="x")]
    assert [problem.key for problem in unknown(levels)] == [
        "gpu_burn_minutes",
        "gpu_power_limt",
        "node_profle",
    ]
    assert [problem.origin for problem in unknown(levels)] == ["group g", "group g", "host h"]
    ignoring = [
        *levels,
        group("all", node_ignore_variables=["gpu_burn_minutes"]),
        host(node_ignore_variables="node_profle"),
    ]
    assert [problem.key for problem in unknown(ignoring)] == ["gpu_power_limt"]
    (problem,) = unknown([host(node_ignore_variables={"gpu_x": 1}, gpu_x=1)])
    assert problem.key == "node_ignore_variables" and problem.origin == "host h"


def test_decide_checks_types():
    assert decide([], "node_profile") is None
    assert decide([group(node_profile="a"), host(node_profile="b")], "node_profile").value == "b"
    for name, value in (("node_profile", 5), ("node_profile_dirs", {"a": 1})):
        with pytest.raises(BindError, match=name):
            decide([host(**{name: value})], name)
    assert decide([host(node_profile_dirs="a,b")], "node_profile_dirs").value == ["a", "b"]


def test_a_required_key_must_be_one_that_exists():
    (complaint,) = complaints(group(kernel_required=["vm.swapiness"]))
    for piece in ("kernel_required", "vm.swapiness", "did you mean vm.swappiness", "group g"):
        assert piece in complaint
    fine = {"kernel_required": ["vm/swappiness", "thp.enabled", "vm.max_map_count"]}
    assert values(group(**fine))["kernel_required"] == fine["kernel_required"]
    own = {"kernel_required": ["vm.mine"], "kernel_sysctl": {"vm.mine": 1}, "kernel_allow_unknown": True}
    assert values(group(**own))["kernel_required"] == ["vm.mine"]
