# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the check run: keys are made, and nothing else is there."""

from __future__ import annotations

from typing import Any

HOME = "/etc/swarm_node/mesh/mol"


def test_no_tunnel_and_no_route(node: Any) -> None:
    assert node.check_output("wg show interfaces") == ""
    assert node.check_output("ip route show proto 213") == ""


def test_there_are_keys_and_no_other_file(node: Any) -> None:
    found = node.check_output("find /etc/wireguard /etc/swarm_node -type f").split()
    assert f"{HOME}/keys/1.key" in found
    assert [path for path in found if not path.startswith((f"{HOME}/keys/", f"{HOME}/psk/"))] == []


def test_the_private_key_is_roots_alone(node: Any) -> None:
    key = node.file(f"{HOME}/keys/1.key")
    assert (key.mode, key.user) == (0o600, "root")
