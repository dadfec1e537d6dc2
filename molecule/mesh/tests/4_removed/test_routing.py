# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After removal: no daemon, route, rule, filter or unit of routing."""

from __future__ import annotations

from typing import Any


def test_nothing_runs_and_nothing_is_in_the_kernel(node: Any) -> None:
    assert node.run("pgrep -x babeld").rc == 1
    assert node.check_output("ip route show proto 42; ip route show table all proto 214") == ""
    assert "214" not in node.check_output("ip rule show; ip -6 rule show")
    assert "routing" not in node.check_output("nft list tables")


def test_nothing_is_left_in_files(node: Any) -> None:
    places = "/etc/swarm_node /etc/systemd/system /usr/local/lib/swarm_node /run"
    found = node.check_output(f"find {places} -path '*routing*' 2>/dev/null || true")
    assert found == ""
    assert not node.file("/var/lib/swarm_node/routing.json").exists
