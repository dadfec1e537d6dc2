# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge: live, persistent, recorded, confirmed; what a container cannot have is left alone."""

from __future__ import annotations

import json
from typing import Any

DROP_IN = "/etc/sysctl.d/90-swarm-node-transport.conf"
KERNELS = "/etc/sysctl.d/90-swarm-node-kernel.conf"
LIVE = {
    "net/ipv4/tcp_rmem": "4096 131072 16777216",
    "net/ipv4/tcp_congestion_control": "reno",
    "net/ipv4/tcp_mtu_probing": "1",
    "net/ipv4/tcp_slow_start_after_idle": "0",
}


def test_live_values(node: Any) -> None:
    for key, value in LIVE.items():
        assert node.file(f"/proc/sys/{key}").content_string.split() == value.split(), key


def test_persistent_values_stand_in_a_file_of_the_layers_own(node: Any) -> None:
    lines = [line for line in node.file(DROP_IN).content_string.splitlines() if not line.startswith("#")]
    assert set(lines) >= {f"{key.replace('/', '.')} = {value}" for key, value in LIVE.items()}


def test_what_the_kernel_layer_names_is_its_own(node: Any) -> None:
    assert node.file("/proc/sys/net/ipv4/tcp_wmem").content_string.split()[2] == "5000000"
    assert "tcp_wmem" not in node.file(DROP_IN).content_string
    assert "tcp_wmem = 4096 16384 5000000" in node.file(KERNELS).content_string


def test_devices_are_held_and_the_change_is_confirmed(node: Any) -> None:
    record = json.loads(node.file("/var/lib/swarm_node/transport_nic.json").content_string)
    assert record["layer"] == "nic"
    assert record["claims"]["nic.qdisc eth0"]["applied"] == "pfifo_fast"
    assert record["claims"]["nic.features.rx-udp-gro-forwarding eth0"] == {
        "first_seen": False,
        "applied": True,
    }
    (root,) = [
        item for item in json.loads(node.check_output("tc -j qdisc show dev eth0")) if item.get("root")
    ]
    assert root["kind"] == "pfifo_fast"
    assert not node.file("/var/lib/swarm_node/nic/armed.json").exists
    assert node.service("swarm-node-nic").is_enabled
