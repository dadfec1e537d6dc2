# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.report import html, text
from ansible_collections.swarm.node.plugins.plugin_utils.report.collector import Collector
from ansible_collections.swarm.node.plugins.plugin_utils.report.results import Event
from ansible_collections.swarm.node.plugins.plugin_utils.report.values import clean, hosts_text, show, span
from ansible_collections.swarm.node.plugins.plugin_utils.report.view import make_view

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def gpu_change(number, before=700):
    return {
        "key": "gpu.power_limit", "target": f"GPU-6f3a000{number}-0000",
        "target_name": f"gpu {number} (H100)",
        "before": before, "after": 630, "unit": "W", "when": "now", "disruption": "perf",
        "verify": "readback", "undo": "exact", "origin": "group train", "why": "90%default of 700",
    }  # fmt: skip


def sysctl(number, **more):
    return {"key": f"vm.k{number}", "target": "", "before": 1, "after": 2, "when": "now",
            "disruption": "none", "verify": "readback", "undo": "exact", **more}  # fmt: skip


def view_of(hosts, check=False):
    """`{host: [result | (outcome, result)]}` -> view and report"""
    collector = Collector("optimize.yml", check=check, started=NOW)
    for host, entries in hosts.items():
        for entry in entries:
            outcome, result = entry if isinstance(entry, tuple) else ("ok", entry)
            collector.add(Event(host, "swarm.node.x", "a task", outcome, result))
    report = collector.report(NOW, {})
    return make_view(report), report


def said(hosts, path="", check=False):
    return "\n".join(line for line, _ in text.render(view_of(hosts, check)[0], path))


def layer(name, changes=(), **more):
    return {"layer": name, "owner": name, "changed": bool(changes), "changes": list(changes), **more}


def test_identical_nodes_are_one_group_and_alike_gpus_one_line():
    first = layer("gpu", [gpu_change(number) for number in range(8)])
    second = layer("gpu", [{**gpu_change(number), "target": f"GPU-beef000{number}-1"} for number in range(8)])
    out = said({"h-01": [first], "h-02": [second], "h-03": [layer("gpu")]}, "reports/x.html")
    assert "3 nodes: 2 changed, 1 unchanged" in out
    assert "A  2 nodes  h-[01-02]  changed" in out
    line = "gpu.power_limit  700 -> 630 W  8 GPUs  now perf undo exact  (90%default of 700; group train)"
    assert out.count(line) == 1
    assert "B  1 node  h-03  unchanged" in out
    assert out.splitlines()[-1] == "report: reports/x.html"
    assert out.splitlines()[-2] == "TOTAL  16 changes, round trips: 1 at most per node, 3 in all, 0 writes"


def test_nodes_that_differ_are_not_grouped():
    out = said({"a": [layer("gpu", [gpu_change(0)])], "b": [layer("gpu", [gpu_change(0, before=650)])]})
    assert "A  1 node  a  changed" in out and "B  1 node  b  changed" in out


def test_many_changes_are_condensed_but_costlier_ones_are_not_hidden():
    changes = [sysctl(number) for number in range(14)] + [sysctl(99, when="reboot", disruption="reboot")]
    out = said({"a": [layer("kernel", changes, reboot_required=True)]})
    assert "vm.k7 " in out and "vm.k8 " not in out
    assert "… and 6 more  now none undo exact" in out
    assert "vm.k99  1 -> 2  reboot reboot undo exact" in out
    assert "needs a reboot to take effect" in out and "1 node needs a reboot" in out


WISH = {"key": "vm.swappiness", "target": "", "wanted": 10, "live": 60, "reason": "shadowed_by",
        "required": True, "detail": "/etc/sysctl.d/99-site.conf wins", "origin": "task"}  # fmt: skip


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (layer("kernel"), "Nothing to change: every node is as wished."),
        (layer("kernel", unapplied=[WISH]), "Nothing to change, but 1 wish not applied (see below)."),
        (
            layer("kernel", reboot_required=True),
            "Nothing to change, but 1 node waiting for a reboot (see below).",
        ),
    ],
)
def test_nothing_to_change_is_said_only_when_true(result, sentence):
    assert sentence in said({"a": [result]})
    assert "Nothing to change" not in said({"a": [result], "b": [("failed", {"msg": "x"})]})


def test_unapplied_names_reason_and_winner():
    out = said({"a": [layer("kernel", unapplied=[WISH])]})
    winner = "shadowed by: /etc/sysctl.d/99-site.conf wins"
    assert f"NOT APPLIED  vm.swappiness  wanted 10, is 60  {winner}  (required; task)" in out


def test_failures_come_first_and_alike_ones_together():
    refused = {"layer": "gpu", "msg": "refused on GPU-6f3a0001", "rolled_back": ["gpu.power_limit"],
               "not_undone": [{"key": "gpu.ecc", "target": "", "error": "busy"}], "writes": 2}  # fmt: skip
    other = {**refused, "msg": "refused on GPU-beef0002"}
    out = said({"a": [layer("kernel", [sysctl(1)])], "b": [("failed", refused)], "c": [("failed", other)],
                "d": [("unreachable", {"msg": "no route\x1b[31m"})]})  # fmt: skip
    assert out.index("FAILED  2 nodes") < out.index("UNREACHABLE  1 node") < out.index("vm.k1")
    assert "b, c  gpu: refused on GPU-6f3a0001" in out
    assert "rolled back: gpu.power_limit" in out and "NOT UNDONE  gpu.ecc: busy" in out
    assert "\x1b" not in out


def test_failed_host_tells_what_stays_applied():
    out = said({"a": [layer("kernel", [sysctl(1)]), ("failed", {"layer": "gpu", "msg": "no"})]})
    assert "stays applied: kernel" in out and "kernel: changed" in out


def confirmed(**more):
    return {"changed": True, "armed": None, "reverted": None, **more}


def test_what_was_taken_back_does_not_stay_applied():
    why = "taken back with its batch, because of b"
    undone = confirmed(undone=["mesh.routes (wan-2)"], reverted={"why": why})
    stop = ("failed", {"msg": why})
    change = {**sysctl(1), "key": "mesh.routes", "target": "wan-2"}
    hosts = {"a": [layer("kernel", [sysctl(1)]), layer("mesh", [change]), undone, stop]}
    out = said(hosts)
    assert "stays applied: kernel\n" in out + "\n"
    assert "taken back: mesh (taken back with its batch, because of b)" in out
    assert "TAKEN BACK  taken back with its batch, because of b" in out
    view, report = view_of(hosts)
    assert report["totals"]["changes"] == 1
    assert "Taken back: mesh" in html.render(view, report["hosts"])


@pytest.mark.parametrize(
    ("after", "stays"),
    [
        (confirmed(), True),
        (confirmed(undone=[], reverted=None, changed=False), True),
        (("failed", {"failure_kind": "reverted", "msg": "it is too late to confirm"}), False),
    ],
)
def test_what_becomes_of_a_change_of_the_mesh(after, stays):
    change = {**sysctl(1), "key": "mesh.routes", "target": "wan-2"}
    out = said({"a": [layer("mesh", [change]), after, ("failed", {"msg": "no"})]})
    assert ("stays applied: mesh" in out) == stays and ("taken back: mesh" in out) != stays


def test_many_groups_are_cut():
    out = said({f"n{number}": [layer("kernel", [sysctl(1, after=number)])] for number in range(25)})
    assert "… and 5 more groups (5 nodes): see the report" in out


def test_check_mode_is_said():
    out = said({"a": [layer("kernel")]}, check=True)
    assert "(check mode: nothing was written)" in out.splitlines()[0]


def test_page_escapes_what_nodes_say():
    evil = "<script>alert(1)</script>"
    merged = {"layers": {}, "profile": evil, "explain": [{"key": evil, "value": evil, "origin": evil}]}
    view, report = view_of(
        {
            "a": [
                merged,
                layer("kernel", [sysctl(1, why=evil)], unapplied=[{**WISH, "detail": evil}], notes=[evil]),
            ],
            "b": [("failed", {"layer": evil, "msg": evil, "not_undone": [evil], "degraded": [evil]})],
            "c": [("unreachable", {"msg": evil})],
        }
    )
    page = html.render(view, report["hosts"])
    assert "<script" not in page and page.count("&lt;script&gt;") >= 9
    assert "prefers-color-scheme: dark" in page


def test_page_survives_entries_with_nothing_in_them():
    view, report = view_of({"a": [layer("kernel", [{}], unapplied=[{}], interrupted={"run": 1})]})
    assert "an earlier run never finished" in html.render(view, report["hosts"])
    assert text.render(view)


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (["n1"], "n1"),
        (["n1", "n2", "n3", "n5"], "n[1-3,5]"),
        (["h-001.fra", "h-002.fra", "h-010.fra"], "h-[001-002,010].fra"),
        (["h08", "h09", "h10", "h11"], "h[08-11]"),
        (["n9", "n10"], "n[9-10]"),
        (["b", "a"], "a, b"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.[1-2]"),
        ([], ""),
    ],
)
def test_hosts_text(names, folded):
    assert hosts_text(names) == folded


@pytest.mark.parametrize(
    ("before", "after", "unit", "verify", "expected"),
    [
        (700, 630, "W", "readback", "700 -> 630 W"),
        (None, True, "", "readback", "none -> true"),
        (None, [345, 1800], "MHz", "accepted", "unknown -> 345,1800 MHz"),
        ("x", None, "W", "readback", "x -> gone"),
        ([1, 2], {"a": 1}, "", "readback", '1,2 -> {"a": 1}'),
        ("", "a\nb", "", "readback", '"" -> a b'),
    ],
)
def test_span(before, after, unit, verify, expected):
    assert span({"before": before, "after": after, "unit": unit, "verify": verify}) == expected


def test_long_values_are_cut():
    assert show("x" * 100) == "x" * 79 + "…"
    assert clean("a\x00\x1bb  c") == "ab c"
