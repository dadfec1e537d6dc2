# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for one GPU: changes, what is left alone, and what is refused, all without a machine."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.gpu.state import LostGpu
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.differences import differences
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.plan import plan_mig, plan_pending
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.state import (
    MigGpu,
    MigState,
    Process,
    Profile,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.wishes import parse_wish
from hypothesis import given, settings
from hypothesis import strategies as st
from mig_boards import A30, H100, board, there

MODE, LAYOUT = "gpu_mig.mode GPU-aaaa", "gpu_mig.layout GPU-aaaa"
SEVEN = [f"1g.10gb:{start}" for start in range(7)]


def plan(
    mig: Any,
    *gpus: MigGpu,
    claims: dict[str, Claim] | None = None,
    others: dict[str, str] | None = None,
    required: list[str] | None = None,
    absent: bool = False,
    **state: Any,
) -> Plan:
    wish = parse_wish(mig, {"halves": ["3g.40gb", "3g.40gb"]}, {"mig": "group train"}, required or [])
    record = Record("gpu_mig", claims)
    return plan_mig(wish, MigState(gpus, **state), record, others or {}, absent)


def off(**options: Any) -> MigGpu:
    return board(current=False, pending=False, **options)


def steps(found: Plan) -> list[tuple[str, Any, Any, str]]:
    return [(item.key, item.before, item.after, item.disruption) for item in found.changes]


def reasons(found: Plan) -> list[tuple[str, str]]:
    return [(item.key, item.reason) for item in found.unapplied]


# -- the mode


def test_from_off_to_a_layout() -> None:
    found = plan("halves", off())
    assert steps(found) == [
        ("gpu_mig.mode", "disabled", "enabled", "node_jobs"),
        ("gpu_mig.layout", [], ["3g.40gb:0", "3g.40gb:4"], "node_jobs"),
    ]
    assert found.claims == {
        MODE: Claim("disabled", "enabled"),
        LAYOUT: Claim([], ["3g.40gb:0", "3g.40gb:4"]),
    }
    assert found.after == {MODE: "enabled", LAYOUT: ["3g.40gb:0", "3g.40gb:4"]}
    assert {change.origin for change in found.changes} == {"group train"}
    assert any("CDI" in note for note in found.notes)


def test_off_destroys_first() -> None:
    found = plan(False, board("3g.40gb:4"))
    assert steps(found) == [
        ("gpu_mig.layout", ["3g.40gb:4"], [], "node_jobs"),
        ("gpu_mig.mode", "enabled", "disabled", "node_jobs"),
    ]
    assert found.claims == {MODE: Claim("enabled", "disabled"), LAYOUT: Claim(["3g.40gb:4"], [])}


@pytest.mark.parametrize(("mig", "gpu"), [("enabled", board("3g.40gb:0")), ("disabled", off())])
def test_a_mode_that_is_so_already_is_put_on_record(mig: str, gpu: MigGpu) -> None:
    found = plan(mig, gpu)
    assert [change.key for change in found.changes] == ["record"]
    assert found.claims == {MODE: Claim(mig, mig)}
    again = plan(mig, gpu, claims=found.claims)
    assert again.changes == [] and again.claims == found.claims


def test_a_mode_is_not_changed_under_a_process() -> None:
    found = plan("halves", off(processes=(Process(4711, "4711 python3"),)))
    assert found.changes == [] and reasons(found) == [("gpu_mig.mode", "busy"), ("gpu_mig.layout", "busy")]
    assert all("4711 python3" in item.detail for item in found.unapplied)
    assert found.claims == {}


def test_a_mode_that_waits_is_listed_until_it_is_there() -> None:
    gpu = board(architecture=7, current=False, pending=True)
    found = plan("halves", gpu, claims={MODE: Claim("disabled", "enabled")})
    assert found.changes == [] and reasons(found) == [("gpu_mig.layout", "needs_reset")]
    assert "nvidia-smi --gpu-reset -i 0" in found.unapplied[0].detail
    (waiting,) = found.pending
    assert (waiting["live"], waiting["after"], waiting["when"]) == ("disabled", "enabled", "reboot")
    assert found.reboot_required and found.claims == {MODE: Claim("disabled", "enabled")}


def test_what_waits_and_is_not_wished_is_taken_back() -> None:
    found = plan("enabled", board(architecture=7, pending=False))
    assert steps(found) == [("gpu_mig.mode", "disabled", "enabled", "none")]
    assert found.changes[0].undo == "none" and "taken back" in found.changes[0].why


# -- the layout


@pytest.mark.parametrize(
    ("mig", "live", "after", "disruption"),
    [
        ("all-1g.10gb", [], SEVEN, "none"),
        ({"1g.10gb": 3}, ["1g.10gb:0"], ["1g.10gb:0", "1g.10gb:5", "1g.10gb:6"], "none"),
        ({"3g.40gb": 2}, ["3g.40gb:0", "2g.20gb:4"], ["3g.40gb:0", "3g.40gb:4"], "node_jobs"),
        ({"3g.40gb": 1}, ["1g.10gb:4"], ["3g.40gb:4"], "node_jobs"),
        ({"3g.40gb": 1, "1g.10gb": 1}, ["1g.10gb:4"], ["3g.40gb:0", "1g.10gb:4"], "none"),
        ({"3g.40gb:4": 1}, ["3g.40gb:0"], ["3g.40gb:4"], "node_jobs"),
        ("balanced", [], ["1g.10gb:0", "1g.10gb:1", "2g.20gb:2", "3g.40gb:4"], "none"),
        ({"3g.40gb": {"compute": ["2c", "1c"]}}, ["3g.40gb:4 (2c)"], ["3g.40gb:4 (2c, 1c)"], "none"),
        ({"3g.40gb": {"compute": ["2c", "1c"]}}, ["3g.40gb:4"], ["3g.40gb:4 (2c, 1c)"], "node_jobs"),
        ({"3g.40gb": {"compute": ["1c"]}}, ["3g.40gb:4 (2c, 1c)"], ["3g.40gb:4 (1c)"], "node_jobs"),
        # Of two, the one that needs no other compute instances serves.
        (["3g.40gb"], ["3g.40gb:0 (1c)", "3g.40gb:4"], ["3g.40gb:4"], "node_jobs"),
    ],
)
def test_layouts(mig: Any, live: list[str], after: list[str], disruption: str) -> None:
    found = plan(mig, board(*live))
    assert steps(found) == [("gpu_mig.layout", board(*live).layout, after, disruption)]
    settled = plan(mig, board(*after), claims=found.claims)
    assert settled.changes == [] and settled.claims == found.claims


def test_balanced_on_four_slices() -> None:
    found = plan("balanced", off(profiles=A30))
    assert found.changes[1].after == ["1g.6gb:0", "1g.6gb:1", "2g.12gb:2"]


def test_a_layout_that_is_so_already_is_put_on_record() -> None:
    found = plan("halves", board("3g.40gb:0", "3g.40gb:4"))
    assert [change.key for change in found.changes] == ["record"]
    assert found.claims[LAYOUT] == Claim(["3g.40gb:0", "3g.40gb:4"], ["3g.40gb:0", "3g.40gb:4"])


def test_the_first_layout_stays_on_record() -> None:
    claims = {MODE: Claim("disabled", "enabled"), LAYOUT: Claim([], SEVEN)}
    found = plan("halves", board(*SEVEN), claims=claims)
    assert found.claims[LAYOUT] == Claim([], ["3g.40gb:0", "3g.40gb:4"])


def test_idle_instances_go_before_one_in_use() -> None:
    used = (Process(4711, "4711 python3", instance=1, compute=0),)
    found = plan({"3g.40gb": 1, "1g.10gb": 1}, board("1g.10gb:4", "1g.10gb:0", "1g.10gb:1", processes=used))
    assert found.changes[0].after == ["3g.40gb:0", "1g.10gb:4"]


def test_an_instance_in_use_is_never_destroyed() -> None:
    used = (Process(4711, "4711 python3 (user ann)", instance=2, compute=0),)
    found = plan("halves", board("1g.10gb:0", "1g.10gb:4", processes=used))
    assert [change.key for change in found.changes] == ["record"], "MIG is on as asked for"
    (wish,) = found.unapplied
    assert (wish.key, wish.reason) == ("gpu_mig.layout", "busy")
    assert "4711 python3 (user ann)" in wish.detail and "1g.10gb:4" in wish.detail
    assert LAYOUT not in found.claims


def test_a_compute_instance_in_use_is_never_destroyed() -> None:
    used = (Process(4711, "4711 a", instance=1, compute=0),)
    found = plan({"3g.40gb": {"compute": ["1c", "1c"]}}, board("3g.40gb:0 (2c, 1c)", processes=used))
    assert reasons(found) == [("gpu_mig.layout", "busy")]
    idle = plan({"3g.40gb": {"compute": ["2c"]}}, board("3g.40gb:0 (2c, 1c)", processes=used))
    assert steps(idle)[0][2] == ["3g.40gb:0 (2c)"]


@pytest.mark.parametrize("used", [0, 1, 2])
def test_of_equal_compute_instances_the_idle_ones_go(used: int) -> None:
    process = (Process(4711, "4711 a", instance=1, compute=used),)
    gpu = board("3g.40gb:0 (1c, 1c, 1c)", processes=process)
    found = plan({"3g.40gb": {"compute": ["1c"]}}, gpu)
    assert found.unapplied == [] and steps(found)[0][2] == ["3g.40gb:0 (1c)"]
    # A larger one needs the room of two: which two is the choice of places.
    wide = plan({"3g.40gb": {"compute": ["2c", "1c"]}}, gpu)
    assert [reason for _key, reason in reasons(wide)] == ([] if used == 2 else ["busy"])


def test_a_process_of_unknown_place_may_be_anywhere() -> None:
    found = plan("halves", board("1g.10gb:0", processes=(Process(9, "9 x"),)))
    assert reasons(found) == [("gpu_mig.layout", "busy")]
    # What only adds does not ask who is there.
    assert plan({"1g.10gb": 2}, board("1g.10gb:0", processes=(Process(9, "9 x"),))).unapplied == []


def test_where_the_driver_tells_no_places_compute_instances_are_all_made_anew() -> None:
    instance = there("3g.40gb:0 (1c)", 1, inside=None)
    found = plan({"3g.40gb": {"compute": ["1c", "1c"]}}, board(instances=(instance,)))
    assert steps(found) == [("gpu_mig.layout", ["3g.40gb:0 (1c)"], ["3g.40gb:0 (1c, 1c)"], "node_jobs")]


def test_one_owner_per_gpu() -> None:
    with pytest.raises(BindError, match="one owner per key; 'batch' holds it on this GPU"):
        plan("halves", board(), others={MODE: "batch"})
    assert plan({"0": None}, board(), others={MODE: "batch"}).changes == []


@pytest.mark.parametrize(
    ("mig", "words"),
    [
        (
            "all-1g.5gb",
            "gpu_mig: '1g.5gb' on gpu 0 (H100 80GB HBM3) is refused (from group train); allowed: a profile "
            "that H100 80GB HBM3 has: 1g.10gb, 1g.10gb+me, 1g.20gb, 2g.20gb, 3g.40gb, 4g.40gb, 7g.80gb",
        ),
        (["3g.40gb"] * 3, "'3 × 3g.40gb'"),
        (["3g.40gb"] * 3, "at most 2 × 3g.40gb by themselves; of what is asked for, for example 2 × 3g.40gb"),
        ({"1g.10gb+me": 2}, "at most 1 × 1g.10gb+me"),
        (["3g.40gb", "3g.40gb", "1g.10gb"], "for example 1 × 1g.10gb + 1 × 3g.40gb"),
        ("3g.40gb:2", "3g.40gb beginning at memory slice 0, 4"),
        ({"9": "halves"}, "a GPU this node has: 0 = GPU-aaaa (H100 80GB HBM3"),
        ({"0000:5e:00.0": "halves"}, "a GPU this node has"),
    ],
)
def test_refusals(mig: Any, words: str) -> None:
    with pytest.raises(BindError) as refused:
        plan(mig, board("7g.80gb:0"))
    assert words in str(refused.value)


def test_all_of_a_profile_without_a_place_is_refused_and_destroys_nothing() -> None:
    placeless = {**H100, "1g.10gb": Profile("1g.10gb", 19, 1, 7)}
    with pytest.raises(BindError, match=r"'all-1g\.10gb'.*a profile that has a place"):
        plan("all-1g.10gb", board("3g.40gb:0", profiles=placeless))


def test_the_same_mistake_on_two_gpus_is_one_problem() -> None:
    with pytest.raises(BindError) as refused:
        plan("all-1g.5gb", board(), board(index=1, uuid="GPU-bbbb"))
    (problem,) = refused.value.problems
    assert problem.target == "gpu 0 (H100 80GB HBM3), gpu 1 (H100 80GB HBM3)"


@pytest.mark.parametrize(
    ("gpu", "detail"),
    [
        (board(current=None, pending=None), "H100 80GB HBM3 has no MIG"),
        (board(current=None, pending=None, virtual_guest=True), "a vGPU guest"),
        (off(profiles={}), "the driver lists no MIG profiles while MIG is off"),
    ],
)
def test_what_a_board_cannot(gpu: MigGpu, detail: str) -> None:
    found = plan("halves", gpu, required=["gpu_mig"])
    (wish,) = found.unapplied
    assert (wish.reason, wish.required) == ("unsupported", True) and wish.detail.startswith(detail)
    off_there = plan("disabled", gpu)
    assert off_there.unapplied == [] and not [item for item in off_there.changes if item.key != "record"]


def test_the_most_specific_selector_counts() -> None:
    mig = {"all": "all-1g.10gb", "H100 80GB HBM3": "halves", "0000:5e:00.0": "disabled", "2": None}
    gpus = [
        board(index=index, uuid=f"GPU-{index}", bus_id=bus, instances=())
        for index, bus in enumerate(("0000:5d:00.0", "0000:5e:00.0", "0000:5f:00.0"))
    ]
    found = plan(mig, *gpus)
    assert [(item.target, item.key) for item in found.changes] == [
        ("GPU-0", "gpu_mig.layout"),
        ("GPU-1", "gpu_mig.mode"),
    ]


def test_a_map_for_other_nodes_is_noted() -> None:
    found = plan({"L40S": "disabled"}, board())
    assert found.changes == [] and found.notes == ["gpu_mig names only L40S; this node has H100 80GB HBM3"]


# -- giving back

HALVES = {MODE: Claim("disabled", "enabled"), LAYOUT: Claim([], ["3g.40gb:0", "3g.40gb:4"])}


def test_back_to_off() -> None:
    found = plan(None, board("3g.40gb:0", "3g.40gb:4"), claims=HALVES)
    assert steps(found) == [
        ("gpu_mig.layout", ["3g.40gb:0", "3g.40gb:4"], [], "node_jobs"),
        ("gpu_mig.mode", "enabled", "disabled", "node_jobs"),
    ]
    assert found.claims == {}


def test_back_to_the_first_layout_at_its_places() -> None:
    claims = {
        MODE: Claim("enabled", "enabled"),
        LAYOUT: Claim(["2g.20gb:4", "3g.40gb:0 (2c, 1c)"], ["3g.40gb:0", "3g.40gb:4"]),
    }
    found = plan(None, board("3g.40gb:0", "3g.40gb:4"), claims=claims)
    assert steps(found)[0][2] == ["3g.40gb:0 (2c, 1c)", "2g.20gb:4"]


def test_back_to_on() -> None:
    claims = {MODE: Claim("enabled", "disabled"), LAYOUT: Claim(["3g.40gb:4"], [])}
    found = plan(None, off(), claims=claims)
    assert [(item.key, item.after) for item in found.changes] == [
        ("gpu_mig.mode", "enabled"),
        ("gpu_mig.layout", ["3g.40gb:4"]),
    ]


@pytest.mark.parametrize(
    ("gpu", "claims", "words"),
    [
        # Somebody has made another instance since.
        (board("3g.40gb:0", "2g.20gb:4"), HALVES, "is no longer asked for; it is 3g.40gb:0, 2g.20gb:4, not"),
        # Somebody has destroyed them all.
        (
            board(),
            {MODE: Claim("enabled", "enabled"), LAYOUT: Claim(["7g.80gb:0"], ["3g.40gb:0"])},
            "it is without instances, not 3g.40gb:0",
        ),
        # Only the mode was ours.
        (board("1g.10gb:0"), {MODE: Claim("disabled", "enabled")}, "MIG stays on, as there are instances"),
        (board("3g.40gb:0"), {LAYOUT: Claim(None, ["3g.40gb:0"])}, "what was seen first is unknown"),
        (
            board("3g.40gb:0"),
            {MODE: Claim(None, "enabled")},
            "stays enabled, as what was seen first is unknown",
        ),
        (off(), {MODE: Claim("enabled", "enabled")}, ""),
        (board("3g.40gb:0"), {LAYOUT: Claim(["5g.50gb:0"], ["3g.40gb:0"])}, "cannot be made again"),
    ],
)
def test_what_is_not_ours_stays(gpu: MigGpu, claims: dict[str, Claim], words: str) -> None:
    found = plan(None, gpu, claims=claims)
    mine = [change for change in found.changes if change.key == "gpu_mig.layout"]
    assert mine == [] and found.claims == {}
    assert any(words in note for note in found.notes) or not words


def test_after_a_reboot_there_is_nothing_to_give_back() -> None:
    found = plan(None, off(), claims=HALVES)
    assert [change.key for change in found.changes] == ["record"] and found.claims == {}
    ampere = plan(None, board(architecture=7), claims=HALVES)
    assert [(item.key, item.after) for item in ampere.changes] == [("gpu_mig.mode", "disabled")]


def test_what_a_killed_run_left_is_ours() -> None:
    """It had halves, was to become seven, and was killed with some of each; or with nothing at all."""
    claims = {MODE: Claim("enabled", "enabled"), LAYOUT: Claim(["2g.20gb:0"], SEVEN)}
    begun = {LAYOUT: ["3g.40gb:0", "3g.40gb:4", *SEVEN]}
    for live in (["3g.40gb:0", "1g.10gb:6"], ["3g.40gb:0 (none)"], []):
        found = plan(None, board(*live), claims=claims, begun=begun)
        assert found.changes[0].after == ["2g.20gb:0"], live


def test_giving_back_waits_for_processes() -> None:
    used = (Process(4711, "4711 a", instance=1),)
    found = plan(None, board("3g.40gb:0", "3g.40gb:4", processes=used), claims=HALVES)
    assert found.changes == [] and {reason for _key, reason in reasons(found)} == {"busy"}
    assert found.claims == HALVES


def test_a_gpu_that_is_away() -> None:
    assert plan("halves", claims=HALVES).claims == HALVES
    gone = plan(None, claims=HALVES, absent=True)
    assert gone.claims == {} and all("is forgotten" in note for note in gone.notes)


LOST = LostGpu(1, "GPU-bbbb no longer answers", uuid="GPU-bbbb", name="NVIDIA H100 80GB HBM3")


def test_a_gpu_that_does_not_work_is_left_out() -> None:
    """The others get their layout, and the host fails as degraded; what is on record stays there."""
    claims = {"gpu_mig.layout GPU-bbbb": Claim([], SEVEN)}
    found = plan({"all": "halves", "GPU-bbbb": "all-1g.10gb"}, board(), claims=claims, lost=(LOST,))
    assert [item.target for item in found.changes] == ["GPU-aaaa"]
    assert found.degraded == ["gpu 1 (H100 80GB HBM3)"]
    (wish,) = found.unapplied
    assert (wish.key, wish.reason, wish.wanted) == ("gpu_mig.layout", "lost", "all-1g.10gb")
    assert found.claims["gpu_mig.layout GPU-bbbb"] == Claim([], SEVEN)
    assert plan({"all": "halves", "1": None}, board(), lost=(LOST,)).degraded == []


# -- the rest


def test_before_the_binding_is_there() -> None:
    wish = parse_wish("halves", {"halves": ["3g.40gb"]}, {}, [])
    found = plan_pending(wish, Record("gpu_mig", HALVES), "not yet")
    assert reasons(found) == [("gpu_mig.layout", "not_installed")] and found.claims == HALVES


def test_differences_name_what_is_declared_and_what_is_found() -> None:
    found = differences(plan("halves", off()))
    assert [str(item) for item in found] == [
        "gpu_mig.mode on gpu 0 (H100 80GB HBM3): declared (from group train) is enabled, found is disabled",
        "gpu_mig.layout on gpu 0 (H100 80GB HBM3): declared (from group train) is 3g.40gb:0, 3g.40gb:4, "
        "found is no instance",
    ]
    assert differences(plan("halves", board("3g.40gb:0", "3g.40gb:4"))) == []
    waiting = differences(plan("enabled", board(current=False, pending=True)))
    assert "declared is enabled, found is disabled: it needs a reset" in str(waiting[0])
    busy = differences(plan("halves", board("1g.10gb:0", processes=(Process(9, "9 x"),))))
    assert "busy" in str(busy[0]) and "9 x" in str(busy[0])


layouts = st.lists(st.sampled_from(sorted(H100)), min_size=1, max_size=7)


@settings(max_examples=80, deadline=None)
@given(layouts, layouts)
def test_a_plan_on_its_own_result_is_empty(first: list[str], second: list[str]) -> None:
    try:
        one = plan(first, board())
        two = plan(second, board(*one.changes[0].after), claims=one.claims)
    except BindError:
        return
    after = two.after[LAYOUT]
    three = plan(second, board(*after), claims=two.claims)
    assert three.changes == [] and three.after[LAYOUT] == after
    if one.changes[0].after != after:
        kept = set(one.changes[0].after) & set(after)
        profiles = {text.partition(":")[0] for text in after}
        same = [text for text in one.changes[0].after if text.partition(":")[0] in profiles]
        assert len(kept) <= len(same) and two.changes[0].disruption in ("none", "node_jobs")
