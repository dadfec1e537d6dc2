# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of `optimize`: where their sizes come from, and what stops them."""

from __future__ import annotations

from pathlib import Path

from .conftest import CHECKOUT, CPU, H100, MIXED, Lab

PLAY = "PLAY [Change the nodes that need it"
ADDRESSES = {H100: "10.77.0.11", MIXED: "10.77.0.12", CPU: "10.77.0.13"}


def test_sizes_may_stand_in_the_inventory(lab: Lab, tmp_path: Path) -> None:
    lab.forget()
    lab_hosts = (CHECKOUT / "inventories/lab/hosts.yml").read_text("utf-8")
    here = lab_hosts.replace('"{{ inventory_dir | dirname | dirname }}"', str(CHECKOUT))
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(here.replace("all:\n", "all:\n  vars: {node_batches: [3]}\n", 1), "utf-8")
    run = lab.raw("swarm.node.optimize", "-i", str(inventory))
    assert run.code == 0, run.output
    assert run.output.count(PLAY) == 1, run.output


def test_a_node_that_goes_away_stops_the_batches(lab: Lab) -> None:
    """Two of three nodes are gone after the pre-flight, so one is in the first batch of two."""
    lab.forget()
    gone = f"__gpu_result is defined and inventory_hostname != '{CPU}'"
    address = f"{{{{ '10.77.0.99' if {gone} else {ADDRESSES}[inventory_hostname] }}}}"
    run = lab.optimize(ansible_host=address, ansible_ssh_timeout=3, node_batches=[2, 1])
    assert run.code != 0
    assert run.output.count(PLAY) == 1, run.output
    states = sorted(host["state"] for host in run.report["hosts"].values())
    assert "failed" in states and "planned" in states, states
    assert "went away while its settings were applied" in run.output
    lab.forget()
