# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's virtual machines are machines: kernel, network, reboot, power failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import spec
from tests.vm.conftest import CHECKOUT, LONGEST, UNDERLAY, Guests

FIRST, SECOND, THIRD, FOURTH = UNDERLAY
DELAY_MS = 40.0


@pytest.mark.parametrize("node", spec.MACHINE_NODES, ids=lambda node: node.name)
def test_a_guest_runs_the_stock_kernel_of_its_suite(guests: Guests, node: spec.Node) -> None:
    script = """
        . /etc/os-release; echo "$VERSION_CODENAME"; uname -r; systemctl is-system-running
        modprobe --all wireguard sch_netem tcp_bbr sch_fq nft_ct && echo loaded
    """
    suite, kernel, state, modules = guests.sh(node.name, script).split()
    assert suite == node.suite
    assert kernel.startswith({"bookworm": "6.1.", "trixie": "6.12."}[node.suite])
    assert kernel.endswith("-cloud-amd64")
    assert (state, modules) == ("running", "loaded")


def test_the_tools_of_network_tests_are_there(guests: Guests) -> None:
    tools = "wg nft tc iperf3 fping irtt ethtool openssl python3 udevadm"
    for node in (FIRST, SECOND):
        assert (
            guests.sh(node, f"for tool in {tools}; do command -v $tool >/dev/null || echo $tool; done") == ""
        )


def test_ansible_reaches_every_guest(guests: Guests) -> None:
    line = [
        str(Path(sys.executable).parent / "ansible"),
        "-i",
        "inventories/lab-vm",
        "vm",
        "-m",
        "ping",
        "-o",
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        line, cwd=CHECKOUT, capture_output=True, text=True, timeout=LONGEST, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {text.split(" ")[0] for text in done.stdout.splitlines() if "SUCCESS" in text} == set(UNDERLAY)


def test_packages_come_from_the_guests_own_repository(guests: Guests) -> None:
    assert guests.sh(FOURTH, "dpkg-query -W python3-psutil 2>/dev/null || true") == ""
    guests.sh(FOURTH, "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-psutil >/dev/null 2>&1")
    assert guests.sh(FOURTH, "python3 -c 'import psutil; print(psutil.cpu_count())'").strip() == "1"


def test_a_kernel_wireguard_tunnel_carries_traffic(guests: Guests) -> None:
    try:
        _, far = guests.wg_pair(FIRST, SECOND, "wgtest")
        assert guests.reaches(FIRST, far)
        script = (
            "ip -d link show wgtest | grep -c wireguard; pidof wireguard-go || true; wg show wgtest transfer"
        )
        kind, _, received, sent = guests.sh(FIRST, script).split()
        assert kind == "1"
        assert int(received) > 0 and int(sent) > 0
    finally:
        for node in (FIRST, SECOND):
            guests.sh(node, "ip link delete wgtest", check=False)


def test_netem_delays_as_much_as_it_is_told(guests: Guests) -> None:
    before = guests.round_trip(FIRST, UNDERLAY[THIRD])
    guests.sh(FIRST, f"tc qdisc replace dev eth1 root netem delay {DELAY_MS:.0f}ms")
    try:
        during = guests.round_trip(FIRST, UNDERLAY[THIRD])
    finally:
        guests.sh(FIRST, "tc qdisc delete dev eth1 root")
    # Never too short; a translated guest on a busy host is late by some ms at times.
    assert DELAY_MS - 2 <= during - before <= DELAY_MS + 10, (before, during)
    assert guests.round_trip(FIRST, UNDERLAY[THIRD]) < DELAY_MS / 2


def test_nft_drops_in_the_inet_family(guests: Guests) -> None:
    assert guests.reaches(SECOND, UNDERLAY[THIRD])
    rules = f"""
        nft -f - <<RULES
        table inet trial {{
            chain input {{
                type filter hook input priority filter; policy accept;
                ip saddr {UNDERLAY[SECOND]} drop
            }}
        }}
RULES"""
    guests.sh(THIRD, rules)
    try:
        assert not guests.reaches(SECOND, UNDERLAY[THIRD])
        assert guests.reaches(FIRST, UNDERLAY[THIRD])
    finally:
        guests.sh(THIRD, "nft delete table inet trial")
    assert guests.reaches(SECOND, UNDERLAY[THIRD])


def test_huge_pages_can_be_set(guests: Guests) -> None:
    pages = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
    count = guests.sh(FIRST, f"echo 8 >{pages}; cat {pages}; echo 0 >{pages}; cat {pages}").split()
    assert count == ["8", "0"]


def test_a_cut_underlay_leaves_the_login(guests: Guests) -> None:
    guests.do("cut", FIRST)
    try:
        assert not guests.reaches(FIRST, UNDERLAY[SECOND])
    finally:
        guests.do("restore", FIRST)
    assert guests.reaches(FIRST, UNDERLAY[SECOND])


def test_guests_do_not_meet_on_the_management_network(guests: Guests) -> None:
    management = spec.node(SECOND, spec.MACHINE_NODES).management
    assert not guests.reaches(FIRST, management)


def test_a_reboot_keeps_files_and_loses_what_is_volatile(guests: Guests) -> None:
    before = guests.boot_id(SECOND)
    guests.sh(SECOND, "echo kept >/root/kept; echo lost >/run/lost; sysctl -q -w vm.swappiness=7")
    guests.do("reboot", SECOND)
    kept, volatile, swappiness = guests.sh(
        SECOND, "cat /root/kept; test -e /run/lost && echo there || echo gone; sysctl -n vm.swappiness"
    ).split()
    assert (kept, volatile, swappiness) == ("kept", "gone", "60")
    assert guests.boot_id(SECOND) != before


def test_ansible_reboots_a_guest(guests: Guests) -> None:
    before = guests.boot_id(THIRD)
    line = [str(Path(sys.executable).parent / "ansible"), "-i", "inventories/lab-vm", THIRD, "-m", "reboot"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        line, cwd=CHECKOUT, capture_output=True, text=True, timeout=LONGEST, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert guests.boot_id(THIRD) != before


def test_after_a_power_failure_what_was_synced_is_there(guests: Guests) -> None:
    before = guests.boot_id(FIRST)
    guests.sh(FIRST, "echo synced >/root/synced; sync")
    guests.do("crash", FIRST)
    done = guests.lab("status")
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines() if " down " in line] == [FIRST]
    guests.do("start", FIRST)
    assert guests.sh(FIRST, "cat /root/synced").strip() == "synced"
    assert guests.boot_id(FIRST) != before


def test_up_makes_a_lost_guest_anew_and_leaves_the_others(guests: Guests) -> None:
    others = {node: guests.boot_id(node) for node in (SECOND, THIRD)}
    guests.sh(FOURTH, "touch /root/old; sync")
    guests.do("crash", FOURTH)
    guests.do("up")
    assert guests.sh(FOURTH, "ls /root").strip() == ""
    assert {node: guests.boot_id(node) for node in (SECOND, THIRD)} == others
    assert guests.lab("status").returncode == 0
