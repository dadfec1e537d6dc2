# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the check run: no daemon, and no package of one."""

from __future__ import annotations

from typing import Any


def test_no_daemon_is_there(node: Any) -> None:
    assert not node.package("babeld").is_installed
    assert node.check_output("systemctl list-unit-files --no-legend 'swarm-node-routing*' || true") == ""
    assert "routing" not in node.check_output("nft list tables")
