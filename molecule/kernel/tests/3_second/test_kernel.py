# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After other wishes: the new ones hold, the ones no longer asked for are given back."""

from __future__ import annotations

from typing import Any


def live(node: Any, key: str) -> str:
    return " ".join(node.file(f"/proc/sys/{key}").content_string.split())


def test_the_new_wishes_hold(node: Any) -> None:
    assert live(node, "net/core/somaxconn") == "1024"
    assert live(node, "net/ipv4/tcp_fin_timeout") == "15"


def test_what_is_no_longer_asked_for_is_as_first_seen(node: Any) -> None:
    assert live(node, "net/ipv4/tcp_slow_start_after_idle") == "1"
    assert live(node, "net/ipv4/conf/all/arp_announce") == "0"
    text = node.file("/etc/sysctl.d/90-swarm-node-kernel.conf").content_string
    assert "arp_announce" not in text and "tcp_fin_timeout = 15" in text
