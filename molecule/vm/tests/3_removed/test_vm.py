# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After removal: the kernel is as it booted, and no file of ours is left."""

from __future__ import annotations

from typing import Any


def test_the_kernel_is_as_before(node: Any) -> None:
    # The lab boots its guests with panic=-1.
    assert node.check_output("sysctl -n vm.swappiness kernel.panic").split() == ["60", "-1"]
    assert "[never]" in node.file("/sys/kernel/mm/transparent_hugepage/enabled").content_string
    assert node.check_output("ip link show type wireguard") == ""
    assert node.check_output("ip route show proto 213; ip -6 route show proto 213") == ""
    assert "swarm_node" not in node.check_output("nft list tables")


def test_nothing_is_left_in_files(node: Any) -> None:
    places = "/etc/wireguard /etc/swarm_node /etc/systemd/system /etc/sysctl.d /etc/tmpfiles.d"
    places += " /usr/local/lib/swarm_node"
    found = node.check_output(f"find {places} \\( -type f -o -type l \\) 2>/dev/null || true").split()
    ours = [path for path in found if "swarm" in path or "wg-quick" in path or "wireguard" in path]
    # The lab's own unit, which is there before.
    assert [path for path in ours if "swarm-lab" not in path] == []
    assert node.run("ls /var/lib/swarm_node/kernel.json /var/lib/swarm_node/mesh.json").stdout == ""
