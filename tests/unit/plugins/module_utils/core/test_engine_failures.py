# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine when things fail: every call of the port and every write of the store, one after the other."""

from __future__ import annotations

import errno
import os
import signal
import threading

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core import store as store_module
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    NotOffered,
    TargetLost,
    TransactionFailed,
)
from ansible_collections.swarm.node.plugins.module_utils.core.signals import signals_as_errors
from engine_fakes import FIRST, MemoryLayer, Node

WISH = {"d0": {"a": 10, "b": 20}, "d1": {"a": 10}}
OTHER = {"d0": {"a": 11, "b": 20}, "d1": {"b": 30}}
CALLS = [("apply", 1), ("apply", 2), ("apply", 3), ("reopen", 1)] + [("readback", n) for n in (1, 2, 3)]


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def fail_at(name, number, error):
    def fault(called, count, change):
        if (called, count) == (name, number):
            raise error

    return fault


@pytest.mark.parametrize("again", [False, True], ids=["first run", "changed second run"])
@pytest.mark.parametrize(("name", "number"), CALLS)
def test_a_failing_call_leaves_the_old_state(node, name, number, again):
    if again:
        node.run(WISH)
    old, files = {key: dict(value) for key, value in node.devices.items()}, node.files()
    run = node.fresh()
    run.port.fault = fail_at(name, number, RuntimeError("no luck"))
    with pytest.raises(TransactionFailed, match="no luck") as caught:
        run.run(OTHER if again else WISH)
    assert node.devices == old
    assert node.files() == files
    assert caught.value.not_undone == []
    assert "every change of this run was undone" in str(caught.value)
    applied = [call.split()[1] for call in run.port.calls if call.startswith("apply")]
    assert len(applied) == (number if name == "apply" else 3)
    undone = [call.split()[1] for call in run.port.calls if call.startswith("undo")]
    assert undone == applied[::-1], "undone newest first"
    assert len(caught.value.rolled_back) == len(applied)


def test_the_message_names_the_change_that_failed_and_no_other(node):
    node.port.fault = fail_at("apply", 2, RuntimeError("no luck"))
    with pytest.raises(TransactionFailed, match=r"^b \(d0\): no luck; "):
        node.run(WISH)
    again = node.fresh()
    again.port.fault = fail_at("reopen", 1, RuntimeError("no luck"))
    with pytest.raises(TransactionFailed, match=r"^no luck; "):
        again.run(WISH)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_undo_that_fails_is_listed_exactly_and_the_others_are_undone(node, number):
    def fault(called, count, change):
        if (called, count) in (("reopen", 1), ("undo", number)):
            raise RuntimeError("stuck")

    node.port.fault = fault
    with pytest.raises(TransactionFailed) as caught:
        node.run(WISH)
    key, target = [("a", "d1"), ("b", "d0"), ("a", "d0")][number - 1]
    assert caught.value.not_undone == [{"key": key, "target": target, "error": "stuck"}]
    assert "1 of 3 changes could not be undone" in str(caught.value)
    expected = {name: dict(keys) for name, keys in FIRST.items()}
    expected[target][key] = WISH[target][key]
    assert node.devices == expected
    # The journal stays, so that the next run knows.
    outcome = node.fresh().run(WISH)
    assert outcome.interrupted is not None
    assert node.fresh().run({}).changed and node.devices == FIRST


def test_an_undo_that_does_nothing_is_found_out(node):
    node.port.fault = fail_at("reopen", 1, RuntimeError("no luck"))
    undo = node.port.undo
    node.port.undo = lambda change: None if change.key == "b" else undo(change)
    with pytest.raises(TransactionFailed) as caught:
        node.run(WISH)
    assert [(item["key"], item["error"]) for item in caught.value.not_undone] == [
        ("b", "reads back 20 instead of 2")
    ]


def test_a_value_that_does_not_stay_is_found_out(node):
    node.port.ignored.add("b")
    with pytest.raises(TransactionFailed, match=r"b \(d0\): 20 was accepted, but reads back as 2") as caught:
        node.run(WISH)
    assert (node.devices, caught.value.not_undone) == (FIRST, [])


@pytest.mark.parametrize(("name", "number"), [("apply", 1), ("apply", 2), ("readback", 1), ("readback", 2)])
def test_a_lost_target_is_left_out_and_the_others_stay(node, name, number):
    def fault(called, count, change):
        if (called, count) == (name, number):
            node.port.gone.add("d0")

    node.port.fault = fault
    outcome = node.run(WISH)
    assert outcome.degraded == ["d0"]
    assert {(wish.key, wish.target, wish.reason) for wish in outcome.plan.unapplied} == {
        ("a", "d0", "lost"),
        ("b", "d0", "lost"),
    }
    assert [(change.key, change.target) for change in outcome.plan.changes] == [("a", "d1")]
    assert node.devices["d1"]["a"] == 10
    tried = {"a d0"} if number == 1 and name == "apply" else {"a d0", "b d0"}
    assert set(node.claims()) == {"a d1"} | tried, "what was tried may hold once the target is back"
    assert node.claims()["a d1"] == (1, 10)
    assert node.store.unfinished("o") is None


def test_what_was_done_to_a_lost_target_is_listed_when_the_rest_is_rolled_back(node):
    def fault(called, count, change):
        if called == "apply" and count == 2:
            node.port.gone.add("d0")
        if called == "reopen":
            raise RuntimeError("no luck")

    node.port.fault = fault
    with pytest.raises(TransactionFailed) as caught:
        node.run(WISH)
    assert [(item["key"], item["target"]) for item in caught.value.not_undone] == [("b", "d0"), ("a", "d0")]
    assert caught.value.rolled_back == ["a (d1)"]


def store_calls(monkeypatch, number, error):
    """Makes the number-th write or removal of the store fail once. Returns the calls made."""
    calls = []
    for name in ("write_whole", "remove"):
        real = getattr(store_module.files, name)

        def call(path, *arguments, real=real, name=name):
            calls.append(f"{name} {path.parent.name}")
            if len(calls) == number:
                raise error
            return real(path, *arguments)

        monkeypatch.setattr(store_module.files, name, call)
    return calls


@pytest.mark.parametrize("again", [False, True], ids=["first run", "changed second run"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_full_disk_at_any_write_leaves_the_old_state(node, monkeypatch, number, again):
    if again:
        node.run(WISH)
    old, files = {key: dict(value) for key, value in node.devices.items()}, node.files()
    run = node.fresh()
    calls = store_calls(monkeypatch, number, OSError(errno.ENOSPC, "No space left on device"))
    # The first run needs no second record write: record, journal, log, end.
    if number == 5 and not again:
        run.run(WISH)
        assert len(calls) == 4
        return
    with pytest.raises(TransactionFailed, match="No space left on device") as caught:
        run.run(OTHER if again else WISH)
    assert node.devices == old
    assert node.files() == files
    assert caught.value.not_undone == []


def test_a_disk_that_stays_full_is_said_and_the_devices_are_as_before(node, monkeypatch):
    node.run(WISH)
    old = {key: dict(value) for key, value in node.devices.items()}
    real, count = store_module.files.write_whole, []

    def full(path, *arguments):
        count.append(path)
        if len(count) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *arguments)

    monkeypatch.setattr(store_module.files, "write_whole", full)
    with pytest.raises(TransactionFailed) as caught:
        node.fresh().run(OTHER)
    assert node.devices == old
    assert [item["key"] for item in caught.value.not_undone] == ["record"]
    monkeypatch.undo()
    node.fresh().run({})
    assert node.devices == FIRST, "the first values must outlive a disk that was full"


def test_a_damaged_record_is_back_when_the_run_is_undone(node):
    path = node.store.record_path("o")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    node.port.fault = fail_at("reopen", 1, RuntimeError("no luck"))
    with pytest.raises(TransactionFailed):
        node.run(WISH)
    assert node.files() == {"o.json": "{"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize(("name", "count"), CALLS)
def test_a_signal_in_the_middle_undoes_everything(node, name, count, number):
    def fault(called, calls, change):
        if (called, calls) == (name, count):
            os.kill(os.getpid(), number)

    node.port.fault = fault
    with (
        pytest.raises(TransactionFailed, match=f"stopped by {signal.Signals(number).name}"),
        signals_as_errors(),
    ):
        node.run(WISH)
    assert node.devices == FIRST
    assert node.files() == {}


def test_signals_during_the_undoing_do_not_cut_it_short(node):
    """Also the first one: here something else has failed before."""

    def fault(called, calls, change):
        if called == "reopen":
            raise RuntimeError("no luck")
        if called == "undo":
            os.kill(os.getpid(), signal.SIGTERM)

    node.port.fault = fault
    with pytest.raises(TransactionFailed, match="no luck") as caught, signals_as_errors():
        node.run(WISH)
    assert (node.devices, caught.value.not_undone) == (FIRST, [])


def test_the_engine_works_outside_the_main_thread(node):
    node.port.fault = fail_at("reopen", 1, RuntimeError("no luck"))
    caught = []

    def run():
        try:
            node.run(WISH)
        except TransactionFailed as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [error.not_undone for error in caught] == [[]]
    assert node.devices == FIRST


def test_a_target_lost_while_undoing_is_listed(node):
    def fault(called, calls, change):
        if called == "reopen":
            raise RuntimeError("no luck")
        if called == "undo" and change.target == "d0":
            raise TargetLost("d0", "fell off the bus")

    node.port.fault = fault
    with pytest.raises(TransactionFailed) as caught:
        node.run(WISH)
    assert {item["target"] for item in caught.value.not_undone} == {"d0"}
    assert node.devices["d1"] == FIRST["d1"]


def test_a_device_that_refuses_every_write_is_not_said_to_be_half_changed(node):
    def fault(called, count, change):
        if called in ("apply", "undo") and change.key == "b":
            raise RuntimeError("refused")

    node.port.fault = fault
    with pytest.raises(TransactionFailed, match="every change of this run was undone") as caught:
        node.run(WISH)
    assert (node.devices, caught.value.not_undone) == (FIRST, [])
    assert node.fresh().run(WISH).interrupted is None


def test_what_was_done_to_a_lost_target_can_be_given_back_once_it_is_there_again(node):
    node.port.fault = lambda name, number, change: (
        node.port.gone.add("d0")
        if change and (name, change.target, change.key) == ("apply", "d0", "b")
        else None
    )
    assert node.run(WISH).degraded == ["d0"]
    assert node.devices["d0"]["a"] == WISH["d0"]["a"]
    node.fresh().run({})
    assert node.devices == FIRST


def test_what_a_device_does_not_offer_is_left_out_and_the_rest_stays(node):
    def fault(called, count, change):
        if (called, count) == ("apply", 1):
            raise NotOffered("the device has no a")

    node.port.fault = fault
    outcome = node.run(WISH)
    assert [(wish.key, wish.target, wish.reason, wish.detail) for wish in outcome.plan.unapplied] == [
        ("a", "d0", "unsupported", "the device has no a")
    ]
    assert node.devices == {"d0": {"a": 1, "b": 20}, "d1": {"a": 10, "b": 2}}
    assert set(node.claims()) == {"b d0", "a d1"}
    assert node.store.unfinished("o") is None


def test_a_required_key_that_is_not_offered_undoes_everything(node):
    def fault(called, count, change):
        if (called, count) == ("apply", 3):
            raise NotOffered("the device has no a")

    node.port.fault = fault
    with pytest.raises(TransactionFailed, match="the device has no a"):
        node.run_layer(MemoryLayer(node.port, WISH, required=True))
    assert node.devices == FIRST and node.claims() == {}
