# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of eight members is measured by the playbook verify: with systemd, wireguard-go, and behind
NAT."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from lab_runs import Run

from .conftest import MEMBERS, MeshLab
from .packages import install

PORT = 22112
LEFT = f"""
systemctl list-units --all --plain --no-legend 'swarm-node-verify*'
ls -d /run/swarm-node-verify* 2>/dev/null
ss -H -lntu | grep ':{PORT} '
"""
"""Prints what a run has left behind."""

# The nodes share two cores, so these are targets of the lab, and of nothing else.
TARGETS: dict[str, Any] = {
    "verify_window": 20,
    "verify_interval_ms": 40,
    "verify_latency_ms": 1000,
    "verify_jitter_ms": 500,
    "verify_loss_percent": 20,
    "verify_throughput_mbit": 2,
    "verify_throughput_seconds": 2,
}


def verify(lab: MeshLab, *arguments: str, **more: Any) -> tuple[Run, dict[str, Any]]:
    """The run, and its report."""
    latest = lab.reports / "verify" / "latest.json"
    latest.unlink(missing_ok=True)
    run = lab.node("verify", *arguments, **{**TARGETS, **more})
    assert latest.exists(), run.output
    return run, json.loads(latest.read_text("utf-8"))


def nothing_is_left(lab: MeshLab) -> None:
    assert {name: lab.sh(name, LEFT, check=False) for name in MEMBERS} == dict.fromkeys(MEMBERS, "")


def test_all_pairs_are_measured_in_both_directions_and_nothing_stays(mesh: MeshLab) -> None:
    run, report = verify(mesh, verify_throughput="none")
    assert {tuple(item["ends"]) for item in report["pairs"]} == set(itertools.combinations(MEMBERS, 2))
    assert report["not_measured"] == {}, run.output
    for item in report["pairs"]:
        assert item["answered"] and item["tool"] == "irtt" and item["why"] == "", item
        for way in item["directions"]:
            assert way["loss"]["sent"] > 300, item
            assert way["throughput"]["verdict"] is None
    assert report["verdict"] != "missed" and run.code == 0, run.output
    nothing_is_left(mesh)
    # On the nodes nothing is another: packages were there.
    assert run.report["totals"]["writes"] == 0


def test_behind_nat_two_members_are_measured_through_a_relay(mesh: MeshLab) -> None:
    _run, report = verify(mesh, "--limit", "home-1,home-2,fra-1", verify_throughput="sample")
    kinds = {tuple(item["ends"]): item for item in report["pairs"]}
    assert set(kinds) == {("fra-1", "home-1"), ("fra-1", "home-2"), ("home-1", "home-2")}
    assert report["run"]["partial"] and report["totals"]["members_of_mesh"] == len(MEMBERS)
    assert report["totals"]["throughput"]["met"] > 0
    pair = kinds["home-1", "home-2"]
    assert pair["kind"] == "all" and pair["answered"]
    assert all(way["throughput"]["value"] for way in pair["directions"]), pair


@pytest.mark.long
def test_a_firewall_before_the_servers_of_one_is_told_from_loss(mesh: MeshLab) -> None:
    chain = "add chain inet wall in { type filter hook input priority 10; }"
    mesh.sh("ams-2", f"nft 'add table inet wall; {chain}; add rule inet wall in udp dport {PORT} drop'")
    try:
        # A target that some twenty echoes cannot show.
        few = {"verify_loss_percent": 2, "verify_fail_on": "never"}
        run, report = verify(mesh, verify_throughput="none", **few)
    finally:
        mesh.sh("ams-2", "nft delete table inet wall")
    closed = [item for item in report["pairs"] if "no answer from the server" in item["why"]]
    assert closed and all("ams-2" in item["ends"] for item in closed)
    assert all(item["directions"][0]["to"] == "ams-2" for item in closed)
    assert all(item["verdicts"]["loss"] == "not_shown" and item["answered"] for item in closed), closed
    assert run.code == 0, run.output
    nothing_is_left(mesh)


@pytest.mark.long
def test_a_member_without_the_programs_is_named_and_the_others_are_measured(mesh: MeshLab) -> None:
    mesh.sh("ams-3", "mv /usr/bin/irtt /usr/bin/irtt.away")
    try:
        run, report = verify(
            mesh, "--limit", "ams-1,ams-3,fra-1", verify_throughput="none", verify_install=False
        )
    finally:
        mesh.sh("ams-3", "mv /usr/bin/irtt.away /usr/bin/irtt")
    assert run.code != 0 and "irtt missing on this node" in run.failure("ams-3")
    assert set(report["not_measured"]) == {"ams-3"}
    verdicts = {tuple(item["ends"]): item["verdict"] for item in report["pairs"]}
    assert verdicts["ams-1", "ams-3"] == verdicts["ams-3", "fra-1"] == "not_shown"
    assert verdicts["ams-1", "fra-1"] == "met"
    nothing_is_left(mesh)


@pytest.mark.long
def test_debians_own_server_is_kept_from_starting_where_this_run_installs_it(
    mesh: MeshLab, tmp_path: Path
) -> None:
    """The lab's nodes have no way to a mirror, so the installation itself is done by hand here."""
    unit = "/etc/systemd/system/irtt.service"
    mesh.sh("ams-3", f"systemctl stop irtt; dpkg --purge irtt; rm -f {unit}")
    try:
        run, report = verify(mesh, "--limit", "ams-1,ams-3", verify_throughput="none")
        assert "ams-3" in report["not_measured"] and run.code != 0, run.output
        assert mesh.run("ams-3", "readlink", unit).strip() == "/dev/null"
        install(mesh.faults.name, "ams-3", ["irtt"], tmp_path)
        assert mesh.sh("ams-3", "systemctl start irtt", check=False) == ""
        assert mesh.sh("ams-3", "ss -H -lnu | grep :2112", check=False) == ""
        _run, report = verify(mesh, "--limit", "ams-1,ams-3", verify_throughput="none")
        assert report["not_measured"] == {}
    finally:
        mesh.sh("ams-3", f"rm -f {unit}; systemctl daemon-reload")


def test_a_check_starts_nothing(mesh: MeshLab) -> None:
    run = mesh.node("verify", "--check", **TARGETS)
    assert run.code == 0 and "in up to" in run.output, run.output
    nothing_is_left(mesh)


@pytest.mark.long
def test_a_member_that_dies_meanwhile_costs_its_own_pairs_alone(mesh: MeshLab) -> None:
    with mesh.faults.background(
        "fra-3", "sh", "-c", "sleep 40; systemctl stop 'swarm-node-verify*'"
    ) as dying:
        run, report = verify(mesh, verify_window=60, verify_throughput="none", verify_fail_on="never")
        dying.wait(120)
    assert run.code == 0, run.output
    others = [item for item in report["pairs"] if "fra-3" not in item["ends"]]
    assert all(item["verdicts"]["loss"] != "missed" for item in others), others
    nothing_is_left(mesh)
