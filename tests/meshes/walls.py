# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes behind firewalls: how these are switched on and off, what they hold, and who gets in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lab_runs import Run

from .conftest import MeshLab

WALLED = ("fra-1", "fra-2")
CALLER = "fra-3"
TRANSIT = "fra-1"
NODES = (*WALLED, CALLER)
FIREWALLD, UFW = "firewalld", "ufw"
PORT = 5301

SWITCH_ON = {
    FIREWALLD: """
        ufw --force reset; rm -f /etc/ufw/*.rules.2*; systemctl disable --now ufw; nft flush ruleset
        systemctl unmask firewalld; systemctl enable firewalld; systemctl restart firewalld
        firewall-cmd --permanent --zone=work --add-source=198.51.100.0/24
        firewall-cmd --permanent --zone=public --add-port=4000-4005/udp
        firewall-cmd --permanent --zone=public --add-port=51811-51818/udp
        firewall-cmd --reload
    """,
    UFW: """
        systemctl disable --now firewalld; nft flush ruleset
        ufw --force reset; rm -f /etc/ufw/*.rules.2*
        ufw allow in on eth9; ufw allow 4000:4005/udp comment 'a game'; ufw deny from 198.51.100.0/24
        ufw --force enable; systemctl enable --now ufw
    """,
}
"""With rules of the operator's. eth9 is the network of logins; firewalld's zone public lets ssh in."""

SWITCH_OFF = "systemctl disable --now firewalld ufw; ufw --force reset; rm -f /etc/ufw/*.rules.2*"

CONFIGURATION = {
    FIREWALLD: "firewall-cmd --list-all-zones; firewall-cmd --permanent --list-all-zones",
    UFW: "cat /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf; ufw show added",
}
FILES = {
    FIREWALLD: "cd /etc/firewalld && find . -type f ! -name '*.old' | sort | xargs md5sum",
    UFW: "cd /etc/ufw && find . -type f | sort | xargs md5sum",
}
RULESET = "nft -s list ruleset | sed '/^table inet swarm_node_mesh_/,/^}/d'"
RELOAD = {FIREWALLD: "firewall-cmd --reload", UFW: "ufw reload"}

QUIET = """
table inet quiet {
    chain output {
        type filter hook output priority -50;
        ct state new udp sport 51820-51999 drop
    }
}
"""
"""What a node sends opens the way for answers: this keeps it from sending first."""

LISTEN = f"""
import socket
server = socket.create_server(("0.0.0.0", {PORT}))
while True:
    server.accept()[0].close()
"""

OPERATOR = """#!/usr/sbin/nft -f
flush ruleset
table inet site {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname { "lo", "eth9", "wan-*" } accept
    }
}
"""
CHAIN = "nft chain inet site input"
"""The operator's chain in that file."""


class Walls:
    """Two nodes behind the real daemon of that name, and one that calls them."""

    def __init__(self, lab: MeshLab, daemon: str) -> None:
        self.lab = lab
        self.daemon = daemon

    def each(self, script: str, check: bool = True) -> dict[str, str]:
        """Runs a script in both nodes; node → output."""
        with ThreadPoolExecutor(len(WALLED)) as pool:
            texts = pool.map(lambda node: self.lab.sh(node, script, check=check), WALLED)
            return dict(zip(WALLED, texts))

    def apply(self, *arguments: str, wish: str = "auto", **variables: Any) -> Run:
        words = ["--limit", ",".join(WALLED), *arguments]
        return self.lab.mesh("apply", *words, mesh_firewall=wish, node_batches=["100%"], **variables)

    def good(self, *arguments: str, wish: str = "auto", **variables: Any) -> Run:
        run = self.apply(*arguments, wish=wish, **variables)
        assert run.code == 0, run.output
        return run

    def called(self, node: str) -> bool:
        """Whether the caller gets a handshake and answers. The node itself must not call meanwhile."""
        number = self.lab.registry()["members"][node]["number"]
        self.lab.sh(node, f"nft -f - <<'END'\n{QUIET}END\nconntrack -F 2>/dev/null")
        try:
            self.lab.sh(CALLER, f"systemctl restart wg-quick@wan-{number}")
            return self.lab.silent(CALLER, [self.lab.address(node)]) == []
        finally:
            self.lab.sh(node, "nft delete table inet quiet")

    def all_called(self) -> list[bool]:
        with ThreadPoolExecutor(len(WALLED)) as pool:
            return list(pool.map(self.called, WALLED))

    @contextmanager
    def service(self, node: str) -> Iterator[None]:
        """A service on a TCP port of the node."""
        until = f"for i in $(seq 100); do ss -Hltn | grep -q :{PORT} && exit; sleep 0.2; done; exit 1"
        with self.lab.faults.background(node, "python3", "-c", LISTEN):
            self.lab.sh(node, until)
            yield

    def seen(self) -> list[dict[str, str]]:
        """Configuration, as the daemon tells it, and what is loaded, without the mesh's own table."""
        return [self.each(CONFIGURATION[self.daemon]), self.each(RULESET)]


def ours(text: str) -> bool:
    """Whether a line is there for the mesh."""
    return bool(re.search(r"51820|10\.77\.0\.2|10\.99\.|fd5e:7a11|wan-", text))


def theirs(texts: dict[str, str]) -> dict[str, list[str]]:
    """The lines that are not ours. An empty line or a list's order says nothing."""
    return {
        node: sorted(line for line in text.splitlines() if line.strip() and not ours(line))
        for node, text in texts.items()
    }


def zones(texts: dict[str, str]) -> dict[str, list[str]]:
    """The same without what tells firewalld's lists that a transit member's tunnels are in a zone by name."""
    return {
        node: [line.partition(" (")[0] for line in lines if not line.strip().startswith("interfaces:")]
        for node, lines in theirs(texts).items()
    }


def changes(run: Run, node: str) -> list[dict[str, Any]]:
    return [change for change in run.layer(node, "mesh")["changes"] if change["key"] == "mesh.firewall"]
