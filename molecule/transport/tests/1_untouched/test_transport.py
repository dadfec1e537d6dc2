# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a check: nothing was changed."""

from __future__ import annotations

from typing import Any


def test_nothing_was_changed(node: Any) -> None:
    assert node.check_output("find /etc/sysctl.d /etc/systemd /usr/local/lib -name '*swarm[-_]node*'") == ""
    assert node.check_output("find /var/lib/swarm_node -name 'transport*' 2>/dev/null || true") == ""
    assert node.file("/proc/sys/net/ipv4/tcp_slow_start_after_idle").content_string.strip() == "1"
    assert node.file("/proc/sys/net/ipv4/tcp_mtu_probing").content_string.strip() == "0"
