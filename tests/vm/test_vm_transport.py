# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport layer on kernels of their own: bbr and its buffers, before and after, over 80 ms with loss.

What a transfer reaches is printed and not judged: a translated guest is as fast as the host has time for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_runs import Nodes, Run

from tests.vm.conftest import UNDERLAY, Guests

PAIR = ("vm-1", "vm-2")
ONE_WAY_MS = 40
LOSSES = (0, 1)
SECONDS, WARM_UP = 15, 5
"""s of a transfer, and how many of them, at its beginning, do not count."""

KEPT = (
    "net.ipv4.tcp_congestion_control",
    "net.core.default_qdisc",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.core.rmem_max",
    "net.ipv4.tcp_slow_start_after_idle",
)
WISH: dict[str, Any] = {
    "node_profile": "none",
    "node_batches": ["100%"],
    "transport_rtt_ms": 2 * ONE_WAY_MS,
    "transport_speed": 1000,
    "transport_congestion_control": "bbr",
    "transport_devices": ["eth1"],
    "transport_udp_gro": True,
    "transport_slow_start_after_idle": False,
    "transport_confirm_seconds": 1800,
    "transport_required": ["net.ipv4.tcp_congestion_control", "nic.qdisc"],
}
BOOK = "- hosts: vm-1,vm-2\n  gather_facts: false\n  roles: [swarm.node.transport]\n"


class Transport(Nodes):
    """Both guests, and the role on them."""

    playbook_seconds = 1800.0
    command_seconds = 300.0

    def __init__(self, base: Path) -> None:
        super().__init__(base, "lab-vm")
        self.book = base / "transport.yml"
        self.book.write_text(BOOK, "utf-8")

    def role(self, *words: str, **other: Any) -> Run:
        run = self.play(str(self.book), "--forks", "2", *words, **{**WISH, **other})
        assert run.code == 0, run.output
        return run

    def kept(self, node: str) -> dict[str, str]:
        """Sysctls, and the discipline of the device: what the role has to bring back."""
        lines = self.sh(node, f"sysctl {' '.join(KEPT)}").splitlines()
        found = {name.strip(): " ".join(value.split()) for name, value in (line.split("=") for line in lines)}
        return {**found, "qdisc": self.qdisc(node), "gro": self.gro(node)}

    def qdisc(self, node: str) -> str:
        roots = json.loads(self.sh(node, "tc -j qdisc show dev eth1"))
        return str(next(item["kind"] for item in roots if item.get("root")))

    def gro(self, node: str) -> str:
        found = re.search(r"rx-udp-gro-forwarding: (\w+)", self.sh(node, "ethtool -k eth1"))
        return found[1] if found else "none"


@pytest.fixture(scope="module")
def pair(guests: Guests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    """Two guests with a tunnel of the kernel's WireGuard between them, and a distance that can be set."""
    lab = Transport(tmp_path_factory.mktemp("transport"))
    addresses = guests.wg_pair(*PAIR, "wgtrial")
    assert addresses == ("192.0.2.1", "192.0.2.2")
    for node in PAIR:
        # On the way in: the device's own discipline, on the way out, is the role's to set.
        script = """
            set -e
            modprobe ifb numifbs=0
            ip link add ifbtrial type ifb && ip link set ifbtrial up txqueuelen 20000
            tc qdisc add dev eth1 handle ffff: ingress
            tc filter add dev eth1 parent ffff: matchall action mirred egress redirect dev ifbtrial
        """
        guests.sh(node, script)
    guests.sh("vm-2", "iperf3 --server --daemon --pidfile /run/trial.pid")
    yield lab
    guests.sh("vm-2", "kill $(cat /run/trial.pid | tr -d '\\0')", check=False)
    for node in PAIR:
        guests.sh(
            node,
            "ip link delete wgtrial; tc qdisc delete dev eth1 ingress; ip link delete ifbtrial",
            check=False,
        )


def distance(guests: Guests, loss: float) -> None:
    """Both directions late; data, which goes to vm-2, is lost as well."""
    for node in PAIR:
        lost = f"loss {loss}%" if loss and node == "vm-2" else ""
        how = f"netem delay {ONE_WAY_MS}ms {lost} limit 20000"
        guests.sh(node, f"tc qdisc replace dev ifbtrial root {how}")


def transfer(guests: Guests, address: str) -> tuple[float, str]:
    """(Mbit/s of one stream, what `ss` said of it on the way), by one login: each takes its time."""
    script = f"""
        ip tcp_metrics flush all
        timeout 300 iperf3 --client {address} --time {SECONDS} --omit {WARM_UP} --json >/run/trial.json 2>&1 &
        sleep {WARM_UP}
        # A guest of a busy host may not even have begun.
        for _ in $(seq 60); do
            seen=$(ss -tinm dst {address})
            echo "$seen" | grep -q "bytes_sent:[0-9]\\{{6\\}}" && break
            sleep 1
        done
        echo "$seen"
        echo =====
        wait
        cat /run/trial.json
    """
    seen, _line, text = guests.sh("vm-1", script).partition("=====")
    body = json.loads(text)
    assert "error" not in body, body["error"]
    return float(body["end"]["sum_received"]["bits_per_second"]) / 1e6, seen


PATHS = {"WireGuard": "192.0.2.2", "plain": UNDERLAY["vm-2"]}
Rates = dict[tuple[str, int], float]


def rates(guests: Guests, congestion: str) -> Rates:
    """(path, loss in %) → Mbit/s; every stream has to be under this congestion control."""
    found: Rates = {}
    for loss in LOSSES:
        distance(guests, loss)
        for path, address in PATHS.items():
            found[path, loss], seen = transfer(guests, address)
            streams = [text for text in seen.splitlines() if "bytes_sent" in text]
            assert any(f" {congestion} " in f" {text.strip()} " for text in streams), seen
            print(f"{congestion}, {path}, {loss} % loss: {found[path, loss]:.1f} Mbit/s")
            print(
                "\n".join(
                    line.strip() for line in seen.splitlines() if "bytes_sent" in line or "skmem" in line
                )
            )
    return found


def test_before_and_after_over_80_ms(guests: Guests, pair: Transport) -> None:
    found = {node: pair.kept(node) for node in PAIR}
    assert {values["net.ipv4.tcp_congestion_control"] for values in found.values()} == {"cubic"}
    distance(guests, 0)
    assert guests.round_trip("vm-1", UNDERLAY["vm-2"], 5) >= 2 * ONE_WAY_MS - 4
    before = rates(guests, "cubic")
    for node in PAIR:
        guests.sh(node, "tc qdisc delete dev ifbtrial root")

    looked = pair.role("--check")
    assert {node: pair.kept(node) for node in PAIR} == found and looked.host("vm-1")[
        "state"
    ] == "would_change"
    run = pair.role()
    assert {run.host(node)["state"] for node in PAIR} == {"changed"}
    for node in PAIR:
        now = pair.kept(node)
        assert now["net.ipv4.tcp_congestion_control"] == "bbr" and now["net.core.default_qdisc"] == "fq"
        assert now["qdisc"] == "fq" and now["net.ipv4.tcp_slow_start_after_idle"] == "0"
        assert now["gro"] in ("on", "none")
        low, middle, most = map(int, now["net.ipv4.tcp_rmem"].split())
        assert (low, middle) == (4096, 131072) and 8 << 20 <= most <= 20 << 20, "a 32nd of the memory"
        assert int(now["net.core.rmem_max"]) >= most
        assert (
            guests.sh(node, "test -e /var/lib/swarm_node/nic/armed.json || echo confirmed") == "confirmed\n"
        )

    after = rates(guests, "bbr")
    for (path, loss), rate in after.items():
        ratio = rate / before[path, loss]
        print(f"{path}, {loss} % loss: {before[path, loss]:.1f} to {rate:.1f} Mbit/s, {ratio:.1f} times")
    for node in PAIR:
        guests.sh(node, "tc qdisc delete dev ifbtrial root")

    again = pair.role()
    for node in PAIR:
        host = again.host(node)
        assert (host["state"], host["writes"], host["round_trips"]) == ("unchanged", 0, 2), again.output


def test_modules_and_disciplines_come_back_after_a_reboot(guests: Guests, pair: Transport) -> None:
    before = pair.kept("vm-2")
    assert before["net.ipv4.tcp_congestion_control"] == "bbr"
    guests.do("reboot", "vm-2")
    assert pair.kept("vm-2") == before
    assert guests.sh("vm-2", "ls -d /sys/module/tcp_bbr /sys/module/sch_fq").split()


def test_removal_brings_the_old_values_back(guests: Guests, pair: Transport) -> None:
    pair.role(transport_state="absent")
    for node in PAIR:
        now = pair.kept(node)
        assert now["net.ipv4.tcp_congestion_control"] == "cubic" and now["qdisc"] != "fq"
        assert int(now["net.ipv4.tcp_rmem"].split()[2]) <= 6291456 and now["gro"] in ("off", "none")
        assert guests.sh(node, "find /etc/sysctl.d /var/lib/swarm_node -maxdepth 1 -name '*transport*'") == ""
    run = pair.role(transport_state="absent")
    assert {run.host(node)["state"] for node in PAIR} == {"unchanged"}
