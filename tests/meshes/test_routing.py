# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing daemons on the eight members of the lab's mesh, by the role, with systemd and wireguard-go.

home-1 and home-2 have no tunnel with each other and go by a relay.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from lab_runs import BIN, CHECKOUT

from lab import sets
from lab.paths import LabPaths

from .conftest import MEMBERS, MeshLab
from .packages import install
from .traffic import Probes

RELAYS = ("ams-1", "fra-1")
LEFT = """
systemctl list-units --all --plain --no-legend 'swarm-node-routing*'
ls -d /etc/swarm_node/routing /run/swarm-node-routing /usr/local/lib/swarm_node/*routing* 2>/dev/null
ls /etc/systemd/system | grep swarm-node-routing
ls /etc/systemd/system/*.wants | grep swarm-node-routing
nft list tables | grep -e routing -e deaf
ip route show proto 42
ip rule show | grep 'proto 214'
ip -6 rule show | grep 'proto 214'
ip route show table all proto 214
ls /var/lib/swarm_node/routing.json 2>/dev/null
"""
"""Prints what routing has left behind."""


@pytest.fixture(scope="module")
def routed(mesh: MeshLab, tmp_path_factory: pytest.TempPathFactory) -> MeshLab:
    """The mesh with babeld on all members. The nodes have no way to a mirror."""
    base = tmp_path_factory.mktemp("babeld")
    for name in MEMBERS:
        work = base / sets.node_of(LabPaths(mesh.faults.name), name).suite
        work.mkdir(exist_ok=True)
        install(mesh.faults.name, name, ["babeld"], work)
    run = mesh.node("routing", routing_daemon="babeld")
    assert run.code == 0, run.output
    until(lambda: all(via(mesh, *pair) for pair in (("home-1", "home-2"), ("home-2", "home-1"))), 40)
    return mesh


def until(condition: Callable[[], Any], patience: float) -> float:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < patience, "it did not happen in time"
        time.sleep(0.3)
    return time.monotonic() - start


def via(lab: MeshLab, source: str, target: str) -> str:
    """The member by which babeld sends from one to the other; "" for none."""
    out = lab.run(source, "ip", "-N", "-j", "route", "show", lab.address(target), "proto", "42", check=False)
    devices = [str(route.get("dev", "")) for route in json.loads(out or "[]")]
    found = re.match(r"wan-(\d+)", devices[0]) if devices else None
    number = found[1] if found else ""
    members = lab.registry()["members"]
    return next((name for name, member in members.items() if str(member["number"]) == number), "")


def module(lab: MeshLab, node: str, name: str, **options: Any) -> dict[str, Any]:
    """A module of the collection on one node."""
    inventory = ["-i", str(lab.inventory), "-e", json.dumps({"mesh_registry_dir": str(lab.registries)})]
    line = [str(BIN / "ansible"), *inventory, node, "-m", f"swarm.node.{name}", "-a", json.dumps(options)]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(line, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120)
    assert "=> " in done.stdout, done.stdout + done.stderr
    text = done.stdout[done.stdout.index("=> ") + 3 :]
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return answer


def info(lab: MeshLab, node: str) -> dict[str, Any]:
    found: dict[str, Any] = module(lab, node, "routing_info", listen=1.5)["meshes"]["wan"]
    return found


def test_all_members_reach_all_by_it_and_a_second_run_changes_nothing(routed: MeshLab) -> None:
    again = routed.node("routing", routing_daemon="babeld")
    assert again.code == 0 and again.report["totals"]["writes"] == 0, again.output
    found = info(routed, "home-1")
    assert found["running"] and found["version"].startswith("babeld-1.1") and not found["transit"]
    assert {one["peer"] for one in found["neighbours"]} == set(MEMBERS) - {"home-1", "home-2"}
    relayed = next(
        one for one in found["routes"] if one["installed"] and one["number"] == number(routed, "home-2")
    )
    assert relayed["via"] in RELAYS and relayed["member"] is None
    assert found["dropped"] == {"outside": 0, "spoofed": 0, "circled": 0, "foreign": []}
    assert found["changes"] and found["changes"][0]["from"] == ""
    assert {info(routed, name)["rank"] for name in RELAYS} == {0}
    for name in MEMBERS:
        others = [routed.address(other) for other in MEMBERS if other != name]
        assert routed.silent(name, others) == [], name
        assert routed.sh(
            name, "systemctl is-active swarm-node-routing@wan swarm-node-routing-changes@wan"
        ).split() == [
            "active",
            "active",
        ]


def test_the_report_says_how_it_is_and_which_daemon_is_off(routed: MeshLab) -> None:
    run = routed.node("mesh_report")
    assert run.code == 0, run.output
    made, page = reported(routed)
    wan = made["meshes"]["wan"]
    assert made["verdict"] == "fine" and set(wan["members"]) == set(MEMBERS)
    assert {one["state"] for one in wan["members"].values()} == {"seen"}
    assert all(one["routing"]["running"] for one in wan["members"].values())
    assert wan["members"]["home-1"]["ways"]["relayed"] >= 1
    (way,) = [one for one in wan["paths"] if (one["members"][0], one["goal"]) == ("home-1", "home-2")]
    assert way["members"][1] in RELAYS and way["kind"] == "relayed"
    assert "home-1" in page and "<script" not in page
    routed.sh("ams-3", "systemctl stop swarm-node-routing@wan")
    try:
        run = routed.node("mesh_report", listen=0)
    finally:
        routed.sh("ams-3", "systemctl start swarm-node-routing@wan")
    assert run.code == 2, run.output
    made, page = reported(routed)
    wrong = [one for one in made["meshes"]["wan"]["problems"] if one["severity"] == "wrong"]
    assert ["ams-3"] in [one["where"] for one in wrong if one["what"] == "routing daemon off"], wrong
    assert "routing daemon off" in run.output and "routing daemon off" in page


def reported(lab: MeshLab) -> tuple[dict[str, Any], str]:
    """The newest report of mesh_report, and its page."""
    (newest, *_others) = sorted((lab.reports / "mesh").glob("*-mesh_report.json"), reverse=True)
    return json.loads(newest.read_text("utf-8")), newest.with_suffix(".html").read_text("utf-8")


def number(lab: MeshLab, name: str) -> int:
    return int(lab.registry()["members"][name]["number"])


@pytest.mark.long
def test_nobody_loses_a_packet_while_a_relay_is_drained_and_keys_are_replaced(routed: MeshLab) -> None:
    pairs = [("home-1", "home-2"), ("fra-2", "ams-2")]
    probes = Probes(routed.faults, [(source, routed.address(target)) for source, target in pairs], 20)
    relay = via(routed, "home-1", "home-2")
    other = next(name for name in RELAYS if name != relay)
    run = routed.node("drain", node_hosts=relay)
    assert run.code == 0, run.output
    assert {via(routed, *pair) for pair in (("home-1", "home-2"), ("home-2", "home-1"))} == {other}
    assert info(routed, relay)["drained"] == {"whole": True, "interfaces": []}
    again = routed.node("drain", node_hosts=relay)
    assert again.code == 0 and "changed=0" in again.output, again.output
    run = routed.mesh("rotate", node_hosts="fra-2", node_batches=["100%"], routing_daemon="babeld")
    assert run.code == 0, run.output
    run = routed.node("undrain", node_hosts=relay)
    assert run.code == 0 and not info(routed, relay)["drained"]["whole"], run.output
    lost = {(count.source, count.target): count.lost for count in probes.stop() if count.lost}
    assert lost == {}


def test_a_daemon_that_is_killed_comes_back_and_a_dead_link_is_left(routed: MeshLab) -> None:
    until(lambda: via(routed, "fra-2", "ams-2") == "ams-2", 30)
    relay = via(routed, "home-1", "home-2")
    before = info(routed, relay)["since"]
    routed.sh(relay, "systemctl kill -s KILL swarm-node-routing@wan")
    until(lambda: info(routed, relay)["running"], 20)
    assert info(routed, relay)["since"] > before
    interface = f"wan-{number(routed, 'ams-2')}"
    found = [name for name in routed.interfaces("fra-2") if name.rstrip("b") == interface]
    chain = "add chain inet dead in { type filter hook prerouting priority -300; }"
    rules = "; ".join(f"add rule inet dead in iifname {name} drop" for name in found)
    routed.sh("fra-2", f"nft 'add table inet dead; {chain}; {rules}'")
    try:
        until(lambda: via(routed, "fra-2", "ams-2") in RELAYS, 15)
        until(lambda: via(routed, "ams-2", "fra-2") in RELAYS, 15)
        assert routed.silent("fra-2", [routed.address("ams-2")]) == []
        note = info(routed, "fra-2")["changes"][-1]
        assert note["member"] == "ams-2" and note["from"] == "ams-2" and note["to"] in RELAYS
    finally:
        routed.sh("fra-2", "nft delete table inet dead")


RULES = """
ip rule show | grep 'proto 214' | sort -u | wc -l
ip -6 rule show | grep 'proto 214' | sort -u | wc -l
ip route show table 105 proto 42
"""
"""Prints how many rules there are, and blocks that the daemon has a way to."""


def looked_up(lab: MeshLab, name: str) -> list[str]:
    return lab.sh(name, RULES, check=False).split()


def knows_blocks(lab: MeshLab, name: str) -> bool:
    found = looked_up(lab, name)
    return found[:2] == ["2", "2"] and "via" in found


@pytest.mark.long
def test_regions_are_announced_as_a_whole_and_rules_go_with_the_daemon(routed: MeshLab) -> None:
    """As if the mesh were large and sparse: two relays in each region but home, and a limit of four."""

    def larger(registry: dict[str, Any]) -> None:
        registry["settings"].update(full_mesh_up_to=2, aggregate_above=4)
        for name in ("ams-2", "fra-2"):
            registry["members"][name]["transit"] = True

    before = routed.edit(larger)
    unit = "swarm-node-routing@wan"
    try:
        run = routed.mesh("apply", routing_daemon="babeld", node_batches=["100%"])
        assert run.code == 0, run.output
        until(
            lambda: looked_up(routed, "ams-3")[:2] == ["2", "2"] and "via" in looked_up(routed, "ams-3"), 60
        )
        found = info(routed, "ams-1")
        assert len(found["aggregates"]["own"]) == len(found["aggregates"]["others"]) == 2
        assert found["aggregates"]["rules"] and found["aggregates"]["tables"] == [104, 105]
        until(lambda: info(routed, "ams-3")["dropped"]["foreign"] == [], 60)
        for name in MEMBERS:
            others = [routed.address(other) for other in MEMBERS if other != name]
            until(lambda name=name, others=others: routed.silent(name, others) == [], 60)  # type: ignore[misc]
        again = routed.node("routing", routing_daemon="babeld")
        assert again.code == 0 and again.report["totals"]["writes"] == 0, again.output
        since = info(routed, "ams-3")["since"]
        routed.sh("ams-3", f"systemctl kill -s KILL {unit}")
        until(lambda: (info(routed, "ams-3")["since"] or 0) > since and knows_blocks(routed, "ams-3"), 30)
        routed.sh("ams-3", f"systemctl stop {unit}")
        assert looked_up(routed, "ams-3") == ["0", "0"]
        routed.sh("ams-3", f"systemctl start {unit}")
        assert looked_up(routed, "ams-3")[:2] == ["2", "2"]
        routed.sh("ams-3", "ip rule del pref 30214; ip rule del pref 30215")
        mended = routed.node("routing", routing_daemon="babeld")
        assert mended.code == 0 and looked_up(routed, "ams-3")[:2] == ["2", "2"], mended.output
    finally:
        routed.put_back(before)
        run = routed.mesh("apply", routing_daemon="babeld", node_batches=["100%"])
    assert run.code == 0, run.output
    assert {name: looked_up(routed, name) for name in MEMBERS} == {name: ["0", "0"] for name in MEMBERS}


def test_what_is_broken_by_hand_is_mended(routed: MeshLab) -> None:
    node = "ams-3"
    routed.sh(
        node, "echo nonsense >>/etc/swarm_node/routing/wan.conf; systemctl restart swarm-node-routing@wan"
    )
    failed = info(routed, node)
    assert not failed["running"] and failed["why"]
    run = routed.node("routing", "--limit", node, routing_daemon="babeld")
    assert run.code == 0 and info(routed, node)["running"], run.output
    assert routed.silent(node, [routed.address("fra-1")]) == []


def test_it_goes_without_a_trace(routed: MeshLab) -> None:
    run = routed.node("routing", routing_daemon="none")
    assert run.code == 0, run.output
    assert {name: routed.sh(name, LEFT, check=False) for name in MEMBERS} == dict.fromkeys(MEMBERS, "")
    assert routed.silent("home-1", [routed.address("home-2")]) == []
    again = routed.node("routing", routing_daemon="none")
    assert again.report["totals"]["writes"] == 0
