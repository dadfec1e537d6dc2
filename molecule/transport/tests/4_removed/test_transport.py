# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After removal: nothing of ours is left."""

from __future__ import annotations

from typing import Any


def test_nothing_is_left(node: Any) -> None:
    places = "/etc/sysctl.d /etc/systemd /usr/local/lib"
    assert node.check_output(f"find {places} -name '*swarm[-_]node*'") == ""
    assert (
        node.check_output(
            "find /var/lib/swarm_node -name 'transport*' -o -name armed.json 2>/dev/null || true"
        )
        == ""
    )
    assert node.file("/proc/sys/net/ipv4/tcp_rmem").content_string.split()[2] != str(24 << 20)
    assert node.file("/proc/sys/net/ipv4/tcp_mtu_probing").content_string.strip() == "0"
