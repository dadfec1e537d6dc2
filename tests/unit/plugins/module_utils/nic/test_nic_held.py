# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of settings that are held: given back, kept for a device that is away, rounded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.nic.bind import rounded_up
from ansible_collections.swarm.node.plugins.module_utils.nic.model import NO_DEFAULT_ROUTE
from nic_cases import nic, plan, settings, state

HELD = {"nic.rings.rx eth0": Claim(512, 8192), "nic.txqueuelen eth0": Claim(1000, 10000)}


def test_what_is_no_longer_asked_for_goes_back():
    made = plan({}, state(nic(values={"rings.rx": 8192, "txqueuelen": 10000})), HELD)
    assert settings(made) == {"rings.rx eth0": 512, "txqueuelen eth0": 1000}
    assert not made.claims and {change.claim for change in made.changes} == set(HELD)
    assert made.changes[0].disruption == "peer_jobs", "giving back disturbs as much as setting"


def test_a_moment_without_a_default_route_gives_nothing_back():
    live = nic(values={"rings.rx": 8192, "txqueuelen": 10000})
    wish = {"default_route": {"rings": {"rx": "max"}}}
    made = plan(wish, state(live, beneath=NO_DEFAULT_ROUTE), HELD)
    assert settings(made) == {"txqueuelen eth0": 1000}, "nobody asks for that, wherever the route leads"
    assert made.claims == {"nic.rings.rx eth0": HELD["nic.rings.rx eth0"]}
    assert "what is held of its devices stays" in made.notes[0]
    short = {"default_route": {"features": {"gro": False}}}
    held = {"nic.features.rx-gro eth0": Claim(True, False)}
    quiet = state(nic(values={"features.rx-gro": False}), beneath=NO_DEFAULT_ROUTE)
    assert plan(short, quiet, held).claims == held and not plan(short, quiet, held).changes
    for elsewhere in ({"beneath": "the default route goes through wg0"}, {"default_route": ("eth1",)}):
        assert settings(plan(wish, state(live, nic("eth1"), **elsewhere), HELD))["rings.rx eth0"] == 512


def test_what_somebody_has_set_since_stays():
    made = plan({}, state(nic(values={"rings.rx": 2048, "txqueuelen": 1000})), HELD)
    assert settings(made) == {} and not made.claims
    assert "it is 2048, not the 8192 this collection had set" in made.notes[0]
    assert [change.key for change in made.changes] == ["record"]


def test_what_is_held_keeps_its_first_value_when_more_is_asked_for():
    now = state(nic(values={"rings.rx": 8192, "txqueuelen": 10000}))
    made = plan({"eth0": {"rings": {"rx": 4096}, "txqueuelen": 10000}}, now, HELD)
    assert settings(made) == {"rings.rx eth0": 4096}
    assert made.claims == {**HELD, "nic.rings.rx eth0": Claim(512, 4096)}


def test_after_a_boot_it_is_set_again():
    made = plan({"eth0": {"rings": {"rx": "max"}, "txqueuelen": 10000}}, state(), HELD)
    assert settings(made) == {"rings.rx eth0": 8192, "txqueuelen eth0": 10000}
    assert made.claims == HELD


def test_what_cannot_be_any_more_stays_on_record():
    now = state(nic(values={"rings.rx": None, "txqueuelen": 10000}))
    made = plan({"eth0": {"rings": {"rx": "max"}, "txqueuelen": 10000}}, now, HELD)
    assert [wish.reason for wish in made.unapplied] == ["unsupported"]
    assert made.claims == HELD and not made.changes


def test_a_queueing_discipline_goes_back_to_the_kernels():
    claims = {"nic.qdisc eth0": Claim("default", "mq+fq")}
    held = nic(values={"qdisc": "mq+fq"}, default_qdisc=False)
    assert settings(plan({}, state(held), claims)) == {"qdisc eth0": "default"}
    kernels = plan({}, state(nic(values={"qdisc": "mq+fq"})), claims)
    assert settings(kernels) == {}, "the kernel's own has become the same: nothing of ours is left"


def test_a_device_that_is_away_is_waited_for_while_it_may_be_meant():
    away = {"nic.txqueuelen eth7": Claim(1000, 5)}
    made = plan({"all": {"txqueuelen": 1000}}, state(), away)
    assert made.claims["nic.txqueuelen eth7"] == away["nic.txqueuelen eth7"]
    assert any("eth7 is on record and not in this node" in note for note in made.notes)
    again = plan({"all": {"txqueuelen": 1000}}, state(), made.claims)
    assert not again.changes


def test_a_device_that_is_away_and_not_meant_is_forgotten():
    away = {"nic.txqueuelen eth7": Claim(1000, 5)}
    made = plan({"eth0": {"txqueuelen": 1000}}, state(), away)
    assert list(made.claims) == ["nic.txqueuelen eth0"]
    assert any("nic.txqueuelen eth7 is no longer asked for" in note for note in made.notes)
    made = plan({}, state(), away)
    assert not made.claims and [change.key for change in made.changes] == ["record"]


def test_a_name_that_is_held_and_away_is_no_mistake():
    away = {"nic.txqueuelen eth7": Claim(1000, 5)}
    made = plan({"eth7": {"txqueuelen": 5}}, state(), away)
    assert made.claims == away and not made.changes


def test_a_value_that_the_driver_rounds_up_is_kept():
    claims = {"nic.rings.rx eth0": Claim(512, 5000)}
    now = state(nic(values={"rings.rx": 8192}, rounded={"rings.rx": (5000, 8192)}))
    made = plan({"eth0": {"rings": {"rx": 5000}}}, now, claims)
    assert not made.changes and made.claims == claims
    assert made.notes == ["nic.rings.rx eth0: ixgbe makes 8192 of 5000"]
    assert settings(plan({}, now, claims)) == {"rings.rx eth0": 512}, "what came of ours is ours"


def test_what_is_near_by_chance_is_not_taken_for_rounded():
    claims = {"nic.coalesce.rx-usecs eth0": Claim(3, 2)}
    made = plan({"eth0": {"coalesce": {"rx-usecs": 2}}}, state(), claims)
    assert settings(made) == {"coalesce.rx-usecs eth0": 2}, "3 is what the driver began with"
    assert settings(plan({}, state(), {"nic.coalesce.rx-usecs eth0": Claim(9, 2)})) == {}


def test_what_counts_as_rounded():
    assert rounded_up("rings.rx", 8192, 5000) and rounded_up("coalesce.rx-usecs", 4, 3)
    assert not rounded_up("rings.rx", 4096, 5000), "down is less than was asked for"
    assert not rounded_up("rings.rx", 10000, 5000)
    assert not rounded_up("channels.combined", 8, 5)
    assert not rounded_up("coalesce.adaptive-rx", True, False)


def test_a_floor_that_others_reach_is_nobodys():
    made = plan({"eth0": {"rings": {"rx": ">=512"}}})
    assert not made.changes and not made.claims


def test_a_floor_that_is_held_is_not_lowered():
    claims = {"nic.rings.rx eth0": Claim(256, 512)}
    made = plan({"eth0": {"rings": {"rx": ">=512"}}}, state(nic(values={"rings.rx": 1024})), claims)
    assert settings(made) == {} and made.claims["nic.rings.rx eth0"].first_seen == 256


def test_the_kernels_own_discipline_that_was_asked_for_gives_way_to_what_was_set_before():
    claims = {"nic.qdisc eth0": Claim("mq+fq", "default")}
    assert settings(plan({}, state(), claims)) == {"qdisc eth0": "mq+fq"}


def test_rss_over_all_queues_goes_back_to_all_there_are_then():
    made = plan({"eth0": {"rss": {"equal": 2}}})
    assert made.claims["nic.rss.equal eth0"] == Claim("max", 2)
    more = state(
        nic(
            values={"rss.equal": 2, "channels.combined": 2},
            limits={**nic().limits, "rss.equal": 2},
            rx=2,
            tx=2,
        )
    )
    claims = {"nic.rss.equal eth0": Claim("max", 2), "nic.channels.combined eth0": Claim(4, 2)}
    assert settings(plan({}, more, claims)) == {"channels.combined eth0": 4, "rss.equal eth0": 4}
    part = plan({"eth0": {"rss": {"equal": 2}}}, state(nic(values={"rss.equal": 3})))
    assert part.claims["nic.rss.equal eth0"] == Claim(3, 2)


def test_a_setting_of_queues_that_was_cut_off_half_way_is_ours():
    claims = {"nic.rps eth0": Claim("off", "0-7")}
    assert settings(plan({}, state(nic(values={"rps": "0-7;0-7;off;off"})), claims)) == {"rps eth0": "off"}
    assert settings(plan({}, state(nic(values={"rps": "0-7;0-7;off;5"})), claims)) == {}


def test_an_mq_of_ours_that_was_cut_off_half_way_is_ours():
    claims = {"nic.qdisc eth0": Claim("default", "mq+fq")}
    half = nic(values={"qdisc": "mq+fq,fq_codel"}, default_qdisc=False)
    assert settings(plan({}, state(half), claims)) == {}
    assert settings(plan({}, state(replace(half, marked_qdisc=True)), claims)) == {"qdisc eth0": "default"}


@pytest.mark.parametrize(
    ("device", "node", "reason"),
    [
        ({"locked": {"txqueuelen": "a container"}}, {}, "readonly"),
        ({"refused": {"rings.rx": (512, "the driver refuses it")}}, {}, "unsupported"),
        ({}, {"may": False}, "readonly"),
    ],
)
def test_what_cannot_go_back_stays_on_record(device, node, reason):
    now = state(nic(values={"rings.rx": 8192, "txqueuelen": 10000}, **device), **node)
    made = plan({}, now, HELD)
    assert [wish.reason for wish in made.unapplied] == [reason]
    left = f"{made.unapplied[0].key} eth0"
    assert made.claims == {left: HELD[left]} and len(settings(made)) == 1
