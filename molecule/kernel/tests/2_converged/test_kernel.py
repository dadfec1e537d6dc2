# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge: live, persistent, recorded; what a container cannot have is left alone."""

from __future__ import annotations

import json
from typing import Any

DROP_IN = "/etc/sysctl.d/90-swarm-node-kernel.conf"
LIVE = {
    "net/core/somaxconn": "8192",
    "net/ipv4/tcp_rmem": "4096 87380 268435456",
    "net/ipv4/tcp_congestion_control": "reno",
    "net/ipv4/tcp_slow_start_after_idle": "0",
    "net/ipv4/conf/all/arp_announce": "2",
}


def test_live_values(node: Any) -> None:
    for key, value in LIVE.items():
        assert node.file(f"/proc/sys/{key}").content_string.split() == value.split(), key


def test_persistent_values_stand_in_our_own_file_only(node: Any) -> None:
    lines = [line for line in node.file(DROP_IN).content_string.splitlines() if not line.startswith("#")]
    assert lines == sorted(f"{key.replace('/', '.')} = {value}" for key, value in LIVE.items())
    assert node.file(DROP_IN).mode == 0o644
    assert node.check_output("find /etc/sysctl.d /etc/tmpfiles.d -name '*swarm*'").split() == [DROP_IN]


def test_the_file_is_what_systemd_applies_at_boot(node: Any) -> None:
    node.check_output("echo 1 > /proc/sys/net/ipv4/tcp_slow_start_after_idle")
    node.run("/lib/systemd/systemd-sysctl")
    assert node.file("/proc/sys/net/ipv4/tcp_slow_start_after_idle").content_string.strip() == "0"


def test_keys_of_the_host_are_left_alone(node: Any) -> None:
    assert node.file("/proc/sys/vm/swappiness").content_string.strip() != "7"
    assert "vm.swappiness" not in node.file(DROP_IN).content_string


def test_first_seen_values_are_kept(node: Any) -> None:
    record = json.loads(node.file("/var/lib/swarm_node/kernel.json").content_string)
    assert record["schema"] == 1
    assert record["claims"]["net.ipv4.tcp_slow_start_after_idle"] == {"first_seen": "1", "applied": "0"}
