# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge, and after a reboot of one node: a daemon of ours on each, which has found the others."""

from __future__ import annotations

import json
import time
from typing import Any

UNIT = "swarm-node-routing@mol"
PATIENCE = 30.0
"""s: a daemon waits for handshakes, and a new link has to prove itself."""


def address(node: Any) -> str:
    """Its IPv4 address in the mesh."""
    share = json.loads(node.file("/etc/swarm_node/mesh/mol/share.json").content_string)
    return next(one.split("/")[0] for one in share["addresses"] if ":" not in one)


def learned(node: Any) -> list[str]:
    """Where babeld's own routes lead."""
    return sorted(line.split()[0] for line in node.check_output("ip -4 route show proto 42").splitlines())


def test_the_daemon_runs_and_debian_s_own_does_not(node: Any) -> None:
    assert node.service(UNIT).is_running and node.service(UNIT).is_enabled
    assert not node.service("babeld").is_running
    assert len(node.check_output("pgrep -x babeld").split()) == 1


def test_it_has_found_all_other_members(node: Any, nodes: dict[str, Any]) -> None:
    wanted = sorted({address(one) for one in nodes.values()} - {address(node)})
    assert len(wanted) == 2
    deadline = time.monotonic() + PATIENCE
    while learned(node) != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    assert learned(node) == wanted


def test_it_hears_nobody_but_members(node: Any) -> None:
    assert "swarm_node_routing" in node.check_output("nft list tables")
