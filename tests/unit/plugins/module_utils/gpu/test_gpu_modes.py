# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes and resets: how they are written, and what is planned for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.gpu.modes import (
    compute_name,
    compute_number,
    parse_compute_mode,
    parse_toggle,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu.settings import (
    OPTIONS,
    mistakes_in,
    parse_reset,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu.state import Gpu
from gpu_cases import H100, OFF, plan, steps
from hypothesis import given
from hypothesis import strategies as st

COMPUTE, ACCOUNTING, ECC = "gpu.compute_mode", "gpu.accounting_mode", "gpu.ecc"
PERSISTENCE, POWER, GRAPHICS = "gpu.persistence_mode", "gpu.power_limit", "gpu.graphics_clocks"


@pytest.mark.parametrize(
    ("raw", "mode"),
    [("default", "default"), (" Exclusive_Process ", "exclusive_process"), ("PROHIBITED", "prohibited")],
)
def test_compute_mode(raw: str, mode: str) -> None:
    assert parse_compute_mode(raw) == mode
    assert compute_name(compute_number(mode)) == mode


@pytest.mark.parametrize("raw", ["exclusive", "", 0, None, True, ["default"], "exclusive_thread"])
def test_compute_mode_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="'default', 'exclusive_process' or 'prohibited'"):
        parse_compute_mode(raw)


def test_exclusive_thread_is_explained() -> None:
    with pytest.raises(ValueError, match="NVIDIA has deprecated exclusive_thread"):
        parse_compute_mode("exclusive_thread")


def test_a_compute_mode_without_a_name_can_be_put_back() -> None:
    assert compute_number(str(compute_name(1))) == 1 and compute_name(None) is None


@pytest.mark.parametrize(
    ("raw", "value"), [("default", "default"), (" Default", "default"), ("on", True), (0, False)]
)
def test_toggle(raw: object, value: object) -> None:
    assert parse_toggle(raw) == value


@given(
    st.one_of(
        st.text(max_size=12), st.integers(), st.floats(), st.none(), st.lists(st.integers(), max_size=2)
    )
)
def test_parsers_refuse_with_value_error_only(raw: object) -> None:
    for parse in (parse_compute_mode, parse_toggle):
        try:
            parse(raw)
        except ValueError as error:
            assert str(error)


SELECTORS = st.one_of(st.text(max_size=14), st.integers(-3, 20), st.floats(), st.none(), st.booleans())


@given(
    st.one_of(SELECTORS, st.lists(SELECTORS, max_size=4), st.dictionaries(st.text(), SELECTORS, max_size=2))
)
def test_a_reset_is_rules_or_mistakes_never_an_exception(raw: object) -> None:
    rules, mistakes = parse_reset(raw)
    assert all(words for _value, words in mistakes)
    if isinstance(raw, list):
        assert len(rules) + len(mistakes) == len(raw)
    assert mistakes_in("reset", raw) == mistakes


@pytest.mark.parametrize(
    ("raw", "count"), [(True, 1), ("all", 1), ("yes", 1), (False, 0), ("off", 0), ([0, "5d:00.0"], 2)]
)
def test_reset(raw: object, count: int) -> None:
    rules, mistakes = parse_reset(raw)
    assert (len(rules), mistakes) == (count, [])


@pytest.mark.parametrize("raw", [0, 1, "0", "H100 80GB HBM3", {"all": True}, None])
def test_reset_refused(raw: object) -> None:
    (mistake,) = mistakes_in("reset", raw)
    assert mistake[0] == raw and "list of selectors" in mistake[1]


def test_every_option_can_be_checked_on_the_controller() -> None:
    assert set(OPTIONS) >= {"compute_mode", "ecc", "accounting_mode", "reset", "power_limit"}
    assert all(mistakes_in(option, object()) for option in OPTIONS)
    assert all(mistakes_in(option, "default") == [] for option in OPTIONS if option != "reset")


# -- compute mode


def test_compute_mode_on_an_idle_gpu_disturbs_nobody() -> None:
    (change,) = plan(H100, compute_mode="exclusive_process").changes
    assert (change.before, change.after, change.disruption) == ("default", "exclusive_process", "none")


def test_compute_mode_on_a_busy_gpu_names_who_is_disturbed() -> None:
    busy = replace(H100, computing="4711 python3 (user alice)")
    (change,) = plan(busy, compute_mode="exclusive_process").changes
    assert change.disruption == "node_jobs" and "4711 python3 (user alice)" in change.why
    claims = {f"{COMPUTE} GPU-aa": Claim("default", "prohibited")}
    (back,) = plan(replace(busy, compute_mode="prohibited"), claims=claims).changes
    assert (back.after, back.disruption) == ("default", "node_jobs")


def test_compute_mode_with_mig() -> None:
    (wish,) = plan(replace(H100, mig=True), compute_mode="prohibited").unapplied
    assert wish.reason == "unsupported" and "MIG is on" in wish.detail
    assert plan(replace(H100, mig=True), compute_mode="default").unapplied == []


# -- ECC


@pytest.mark.parametrize(
    ("current", "pending", "wish", "change", "waits"),
    [
        (True, True, True, None, False),
        (True, True, False, (True, False, "reboot", "reboot"), True),
        (True, False, False, None, True),
        (True, False, True, (False, True, "now", "none"), False),
        (False, True, False, (True, False, "now", "none"), False),
        (False, True, "default", None, True),
        (False, False, "default", (False, True, "reboot", "reboot"), True),
    ],
)
def test_ecc(current: bool, pending: bool, wish: Any, change: Any, waits: bool) -> None:
    found = plan(replace(H100, ecc_current=current, ecc_pending=pending), ecc=wish)
    assert [(c.before, c.after, c.when, c.disruption) for c in found.changes] == ([change] if change else [])
    after = change[1] if change else pending
    assert [(item["live"], item["after"], item["when"]) for item in found.pending] == (
        [(current, after, "reboot")] if waits else []
    )
    assert found.reboot_required is waits


def test_ecc_that_is_left_out_does_not_wait() -> None:
    found = plan(H100, ecc=False)
    found.withhold(found.changes[0], "needs_more_disruption", "", {})
    assert found.pending == [] and not found.reboot_required


def test_ecc_details_tell_what_runs_and_what_is_set() -> None:
    (detail,) = plan(replace(H100, ecc_pending=False), ecc=False).details
    assert (detail["live"], detail["persistent"], detail["after_reboot"]) == (True, False, False)


def test_ecc_released_goes_back_and_says_that_it_waits() -> None:
    claims = {f"{ECC} GPU-aa": Claim(True, False)}
    (change,) = plan(replace(H100, ecc_current=False, ecc_pending=False), claims=claims).changes
    assert (change.after, change.when, change.disruption) == (True, "reboot", "reboot")


@pytest.mark.parametrize("option", ["ecc", "compute_mode", "accounting_mode"])
def test_a_board_without_the_mode(option: str) -> None:
    bare = replace(
        H100, ecc_current=None, ecc_pending=None, ecc_default=None, compute_mode=None, accounting=None
    )
    value = "prohibited" if option == "compute_mode" else True
    found = plan(bare, **{option: value})
    assert [wish.reason for wish in found.unapplied] == ["unsupported"] and found.changes == []
    assert plan(bare, **{option: "default"}).unapplied == []


def test_ecc_whose_default_the_driver_does_not_tell() -> None:
    (wish,) = plan(replace(H100, ecc_default=None), ecc="default").unapplied
    assert "does not tell the board's default" in wish.detail


# -- what needs persistence, and what cannot have it


def test_accounting_needs_persistence() -> None:
    assert steps(plan(OFF, accounting_mode=True)) == [(PERSISTENCE, False, True), (ACCOUNTING, False, True)]
    with pytest.raises(BindError, match="gpu_accounting_mode is set"):
        plan(OFF, accounting_mode=True, persistence_mode=False)
    with pytest.raises(BindError, match="owner 'batch' relies on it"):
        plan(H100, persistence_mode=False, others={f"{ACCOUNTING} GPU-aa": "batch"})


def test_persistence_turned_on_by_nvml_is_noted_once() -> None:
    assert any("nvidia-persistenced" in note for note in plan(OFF, power_limit=630).notes)
    assert plan(H100, power_limit=630).notes == []


@pytest.mark.parametrize(
    "gpu", [replace(H100, persistence=None), replace(OFF, refusals={PERSISTENCE: "not supported"})]
)
def test_what_would_vanish_is_not_set(gpu: Gpu) -> None:
    found = plan(gpu, power_limit=630, graphics_clocks=1980, accounting_mode=True, compute_mode="prohibited")
    assert steps(found) == [(COMPUTE, "default", "prohibited")]
    assert {(wish.key, wish.reason) for wish in found.unapplied} == {
        (POWER, "volatile"), (GRAPHICS, "volatile"), (ACCOUNTING, "volatile"),
    }  # fmt: skip
    assert list(found.claims) == [f"{COMPUTE} GPU-aa"]
    assert plan(gpu, power_limit=700, graphics_clocks="unlocked").unapplied == []


def test_persistence_that_another_owner_has_on_record_is_turned_on_without_a_claim() -> None:
    found = plan(OFF, power_limit=630, others={f"{PERSISTENCE} GPU-aa": "base"})
    assert steps(found) == [(PERSISTENCE, False, True), (POWER, 700, 630)]
    assert list(found.claims) == [f"{POWER} GPU-aa"]


@pytest.mark.parametrize("gpu", [replace(H100, daemon=True), replace(OFF, daemon=True, held_by_daemon=True)])
def test_the_daemon_stands_against_turning_persistence_off(gpu: Gpu) -> None:
    (wish,) = plan(gpu, persistence_mode=False).unapplied
    assert (wish.reason, wish.live) == ("managed_by", True) and "--no-persistence-mode" in wish.detail
    (note,) = plan(gpu, persistence_mode="default").notes[:1]
    assert "stays on; nvidia-persistenced holds the GPU" in note
    released = plan(gpu, claims={f"{PERSISTENCE} GPU-aa": Claim(False, True)})
    assert [change.key for change in released.changes] == ["record"]
    assert "nvidia-persistenced" in released.notes[0]


def test_the_daemon_counts_as_persistence() -> None:
    assert steps(plan(replace(OFF, daemon=True, held_by_daemon=True), power_limit=630)) == [(POWER, 700, 630)]


def test_default_persistence_gives_way_to_what_needs_it() -> None:
    assert steps(plan(H100, persistence_mode="default")) == [(PERSISTENCE, True, False)]
    assert steps(plan(H100, persistence_mode="default", power_limit=630)) == [(POWER, 700, 630)]
    assert plan(H100, persistence_mode="default", others={f"{POWER} GPU-aa": "batch"}).changes == []
