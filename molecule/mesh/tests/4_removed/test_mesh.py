# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After removal: no tunnel, route, filter, unit, file or key."""

from __future__ import annotations

from typing import Any


def test_nothing_is_left_in_the_kernel(node: Any) -> None:
    assert node.check_output("wg show interfaces") == ""
    assert node.check_output("ip route show proto 213; ip -6 route show proto 213") == ""
    assert "swarm_node" not in node.check_output("nft list tables")


def test_nothing_is_left_in_files(node: Any) -> None:
    places = "/etc/wireguard /etc/swarm_node /etc/systemd/system /etc/sysctl.d /usr/local/lib/swarm_node"
    found = node.check_output(f"find {places} \\( -type f -o -type l \\) 2>/dev/null || true").split()
    assert [
        path for path in found if "mesh" in path or "wg-quick" in path or path.startswith("/etc/wireguard")
    ] == []
    assert not node.file("/var/lib/swarm_node/mesh.json").exists
