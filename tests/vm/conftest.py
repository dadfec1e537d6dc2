# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests on virtual machines share: commands in a guest, and the lab's own commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.vm.guests import BOOT_SECONDS, LOGIN_SECONDS

CHECKOUT = Path(__file__).resolve().parents[2]
LONGEST = BOOT_SECONDS + 2 * LOGIN_SECONDS
"""s for a command of the lab: longer than it waits itself, so that its own words are what is seen."""

UNDERLAY = {f"vm-{number}": f"10.79.0.1{number}" for number in range(1, 5)}


class Guests:
    """The running lab whose name is in SWARM_NODE_LAB."""

    def lab(self, *words: str, timeout: float = LONGEST) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "lab", *words]
        return subprocess.run(
            line,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def do(self, *words: str) -> None:
        """A command of the lab that has to succeed."""
        done = self.lab(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    def sh(self, node: str, script: str, check: bool = True) -> str:
        """Runs a script in a guest as root and returns its output."""
        done = self.lab("exec", node, "sh", "-c", script)
        assert not check or done.returncode == 0, f"{node}: {script}: {done.stdout}{done.stderr}"
        return done.stdout

    def boot_id(self, node: str) -> str:
        return self.sh(node, "cat /proc/sys/kernel/random/boot_id").strip()

    def round_trip(self, node: str, address: str, count: int = 20) -> float:
        """The shortest of some round trips in ms: load only ever adds to it."""
        text = self.sh(node, f"ping -q -c {count} -i 0.2 -W 5 {address}")
        found = re.search(r"= ([0-9.]+)/", text)
        assert found, text
        return float(found[1])

    def reaches(self, node: str, address: str) -> bool:
        """Whether any of three pings is answered."""
        return self.lab("exec", node, "ping", "-q", "-c", "3", "-W", "3", address).returncode == 0

    def wg_pair(self, first: str, second: str, device: str) -> tuple[str, str]:
        """Makes a tunnel between two guests, in their kernels; returns the addresses inside."""
        ends = (first, second)
        key = f"/run/{device}.key"
        make = f"umask 077; ip link add {device} type wireguard && wg genkey >{key}"
        make += f" && wg set {device} listen-port 51999 private-key {key} && wg show {device} public-key"
        keys = [self.sh(end, make).strip() for end in ends]
        addresses = ("192.0.2.1", "192.0.2.2")
        for index, end in enumerate(ends):
            other = 1 - index
            peer = f"wg set {device} peer {keys[other]} endpoint {UNDERLAY[ends[other]]}:51999"
            own = f"ip address add {addresses[index]}/24 dev {device} && ip link set {device} up"
            self.sh(end, f"{peer} allowed-ips 192.0.2.0/24 && {own}")
        return addresses


@pytest.fixture(scope="session")
def guests() -> Guests:
    if not os.environ.get("SWARM_NODE_LAB"):
        pytest.fail("these tests need a lab of their own: run `make vm`")
    return Guests()
