# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After removal: nothing of ours is left."""

from __future__ import annotations

from typing import Any


def test_nothing_is_left(node: Any) -> None:
    assert node.check_output("find /etc/sysctl.d /etc/tmpfiles.d -name '*swarm*'") == ""
    assert not node.file("/var/lib/swarm_node/kernel.json").exists
    assert node.file("/proc/sys/net/ipv4/tcp_fin_timeout").content_string.strip() == "60"
    assert node.file("/proc/sys/net/core/somaxconn").content_string.strip() == "4096"
