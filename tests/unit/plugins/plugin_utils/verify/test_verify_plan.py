# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pairs are measured, how often, and which transfers at the same time."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.model import job_from
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Member, pair_of
from ansible_collections.swarm.node.plugins.plugin_utils.verify import rounds as turns
from ansible_collections.swarm.node.plugins.plugin_utils.verify.budget import MEGA, Rate, slowed
from ansible_collections.swarm.node.plugins.plugin_utils.verify.plan import make_plan, plan_from
from ansible_collections.swarm.node.plugins.plugin_utils.verify.rounds import AT_ONCE, Wanted, chosen, rounds
from ansible_collections.swarm.node.plugins.plugin_utils.verify.sampling import clients, sampled
from ansible_collections.swarm.node.plugins.plugin_utils.verify.timing import (
    Clock,
    jobs,
    lead,
    longest,
    times,
)
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from verify_cases import LINKS, SMALL, large, registry, small

fleets = st.integers(2, 60).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 12), min_size=count, max_size=count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60),
    )
)


def fleet(drawn):
    regions = {f"n{at}": f"r{region}" for at, region in enumerate(drawn[0])}
    links = {pair_of(f"n{one}", f"n{other}") for one, other in drawn[1] if one != other}
    return regions, links


# -- sampling


@given(fleets, st.integers(2, 20), st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_everybody_and_every_link_and_all_regions_are_measured(drawn, up_to, partners, seed):
    regions, links = fleet(drawn)
    found = sampled(regions, links, up_to, partners, seed)
    assert set(links) <= set(found)
    assert {end for pair in found for end in pair} == set(regions)
    assert all(one < other for one, other in found)
    joined = {pair_of(regions[one], regions[other]) for one, other in found}
    names = sorted(set(regions.values()))
    wanted = {(one, other) for one in names for other in names if one < other}
    if len(regions) <= up_to:
        assert len(found) == len(regions) * (len(regions) - 1) // 2
    elif len(wanted) <= 2 * len(regions):
        assert wanted <= joined
    # As many pairs as members, not as their square.
    assert len(found) <= len(regions) * (len(regions) - 1) // 2
    if len(regions) > up_to:
        assert len(found) <= len(links) + (2 + partners) * len(regions)
    assert sampled(dict(reversed(regions.items())), set(links), up_to, partners, seed) == found


@given(fleets, st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_partners_by_chance_are_spread(drawn, partners):
    regions, _links = fleet(drawn)
    found = sampled(dict.fromkeys(regions, "one"), (), 1, partners, 0)
    degrees = Counter(end for pair in found for end in pair)
    assert set(degrees) == set(regions)
    # One more where the members are an odd number.
    assert max(degrees.values()) <= partners + 1


@given(fleets)
@settings(max_examples=60, deadline=None)
def test_both_ends_begin_about_as_often(drawn):
    regions, links = fleet(drawn)
    pairs = sampled(regions, links, 1, 3, 0)
    begins = Counter(clients(pairs, 0).values())
    degrees = Counter(end for pair in pairs for end in pair)
    assert all(abs(2 * begins[name] - degrees[name]) <= 4 for name in degrees)
    assert all(first in pair for pair, first in clients(pairs, 0).items())


def test_another_seed_is_another_choice():
    regions = {f"n{at:03}": "r" for at in range(100)}
    assert sampled(regions, (), 16, 2, 0) != sampled(regions, (), 16, 2, 1)


# -- rounds

transfers = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 15), st.floats(1, 400)).filter(lambda one: one[0] != one[1]),
    max_size=40,
    unique_by=lambda one: pair_of(f"n{one[0]}", f"n{one[1]}"),
)


def wanted_of(drawn):
    return [
        Wanted(
            pair_of(f"n{one}", f"n{other}"),
            (f"r{min(one, other) % 4}", f"r{max(one, other) % 4}"),
            mbytes * MEGA,
        )
        for one, other, mbytes in drawn
    ]


@given(transfers, st.floats(10, 5000))
@settings(max_examples=150, deadline=None)
def test_a_round_is_a_matching_and_a_share_of_the_budget(drawn, total):
    wanted = wanted_of(drawn)
    found = rounds(wanted, total)
    assert set(found) == {one.ends for one in wanted}
    assert set(found.values()) == set(range(len(set(found.values()))))
    for number in set(found.values()):
        inside = [one for one in wanted if found[one.ends] == number]
        ends = Counter(end for one in inside for end in one.ends)
        assert max(ends.values()) == 1
        uplinks = Counter(r for one in inside if one.regions[0] != one.regions[1] for r in one.regions)
        assert max(uplinks.values(), default=1) == 1
        assert len(inside) == 1 or sum(one.bytes for one in inside) <= AT_ONCE * total * MEGA


@given(transfers, st.integers(50, 2000), st.integers(50, 5000), st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_the_budgets_hold_and_nobody_is_passed_over_for_a_second_one(drawn, own, total, seed):
    wanted = wanted_of(drawn)
    names = {end for one in wanted for end in one.ends}
    used = dict.fromkeys(names, 1.0 * MEGA)
    budgets = dict.fromkeys(names, float(own))
    found = chosen(wanted, used, budgets, total, seed)
    spent = Counter(dict.fromkeys(names, 1.0 * MEGA))
    for one in found:
        spent.update(dict.fromkeys(one.ends, one.bytes))
    assert all(amount <= own * MEGA * 1.000001 for amount in spent.values())
    assert sum(spent.values()) / 2 <= max(total, len(names) / 2) * MEGA * 1.000001
    left_out = [one for one in wanted if one not in found]
    rest = total * MEGA - sum(spent.values()) / 2
    assert all(
        one.bytes > rest or any(spent[end] + one.bytes > own * MEGA for end in one.ends) for one in left_out
    )


def test_every_constant_share_is_one():
    assert 0 < turns.AT_ONCE <= 1


# -- rates


def test_a_small_budget_makes_probes_rarer_and_holds():
    rates = [Rate(("a", "b"), "irtt", 10.0), Rate(("a", "c"), "fping", 10.0), Rate(("b", "c"), "irtt", 20.0)]
    budgets = {"a": 5.0, "b": 1000.0, "c": 1000.0}
    found = {rate.ends: rate for rate in slowed(rates, 330, budgets, 1000)}
    assert found["b", "c"].interval_ms == 20.0
    assert found["a", "b"].interval_ms > 10
    at_a = [rate for rate in found.values() if "a" in rate.ends]
    assert sum(rate.probes(330) + rate.echoes(330) for rate in at_a) == pytest.approx(5 * MEGA)
    whole = slowed(rates, 330, dict.fromkeys("abc", 1000.0), 10)
    assert sum(rate.probes(330) + rate.echoes(330) for rate in whole) == pytest.approx(10 * MEGA)


@pytest.mark.parametrize(
    ("budget", "total", "keys"),
    [
        (0.1, 1000, {"verify_budget_mbytes"}),
        (1000, 0.1, {"verify_budget_total_mbytes"}),
        (0.1, 0.1, {"verify_budget_mbytes", "verify_budget_total_mbytes"}),
    ],
)
def test_a_budget_that_cannot_do_is_refused_with_what_can(budget, total, keys):
    rates = [Rate(("a", "b"), "irtt", 10.0)]
    with pytest.raises(BindError) as error:
        slowed(rates, 330, {"a": budget, "b": 1000}, total)
    problems = error.value.problems
    assert {problem.key for problem in problems} == keys
    least = float(problems[0].allowed.split()[0])
    slowed(rates, 330, {"a": least + 0.1, "b": 1000}, least + 0.1)


# -- the plan


def test_a_small_mesh_is_measured_in_full():
    plan = small()
    assert len(plan.pairs) == 6 and plan.left_out == {}
    kinds = {pair.ends: pair.kind for pair in plan.pairs}
    assert [kinds[pair_of(*link)] for link in LINKS] == ["link"] * 3
    assert Counter(kinds.values()) == {"link": 3, "all": 3}
    assert {pair.ends for pair in plan.pairs if pair.transfer is not None} <= {
        pair_of(*link) for link in LINKS
    }
    assert plan.nodes["gw1.fra"].address == "10.99.0.1"
    assert all(node.bytes <= 2000 * MEGA for node in plan.nodes.values())
    by_hand = [pair for pair in plan.pairs if not pair.asked]
    assert {pair.no_transfer for pair in by_hand} == {"no direct link (verify_throughput: links)"}


def test_a_plan_survives_json():
    plan = small(throughput_mbit=10.0)
    assert plan_from(json.loads(json.dumps(plan.as_data()))) == plan


def test_a_metered_member_takes_part_in_no_transfer():
    plan = small({**{name: {} for name in SMALL}, "home-ann": {"throughput": "none"}}, throughput="sample")
    for pair in plan.pairs:
        if "home-ann" in pair.ends:
            assert pair.transfer is None and not pair.asked
            assert pair.no_transfer == "verify_throughput is none for home-ann"
        else:
            assert pair.asked
    assert "iperf3" not in plan.nodes["home-ann"].tools


def test_the_looser_end_counts_and_regions_beat_both():
    plan = small(
        {**{name: {} for name in SMALL}, "home-ann": {"latency_ms": 80.0, "throughput_mbit": 50.0}},
        between={"ams home": {"latency_ms": 120}, "fra fra": {"throughput_mbit": 10000}},
    )
    targets = {pair.ends: pair.targets for pair in plan.pairs}
    assert targets["gw1.fra", "home-ann"]["latency_ms"] == 80.0
    assert targets["gw1.fra", "home-ann"]["throughput_mbit"] == 50.0
    assert targets["gw1.ams", "home-ann"] == {
        "latency_ms": 120.0,
        "jitter_ms": 1.0,
        "loss_percent": 0.01,
        "throughput_mbit": 50.0,
    }
    assert targets["gw1.fra", "n1.fra"]["throughput_mbit"] == 10000
    assert targets["gw1.ams", "gw1.fra"]["latency_ms"] == 50.0


def test_regions_of_another_mesh_of_the_nodes_are_no_mistake():
    """A node in two meshes has one `verify_between` for both."""
    wished = {
        name: {"between": {"muc ham": {"latency_ms": 1}, "fra ams": {"latency_ms": 7}}} for name in SMALL
    }
    plan = make_plan(registry(SMALL, LINKS), wished, (), {"muc", "ham"})
    assert {pair.targets["latency_ms"] for pair in plan.pairs if "gw1.ams" in pair.ends} == {7.0, 50.0}
    with pytest.raises(BindError, match=r"'muc ham'.*two regions of the mesh"):
        make_plan(registry(SMALL, LINKS), wished, (), {"muc"})


@pytest.mark.parametrize("target", [1e-6, 0.05, 1e6])
def test_every_throughput_that_may_be_wished_is_a_job_that_nodes_take(target: float):
    budget = {"budget_mbytes": 1e9, "budget_total_mbytes": 1e12}
    plan = small(throughput_mbit=target, **budget)
    found, _when = jobs(plan, {name: Clock(0.0, 1.0, 100.0, 1.0) for name in plan.nodes}, 5.0)
    for data in found.values():
        for transfer in job_from(data).transfers:
            assert 0.1 <= transfer.mbit <= 1e6
    assert sum(len(data["transfers"]) for data in found.values()) == len(LINKS)


def test_a_pair_is_measured_as_its_simpler_end_can():
    plan = small({**{name: {} for name in SMALL}, "home-ann": {"probe": "fping", "interval_ms": 100.0}})
    by_ends = {pair.ends: pair for pair in plan.pairs}
    assert (by_ends["gw1.ams", "home-ann"].tool, by_ends["gw1.ams", "home-ann"].interval_ms) == ("fping", 100)
    assert (by_ends["gw1.ams", "gw1.fra"].tool, by_ends["gw1.ams", "gw1.fra"].interval_ms) == ("irtt", 10)
    assert "irtt" not in plan.nodes["home-ann"].tools and "irtt" in plan.nodes["n1.fra"].tools


def test_under_limit_only_these_are_measured_and_others_are_named():
    plan = small({"gw1.fra": {}, "gw1.ams": {}})
    assert [pair.ends for pair in plan.pairs] == [("gw1.ams", "gw1.fra")]
    assert plan.members == 4
    leaving = Member("old", 9, "fra", leaving=True)
    every: dict[str, Any] = {name: {} for name in (*SMALL, "old", "stranger")}
    plan = make_plan(registry(SMALL, LINKS, old=leaving), every, ["gone"])
    # Who pulls another mesh is none of this one's business.
    assert set(plan.left_out) == {"old", "stranger"}
    assert "mesh_join" in plan.left_out["stranger"] and "leaves" in plan.left_out["old"]
    plan = make_plan(registry(SMALL, LINKS), {name: {} for name in SMALL if name != "n1.fra"}, ["n1.fra"])
    assert "mesh_pull" in plan.left_out["n1.fra"]


@pytest.mark.parametrize(
    ("variables", "key", "value", "word"),
    [
        ({"latency_ms": 0}, "verify_latency_ms", 0, "above 0"),
        ({"loss_percent": 0}, "verify_loss_percent", 0, "no measurement can show"),
        ({"loss_percent": 100}, "verify_loss_percent", 100, "below 100"),
        ({"jitter_ms": "1"}, "verify_jitter_ms", "1", "ms"),
        ({"throughput_mbit": True}, "verify_throughput_mbit", True, "Mbit/s"),
        ({"window": 5}, "verify_window", 5, "10 to 3600"),
        ({"window": 30.5}, "verify_window", 30.5, "whole seconds"),
        ({"interval_ms": 1}, "verify_interval_ms", 1, "5 to 1000"),
        ({"probe": "ping"}, "verify_probe", "ping", "irtt or fping"),
        ({"throughput": "all"}, "verify_throughput", "all", "none, links or sample"),
        ({"confidence_percent": 100}, "verify_confidence_percent", 100, "below 100"),
        ({"share_percent": 10}, "verify_share_percent", 10, "from 50"),
        ({"port": 22}, "verify_port", 22, "1024"),
        ({"port": 51830}, "verify_port", 51830, "tunnels"),
        ({"fail_on": "always"}, "verify_fail_on", "always", "never"),
        ({"sample": 0}, "verify_sample", 0, "1 to 16"),
        ({"between": {"fra": {}}}, "verify_between", "fra", "blank"),
        ({"between": {"fra mars": {}}}, "verify_between", "fra mars", "ams, fra, home"),
        ({"between": {"fra ams": {"speed": 1}}}, "verify_between fra ams", "speed", "latency_ms"),
        ({"between": {"fra ams": {"latency_ms": -1}}}, "verify_between fra ams latency_ms", -1, "above 0"),
        ({"between": {"fra ams": 7}}, "verify_between fra ams", 7, "map"),
        ({"between": {"fra ams": {}, "ams fra": {}}}, "verify_between", "ams fra", "once"),
        ({"between": []}, "verify_between", [], "map"),
        ({"budget_mbytes": 0.5}, "verify_budget_mbytes", 0.5, "1 or more"),
        ({"install": "no"}, "verify_install", "no", "true or false"),
    ],
)
def test_bad_variables_are_refused_with_where_they_come_from(variables, key, value, word):
    origins = dict.fromkeys(variables, "group all")
    with pytest.raises(BindError) as error:
        small(**variables, origins=origins)
    found = [problem for problem in error.value.problems if problem.key == key]
    assert found, error.value
    assert found[0].value == value and word in found[0].allowed and found[0].origin == "group all"


def test_what_holds_for_the_run_must_be_the_same_for_all():
    hosts: dict[str, Any] = {name: {} for name in SMALL}
    hosts["home-ann"] = {"window": 60, "origins": {"window": "host home-ann"}}
    with pytest.raises(BindError) as error:
        small(hosts)
    said = {problem.target: problem for problem in error.value.problems}
    assert said["home-ann"].value == 60 and said["home-ann"].origin == "host home-ann"
    assert "one value for all hosts" in said["home-ann"].allowed
    assert any("gw1.ams" in target for target in said)


def test_one_member_alone_cannot_be_measured():
    with pytest.raises(BindError, match="two members"):
        small({"gw1.fra": {}})


def test_a_thousand_members_are_planned_within_a_second(capsys):
    mesh = large(1000, 20)
    hosts: dict[str, Any] = {name: {} for name in mesh.members}
    began = time.process_time()
    plan = make_plan(mesh, hosts, ())
    took = time.process_time() - began
    with capsys.disabled():
        print(f"\n1000 members, {len(mesh.links)} links: {len(plan.pairs)} pairs planned in {took:.2f} s")
    assert took < 1.0, took
    assert len(plan.pairs) < 8 * 1000
    assert {end for pair in plan.pairs for end in pair.ends} == set(mesh.members)
    assert plan.bytes <= 100000 * MEGA and plan.rounds > 0
    # The probes of all go as often as was wished.
    assert {pair.interval_ms for pair in plan.pairs} == {10.0}


# -- the moment


def clock(doubt: float = 0.5, now: float = 1000.0) -> Clock:
    """Seen 10 s ago on the controller's clock, at 90 to 90 + 2 × doubt, by a call that took no time."""
    return Clock(90.0, 90.0 + 2 * doubt, now, 0.0)


def test_a_nodes_clock_is_known_to_half_of_what_is_in_doubt():
    seen = Clock(before=100.0, after=104.0, now=5000.0, took=1.0)
    assert seen.doubt == 1.5
    # It was 5000 there somewhere between 101 and 104.
    assert seen.at(102.5) == 5000.0 and seen.at(112.5) == 5010.0


def test_jobs_go_to_the_end_that_begins_and_turns_do_not_overlap():
    plan = small(throughput_mbit=20.0, throughput="sample")
    clocks = {name: clock(0.5 + at / 10, 1000.0 * at) for at, name in enumerate(SMALL)}
    found, when = jobs(plan, clocks, 100.0)
    assert vars(when) == pytest.approx(vars(times(plan, 0.8))) and when.gap == pytest.approx(2.6)
    assert when.end <= longest(plan)
    probes = {pair_of(name, probe["name"]) for name, job in found.items() for probe in job["probes"]}
    assert probes == {pair.ends for pair in plan.pairs}
    busy: dict[str, list[float]] = {name: [] for name in SMALL}
    for name, job in found.items():
        job_from(job)
        assert job["start"] == pytest.approx(clocks[name].at(100.0))
        for transfer in job["transfers"]:
            assert transfer["at"] >= plan.wide["window"]
            assert transfer["at"] + when.turn <= job["end"] + 1e-6
            busy[name].append(transfer["at"])
            busy[transfer["name"]].append(transfer["at"])
    for moments in busy.values():
        assert all(
            later - sooner >= when.turn - 1e-6 for sooner, later in zip(sorted(moments), sorted(moments)[1:])
        )
    assert sum(len(job["transfers"]) for job in found.values()) == 6


def test_a_node_whose_clock_is_not_known_takes_part_in_no_transfer():
    plan = small(throughput_mbit=20.0)
    clocks = {name: clock() for name in SMALL}
    clocks["gw1.ams"] = clock(6.0)
    found, when = jobs(plan, clocks, 100.0)
    assert when.gap == pytest.approx(2.0)
    transfers = [(name, one["name"]) for name, job in found.items() for one in job["transfers"]]
    assert transfers and not any("gw1.ams" in ends for ends in transfers)
    assert any(probe["name"] == "gw1.ams" for job in found.values() for probe in job["probes"])


def test_who_does_not_serve_is_in_nobodys_job():
    plan = small(throughput_mbit=20.0)
    found, _when = jobs(plan, {name: clock() for name in SMALL if name != "gw1.ams"}, 100.0)
    assert set(found) == set(SMALL) - {"gw1.ams"}
    assert all(
        one["name"] != "gw1.ams" for job in found.values() for one in [*job["probes"], *job["transfers"]]
    )


def test_many_nodes_and_few_forks_need_a_longer_lead():
    clocks = [clock(1.0)] * 100
    assert lead(clocks, 5) > lead(clocks, 50) > 5
    assert lead([], 5) > 0
