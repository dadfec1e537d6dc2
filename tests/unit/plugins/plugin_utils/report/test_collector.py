# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.report.collector import Collector
from ansible_collections.swarm.node.plugins.plugin_utils.report.results import Event, runs_module

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
CHANGE = {"key": "vm.swappiness", "target": "", "before": 60, "after": 10}


def layer(changes=(), **more):
    return {"layer": "kernel", "owner": "kernel", "changed": bool(changes), "changes": list(changes), **more}


def event(outcome="ok", result=None, **more):
    more.setdefault("action", "swarm.node.kernel")
    return Event(host="n1", task="kernel", outcome=outcome, result=result or {}, **more)


def host_after(events, check=False, stats=None):
    collector = Collector("site.yml", check=check, started=NOW)
    for entry in events:
        collector.add(entry)
    report = collector.report(NOW + timedelta(seconds=3), {"n1": stats} if stats else {})
    return report["hosts"]["n1"]


PREFLIGHT = event(result=layer([CHANGE]), check=True)
CLEAN_PREFLIGHT = event(result=layer(), check=True)
APPLY = event(result=layer([CHANGE], writes=2))
REFUSED = event("failed", {"layer": "kernel", "msg": "no", "rolled_back": ["vm.swappiness"], "writes": 3})
ELSEWHERE = event("failed", {"msg": "stop"}, action="ansible.builtin.fail")


@pytest.mark.parametrize(
    ("events", "check", "host_state", "layer_state", "changes"),
    [
        ([PREFLIGHT, APPLY], False, "changed", "changed", 1),
        ([CLEAN_PREFLIGHT], False, "unchanged", "unchanged", 0),
        ([PREFLIGHT], False, "planned", "planned", 1),
        ([PREFLIGHT, ELSEWHERE], False, "failed", "planned", 1),
        ([PREFLIGHT, REFUSED], False, "failed", "failed", 0),
        ([PREFLIGHT, PREFLIGHT], True, "would_change", "would_change", 1),
        ([REFUSED, APPLY], False, "failed", "changed", 1),
        ([APPLY, event(result=layer(writes=1))], False, "changed", "changed", 1),
    ],
)
def test_state_follows_the_last_result(events, check, host_state, layer_state, changes):
    host = host_after(events, check)
    (only,) = host["layers"]
    assert (host["state"], only["state"], len(only["changes"])) == (host_state, layer_state, changes)
    assert only["owner"] == "kernel" or REFUSED in events


def test_two_applies_keep_both_changes_and_all_writes():
    second = {**CHANGE, "key": "vm.dirty_ratio"}
    (only,) = host_after([APPLY, event(result=layer([second], writes=1))])["layers"]
    assert [change["key"] for change in only["changes"]] == ["vm.swappiness", "vm.dirty_ratio"]
    assert only["writes"] == 3


def test_a_check_after_the_apply_that_finds_work_is_told():
    (only,) = host_after([APPLY, PREFLIGHT])["layers"]
    assert (only["state"], only["still_to_change"]) == ("changed", ["vm.swappiness"])


def device(outcome="ok", **more):
    result = {"layer": "nic", "owner": "transport_nic", "changes": [], **more}
    return event(outcome, result, action="swarm.node.nic")


DEVICE = device(changes=[CHANGE], changed=True)
CONFIRMED = device(changed=True)
TOO_LATE = device("failed", msg="it is too late", failure_kind="reverted", changes=None)
LOST = device("failed", msg="gone", failure_kind="unavailable", changes=None)
BACK = device(changed=True, undone=["nic.rings.rx (eth0)"], notes=["taken back: the controller asked for it"])
NOTHING_BACK = device(changed=False, undone=[], notes=["nothing is armed"])


@pytest.mark.parametrize(
    ("events", "state", "taken_back"),
    [
        ([DEVICE, CONFIRMED], "changed", ""),
        ([DEVICE, TOO_LATE, NOTHING_BACK], "failed", "it is too late"),
        ([DEVICE, LOST, BACK], "failed", "taken back: the controller asked for it"),
        ([LOST, BACK], "failed", "taken back: the controller asked for it"),
        ([LOST, NOTHING_BACK], "failed", ""),
        ([DEVICE, LOST, BACK, DEVICE, CONFIRMED], "changed", ""),
        ([BACK], "changed", "taken back: the controller asked for it"),
    ],
)
def test_a_change_of_devices_that_was_not_confirmed_is_told_as_taken_back(events, state, taken_back):
    (only,) = host_after(events)["layers"]
    assert (only["state"], only["taken_back"]) == (state, taken_back)


def test_what_becomes_of_devices_says_nothing_of_the_mesh():
    mesh = event(result=layer([CHANGE], layer="mesh", owner="mesh"), action="swarm.node.mesh")
    found = {entry["layer"]: entry["taken_back"] for entry in host_after([mesh, DEVICE, TOO_LATE])["layers"]}
    assert found == {"mesh": "", "nic": "it is too late"}


def test_one_layer_for_two_owners_is_two_entries():
    other = event(result=layer([CHANGE], owner="transport"))
    assert [entry["owner"] for entry in host_after([APPLY, other])["layers"]] == ["kernel", "transport"]


@pytest.mark.parametrize(
    ("entry", "round_trips", "delegated"),
    [
        (event(), 1, 0),
        (event("failed"), 1, 0),
        (event("retry"), 1, 0),
        (event("skipped"), 0, 0),
        (event("unreachable"), 0, 0),
        (event(action="ansible.builtin.set_fact"), 0, 0),
        (event(action="debug"), 0, 0),
        (event(action="swarm.node.merge"), 0, 0),
        (event(action="swarm.node.mesh_registry"), 0, 0),
        (event(action="ansible.legacy.command"), 1, 0),
        (event(delegated=True), 0, 1),
    ],
)
def test_round_trips(entry, round_trips, delegated):
    host = host_after([entry])
    assert (host["round_trips"], host["delegated"]) == (round_trips, delegated)


@pytest.mark.parametrize(
    "name", ["include_role", "ansible.builtin.import_tasks", "ansible.builtin.meta", "pause"]
)
def test_controller_only_actions(name):
    assert not runs_module(name)


@pytest.mark.parametrize(
    ("entry", "stats", "state", "ignored", "rescued"),
    [
        (event("failed", {"msg": "x"}), {"failures": 1}, "failed", False, False),
        (event("failed", {"msg": "x"}), {"failures": 0, "rescued": 1}, "unchanged", False, True),
        (
            event("failed", {"msg": "x"}, ignored=True),
            {"failures": 0, "ignored": 1},
            "unchanged",
            True,
            False,
        ),
    ],
)
def test_ansible_judges_whether_a_failure_counts(entry, stats, state, ignored, rescued):
    host = host_after([entry], stats=stats)
    assert host["state"] == state
    assert (host["failures"][0]["ignored"], host["failures"][0]["rescued"]) == (ignored, rescued)


def test_merge_result_gives_profile_and_why():
    row = {
        "key": "gpu_power_limit",
        "value": "90%default",
        "origin": "group a",
        "source": "group_vars/a.yml:3",
        "losers": [{"value": "default", "origin": "profile training@1", "extra": 1}],
        "secret": "x",
    }
    merged = {"layers": {}, "profile": "training@1", "explain": [row, "junk"]}
    host = host_after([event(result=merged, action="swarm.node.merge")])
    assert host["profile"] == "training@1" and host["state"] == "unchanged" and host["round_trips"] == 0
    assert host["explain"] == [
        {key: row[key] for key in ("key", "value", "origin", "source")}
        | {"losers": [{"value": "default", "origin": "profile training@1"}]}
    ]


def test_undocumented_and_misshapen_keys_are_dropped():
    odd = layer([CHANGE, "junk"], notes="text", before=[1], stdout="secret", writes=True)
    (only,) = host_after([event(result=odd)])["layers"]
    assert (
        only["changes"] == [CHANGE] and only["notes"] == [] and only["before"] == {} and only["writes"] == 0
    )
    assert "stdout" not in only


def test_hidden_results_stay_hidden():
    host = host_after([event("failed", {"censored": "hidden", "msg": "password=x"})])
    assert host["failures"][0]["msg"] == "(hidden by no_log)"


def test_degraded_failure_keeps_what_was_applied():
    lost = event("failed", {**layer([CHANGE]), "msg": "degraded", "degraded": ["gpu 3"]})
    collector = Collector("site.yml", check=False, started=NOW)
    collector.add(lost)
    report = collector.report(NOW, {})
    assert report["hosts"]["n1"]["failures"][0]["degraded"] == ["gpu 3"]
    assert report["totals"]["changes"] == 1


@pytest.mark.parametrize(("first", "state"), [(APPLY, None), (ELSEWHERE, "not_reached")])
def test_hosts_never_reached_are_told_only_when_the_run_stopped(first, state):
    collector = Collector("site.yml", check=False, started=NOW)
    collector.expect(["n1", "n2"])
    collector.add(first)
    assert collector.report(NOW, {})["hosts"].get("n2", {}).get("state") == state


def test_other_tasks_changes_count_so_that_nothing_to_change_is_true():
    copy = event(result={"changed": True}, action="ansible.builtin.copy")
    host = host_after([CLEAN_PREFLIGHT, copy])
    assert (host["state"], host["other_changes"]) == ("changed", ["kernel"])
    checked = event(result={"changed": True}, action="ansible.builtin.copy", check=True)
    assert host_after([CLEAN_PREFLIGHT, checked])["state"] == "unchanged"


def test_report_shape():
    collector = Collector("site.yml", check=False, started=NOW)
    collector.add(APPLY)
    report = collector.report(NOW + timedelta(seconds=3), {})
    assert report["schema"] == 4
    assert report["run"] == {
        "playbook": "site.yml", "check": False, "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:04:08+00:00", "seconds": 3.0,
    }  # fmt: skip
    assert report["totals"]["changes"] == 1 and report["totals"]["writes"] == 2
