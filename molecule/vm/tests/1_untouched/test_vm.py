# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the check that comes before the first converge: nothing was set."""

from __future__ import annotations

from typing import Any


def test_the_kernel_is_as_it_booted(node: Any) -> None:
    assert node.check_output("sysctl -n vm.swappiness kernel.panic").split() != ["7", "30"]
    assert "[madvise]" not in node.file("/sys/kernel/mm/transparent_hugepage/enabled").content_string
    assert node.check_output("find /etc/sysctl.d /etc/tmpfiles.d -name '*swarm*'") == ""


def test_there_are_no_tunnels(node: Any) -> None:
    assert node.check_output("wg show interfaces; find /etc/wireguard -type f") == ""
