# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After other wishes: the new sizes, and everything else as it was before the first run."""

from __future__ import annotations

import json
from typing import Any

LIVE = {
    "net/ipv4/tcp_rmem": ["4096", "131072", str(24 << 20)],
    "net/ipv4/tcp_wmem": ["4096", "65536", str(24 << 20)],
    "net/ipv4/tcp_mtu_probing": ["0"],
    "net/ipv4/tcp_slow_start_after_idle": ["1"],
}


def test_live_values(node: Any) -> None:
    for key, value in LIVE.items():
        assert node.file(f"/proc/sys/{key}").content_string.split() == value, key


def test_a_sysctl_has_gone_from_the_kernel_layer_to_this_one(node: Any) -> None:
    claims = json.loads(node.file("/var/lib/swarm_node/transport.json").content_string)["claims"]
    assert claims["net.ipv4.tcp_wmem"]["first_seen"] != "4096 16384 5000000"
    kernels = node.check_output("cat /var/lib/swarm_node/kernel.json 2>/dev/null || true")
    assert "net.ipv4.tcp_wmem" not in kernels


def test_a_device_nobody_asks_about_is_as_it_was(node: Any) -> None:
    (root,) = [
        item for item in json.loads(node.check_output("tc -j qdisc show dev eth0")) if item.get("root")
    ]
    assert root["kind"] == "noqueue"
    assert "rx-udp-gro-forwarding" not in node.file("/var/lib/swarm_node/transport_nic.json").content_string
