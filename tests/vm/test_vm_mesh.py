# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh in the kernel's WireGuard: joined, disturbed, keys replaced, rebooted, a wrong change taken back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab_runs import Run

from tests.meshes.conftest import MeshLab
from tests.meshes.traffic import Bulk, Probes, seconds
from tests.vm.conftest import CHECKOUT, UNDERLAY, Guests

MEMBERS = tuple(UNDERLAY)
ARMED = "/var/lib/swarm_node/mesh/armed.json"
CONFIRM_SECONDS = 150
DELAY_MS = 60.0
LATE_MS = 10_000
"""Guests may be slow: late is not lost."""

LONGEST = 900
"""s within which a guest without KVM, on a busy host, has rebooted and taken its change back."""

ALL: dict[str, Any] = {"mesh_name": "wan", "node_batches": ["100%"], "mesh_confirm_seconds": 1800}
"""A translated guest takes long to answer for a change: nothing is to be taken back for that."""


class MachineMesh(MeshLab):
    """The same lab of meshes, with the patience that translated guests need."""

    playbook_seconds = 3600.0
    command_seconds = 600.0

    def raw(self, playbook: str, *arguments: str) -> Run:
        # More guests at work at once than there are processors only wait for each other, and time out.
        return super().raw(playbook, "--forks", str(os.cpu_count() or 1), *arguments)

    def silent(self, node: str, addresses: Any) -> list[str]:
        words = ("fping", "-u", "-r", "4", "-t", "3000", *addresses)
        return self.run(node, *words, check=False).split()

    def answers(self) -> None:
        """Every member reaches every other, over IPv4 and IPv6."""
        for name in MEMBERS:
            others = [other for other in MEMBERS if other != name]
            assert self.silent(name, [self.address(other) for other in others]) == [], name
            assert self.silent(name, ["-6", *(self.address6(other) for other in others)]) == [], name


@pytest.fixture(scope="module")
def mesh(guests: Guests, tmp_path_factory: pytest.TempPathFactory) -> MachineMesh:
    """The four guests in one mesh."""
    base = tmp_path_factory.mktemp("mesh")
    (base / "registries").mkdir()
    lab = MachineMesh(base, base / "registries", os.environ["SWARM_NODE_LAB"], "lab-vm")
    run = lab.mesh("join", **ALL)
    assert run.code == 0, run.output
    return lab


def kernel_tunnels(guests: Guests, node: str) -> list[str]:
    """The interfaces that are the kernel's own WireGuard: one of a program would be of the kind tun."""
    links = json.loads(guests.sh(node, "ip -json -details link show type wireguard"))
    assert all(link["linkinfo"]["info_kind"] == "wireguard" for link in links)
    return sorted(link["ifname"] for link in links)


def test_tunnels_are_the_kernels_and_everybody_answers(mesh: MachineMesh, guests: Guests) -> None:
    for name in MEMBERS:
        found = kernel_tunnels(guests, name)
        assert len(found) == len(MEMBERS) - 1
        assert found == mesh.interfaces(name)
        assert guests.sh(name, "test -d /sys/module/wireguard && pidof wireguard-go || true") == ""
    mesh.answers()


def test_a_second_run_changes_nothing(mesh: MachineMesh) -> None:
    run = mesh.mesh("apply", **ALL)
    assert run.code == 0 and run.report["totals"]["writes"] == 0, run.output
    assert {run.host(name)["round_trips"] for name in MEMBERS} == {1}


@contextmanager
def disturbed(guests: Guests, node: str, towards: str, how: str) -> Iterator[None]:
    """netem on the way from one guest to another; the node's other ways stay as they are."""
    address = UNDERLAY[towards]
    script = f"""
        set -e
        tc qdisc replace dev eth1 root handle 1: prio bands 4
        tc qdisc replace dev eth1 parent 1:4 netem {how}
        tc filter replace dev eth1 parent 1: protocol ip prio 1 u32 match ip dst {address}/32 flowid 1:4
    """
    guests.sh(node, script)
    try:
        yield
    finally:
        guests.sh(node, "tc qdisc delete dev eth1 root")


def lost_of(guests: Guests, node: str, address: str, count: int = 200) -> int:
    """How many of `count` probes are not answered."""
    text = guests.sh(node, f"fping -q -c {count} -p 20 -t 10000 {address} 2>&1", check=False)
    found = re.search(r"xmt/rcv/%loss = (\d+)/(\d+)/", text)
    assert found and int(found[1]) == count, text
    return count - int(found[2])


def test_what_netem_does_to_a_path_is_seen_through_the_mesh(mesh: MachineMesh, guests: Guests) -> None:
    slow, other = mesh.address("vm-3"), mesh.address("vm-2")
    before = guests.round_trip("vm-1", slow)
    with disturbed(guests, "vm-1", "vm-3", f"delay {DELAY_MS:.0f}ms"):
        during, beside = guests.round_trip("vm-1", slow), guests.round_trip("vm-1", other)
    assert DELAY_MS - 2 <= during - before <= DELAY_MS + 15, (before, during)
    assert beside < DELAY_MS / 2
    with disturbed(guests, "vm-1", "vm-3", "loss 30%"):
        lossy, sound = lost_of(guests, "vm-1", slow), lost_of(guests, "vm-1", other)
    # 200 probes at 30 %: fewer than 25 or more than 100 lost would be a wonder.
    assert 25 <= lossy <= 100
    assert sound == 0
    assert lost_of(guests, "vm-1", slow) == 0


def test_all_keys_are_replaced_without_a_lost_packet(mesh: MachineMesh) -> None:
    keys = {name: member["keys"] for name, member in mesh.registry()["members"].items()}
    pairs = [("vm-1", mesh.address("vm-2")), ("vm-4", mesh.address("vm-1"))]
    probes = Probes(mesh.faults, pairs, late_ms=LATE_MS)
    bulk = Bulk(mesh.faults, "vm-3", "vm-2", mesh.address("vm-2"), rate="5M")
    run = mesh.mesh("rotate", **ALL)
    sent = seconds(bulk.stop())
    counts = probes.stop()
    assert run.code == 0, run.output
    print(counts, f"{sum(sent)} bytes in {len(sent)} s, {sent.count(0)} s without any")
    assert [count for count in counts if count.lost or count.sent < 100] == []
    assert len(sent) > 5 and any(sent[-5:]), "the stream did not go on to the end"
    for name, member in mesh.registry()["members"].items():
        assert member["keys"] != keys[name] and len(member["keys"]) == 1
    mesh.answers()


def test_a_members_reboot_brings_all_back_and_costs_others_nothing(mesh: MachineMesh, guests: Guests) -> None:
    boot, tunnels = guests.boot_id("vm-2"), kernel_tunnels(guests, "vm-2")
    probes = Probes(mesh.faults, [("vm-1", mesh.address("vm-3"))], late_ms=LATE_MS)
    guests.do("reboot", "vm-2")
    counts = probes.stop()
    print(counts)
    assert [count for count in counts if count.lost or count.sent < 100] == []
    assert guests.boot_id("vm-2") != boot
    assert kernel_tunnels(guests, "vm-2") == tunnels
    mesh.answers()
    run = mesh.mesh("apply", **ALL)
    assert run.code == 0 and run.report["totals"]["changes"] == 0, run.output


def test_a_wrong_change_is_taken_back_after_a_reboot_without_a_controller(
    mesh: MachineMesh, guests: Guests
) -> None:
    def wrong(registry: dict[str, Any]) -> None:
        registry["members"]["vm-2"]["endpoint"] = "10.79.0.99"

    boot = guests.boot_id("vm-4")
    before = mesh.edit(wrong)
    try:
        killed_once_armed(mesh, guests, "vm-4")
        assert "10.79.0.99" in guests.sh("vm-4", "grep -h Endpoint /etc/wireguard/*")
        guests.sh("vm-4", "systemctl --no-block reboot", check=False)
    finally:
        mesh.put_back(before)
    deadline = time.monotonic() + LONGEST
    script = f"test -e {ARMED} || cat /proc/sys/kernel/random/boot_id"
    while guests.sh("vm-4", script, check=False).strip() in ("", boot):
        assert time.monotonic() < deadline, guests.sh(
            "vm-4", "journalctl -u 'swarm-node-mesh-guard*' --no-pager"
        )
        time.sleep(3)
    assert "10.79.0.99" not in guests.sh("vm-4", "grep -h Endpoint /etc/wireguard/*; wg show all endpoints")
    mesh.answers()
    run = mesh.mesh("apply", **ALL)
    assert run.code == 0 and run.report["totals"]["changes"] == 0, run.output


def killed_once_armed(mesh: MachineMesh, guests: Guests, node: str) -> None:
    """A run that dies when the node has armed its change and made it."""
    variables = {**ALL, "mesh_registry_dir": str(mesh.registries), "mesh_confirm_seconds": CONFIRM_SECONDS}
    program = str(Path(sys.executable).parent / "ansible-playbook")
    line = [program, "swarm.node.mesh_apply", "-i", str(mesh.inventory), "--limit", node]
    with subprocess.Popen(
        [*line, "-e", json.dumps(variables)],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        script = f"test -e {ARMED} && grep -qs 10.79.0.99 /etc/wireguard/* && echo armed"
        while guests.sh(node, script, check=False) == "":
            assert process.poll() is None, "the run has ended, and nothing was armed"
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
