# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts, the table, the heat maps and the page, out of what nodes answer."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.verify import heat_map, page, summary, table
from ansible_collections.swarm.node.plugins.plugin_utils.verify.judge import judge, remarks
from ansible_collections.swarm.node.plugins.plugin_utils.verify.plan import VerifyPlan, make_plan

sys.path.insert(0, str(Path(__file__).parent))

from verify_cases import echo, irtt, large, results, small, stats

RUN = {
    "playbook": "verify",
    "started": "2026-11-23T08:00:00Z",
    "finished": "2026-11-23T08:06:00Z",
    "seconds": 360.0,
}
PAIR = ("gw1.ams", "gw1.fra")
ROOMY: dict[str, Any] = {"budget_mbytes": 100000, "budget_total_mbytes": 1000000}


def report(
    plan: VerifyPlan, probes: Any = None, failed: dict[str, str] | None = None, mbit: float = 1100.0
) -> dict[str, Any]:
    found: dict[str, Any] = results(plan, probes, mbit)
    gone = failed or {}
    for name in gone:
        found[name] = None
    return summary.report(plan, judge(plan, found, gone), RUN, gone)


def one(body: dict[str, Any], ends: tuple[str, str] = PAIR) -> dict[str, Any]:
    (found,) = [item for item in body["pairs"] if tuple(item["ends"]) == ends]
    return found


def probe(measured: Any, why: str = "", beside: Any = None) -> dict[str, Any]:
    return {"measured": measured, "why": why, "echo": beside, "echo_why": ""}


def test_all_is_well() -> None:
    body = report(small(**ROOMY))
    assert body["schema"] == 1 and body["verdict"] == "met"
    assert body["totals"]["pairs"] == {"met": 6, "missed": 0, "not_shown": 0, "not_asked": 0}
    assert body["totals"]["loss"] == {"met": 12, "missed": 0, "not_shown": 0, "not_asked": 0}
    # Three links, in both directions; nobody asks for the throughput of the others.
    assert body["totals"]["throughput"] == {"met": 6, "missed": 0, "not_shown": 0, "not_asked": 6}
    assert body["probes_needed"] == {"loss_percent": 0.01, "probes": 29956, "seconds": 299.6}
    found = one(body)
    assert found["verdicts"] == dict.fromkeys(("latency", "jitter", "loss", "throughput"), "met")
    assert found["directions"][0]["loss"]["at_most"] == pytest.approx(0.009078, abs=1e-5)
    assert not body["run"]["partial"] and body["not_measured"] == {}


@pytest.mark.parametrize(
    ("measured", "metric", "expected"),
    [
        (irtt(rtt=stats(33000, over=1500)), "latency", "met"),
        (irtt(rtt=stats(33000, over=1640)), "latency", "not_shown"),
        (irtt(rtt=stats(33000, over=2000)), "latency", "missed"),
        (irtt(rtt=None), "latency", "not_shown"),
        (irtt(jitter={"out": stats(over=5000), "back": stats()}), "jitter", "missed"),
        (irtt(jitter={"out": None, "back": stats()}), "jitter", "not_shown"),
        (irtt(out=1), "loss", "not_shown"),
        (irtt(out=20), "loss", "missed"),
        (irtt(back=20), "loss", "missed"),
        (irtt(sent=3000), "loss", "not_shown"),
        (irtt(sent=33000, out=33000, rtt=None, jitter={"out": None, "back": None}), "loss", "missed"),
    ],
)
def test_verdicts_of_a_pair(measured: Any, metric: str, expected: str) -> None:
    body = report(small(**ROOMY), {PAIR: probe(measured, beside=echo())})
    assert one(body)["verdicts"][metric] == expected
    assert body["verdict"] == expected
    others = [item["verdict"] for item in body["pairs"] if tuple(item["ends"]) != PAIR]
    assert others == ["met"] * 5


def test_a_short_window_shows_no_small_loss_and_says_what_would() -> None:
    plan = small(window=30, **ROOMY)
    body = report(plan, dict.fromkeys([pair.ends for pair in plan.pairs], probe(irtt(3000), beside=echo(30))))
    assert body["verdict"] == "not_shown" and body["totals"]["loss"]["not_shown"] == 12
    assert body["totals"]["latency"]["met"] == 6
    said = "\n".join(table.lines(body))
    assert "29956 probes" in said and "299.6 s" in said and "not shown" in said


def test_a_closed_port_is_no_loss() -> None:
    """The echo requests beside it are answered: they say what they can."""
    blocked = probe(None, "no answer from the server", echo(330))
    found = one(report(small(**ROOMY), {PAIR: blocked}))
    assert found["verdicts"]["loss"] == "not_shown" and found["verdicts"]["latency"] == "met"
    assert found["why"].startswith("no answer from the server; echo requests are answered")
    assert found["tool"] == "fping" and found["round_trip_only"] and found["answered"]
    assert found["directions"][0]["loss"]["lost"] == 0


def test_a_way_that_is_down_is_missed() -> None:
    down = probe(None, "no answer from the server", echo(330, 330))
    found = one(report(small(**ROOMY), {PAIR: down}))
    assert found["verdicts"]["loss"] == "missed" and found["verdicts"]["latency"] == "not_shown"
    assert "nothing answers" in found["why"] and not found["answered"]


def test_a_member_that_failed_is_named_in_its_pairs_and_nothing_else_is() -> None:
    body = report(small(**ROOMY), failed={"gw1.fra": "irtt missing on this node"})
    for item in body["pairs"]:
        if "gw1.fra" in item["ends"]:
            assert item["verdict"] == "not_shown" and "gw1.fra was not measured: irtt missing" in item["why"]
        else:
            assert item["verdict"] == "met" and item["why"] == ""
    assert body["not_measured"] == {"gw1.fra": "irtt missing on this node"}
    assert any("not measured, gw1.fra: irtt missing" in line for line in table.lines(body))


def test_a_member_without_results_says_so() -> None:
    plan = small(**ROOMY)
    found: dict[str, Any] = results(plan)
    first = plan.pairs[0].client
    found[first] = None
    body = summary.report(plan, judge(plan, found, {}), RUN, {})
    assert f"{first} gave no results" in one(body, plan.pairs[0].ends)["why"]


def test_throughput_is_one_run_and_needs_to_have_been_asked_for() -> None:
    plan = small(**ROOMY)
    assert one(report(plan, mbit=900.0))["verdicts"]["throughput"] == "missed"
    assert one(report(plan), ("gw1.ams", "n1.fra"))["verdicts"]["throughput"] is None
    poor = small(budget_mbytes=200)
    body = report(poor)
    (entry, _back) = [way["throughput"] for way in one(body)["directions"]]
    assert entry["verdict"] == "not_shown" and "the budget has no room for it, which takes" in entry["why"]
    assert body["verdict"] == "not_shown" and body["totals"]["throughput"]["not_shown"] == 6


def test_a_transfer_that_failed_says_why() -> None:
    plan = small(**ROOMY)
    found: dict[str, Any] = results(plan)
    link = next(pair for pair in plan.pairs if pair.transfer is not None)
    other = link.ends[1 - link.ends.index(link.client)]
    found[link.client]["transfers"][other]["back"] = {"why": "no answer from the server"}
    body = summary.report(plan, judge(plan, found, {}), RUN, {})
    way = one(body, link.ends)["directions"][1]["throughput"]
    assert way == {
        "verdict": "not_shown",
        "value": None,
        "target": 1000.0,
        "why": "no answer from the server",
    }
    assert any("throughput: no answer from the server" in line for line in table.lines(body))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("met", (False, False, False)), ("not_shown", (False, True, False)), ("missed", (True, True, False))],
)
def test_what_fails_the_run(verdict: str, expected: tuple[bool, bool, bool]) -> None:
    assert tuple(summary.fails(verdict, on) for on in ("missed", "not_shown", "never")) == expected


def test_under_limit_the_report_says_so() -> None:
    body = report(small({"gw1.fra": {}, "gw1.ams": {}}, **ROOMY))
    assert body["run"]["partial"] and body["totals"]["members_of_mesh"] == 4
    assert "2 of 4 members (only pairs among the hosts of this run), 1 pair" in table.lines(body)[0]


def test_the_worst_stand_first_and_the_table_is_bounded() -> None:
    mesh = large(60, 3)
    plan = make_plan(mesh, {name: {"throughput": "none"} for name in mesh.members}, ())
    bad = plan.pairs[-1].ends
    body = report(plan, {bad: probe(irtt(out=3000))})
    lines = table.lines(body)
    rows = [line for line in lines if " > " in line]
    assert len(rows) == table.MOST_ROWS and bad[0] in rows[0] and "MISSED" in rows[0]
    assert any(f"and {len(plan.pairs) - table.MOST_ROWS} more, none of them worse" in line for line in lines)


def test_a_report_is_plain_json_and_regions_have_their_worst() -> None:
    body = json.loads(json.dumps(report(small(**ROOMY), {PAIR: probe(irtt(out=33), beside=echo())})))
    entry = next(item for item in body["regions"] if item["regions"] == ["ams", "fra"])
    assert entry["verdicts"]["loss"] == "missed" and entry["worst"]["loss"] == pytest.approx(0.1)
    assert entry["worst"]["throughput"] == 1100.0


def test_who_began_late_and_whose_server_died_is_said() -> None:
    found: dict[str, Any] = {
        "a": {"late": 0.4, "window": 329.6, "servers": {}},
        "b": {"late": 30.2, "window": 299.8, "servers": {"iperf3": "it ended with -9: killed"}},
        "c": None,
    }
    plan = small(**ROOMY)
    body = summary.report(plan, judge(plan, results(plan), {}), RUN, {}, remarks(found))
    assert body["remarks"] == [
        "b began 30 s too late, and measured for 300 s",
        "b: its iperf3 server ended early: it ended with -9: killed",
    ]
    assert any("b began 30 s too late" in line for line in table.lines(body))
    assert "b began 30 s too late" in page.render(body)


# -- pictures and the page


class Checker(HTMLParser):
    """Collects tags; what a node says must not become one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)


@pytest.mark.parametrize("metric", ["latency", "jitter", "loss", "throughput"])
def test_a_heat_map_has_a_cell_for_each_direction(metric: str) -> None:
    body = report(small(**ROOMY), {PAIR: probe(irtt(out=33), beside=echo())})
    root = ElementTree.fromstring(heat_map.draw(metric, body))
    space = "{http://www.w3.org/2000/svg}"
    cells = root.findall(f".//{space}rect")
    assert len(cells) == 12
    titles = [title.text or "" for title in root.findall(f".//{space}g/{space}title")]
    assert len(titles) == 12 and all(" to " in title for title in titles)
    marks = [text.text for text in root.findall(f".//{space}g/{space}text")]
    assert marks.count("×") == (1 if metric == "loss" else 0)
    red = [cell for cell in cells if cell.get("class") == "heat-4"]
    assert len(red) == (1 if metric == "loss" else 0)


def test_a_large_mesh_is_drawn_by_regions_each_by_its_worst_pair() -> None:
    mesh = large(120, 6)
    plan = make_plan(mesh, {name: {"throughput": "none"} for name in mesh.members}, ())
    bad = plan.pairs[0].ends
    text = heat_map.draw("loss", report(plan, {bad: probe(irtt(out=3000))}))
    root = ElementTree.fromstring(text)
    cells = root.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(cells) <= 36
    assert sum(cell.get("class") == "heat-4" for cell in cells) == 1


def test_a_mesh_of_many_regions_is_drawn_by_those_with_the_worst() -> None:
    mesh = large(200, 100)
    plan = make_plan(mesh, {name: {"throughput": "none"} for name in mesh.members}, ())
    bad = plan.pairs[-1]
    body = report(plan, {bad.ends: probe(irtt(out=3000))})
    text = heat_map.draw("loss", body)
    assert all(plan.nodes[end].region in text for end in bad.ends)
    assert text.count('text-anchor="end"') == heat_map.MOST


def test_the_page_is_whole_and_nothing_a_node_says_becomes_markup() -> None:
    evil = "<script>alert(1)</script>\x1b[31m"
    body = report(small(**ROOMY), {PAIR: probe(None, evil, echo(330, 330))}, {"n1.fra": evil})
    text = page.render(body)
    tags = Checker(text).tags
    assert "script" not in tags and "\x1b" not in text and "alert(1)" in text
    assert tags.count("svg") == 4 and tags.count("tr") >= 1 + 6 + 1
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    assert not any("\x1b" in line for line in table.lines(body))


def test_the_page_of_a_large_mesh_is_bounded() -> None:
    mesh = large(300, 10)
    plan = make_plan(mesh, {name: {"throughput": "none"} for name in mesh.members}, ())
    text = page.render(report(plan))
    assert Checker(text).tags.count("tr") < page.MOST_ROWS + 70
    assert f"and {len(plan.pairs) - page.MOST_ROWS} more" in text
