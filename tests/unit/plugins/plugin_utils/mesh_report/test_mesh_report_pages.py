# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh report: what members say, put together; the page; what verify has measured."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report import lines, measured, page
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.answers import ranges
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.body import Known

sys.path.insert(0, str(Path(__file__).parent))

from mesh_report_cases import MESH, NOW, large, path, problems, report, small, whole


def test_a_mesh_in_which_all_is_well() -> None:
    body = report(small())
    assert body["problems"] == []
    assert path(body, "ann", "bob") == {
        "kind": "relayed",
        "goal": "bob",
        "members": ["ann", "gw1", "bob"],
        "rtt_ms": 22.0,
    }
    assert path(body, "ann", "gw1")["kind"] == "direct"
    # 15 ms by gw1 instead of 30.
    assert path(body, "ann", "gw2")["members"] == ["ann", "gw1", "gw2"]
    assert body["members"]["ann"]["ways"] == {
        "direct": 1,
        "relayed": 2,
        "unreachable": 0,
        "unknown": 0,
        "loop": 0,
    }
    assert body["members"]["ann"]["sends_over"] == {"gw1": "1-2,65"}
    assert body["relays"] == {"gw1": 6}
    assert list(body["members"]) == ["gw1", "gw2", "ann", "bob"]
    grades = {tuple(link["ends"]): link["grade"] for link in body["links"]}
    assert grades[("ann", "gw1")] == "good" and grades[("ann", "gw2")] == "fair"
    assert whole(body)["verdict"] == "fine"
    assert whole(body)["totals"] == {
        "meshes": 1,
        "members": 4,
        "seen": 4,
        "routing": 4,
        "links": 5,
        "links_down": 0,
        "links_slow": 0,
        "changes_hour": 0,
        "wrong": 0,
        "notices": 0,
    }


def test_targets_are_those_of_the_pair() -> None:
    body = report(small(), Known(target=lambda one, other: 20.0 if "ann" in (one, other) else 100.0))
    assert [(one["members"][0], one["goal"], one["target_ms"]) for one in body["over_target"]] == [
        ("ann", "bob", 20.0),
        ("bob", "ann", 20.0),
    ]
    assert "ann – gw2: 30 ms, target 20" in problems(body, "notice")["links slower than their target"]


def test_changes_are_newest_first_and_counted_by_the_hour() -> None:
    world = small()
    world.routing("ann")["changes"] = [
        {"at": NOW - 90000, "prefix": "10.99.0.65/32", "number": 65, "from": "", "to": "gw2", "metric": 900},
        {
            "at": NOW - 7200,
            "prefix": "10.99.0.65/32",
            "number": 65,
            "from": "gw2",
            "to": "gw1",
            "metric": 800,
        },
        {"at": NOW - 100, "prefix": "10.99.0.65/32", "number": 65, "from": "gw1", "to": "gw2", "metric": 900},
        # IPv6 goes with it.
        {"at": NOW - 99.8, "prefix": "fd00::41/128", "number": 65, "from": "gw1", "to": "gw2", "metric": 900},
    ]
    world.routing("bob")["changes"] = [
        {"at": NOW - 50, "prefix": "10.99.0.1/32", "number": 1, "from": "gw2", "to": "gw1", "metric": 850}
    ]
    body = report(world)
    assert [(one["member"], one["goal"], NOW - one["at"]) for one in body["changes"]] == [
        ("bob", "gw1", 50),
        ("ann", "bob", 100),
        ("ann", "bob", 7200),
        ("ann", "bob", 90000),
    ]
    routing = body["members"]["ann"]["routing"]
    assert (routing["changes_hour"], routing["changes_day"]) == (1, 2)
    assert lines.change_text(body["changes"][0]) == "bob to gw1: by gw2 -> directly"
    assert lines.change_text(body["changes"][3]) == "ann to bob: no way -> by gw2"
    assert "bob to gw1: by gw2 -&gt; directly" in page.render(whole(body))


def test_what_verify_measured_stands_beside_the_link() -> None:
    now = datetime(2027, 1, 15, 8, tzinfo=timezone.utc)
    made = {
        "run": {"mesh": MESH, "finished": "2027-01-15T07:00:00Z", "partial": False},
        "verdict": "missed",
        "pairs": [{"ends": ["gw1", "ann"], "verdict": "missed", "latency": {"value": 71.5}}],
    }
    found = measured.read(made, MESH, now)
    assert found is not None
    body = report(small(), Known(measured={"file": "x.json", **found}))
    assert problems(body, "notice")["links that missed a target when verify measured them"] == ["ann – gw1"]
    (link,) = [link for link in body["links"] if link["ends"] == ["ann", "gw1"]]
    assert link["verify"] == {"verdict": "missed", "latency_ms": 71.5}
    assert body["verify"]["pairs"] == 1
    assert "71.5 ms" in page.render(whole(body))


@pytest.mark.parametrize(
    ("run", "good"),
    [
        ({"mesh": "wan", "finished": "2027-01-15T07:00:00Z"}, True),
        ({"mesh": "lab", "finished": "2027-01-15T07:00:00Z"}, False),
        ({"mesh": "wan", "finished": "2027-01-14T07:00:00Z"}, False),
        ({"mesh": "wan", "finished": "2027-01-15T09:00:00Z"}, False),
        ({"mesh": "wan", "finished": "yesterday"}, False),
        ({"mesh": "wan"}, False),
        (None, False),
    ],
)
def test_only_a_recent_report_of_the_mesh_counts(run: Any, good: bool) -> None:
    now = datetime(2027, 1, 15, 8, tzinfo=timezone.utc)
    assert (measured.read({"run": run, "pairs": [], "verdict": "met"}, "wan", now) is not None) == good


def test_the_newest_report_is_looked_for(tmp_path: Path) -> None:
    now = datetime(2027, 1, 15, 8, tzinfo=timezone.utc)
    assert measured.newest(tmp_path / "none", "wan", now) is None
    for hour, name in ((5, "wan"), (6, "wan"), (7, "lab")):
        finished = now - timedelta(hours=8 - hour)
        run = {"mesh": name, "finished": f"{finished:%Y-%m-%dT%H:%M:%SZ}"}
        made = {"run": run, "pairs": [], "verdict": "met"}
        (tmp_path / f"{finished:%Y%m%dT%H%M%SZ}-verify.json").write_text(json.dumps(made))
    (tmp_path / "20270115T073000Z-verify.json").write_text("{half")
    found = measured.newest(tmp_path, "wan", now)
    assert found is not None and found["file"] == "20270115T060000Z-verify.json"


def test_ipv6_that_goes_another_way_is_noted() -> None:
    world = small()
    for route in world.routing("ann")["routes"]:
        if route["number"] == 65 and ":" in route["prefix"]:
            route["via"] = "gw2"
    body = report(world)
    assert body["members"]["ann"]["routing"]["split"] == "65"
    assert path(body, "ann", "bob")["members"] == ["ann", "gw1", "bob"]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([1, 2, 3, 7], "1-3,7"), ([5, 4, 4, 9, 8], "4-5,8-9")],
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


class Outside(HTMLParser):
    """Collects what a page would load, and its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "embed", "audio", "video"):
            self.found.append(tag)
        self.found += [
            f"{key}={value}" for key, value in attrs if key in ("src", "href") or key.startswith("on")
        ]


def svg(text: str) -> str:
    return text[text.index("<svg") : text.index("</svg>") + 6]


def test_the_page_loads_nothing_and_steers_nothing() -> None:
    world = small()
    evil = "<script>alert(1)</script>\x1b[31m"
    world.routing("ann")["neighbours"].append({"peer": evil, "up": True, "interface": evil, "cost": 1})
    world.routing("ann")["dropped"]["foreign"].append({"peer": evil, "prefix": evil, "at": 0})
    world.routing("ann")["changes"].append({"at": NOW, "number": 65, "from": evil, "to": evil})
    made = whole(report(world, eve=evil))
    text = page.render(made)
    parser = Outside()
    parser.feed(text)
    assert parser.found == []
    assert "url(" not in text and "@import" not in text
    assert "<script" not in text and "\x1b" not in text
    assert not any("\x1b" in line for line in lines.lines(made))


def test_a_large_mesh_is_drawn_by_regions() -> None:
    body = report(large(250))
    text = page.render(whole(body))
    assert body["paths"] == [] and "from gpu7.r03" in text
    assert svg(text).count("<g>") == 5
