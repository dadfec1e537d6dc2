# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After converge, and after a reboot: sysctls outside of net.*, and huge pages, in the node's own kernel."""

from __future__ import annotations

import json
from typing import Any


def test_live_values(node: Any) -> None:
    assert node.check_output("sysctl -n vm.swappiness kernel.panic").split() == ["7", "30"]
    assert "[madvise]" in node.file("/sys/kernel/mm/transparent_hugepage/enabled").content_string


def test_they_are_in_files_that_are_read_at_boot(node: Any) -> None:
    found = node.check_output(
        "grep -h -v '^#' /etc/sysctl.d/90-swarm-node-kernel.conf /etc/tmpfiles.d/90-swarm-node-kernel.conf"
    )
    assert "vm.swappiness = 7" in found and "kernel.panic = 30" in found
    assert "/sys/kernel/mm/transparent_hugepage/enabled - - - - madvise" in found


def test_first_seen_values_are_kept(node: Any) -> None:
    record = json.loads(node.file("/var/lib/swarm_node/kernel.json").content_string)
    assert record["claims"]["vm.swappiness"] == {"first_seen": "60", "applied": "7"}
