# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel of each namespace counts in a long trial: leaks, loops, and what the daemons send."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.routing.network import PREFIX, Network
from lab.wires import Space

SINK = "sink"
_TABLE = f"""\
table inet counted {{
 counter leaked {{ }}
 counter stray {{ }}
 counter babel {{ }}
 chain post {{
  type filter hook postrouting priority 0;
  oifname "{SINK}" ip daddr {PREFIX} counter name leaked
  oifname "{SINK}" counter name stray
  meta l4proto udp udp dport 6696 counter name babel
 }}
}}
"""


@dataclass(frozen=True)
class Counters:
    """Since the namespace was made.

    leaked: packets to the mesh's addresses that left it by the default route; stray: all that did.
    expired: packets whose time to live was used up here. sent, bytes: of the daemon.
    """

    leaked: int
    stray: int
    expired: int
    sent: int
    bytes: int


def prepare(network: Network) -> None:
    """A default route in each namespace, into a device that carries nothing, and the counters."""
    for space in network.spaces.values():
        # Else the kernel drops what comes back to its sender, and no such loop is counted.
        space.set("net/ipv4/conf/all/accept_local", 1)
        space.run(["ip", "tuntap", "add", SINK, "mode", "tun"])
        space.run(["ip", "link", "set", SINK, "up"])
        space.run(["ip", "route", "add", "default", "dev", SINK])
        space.run(["nft", "-f", "-"], data=_TABLE.encode())


def read(space: Space) -> Counters:
    rows = json.loads(space.run(["nft", "-j", "list", "counters", "table", "inet", "counted"]))["nftables"]
    found = {row["counter"]["name"]: row["counter"] for row in rows if "counter" in row}
    return Counters(
        found["leaked"]["packets"],
        found["stray"]["packets"],
        expired(Path(space.process_path, "net/snmp").read_text()),
        found["babel"]["packets"],
        found["babel"]["bytes"],
    )


def expired(snmp: str) -> int:
    """Out of /proc/net/snmp: packets with a bad header, which those are whose time to live is used up.

    The errors that are sent for them (OutTimeExcds) are limited in rate, so that is no count.
    """
    rows = [line.split() for line in snmp.splitlines() if line.startswith("Ip:")]
    return int(dict(zip(rows[0], rows[1], strict=True))["InHdrErrors"])
