# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine when all goes well, and what it leaves out, reports or repairs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core import files
from ansible_collections.swarm.node.plugins.module_utils.core import store as store_module
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    LockTimeout,
    NodeError,
    RecordTooNew,
)
from ansible_collections.swarm.node.plugins.module_utils.core.model import Change, Plan, Unapplied
from ansible_collections.swarm.node.plugins.module_utils.core.store import KEEP_CHANGES, Store
from engine_fakes import FIRST, MemoryLayer, Node

WISH = {"d0": {"a": 10, "b": 20}, "d1": {"a": 10}}
TUNED = {"d0": {"a": 10, "b": 20}, "d1": {"a": 10, "b": 2}}
CLAIMS = {"a d0": (1, 10), "b d0": (2, 20), "a d1": (1, 10)}


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_order_of_calls(node):
    outcome = node.run(WISH)
    assert node.port.calls == [
        "apply d0.a", "apply d0.b", "apply d1.a", "reopen",
        "readback d0.a", "readback d0.b", "readback d1.a",
    ]  # fmt: skip
    assert node.devices == TUNED
    assert node.claims() == CLAIMS
    assert outcome.changed and not outcome.degraded


def test_second_run_writes_nothing(node):
    node.run(WISH)
    again, files = node.fresh(), node.files()
    outcome = again.run(WISH)
    assert (outcome.changed, outcome.writes, again.port.calls) == (False, 0, [])
    assert again.files() == files


def test_check_mode_writes_nothing_and_plans_the_same(node):
    planned = node.run(WISH, check=True)
    assert planned.changed and planned.writes == 0
    assert node.port.calls == []
    assert list(node.base.iterdir()) == []
    assert node.devices == FIRST
    assert node.fresh().run(WISH).plan.digest == planned.plan.digest


def test_what_is_no_longer_asked_for_goes_back_and_the_record_goes(node):
    node.run(WISH)
    node.fresh().run({"d0": {"a": 10}})
    assert node.devices == {"d0": {"a": 10, "b": 2}, "d1": {"a": 1, "b": 2}}
    assert node.claims() == {"a d0": (1, 10)}
    node.fresh().run({})
    assert node.devices == FIRST
    assert not node.store.record_path("o").exists()


def test_writes_counts_every_one(node, monkeypatch):
    real, seen = store_module.files.write_whole, []

    def noted(*arguments):
        seen.append(arguments[0])
        real(*arguments)

    monkeypatch.setattr(store_module.files, "write_whole", noted)
    outcome = node.run(WISH)
    # Three keys; journal, record and log written; the journal removed.
    assert [path.parent.name for path in seen] == ["journal", "state", "changes"]
    assert outcome.writes == 3 + len(seen) + 1
    assert outcome.as_result()["writes"] == outcome.writes


def test_record_and_journal_are_there_before_the_first_change(node):
    seen = {}

    def look(name, number, change):
        if name == "apply" and number == 1:
            seen.update(node.files())

    node.port.fault = look
    node.run(WISH, run={"job": 7})
    journal = json.loads(seen["journal/o.json"])
    assert journal["run"] == {"job": 7}
    assert [(item["key"], item["target"], item["before"], item["after"]) for item in journal["changes"]] == [
        ("a", "d0", 1, 10),
        ("b", "d0", 2, 20),
        ("a", "d1", 1, 10),
    ]
    assert json.loads(seen["o.json"])["claims"]["b d0"] == {"first_seen": 2, "applied": 20}
    assert "journal/o.json" not in node.files()


def test_the_log_tells_who_did_what(node):
    outcome = node.run(WISH, run={"user": "ann"})
    name = next(name for name in node.files() if name.startswith("changes/"))
    entry = json.loads(node.files()[name])
    assert (entry["owner"], entry["run"], entry["plan_digest"]) == ("o", {"user": "ann"}, outcome.plan.digest)


def test_the_log_keeps_the_newest(node):
    for number in range(KEEP_CHANGES + 3):
        node.store.log("o", {"number": number})
    kept = sorted((node.base / "state/changes").iterdir())
    assert [json.loads(path.read_text())["number"] for path in kept] == list(range(3, KEEP_CHANGES + 3))


def test_too_much_disruption_is_left_out_and_said(node):
    layer = MemoryLayer(node.port, {"d0": {"a": 10}}, disruption="node_jobs")
    outcome = node.run_layer(layer)
    assert [wish.reason for wish in outcome.plan.unapplied] == ["needs_more_disruption"]
    assert (outcome.changed, node.devices, node.claims()) == (False, FIRST, {})
    assert outcome.plan.after == {"a d0": 1}
    assert node.run_layer(layer, max_disruption="node_jobs").changed


@pytest.mark.parametrize("options", [{}, {"managed_by": "GPU Operator"}])
def test_a_required_change_that_is_left_out_stops_everything(node, options):
    layer = MemoryLayer(node.port, WISH, disruption="reboot", required=True)
    outcome = node.run_layer(layer, **options)
    assert len(outcome.missing_required) == 3
    assert node.port.calls == []


def test_a_missing_required_wish_writes_nothing(node):
    layer = MemoryLayer(node.port, WISH)
    layer.unapplied = [Unapplied("c", 1, "unsupported", "no such key", required=True)]
    outcome = node.run_layer(layer)
    assert [wish.key for wish in outcome.missing_required] == ["c"]
    assert (outcome.writes, node.port.calls, node.devices, node.files()) == (0, [], FIRST, {})


def test_a_manager_gets_a_report_and_keeps_its_settings(node):
    outcome = node.run(WISH, managed_by="GPU Operator")
    assert {(wish.reason, wish.detail) for wish in outcome.plan.unapplied} == {("managed_by", "GPU Operator")}
    assert (outcome.changed, outcome.writes, node.devices) == (False, 0, FIRST)
    assert list(node.base.iterdir()) == []


def test_a_manager_s_report_does_not_claim_that_anything_was_given_back(node):
    node.run(WISH)
    again = node.fresh()
    outcome = again.run({}, managed_by="GPU Operator")
    assert (outcome.changed, again.devices, again.claims()) == (False, TUNED, CLAIMS)
    given_back = {(wish.key, wish.target, wish.live, wish.wanted) for wish in outcome.plan.unapplied}
    assert given_back == {
        (key, name, TUNED[name][key], FIRST[name][key]) for name in WISH for key in WISH[name]
    }


def cut_off(node, wishes, key):
    """A run that dies, as by SIGKILL, before it applies `key`."""
    pid = os.fork()
    if pid == 0:
        node.port.fault = lambda name, number, change: os._exit(9) if change and change.key == key else None
        node.run(wishes)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def test_an_interrupted_run_is_reported_and_the_next_converges(node):
    cut_off(node, WISH, "b")
    node.devices["d0"]["a"] = 10  # What the fork did before it died.
    planned = node.fresh().run(WISH, check=True)
    assert planned.interrupted and planned.changed
    outcome = node.fresh().run(WISH)
    assert outcome.interrupted["changes"][0]["key"] == "a"
    assert any("never finished" in note for note in outcome.plan.notes)
    assert [change.key for change in outcome.plan.changes] == ["b", "a", "journal"]
    assert (node.devices, node.claims()) == (TUNED, CLAIMS)
    last = node.fresh().run(WISH)
    assert (last.changed, last.interrupted) == (False, None)


def test_after_a_cut_off_second_run_the_first_values_still_come_back(node):
    """The record names 11 as applied while 10 of the run before is live: 10 is ours all the same."""
    node.run(WISH)
    cut_off(node.fresh(), {"d0": {"a": 11, "b": 21}, "d1": {"a": 11}}, "a")
    assert node.claims()["a d0"] == (1, 11)
    node.fresh().run({})
    assert (node.devices, node.claims()) == (FIRST, {})


@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', "{}", '{"schema": "1"}', '{"schema": 1, "claims": {"a d0": {}}}', "\udcff", ""]
)
def test_a_damaged_record_is_kept_aside_and_rewritten(node, text):
    path = node.store.record_path("o")
    path.parent.mkdir(parents=True)
    path.write_text(text, errors="surrogateescape")
    assert node.run(WISH, check=True).changed
    assert path.read_text(errors="surrogateescape") == text
    outcome = node.fresh().run(WISH)
    assert any("is damaged" in note for note in outcome.plan.notes)
    assert path.with_name("o.json.damaged").read_text(errors="surrogateescape") == text
    assert node.claims() == CLAIMS
    assert not node.fresh().run(WISH).changed


@pytest.mark.parametrize("text", ["7", '"x"', "[", ""])
def test_an_unreadable_journal_is_an_interruption_too(node, text):
    path = node.store.journal_path("o")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    outcome = node.run(WISH)
    assert outcome.interrupted["started"] == "unknown"
    assert (node.devices, path.exists()) == (TUNED, False)


@pytest.mark.parametrize("check", [False, True])
def test_a_record_of_a_newer_version_is_not_touched(node, check):
    path = node.store.record_path("o")
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 2, "claims": {}}')
    with pytest.raises(RecordTooNew, match=r"newer swarm\.node"):
        node.run(WISH, check=check)
    assert path.read_text() == '{"schema": 2, "claims": {}}'
    assert (node.devices, node.port.calls) == (FIRST, [])


def test_one_owner_serves_one_layer(node):
    """Else the second layer would take the first one's settings for its own and let them go."""
    node.run(WISH)
    layer = MemoryLayer(node.fresh().port, {})
    layer.name = "another"
    with pytest.raises(NodeError, match="already holds settings of the layer 'memory_layer'"):
        node.fresh().run_layer(layer)
    assert node.claims() == CLAIMS


def test_claims_of_other_owners(node, tmp_path):
    node.run(WISH)
    (tmp_path / "state/broken.json").write_text("{")
    assert node.store.other_claims("p") == dict.fromkeys(CLAIMS, "o")
    assert node.store.other_claims("o") == {}


def test_a_second_process_waits_and_then_names_the_holder(tmp_path):
    store = Store(str(tmp_path / "state"), str(tmp_path / "run"))
    holder = (
        "import fcntl, os, sys, time; f = open(sys.argv[1], 'a+'); "
        "fcntl.flock(f, fcntl.LOCK_EX); f.truncate(0); "
        "f.write(str(os.getpid())); f.flush(); print('held', flush=True); time.sleep(60)"
    )
    (tmp_path / "run").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "run/lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout and process.stdout.readline() == "held\n"
            started = time.monotonic()
            with pytest.raises(LockTimeout) as caught, store.lock(timeout=0.2):
                pytest.fail("the lock was given twice")
            assert 0.2 <= time.monotonic() - started < 5
            assert f"process {process.pid}" in str(caught.value)
            assert str(tmp_path / "run/lock") in str(caught.value)
        finally:
            process.kill()
    with store.lock(timeout=1):
        assert (tmp_path / "run/lock").read_text() == str(os.getpid())


def test_nobody_else_can_take_the_lock(tmp_path):
    store = Store(str(tmp_path / "state"), str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lock").touch(mode=0o644)  # as an older version made it
    with store.lock():
        assert (tmp_path / "run/lock").stat().st_mode & 0o777 == 0o600


def test_a_link_is_replaced_and_its_target_s_mode_is_not_taken_over(tmp_path):
    masked = tmp_path / "masked.conf"
    masked.symlink_to("/dev/null")
    files.write_whole(masked, "text\n")
    assert not masked.is_symlink() and masked.read_text() == "text\n"
    assert masked.stat().st_mode & 0o777 == 0o644


def test_a_newer_record_of_another_owner_stops_the_run(node, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/other.json").write_text('{"schema": 99, "held": ["a d0"]}')
    with pytest.raises(RecordTooNew, match="'other' has schema 99"):
        node.run(WISH)
    assert node.devices == FIRST


def test_identical_nodes_have_one_digest_whatever_their_devices_are_called():
    def digest(uuid: str, why: str, after: int = 2) -> str:
        change = Change("gpu.power_limit", 1, after, target=uuid, target_name="gpu 0 (T4)", why=why)
        return Plan([change]).digest

    assert digest("GPU-1", "as asked for") == digest("GPU-2", "said in other words")
    assert digest("GPU-1", "") != digest("GPU-1", "", after=3)


def test_a_frozen_node_stays_as_it_is_and_says_what_it_would_change(node):
    outcome = node.run(WISH, frozen="a trial runs")
    assert (outcome.changed, outcome.writes, node.devices) == (False, 0, FIRST)
    assert {(wish.key, wish.reason, wish.detail) for wish in outcome.plan.unapplied} == {
        ("a", "frozen", "a trial runs"),
        ("b", "frozen", "a trial runs"),
    }
    assert not (node.base / "state").exists()


@pytest.mark.parametrize(
    ("text", "reason"), [("moving  to\nrack 7\n", "moving to rack 7"), ("", "no reason given")]
)
def test_the_file_that_freezes_a_node(node, text, reason):
    assert node.store.frozen() == ""
    path = node.base / "state" / "freeze"
    path.parent.mkdir()
    path.write_text(text)
    assert node.store.frozen() == f"{path}: {reason}"


def test_what_waits_for_a_reboot_is_said_by_every_run(node):
    layer = MemoryLayer(node.port, {})
    planned = Plan(pending=[{"key": "ecc", "target": "d0", "when": "reboot"}])
    layer.plan = lambda *_arguments: planned
    outcome = node.run_layer(layer)
    assert not outcome.changed and outcome.as_result()["reboot_required"]
    assert outcome.as_result()["pending"] == planned.pending


def test_a_target_that_did_not_work_from_the_start_is_degraded(node):
    layer = MemoryLayer(node.port, {"d1": {"a": 10}})
    plan = layer.plan

    def with_lost(*arguments):
        found = plan(*arguments)
        found.degraded = ["d0", "d0"]
        return found

    layer.plan = with_lost
    outcome = node.run_layer(layer)
    assert outcome.degraded == ["d0"] and node.devices["d1"]["a"] == 10


def test_what_is_too_disruptive_says_whom_it_would_disturb(node):
    layer = MemoryLayer(node.port, {"d0": {"a": 10}}, disruption="node_jobs", why="4711 python3 runs on it")
    (wish,) = node.run_layer(layer).plan.unapplied
    assert wish.detail == ("needs node_jobs, allowed is perf (node_max_disruption); 4711 python3 runs on it")
