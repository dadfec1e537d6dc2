# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge, and after a reboot: the mesh's tunnels are the kernel's own, and carry."""

from __future__ import annotations

import json
from typing import Any

HOME = "/etc/swarm_node/mesh/mol"


def share(node: Any) -> dict[str, Any]:
    return dict(json.loads(node.file(f"{HOME}/share.json").content_string))


def test_tunnels_are_the_kernels_own(node: Any) -> None:
    # wireguard-go's would be of the kind tun.
    links = json.loads(node.check_output("ip -json -details link show type wireguard"))
    assert [link["ifname"] for link in links] == [tunnel["interface"] for tunnel in share(node)["tunnels"]]
    assert [link["linkinfo"]["info_kind"] for link in links] == ["wireguard"]
    assert node.run("pidof wireguard-go").rc == 1


def test_members_answer_over_ipv4_and_ipv6(nodes: dict[str, Any]) -> None:
    addresses = [address.split("/")[0] for node in nodes.values() for address in share(node)["addresses"]]
    assert len(addresses) == 2 * len(nodes)
    for node in nodes.values():
        for address in addresses:
            assert node.run(f"ping -q -c 1 -w 60 {address}").rc == 0, address


def test_nothing_is_armed_and_nothing_has_failed(node: Any) -> None:
    assert not node.file("/var/lib/swarm_node/mesh/armed.json").exists
    assert node.check_output("systemctl --failed --no-legend") == ""
