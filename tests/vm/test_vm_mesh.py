# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh in the kernel's WireGuard: joined, keys replaced, rebooted, a wrong change taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.meshes.conftest import MeshLab
from tests.meshes.traffic import Probes
from tests.vm.conftest import CHECKOUT, UNDERLAY, Guests

MEMBERS = tuple(UNDERLAY)
ALL: dict[str, Any] = {"mesh_name": "wan", "node_batches": ["100%"]}
ARMED = "/var/lib/swarm_node/mesh/armed.json"
CONFIRM_SECONDS = 60
LONGEST = 400
"""s within which a guest without KVM has rebooted and taken its change back."""


@pytest.fixture(scope="module")
def mesh(guests: Guests, tmp_path_factory: pytest.TempPathFactory) -> MeshLab:
    """The four guests in one mesh, without change since they came up."""
    base = tmp_path_factory.mktemp("mesh")
    (base / "registries").mkdir()
    lab = MeshLab(base, base / "registries", os.environ["SWARM_NODE_LAB"], "lab-vm")
    run = lab.mesh("join", **ALL)
    assert run.code == 0, run.output
    return lab


def everybody_answers(lab: MeshLab) -> None:
    for name in MEMBERS:
        others = [other for other in MEMBERS if other != name]
        assert lab.silent(name, [lab.address(other) for other in others]) == [], name
        assert lab.silent(name, ["-6", *(lab.address6(other) for other in others)]) == [], name


def test_tunnels_are_the_kernels_and_everybody_answers(mesh: MeshLab, guests: Guests) -> None:
    for name in MEMBERS:
        kinds = guests.sh(name, "ip -d link show type wireguard | grep -c '^[0-9]'").strip()
        assert kinds == str(len(MEMBERS) - 1)
        assert guests.sh(name, "pidof wireguard-go || true") == ""
    everybody_answers(mesh)


def test_a_second_run_changes_nothing(mesh: MeshLab) -> None:
    run = mesh.mesh("apply", **ALL)
    assert run.code == 0 and run.report["totals"]["writes"] == 0, run.output
    assert {run.host(name)["round_trips"] for name in MEMBERS} == {1}


def test_all_keys_are_replaced_without_a_lost_packet(mesh: MeshLab) -> None:
    keys = {name: member["keys"] for name, member in mesh.registry()["members"].items()}
    probes = Probes(mesh.faults, [("vm-1", mesh.address("vm-2")), ("vm-3", mesh.address("vm-1"))])
    run = mesh.mesh("rotate", **ALL)
    counts = probes.stop()
    assert run.code == 0, run.output
    assert [count for count in counts if count.lost] == []
    for name, member in mesh.registry()["members"].items():
        assert member["keys"] != keys[name] and len(member["keys"]) == 1
    everybody_answers(mesh)


def test_a_wrong_change_is_taken_back_after_a_reboot_without_a_controller(
    mesh: MeshLab, guests: Guests
) -> None:
    def wrong(registry: dict[str, Any]) -> None:
        registry["members"]["vm-2"]["endpoint"] = "10.79.0.99"

    boot = guests.boot_id("vm-4")
    before = mesh.edit(wrong)
    try:
        killed_once_armed(mesh, guests, "vm-4")
        guests.sh("vm-4", "systemctl reboot", check=False)
    finally:
        mesh.put_back(before)
    deadline = time.monotonic() + LONGEST
    while guests.sh(
        "vm-4", f"test -e {ARMED} || cat /proc/sys/kernel/random/boot_id", check=False
    ).strip() in ("", boot):
        assert time.monotonic() < deadline, guests.sh(
            "vm-4", "journalctl -u 'swarm-node-mesh-guard*' --no-pager"
        )
        time.sleep(3)
    everybody_answers(mesh)
    run = mesh.mesh("apply", **ALL)
    assert run.code == 0 and run.report["totals"]["changes"] == 0, run.output


def killed_once_armed(mesh: MeshLab, guests: Guests, node: str) -> None:
    """A run that dies when the node has armed its change."""
    variables = {"mesh_registry_dir": str(mesh.registries), "mesh_confirm_seconds": CONFIRM_SECONDS, **ALL}
    program = str(Path(sys.executable).parent / "ansible-playbook")
    line = [
        program,
        "swarm.node.mesh_apply",
        "-i",
        str(mesh.inventory),
        "--limit",
        node,
        "-e",
        json.dumps(variables),
    ]
    with subprocess.Popen(
        line, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while guests.sh(node, f"test -e {ARMED} && echo armed", check=False) == "":
            assert process.poll() is None, "the run has ended, and nothing was armed"
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
