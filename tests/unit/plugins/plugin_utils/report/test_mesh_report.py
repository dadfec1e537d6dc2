# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes in the summary and the report: what the nodes say, joined; live values decide no group."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.report import html, mesh, text
from ansible_collections.swarm.node.plugins.plugin_utils.report.collector import Collector
from ansible_collections.swarm.node.plugins.plugin_utils.report.results import Event
from ansible_collections.swarm.node.plugins.plugin_utils.report.view import make_view

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
NUMBERS = {"gw1": 1, "gw2": 2, "ann": 64, "bob": 65}
DEADLINE = 1_800_000_000.0


def tunnel(peer: str, state: str = "up", **more: Any) -> dict[str, Any]:
    number = NUMBERS.get(peer, 99)
    return {
        "interface": f"wan-{number}",
        "peer": peer,
        "peer_number": number,
        "foreign": False,
        "endpoint": "192.0.2.1:51820",
        "handshake_age_s": {"up": 5, "stale": 500}.get(state),
        "received_bytes": 1,
        "sent_bytes": 2,
        "mtu": 1420,
        "state": state,
        "key_age_days": 3,
        "psk": False,
        **more,
    }


def info(member: str, *tunnels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "member": member,
        "number": NUMBERS[member],
        "addresses": [f"10.99.0.{NUMBERS[member]}/32"],
        "transit": member.startswith("gw"),
        "armed": None,
        "tunnels": list(tunnels),
        "routes": 3,
        **more,
    }


def looked(member: str, *tunnels: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A result of mesh_info."""
    return {"changed": False, "meshes": {"wan": info(member, *tunnels, **more)}}


def applied(member: str, *tunnels: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A result of the module mesh."""
    layer = {"layer": "mesh", "owner": "mesh", "changed": False, "changes": [], **more}
    return {**layer, "mesh": {"wan": info(member, *tunnels)}}


def report_of(hosts: dict[str, list[dict[str, Any]]], check: bool = False) -> dict[str, Any]:
    collector = Collector("optimize.yml", check=False, started=NOW)
    for host, results in hosts.items():
        for result in results:
            collector.add(Event(host, "swarm.node.mesh_info", "a task", "ok", result, check=check))
    return collector.report(NOW, {})


def said(hosts: dict[str, list[dict[str, Any]]]) -> list[str]:
    return [line for line, _tone in text.render(make_view(report_of(hosts)))]


def page(hosts: dict[str, list[dict[str, Any]]]) -> str:
    report = report_of(hosts)
    return html.render(make_view(report), report["hosts"])


FOUR = {
    "h1": [looked("gw1", tunnel("gw2"), tunnel("ann", "stale", key_age_days=400))],
    "h2": [looked("gw2", tunnel("gw1"), tunnel("bob", "down"))],
    "h3": [looked("ann", tunnel("gw1", "never"))],
}


def test_the_paragraph() -> None:
    lines = said(FOUR)
    start = lines.index("MESH  wan: 3 of 4 members seen, 2 tunnels up, 1 stale, 1 never, 1 down")
    assert lines[start + 1 : start + 5] == [
        "  bob – gw2  down seen from gw2",
        "  ann – gw1  never seen from ann, stale seen from gw1",
        "  not seen in this run: bob",
        "  oldest key: 400 days (gw1)",
    ]
    assert "1 of 3 mesh links up" in lines[-1]


def test_a_mesh_that_is_well_is_told_in_two_lines() -> None:
    lines = said({"a": [looked("gw1", tunnel("gw2"))], "b": [looked("gw2", tunnel("gw1"))]})
    start = lines.index("MESH  wan: 2 members seen, 2 tunnels up")
    assert lines[start + 1 : start + 3] == ["  oldest key: 3 days (gw1)", ""]
    assert "Nothing to change: every node is as wished." in lines
    assert "1 of 1 mesh link up" in lines[-1]


def test_nothing_to_change_is_not_all_there_is_to_say() -> None:
    armed = {"token": "t", "deadline": DEADLINE}
    hosts = {"a": [looked("gw1", tunnel("gw2", "down"), armed=armed)]}
    sentence = (
        "Nothing to change, but 1 link of the mesh not up and 1 node waiting for a change to be confirmed "
        "(see below)."
    )
    assert sentence in said(hosts)
    assert sentence in page(hosts)


def test_what_is_armed_is_told() -> None:
    hosts = {
        name: [looked(name, armed={"token": "t", "deadline": DEADLINE + index})]
        for index, name in enumerate(("gw1", "gw2"))
    }
    assert "  NOT CONFIRMED  gw[1-2]: undone from 2027-01-15 08:00:00 UTC on" in said(hosts)
    report = report_of(hosts)
    assert report["totals"]["mesh"] == {"meshes": 1, "links": 0, "links_not_up": 0, "armed": 2}
    assert report["meshes"]["wan"]["armed"][1] == {"member": "gw2", "token": "t", "deadline": DEADLINE + 1}


@pytest.mark.parametrize("deadline", [None, 1e300, "soon", True])
def test_a_strange_deadline(deadline: Any) -> None:
    lines = said({"a": [looked("gw1", armed={"token": "t", "deadline": deadline})]})
    assert [line for line in lines if line.startswith("  NOT CONFIRMED  gw1")]


def test_the_block_of_the_report() -> None:
    report = report_of(FOUR)
    block = report["meshes"]["wan"]
    assert report["schema"] == 4
    assert block["members"]["gw1"]["host"] == "h1"
    assert block["members"]["gw1"]["tunnels"][0] == tunnel("gw2")
    assert block["not_seen"] == ["bob"]
    assert block["links"][1] == {
        "ends": ["bob", "gw2"],
        "state": "down",
        "seen_from": {"gw2": "down"},
        "foreign": False,
    }
    assert block["oldest_key"] == {"member": "gw1", "days": 400}
    assert json.loads(json.dumps(report)) == report


def test_of_two_tunnels_to_a_peer_the_better_counts_and_of_two_ends_the_worse() -> None:
    hosts = {
        "a": [looked("gw1", tunnel("gw2", "stale"), tunnel("gw2", "up", interface="wan-2b"))],
        "b": [looked("gw2", tunnel("gw1", "stale"))],
    }
    (link,) = report_of(hosts)["meshes"]["wan"]["links"]
    assert (link["seen_from"], link["state"]) == ({"gw1": "up", "gw2": "stale"}, "stale")


def test_the_last_look_counts() -> None:
    report = report_of({"a": [applied("gw1", tunnel("gw2", "never")), looked("gw1", tunnel("gw2"))]})
    assert report["meshes"]["wan"]["tunnels"] == {"up": 1, "stale": 0, "never": 0, "down": 0}


def confirmed(*tunnels: Any, armed: Any = None) -> dict[str, Any]:
    """A result of mesh_confirm."""
    return {"changed": True, "armed": armed, "reverted": None, "tunnels": list(tunnels)}


def test_what_was_confirmed_and_probed_later_counts() -> None:
    armed = {"token": "t", "deadline": DEADLINE}
    first = looked("gw1", tunnel("gw2", "never"), tunnel("ann", "never"), armed=armed)
    probes = [
        {"mesh": "wan", "interface": "wan-2", "handshake_age": 1.5, "ok": True},
        {"mesh": "wan", "interface": "wan-64", "handshake_age": None, "ok": False},
        {"mesh": "other", "interface": "wan-2", "handshake_age": 900},
        None,
    ]
    block = report_of({"a": [first, confirmed(*probes, armed={**armed, "left_s": 9})]})["meshes"]["wan"]
    assert block["tunnels"] == {"up": 1, "stale": 0, "never": 1, "down": 0}
    assert block["armed"] == [{"member": "gw1", **armed}]
    block = report_of({"a": [first, confirmed(*probes), confirmed()]})["meshes"]["wan"]
    assert block["armed"] == []
    assert report_of({"a": [confirmed()]})["meshes"] == {}


def test_a_probe_that_failed_is_looked_at_too() -> None:
    collector = Collector("optimize.yml", check=False, started=NOW)
    failed = {"msg": "no", "tunnels": [{"mesh": "wan", "interface": "wan-2", "handshake_age": 400}]}
    for outcome, result in (("ok", looked("gw1", tunnel("gw2"))), ("failed", failed)):
        collector.add(Event("a", "swarm.node.mesh_confirm", "a task", outcome, result))
    assert collector.report(NOW, {})["meshes"]["wan"]["tunnels"]["stale"] == 1


def test_foreign_peers_are_not_members_that_were_missed() -> None:
    hosts = {"a": [looked("gw1", tunnel("partner", foreign=True, state="down"))]}
    block = report_of(hosts)["meshes"]["wan"]
    assert block["not_seen"] == [] and block["links"][0]["foreign"]
    assert "  gw1 – partner  down seen from gw1 (foreign peer)" in said(hosts)


def test_several_meshes() -> None:
    both = {"meshes": {"wan": info("gw1", tunnel("gw2")), "lab": info("gw1")}}
    report = report_of({"a": [both]})
    assert list(report["meshes"]) == ["lab", "wan"] and report["totals"]["mesh"]["meshes"] == 2


def test_live_values_make_no_group_and_change_no_digest() -> None:
    change = {"key": "mesh.mtu", "target": "", "before": 1400, "after": 1420}
    more = {"changed": True, "changes": [change], "plan_digest": "sha256:1"}
    first = applied("gw1", tunnel("gw2", "up", handshake_age_s=3, received_bytes=7), **more)
    second = applied("gw2", tunnel("gw1", "stale", handshake_age_s=900, endpoint="x:1"), **more)
    lines = said({"a": [first], "b": [second]})
    assert any(line.startswith("A  2 nodes  a, b  changed") for line in lines)
    assert not any(line.startswith("B  ") for line in lines)
    for host in report_of({"a": [first], "b": [second]})["hosts"].values():
        assert "handshake" not in json.dumps(host)


def test_a_run_that_only_looks_counts_its_nodes() -> None:
    assert said(FOUR)[1] == "3 nodes: 3 unchanged"


def test_results_without_a_mesh() -> None:
    report = report_of({"a": [{"layer": "kernel", "owner": "kernel", "changed": False, "changes": []}]})
    assert report["meshes"] == {} and report["totals"]["mesh"]["links"] == 0
    assert "<h2>Mesh</h2>" not in html.render(make_view(report), report["hosts"])


@pytest.mark.parametrize(
    "result",
    [
        {"mesh": "wan"},
        {"mesh": ["wan"]},
        {"mesh": {"wan": None}},
        {"mesh": {"wan": {"member": "a"}}},
        {"meshes": {"wan": {"tunnels": []}}},
        {"meshes": 3},
    ],
)
def test_what_is_no_mesh_is_passed_over(result: dict[str, Any]) -> None:
    assert mesh.fields(result) == {}


def test_misshapen_values_become_empty_ones() -> None:
    found = mesh.fields(
        {"mesh": {"wan": {"member": 7, "number": "1", "tunnels": [None, {"state": "odd", "mtu": True}]}}}
    )["wan"]
    assert (found["member"], found["number"], found["addresses"], found["armed"]) == ("7", None, [], None)
    (entry,) = found["tunnels"]
    assert (entry["state"], entry["mtu"], entry["peer"], entry["foreign"]) == ("down", None, "", False)


def test_nothing_undeclared_is_kept() -> None:
    found = mesh.fields({"mesh": {"wan": info("gw1", tunnel("gw2", private_key="x"), secret="y")}})
    assert "private_key" not in json.dumps(found) and "secret" not in json.dumps(found)


def test_many_links_that_are_not_up_are_cut_on_the_terminal() -> None:
    peers = [tunnel(f"p{number:02}", "down") for number in range(15)]
    hosts = {"a": [looked("gw1", *peers)]}
    assert "  … and 5 more links not up: see the report" in said(hosts)
    assert all(f"gw1 – p{number:02}<" in page(hosts) for number in range(15))


def test_the_page_escapes_and_shows_the_picture() -> None:
    evil = "<script>alert(1)</script>\x1b[31m"
    hosts = {"a": [looked("gw1", tunnel(evil, "down"), addresses=[evil], armed={"token": evil})]}
    hosts["a"][0]["meshes"][evil] = info("gw2", tunnel("gw1", interface=evil))
    shown = page(hosts)
    assert "<script" not in shown and "&lt;script&gt;" in shown and "\x1b" not in shown
    assert shown.count("<svg") == 2
    assert "\x1b" not in "".join(said(hosts))
