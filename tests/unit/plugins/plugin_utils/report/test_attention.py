# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs a person, what waits and what was left out, in text, page and JSON."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.report import html, text
from ansible_collections.swarm.node.plugins.plugin_utils.report.collector import Collector
from ansible_collections.swarm.node.plugins.plugin_utils.report.results import Event
from ansible_collections.swarm.node.plugins.plugin_utils.report.view import make_view

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def trouble(number=1, what="ecc_uncorrected", severity="critical", detail="2 uncorrectable memory errors"):
    return {"target": f"GPU-6f3a000{number}-0000", "target_name": f"gpu {number} (H100)", "what": what,
            "detail": detail, "severity": severity}  # fmt: skip


def waiting(number=1, **more):
    device = trouble(number)
    entry = {name: device[name] for name in ("target", "target_name")}
    values = {"live": True, "after": False, "when": "reboot", "detail": "at the next reset"}
    return {"key": "gpu.ecc", **entry, **values, **more}


def gpu(*attention, name="gpu", **more):
    result = {"layer": name, "owner": name, "changed": False, "changes": [], "attention": list(attention)}
    return {**result, **more}


def report_of(hosts):
    """`{host: [result | (outcome, result)]}`"""
    collector = Collector("optimize.yml", check=False, started=NOW)
    for host, entries in hosts.items():
        for entry in entries:
            outcome, result = entry if isinstance(entry, tuple) else ("ok", entry)
            collector.add(Event(host, f"swarm.node.{result['layer']}", "a task", outcome, result))
    return collector.report(NOW, {})


def said(hosts):
    return [line for line, _tone in text.render(make_view(report_of(hosts)))]


def page(hosts):
    report = report_of(hosts)
    return html.render(make_view(report), report["hosts"])


def test_the_same_trouble_at_the_same_place_is_one_entry():
    lines = said(
        {"h-01": [gpu(trouble(1))], "h-02": [gpu(trouble(1))], "h-03": [gpu(trouble(4))], "h-04": [gpu()]}
    )
    start = lines.index("NEEDS ATTENTION")
    assert lines[start + 1 : start + 5] == [
        "  critical  ecc uncorrected: 2 uncorrectable memory errors",
        "      h-[01-02]  gpu 1 (H100)",
        "      h-03  gpu 4 (H100)",
        "",
    ]


def test_several_gpus_of_a_node_are_one_place():
    lines = said({"a": [gpu(*(trouble(number) for number in range(9)))]})
    place = next(line for line in lines if line.startswith("      a  "))
    assert place.startswith("      a  gpu 0 (H100), gpu 1 (H100)") and place.endswith("and 1 more")


def test_the_critical_comes_first_then_what_most_nodes_have():
    brake, hot = (trouble(1, what, "warning", what) for what in ("power_brake", "thermal_throttle"))
    lines = said({"a": [gpu(hot, brake)], "b": [gpu(brake)], "c": [gpu(trouble())]})
    order = [line.split()[:3] for line in lines if line.startswith(("  critical", "  warning"))]
    assert [words[1] for words in order] == ["ecc", "power", "thermal"]


def test_two_layers_that_see_the_same_tell_it_once():
    hosts = {"a": [gpu(trouble()), gpu(trouble(), name="gpu_mig")]}
    assert report_of(hosts)["totals"]["attention"] == {"critical": 1, "warning": 0}
    assert sum("ecc uncorrected" in line for line in said(hosts)) == 1


def test_device_names_of_one_node_are_not_said_of_others():
    first, second = (
        trouble(number, "lost", detail=f"GPU-6f3a000{number}-0000 no longer answers") for number in (1, 2)
    )
    lines = said({"a": [gpu(first)], "b": [gpu(second)]})
    assert "  critical  lost: <device> no longer answers" in lines
    assert "  critical  lost: GPU-6f3a0001-0000 no longer answers" in said({"a": [gpu(first)]})


def test_a_failed_layer_keeps_what_was_seen_before():
    failed = ("failed", {"layer": "gpu", "owner": "gpu", "msg": "no"})
    (layer,) = report_of({"a": [gpu(trouble()), failed]})["hosts"]["a"]["layers"]
    assert layer["state"] == "failed" and layer["attention"] == [trouble()]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (gpu(trouble(severity="warning")), "Nothing to change, but 1 thing needs attention (see below)."),
        (gpu(trouble(1), trouble(2)), "Nothing to change, but 2 things need attention (see below)."),
        (
            gpu(pending=[waiting()]),
            "Nothing to change, but 1 setting waiting for a reset or a reboot (see below).",
        ),
        (
            gpu(pending=[waiting()], reboot_required=True),
            "Nothing to change, but 1 node waiting for a reboot (see below).",
        ),
        (
            gpu(trouble(), pending=[waiting()], unapplied=[{"key": "vm.x", "reason": "readonly"}]),
            "Nothing to change, but 1 thing needs attention, 1 wish not applied and "
            "1 setting waiting for a reset or a reboot (see below).",
        ),
        (gpu(), "Nothing to change: every node is as wished."),
    ],
)
def test_nothing_to_change_is_not_all_there_is_to_say(result, sentence):
    assert sentence in said({"a": [result]})
    assert sentence in page({"a": [result]})


def test_what_waits_is_one_line_for_alike_gpus():
    lines = said({"a": [gpu(pending=[waiting(number) for number in range(8)])]})
    assert "     WAITING  gpu.ecc  8 GPUs  true, then false  at the next reset" in lines
    assert lines[-1].startswith("TOTAL  0 changes, 8 pending")


def test_what_was_left_out_is_told():
    result = gpu(trouble(), degraded=["gpu 1 (H100)"], msg="degraded: gpu 1 (H100) left out")
    lines = said({"a": [("failed", result)]})
    assert "      degraded, left out as it does not work: gpu 1 (H100)" in lines
    assert "     DEGRADED  left out as it does not work: gpu 1 (H100)" in lines
    assert "1 critical, 1 node degraded" in lines[-1]
    report = report_of({"a": [("failed", result)]})
    assert report["hosts"]["a"]["degraded"] == ["gpu 1 (H100)"] and report["totals"]["degraded"] == 1


def test_nodes_of_which_one_is_degraded_are_two_groups():
    lines = said({"a": [gpu(degraded=["gpu 1"])], "b": [gpu()]})
    assert any(line.startswith("B  1 node") for line in lines)


def test_results_without_these_keys():
    old = {"layer": "kernel", "owner": "kernel", "changed": False, "changes": []}
    assert "NEEDS ATTENTION" not in said({"a": [old]}) and "Needs attention" not in page({"a": [old]})
    (layer,) = report_of({"a": [old]})["hosts"]["a"]["layers"]
    assert (layer["pending"], layer["attention"], layer["degraded"]) == ([], [], [])


def test_entries_with_nothing_in_them():
    result = gpu({}, {"severity": None, "what": 3}, pending=[{}], degraded=[None])
    assert "  warning  not said: " in said({"a": [result]})
    assert "Set, and waiting" in page({"a": [result]})


def test_a_flood_is_cut_on_the_terminal_and_whole_on_the_page():
    troubles = [trouble(1, f"trouble_{number}") for number in range(text.ATTENTION_SHOWN + 3)]
    assert "  … and 3 more: see the report" in said({"a": [gpu(*troubles)]})
    assert all(f"trouble {number}<" in page({"a": [gpu(*troubles)]}) for number in range(len(troubles)))
    places = {f"n{place}x": [gpu(trouble(place))] for place in range(text.PLACES_SHOWN + 1)}
    assert "      … and 1 more place: see the report" in said(places)


def test_the_page_has_it_at_the_top_and_escapes_it():
    bad = trouble(1, "<b>what", detail="<script>alert(1)</script>")
    shown = page(
        {"a": [("failed", gpu(bad, degraded=["<i>gpu"], pending=[waiting(detail="<u>soon")], msg="m"))]}
    )
    assert shown.index("Needs attention") < shown.index("<h2>Failed</h2>")
    for raw in ("<script>alert", "<b>what", "<i>gpu", "<u>soon"):
        assert raw not in shown
    assert "&lt;u&gt;soon" in shown and "degraded</span>" in shown
