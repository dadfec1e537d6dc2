# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel layer's plan, case by case: what is wished of a node in which state, and what comes of it."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.kernel.model import Live
from ansible_collections.swarm.node.plugins.module_utils.kernel.tuned import THP_ENABLED, Tuned
from kernel_cases import (
    LIVE,
    OUR_TMPFILES,
    OURS,
    applied,
    claims_of,
    plan,
    reasons,
    state,
    steps,
    text_of,
    values,
)

SWAP = "vm.swappiness"
MAPS = "vm.max_map_count"
RMEM = "net.ipv4.tcp_rmem"
PIN = "vm.swappiness = 10\n"


def own(*lines: str) -> dict[str, str | None]:
    """Our drop-in with these lines, as we write it."""
    header = '# Written by swarm.node for owner "t". It is replaced whole by the next run:\n'
    return {
        OURS: header + "# change the inventory, not this file.\n" + "".join(f"{line}\n" for line in lines)
    }


def test_a_setting_is_set_live_first_and_then_in_the_file():
    found = plan({SWAP: 10})
    assert [(item.key, item.before, item.after) for item in found.changes[:1]] == [(SWAP, "60", "10")]
    assert [item.key for item in found.changes] == [SWAP, "file"]
    assert text_of(found).endswith(PIN)
    assert claims_of(found) == {SWAP: ("60", "10")}
    assert (found.before, found.after) == ({SWAP: "60"}, {SWAP: "10"})
    change = found.changes[0]
    assert (change.origin, change.undo, change.verify, change.when) == ("group g", "exact", "readback", "now")


def test_a_value_that_is_live_already_is_still_made_to_last():
    found = plan({SWAP: 60})
    assert steps(found) == []
    assert text_of(found).endswith("vm.swappiness = 60\n")
    assert claims_of(found) == {SWAP: ("60", "60")}


def test_lists_and_tabs_compare_as_the_kernel_prints_them():
    node = state(files=own("net.ipv4.tcp_rmem = 4096 131072 6291456"))
    assert plan({RMEM: [4096, 131072, 6291456]}, node, {RMEM: ("1 2 3", LIVE[RMEM])}).changes == []
    assert plan({RMEM: "4096\t131072  6291456"}, node, {RMEM: ("1 2 3", LIVE[RMEM])}).changes == []


@pytest.mark.parametrize(
    ("wish", "live", "claim", "line", "expected", "kept"),
    [
        pytest.param(">=100", "50", None, None, [("50", "100")], ("50", "100"), id="lower"),
        pytest.param(">=100", "200", None, None, [], None, id="higher, not ours: nothing is held"),
        pytest.param(">=100", "100", None, None, [], None, id="equal, not ours"),
        pytest.param(">=100", "100", ("50", "100"), "100", [], ("50", "100"), id="ours"),
        pytest.param(
            ">=100", "200", ("50", "100"), "100", [], ("50", "100"), id="raised by others over ours"
        ),
        pytest.param(">=150", "200", ("50", "100"), "100", [], ("50", "150"), id="raised wish under others"),
        pytest.param(">=150", "100", ("50", "100"), "100", [("100", "150")], ("50", "150"), id="raised wish"),
        pytest.param(">=80", "100", ("50", "100"), "100", [], ("50", "100"), id="lowered wish never lowers"),
        pytest.param(
            ">=100", "60", ("50", "150"), "150", [("60", "100")], ("50", "100"), id="lowered by others"
        ),
        pytest.param(
            ">=100", "60", ("50", "100"), "100", [("60", "100")], ("50", "100"), id="lowered, same wish"
        ),
        pytest.param(">=100", "200", None, "100", [], (None, "100"), id="record lost, raised by others"),
    ],
)
def test_floors(wish, live, claim, line, expected, kept):
    files = own(f"vm.max_map_count = {line}") if line else None
    node = state({MAPS: live}, files=files)
    found = plan({MAPS: wish}, node, {MAPS: claim} if claim else None)
    assert [(before, after) for _key, before, after in steps(found)] == expected
    assert claims_of(found).get(MAPS) == kept
    again = plan({MAPS: wish}, applied(node, found), claims_of(found))
    assert again.changes == []
    assert claims_of(again) == claims_of(found)


def test_a_floor_of_three_numbers_counts_number_by_number():
    found = plan({RMEM: ">=4096 87380 268435456"})
    assert steps(found) == [(RMEM, LIVE[RMEM], "4096 131072 268435456")]


@pytest.mark.parametrize("name", ["10-map-count.conf", "95-late.conf"])
def test_our_file_never_lowers_what_another_file_raises_further(name):
    """Our own earlier pin of 100 must not win over the 1048576 that an upgrade of systemd brings."""
    node = state(
        {MAPS: "100"}, {f"/usr/lib/sysctl.d/{name}": "vm.max_map_count=1048576"}, files=own(f"{MAPS} = 100")
    )
    found = plan({MAPS: ">=100"}, node, {MAPS: ("50", "100")})
    assert steps(found) == [(MAPS, "100", "1048576")]
    assert text_of(found).endswith("vm.max_map_count = 1048576\n")
    assert reasons(found) == []


def test_a_floor_that_holds_is_left_alone_whatever_the_boot_files_say():
    node = state({MAPS: "200"}, {"/usr/lib/sysctl.d/10-map-count.conf": "vm.max_map_count=1048576"})
    assert plan({MAPS: ">=100"}, node).changes == []


def test_a_later_file_that_satisfies_the_floor_is_no_shadow():
    node = state({MAPS: "2000000"}, {"/etc/sysctl.d/99-x.conf": "vm.max_map_count=1048576"})
    assert plan({MAPS: ">=1048576"}, node).unapplied == []


def test_a_missing_key_is_unsupported_and_no_failure():
    found = plan({"kernel.sched_latency_ns": 1, SWAP: 10})
    assert reasons(found) == [("kernel.sched_latency_ns", "unsupported")]
    assert "/proc/sys/kernel/sched_latency_ns" in found.unapplied[0].detail
    assert "sched_latency" not in (text_of(found) or "")
    assert steps(found) == [(SWAP, "60", "10")]


def test_read_only_with_another_value_is_reported():
    found = plan({SWAP: 10}, state(vm__swappiness=Live(True, "60", False)))
    assert reasons(found) == [(SWAP, "readonly")]
    assert (found.changes, found.after) == ([], {SWAP: "60"})


def test_read_only_with_the_right_value_is_fine():
    found = plan({SWAP: 60}, state(vm__swappiness=Live(True, "60", False)))
    assert (found.changes, found.unapplied, found.claims) == ([], [], {})


def test_read_only_with_the_right_value_keeps_what_is_held():
    node = state(files=own("vm.swappiness = 10"), vm__swappiness=Live(True, "10", False))
    found = plan({SWAP: 10}, node, {SWAP: ("60", "10")})
    assert (found.changes, claims_of(found)) == ([], {SWAP: ("60", "10")})


def test_a_required_wish_is_marked_in_either_spelling():
    for name in ("kernel.absent", "kernel/absent"):
        assert plan({"kernel.absent": 1}, required=[name]).unapplied[0].required
    assert not plan({"kernel.absent": 1}).unapplied[0].required
    assert [item.required for item in plan({SWAP: 1}, required=["vm/swappiness"]).changes[:1]] == [True]


@pytest.mark.parametrize(
    ("path", "text", "shadowed"),
    [
        ("/etc/sysctl.d/95-site.conf", "vm.swappiness=60", True),
        ("/etc/sysctl.d/99-sysctl.conf", "vm/swappiness = 60", True),
        ("/etc/sysctl.d/99-sysctl.conf", "-vm.swappiness = 60", True),
        ("/etc/sysctl.d/10-early.conf", "vm.swappiness=60", False),
        ("/etc/sysctl.d/95-site.conf", "vm.swappiness=10", False),
        ("/etc/sysctl.d/95-site.conf", "#vm.swappiness=60\n;vm.swappiness=60", False),
        ("/etc/sysctl.d/95-site.conf", "vm.swap*=60", False),
        ("/etc/sysctl.d/95-site.conf", "-vm.swappiness", True),
        ("/etc/sysctl.d/10-early.conf", "-vm.swappiness", False),
        ("/etc/sysctl.d/95-site.conf", "vm.swappiness=60\nvm.swappiness=10", False),
        ("/etc/sysctl.d/95-site.conf", "vm.swappiness=10\nvm.swappiness=60", True),
        ("/etc/sysctl.d/89-a.conf", "vm.swappiness=10\nvm.swappiness=60", False),
    ],
)
def test_shadowed_by_another_boot_file(path, text, shadowed):
    found = plan({SWAP: 10}, state(boot={path: text}))
    assert reasons(found) == ([(SWAP, "shadowed_by")] if shadowed else [])
    assert bool(found.changes) is not shadowed
    if shadowed:
        assert path in found.unapplied[0].detail


def test_a_shadowed_key_that_we_held_stays_held():
    node = state(
        {SWAP: "10"}, {"/etc/sysctl.d/99-x.conf": "vm.swappiness=60"}, files=own("vm.swappiness = 10")
    )
    found = plan({SWAP: 10}, node, {SWAP: ("60", "10")})
    assert reasons(found) == [(SWAP, "shadowed_by")]
    assert (found.changes, claims_of(found)) == ([], {SWAP: ("60", "10")})
    assert found.details[0]["after_reboot"] == "60"


@pytest.mark.parametrize(
    ("held", "reapply", "wish", "shadowed"),
    [
        ("60", False, 10, True),
        ("60", True, 10, False),
        ("10", False, 10, False),
        (">60", False, 10, True),
        (">5", False, 10, False),
        ("<5", False, 10, True),
        ("<60", False, 10, False),
        ("60", False, ">=10", False),
        (">60", False, ">=10", False),
        ("5", False, ">=10", True),
    ],
)
def test_tuned_holds_a_sysctl_unless_it_applies_sysctl_d_again(held, reapply, wish, shadowed):
    tuned = Tuned("latency", {"vm/swappiness": held}, {}, reapply)
    found = plan({SWAP: wish}, state({SWAP: "7"}, tuned=tuned))
    assert reasons(found) == ([(SWAP, "shadowed_by")] if shadowed else [])
    if shadowed:
        assert "tuned profile latency" in found.unapplied[0].detail


def test_tuned_holds_transparent_huge_pages_whatever_it_reapplies():
    tuned = Tuned("hpc", {}, {THP_ENABLED: "always"}, True)
    assert reasons(plan(thp="never", node=state(tuned=tuned))) == [("thp.enabled", "shadowed_by")]
    assert reasons(plan(thp="always", node=state(tuned=tuned))) == []


@pytest.mark.parametrize(
    ("path", "shadowed"), [("/etc/tmpfiles.d/10-thp.conf", True), ("/etc/tmpfiles.d/95-thp.conf", False)]
)
def test_of_tmpfiles_the_first_line_for_a_path_wins(path, shadowed):
    found = plan(thp="never", node=state(tmpfiles={path: f"w {THP_ENABLED} - - - - always"}))
    assert reasons(found) == ([("thp.enabled", "shadowed_by")] if shadowed else [])


def test_thp_lasts_by_tmpfiles_and_not_by_sysctl():
    found = plan(thp="always")
    assert steps(found) == [("thp.enabled", "madvise", "always")]
    assert text_of(found, OUR_TMPFILES).endswith(f"w {THP_ENABLED} - - - - always\n")
    assert [item.target for item in found.changes if item.key == "file"] == [OUR_TMPFILES]


def test_congestion_control_that_the_kernel_does_not_offer():
    found = plan({"net.ipv4.tcp_congestion_control": "bbr3"})
    assert reasons(found) == [("net.ipv4.tcp_congestion_control", "unsupported")]
    assert "reno, cubic, bbr" in found.unapplied[0].detail


@pytest.mark.parametrize("wishes", [{SWAP: 10, RMEM: ">=1 2 9999999"}, {"vm.dirty_bytes": 1048576}, {}])
def test_the_second_run_is_empty(wishes):
    node = state()
    first = plan(wishes, node, thp="never")
    second = plan(wishes, applied(node, first), claims_of(first), thp="never")
    assert (second.changes, second.unapplied, second.notes) == ([], [], [])
    assert claims_of(second) == claims_of(first)


def test_drift_is_set_again_and_the_value_seen_first_stays():
    node = state({SWAP: "33"}, files=own("vm.swappiness = 10"))
    found = plan({SWAP: 10}, node, {SWAP: ("60", "10")})
    assert steps(found) == [(SWAP, "33", "10")]
    assert claims_of(found) == {SWAP: ("60", "10")}


def test_an_edited_file_is_replaced_and_a_copy_kept():
    edited = own("vm.swappiness = 10", "vm.laptop_mode = 5")
    found = plan({SWAP: 10}, state({SWAP: "10"}, files=edited), {SWAP: ("60", "10")})
    assert [(item.key, item.data["edited"], item.why) for item in found.changes] == [
        ("file", True, "edited by hand")
    ]
    assert any("edited by hand" in note for note in found.notes)


def test_an_unchanged_file_is_not_called_edited():
    node = state({SWAP: "10"}, files=own("vm.swappiness = 10"))
    found = plan({SWAP: 20}, node, {SWAP: ("60", "10")})
    assert [item.data["edited"] for item in found.changes if item.key == "file"] == [False]


def test_after_a_lost_record_the_first_value_is_unknown():
    found = plan({SWAP: 10}, state({SWAP: "10"}, files=own("vm.swappiness = 10")))
    assert claims_of(found) == {SWAP: (None, "10")}


def test_details_tell_what_explain_shows():
    """The node as it was found: what is only planned is not said to be so."""

    def told(found, *names):
        return [{item["key"]: item for item in found.details}[SWAP][name] for name in names]

    wishes = {SWAP: 10, MAPS: ">=1", "kernel.absent": 1}
    first = plan(wishes)
    names = ("live", "persistent", "after_reboot", "owner", "origin")
    assert told(first, *names) == ["60", None, None, None, "group g"]
    detail = {item["key"]: item for item in first.details}
    assert (detail[MAPS]["wanted"], detail[MAPS]["owner"]) == (">=1", None)
    assert detail["kernel.absent"]["live"] is None
    again = plan(wishes, applied(state(), first), claims_of(first))
    assert told(again, *names) == ["10", OURS, "10", "t", "group g"]


def test_nothing_is_lost_between_state_and_plan():
    node = state()
    before = values(node)
    plan({SWAP: 10}, node, thp="never")
    assert values(node) == before, "planning changed the state it was given"
