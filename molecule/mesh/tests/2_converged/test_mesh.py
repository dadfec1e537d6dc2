# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge, and after a reboot of one node: members reach each other, and no file holds a secret."""

from __future__ import annotations

import json
from typing import Any

HOME = "/etc/swarm_node/mesh/mol"


def share(node: Any) -> dict[str, Any]:
    return dict(json.loads(node.file(f"{HOME}/share.json").content_string))


def peers(node: Any) -> list[str]:
    return [tunnel["interface"] for tunnel in share(node)["tunnels"]]


def test_there_is_a_tunnel_for_each_other_member(node: Any) -> None:
    assert len(peers(node)) == 2
    assert sorted(node.check_output("wg show interfaces").split()) == sorted(peers(node))
    for interface in peers(node):
        assert node.service(f"wg-quick@{interface}").is_enabled
        assert node.service(f"wg-quick@{interface}").is_running


def test_members_answer_over_ipv4_and_ipv6(nodes: dict[str, Any]) -> None:
    addresses = [address.split("/")[0] for node in nodes.values() for address in share(node)["addresses"]]
    assert len(addresses) == 2 * len(nodes)
    for node in nodes.values():
        for address in addresses:
            assert node.run(f"ping -c 1 -W 5 {address}").rc == 0, address


def test_tunnels_have_preshared_keys(node: Any) -> None:
    for interface in peers(node):
        keys = node.check_output(f"wg show {interface} preshared-keys").split()
        assert len(keys) == 2 and keys[1] != "(none)"


def test_no_secret_is_in_a_configuration(node: Any) -> None:
    secrets = node.check_output(f"cat {HOME}/keys/*.key {HOME}/psk/*.key").split()
    assert len(secrets) == 3
    for path in node.check_output("find /etc/wireguard -type f").split():
        assert not any(secret in node.file(path).content_string for secret in secrets), path


def test_only_members_addresses_come_out_of_a_tunnel(node: Any) -> None:
    rules = node.check_output("nft list table inet swarm_node_mesh_mol")
    assert "not an address of the mesh" in rules
    assert "no member forwards between tunnels here" in rules


def test_nothing_is_left_armed(node: Any) -> None:
    assert not node.file("/var/lib/swarm_node/mesh/armed.json").exists
    assert not node.file("/etc/systemd/system/swarm-node-mesh-guard.service").exists
    assert node.check_output("systemctl --failed --no-legend") == ""
