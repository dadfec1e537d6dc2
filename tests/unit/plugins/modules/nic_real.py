# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces with devices of the real kernel, for tests of the nic module. The host is not touched.

veth has features, channels, queues and disciplines; a tap device has coalescing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import module_runner

PREPARE = """
mount --make-rprivate / && mount -t sysfs sysfs /sys && ip link set lo up
ip link add v0 numtxqueues 4 numrxqueues 4 type veth peer name v1 numtxqueues 4 numrxqueues 4
ip tuntap add tap0 mode tap
ip link set v0 up && ip addr add 10.99.0.1/24 dev v0
exec sleep 600
"""
PEER = """
ip link set lo up
for i in $(seq 100); do ip link show v1 >/dev/null 2>&1 && break; sleep 0.1; done
ip link set v1 up && ip addr add 10.99.0.2/24 dev v1
exec sleep 600
"""


def refusal() -> str:
    """Why these tests cannot be made here, or ""."""
    for name in ("unshare", "nsenter", "ip", "tc"):
        if not shutil.which(name):
            return f"there is no {name}"
    probe = [
        "unshare",
        "-n",
        "-m",
        "sh",
        "-ec",
        "mount -t sysfs sysfs /sys; ip link add name probe0 type veth peer name probe1",
    ]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=20)
    return "" if done.returncode == 0 else done.stderr.strip() or f"unshare ends with {done.returncode}"


REFUSAL = refusal()


BREAKING = """
import json, subprocess, sys
from ansible_collections.swarm.node.plugins.module_utils.nic.setter import Setter
import module_runner
real, done = Setter.set, []
def set(self, *words):
    real(self, *words)
    if not done:
        done.append(subprocess.run(sys.argv[2].split(), check=True))
Setter.set = set
module_runner.run_here("nic", json.loads(sys.argv[1]))
"""
"""The module with something that happens as soon as it has set the first thing."""


class Namespace:
    """Two namespaces with a cable between them: ours has v0 and tap0, the neighbour's v1."""

    def __init__(self, base: Path, collections: Path) -> None:
        self.base = base
        self.collections = collections
        self.holders = [
            subprocess.Popen(["unshare", "-n", "-m", "sh", "-ec", script]) for script in (PREPARE, PEER)
        ]
        self.until(lambda: "10.99.0.1" in self.sh("ip addr show v0 2>/dev/null || true"))
        self.sh(f"ip link set v1 netns {self.holders[1].pid}")
        self.until(lambda: "10.99.0.2" in self.sh("ip addr show v1 2>/dev/null || true", peer=True))
        self.sh("ip route add default via 10.99.0.2")
        self.until(lambda: "LOWER_UP" in self.sh("ip link show v0"))

    def close(self) -> None:
        self.module(state="reverted")
        for holder in self.holders:
            holder.kill()
            holder.wait()

    def sh(self, script: str, peer: bool = False) -> str:
        argv = ["nsenter", "-n", "-m", "-t", str(self.holders[int(peer)].pid), "sh", "-ec", script]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout

    def until(self, condition: Any, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except subprocess.CalledProcessError:
                pass
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.1)

    def module(self, check: bool = False, then: str = "", **options: Any) -> dict[str, Any]:
        """The module's answer. then: a command at the neighbour's end, right after the first write"""
        places = {"state_dir": str(self.base / "state"), "run_dir": str(self.base / "run")}
        given = {"_ansible_check_mode": check, **places, "confirm_seconds": 0, "persist": False, **options}
        argv = ["nsenter", "-n", "-m", "-t", str(self.holders[0].pid)]
        runner = [module_runner.__file__, "nic", json.dumps(given)]
        if then:
            end = f"nsenter -n -t {self.holders[1].pid} {then}"
            runner = ["-c", BREAKING, json.dumps(given), end]
        tests = str(Path(module_runner.__file__).parent)
        done = subprocess.run(
            [*argv, sys.executable, *runner],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "PYTHONPATH": f"{self.collections}:{tests}"},
        )
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    def text(self, path: str) -> str:
        return self.sh(f"cat /sys/class/net/{path}").strip()


def labels(answer: dict[str, Any]) -> dict[str, Any]:
    return {f"{change['key']} {change['target']}": change["after"] for change in answer["changes"]}


def reasons(answer: dict[str, Any]) -> dict[str, str]:
    return {wish["key"]: wish["reason"] for wish in answer["unapplied"]}


def snapshot(world: Namespace) -> tuple[str, list[tuple[str, ...]]]:
    """The settings of v0, and its disciplines without the handles that the kernel counts up."""
    script = (
        "cd /sys/class/net/v0; cat tx_queue_len napi_defer_hard_irqs gro_flush_timeout; ls queues; "
        "cat queues/*/rps_cpus queues/*/xps_cpus"
    )
    items = json.loads(world.sh("tc -j qdisc show dev v0"))
    return world.sh(script), sorted((item["kind"], item.get("parent", "root")) for item in items)


WISH = {
    "channels": {"rx": 2, "tx": 2},
    "features": {"gro": True, "rx-udp-gro-forwarding": True, "tso": False},
    "txqueuelen": 10000,
    "napi_defer_hard_irqs": 2,
    "gro_flush_timeout": 20000,
    "rps": "all",
    "xps": "all",
    "qdisc": "mq+pfifo",
}
