# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a mesh's configuration for babeld. Pure. docs/decisions/0017 and 0020 say why it is so."""

from __future__ import annotations

import re
from typing import Optional

from ..core.marking import marked
from ..mesh.share import Share
from .blocks import heard_lines, install_lines, is_aggregated, origin_lines, said_lines
from .paths import slot, socket_path
from .settings import LEAF_METRIC, TIMERS, Peer, Wish, cost, peers, penalty

_RTT = "rtt-decay 128 rtt-min 1 rtt-max 1000 max-rtt-penalty 20000"
_INSTALL = re.compile(r"^install ip (\S+) pref-src ", re.MULTILINE)
_PORT = re.compile(r"^protocol-port (\d+)$", re.MULTILINE)
_HELLO = re.compile(r"^default .*\bhello-interval (\S+)", re.MULTILINE)


def conf(wish: Wish, unit: str) -> str:
    """unit: digest of the unit's text; another unit is another start"""
    share, timers = wish.share, TIMERS[wish.timers]
    own, near, tables = cost(share), peers(share), slot(wish.port)
    lines = [
        f"# mesh {share.mesh}, member {share.number}; unit {unit}",
        f"protocol-port {wish.port}",
        "smoothing-half-life 1",
        "skip-kernel-setup true",
        "random-id true",
        f"local-path {socket_path(share.mesh)}",
        f"default type tunnel rxcost {own} hello-interval {timers.hello:g} update-interval {timers.update:g}"
        f" {_RTT}",
    ]
    for peer in near:
        extra = penalty(peer.capacity)
        more = f" rxcost {own + extra}" if extra else ""
        lines += [f"interface {name}{more}" for name in peer.interfaces]
    lines += [
        *(f"redistribute local ip {network} ge {_bits(network)} allow" for network in share.prefixes),
        "redistribute local deny",
        *origin_lines(share, tables),
        "redistribute deny",
    ]
    lines += _heard(share, near)
    if not share.transit:
        lines += [*(f"out ip {_exactly(one)} allow" for one in share.addresses), "out deny"]
    else:
        lines += said_lines(share, near)
    lines += install_lines(share, near, tables, _sources(share))
    lines += [f"install ip {network} pref-src {source}" for network, source in _sources(share)]
    return marked("\n".join([*lines, ""]))


def prefixes_of(text: Optional[str]) -> list[str]:
    """The mesh's networks, as a configuration of ours has them."""
    return _INSTALL.findall(text or "")


def port_of(text: Optional[str]) -> int:
    """0 where it says none."""
    found = _PORT.search(text or "")
    return int(found[1]) if found else 0


def hello_of(text: Optional[str]) -> float:
    """s between two hellos; that of the usual profile where it says nothing"""
    found = _HELLO.search(text or "")
    try:
        return float(found[1]) if found else TIMERS["small"].hello
    except ValueError:
        return TIMERS["small"].hello


def _heard(share: Share, near: list[Peer]) -> list[str]:
    """What neighbours may announce: members' host routes if they forward, else their own."""
    action = "allow" if share.transit else f"metric {LEAF_METRIC}"
    if is_aggregated(share):
        return heard_lines(share, near, action)
    lines = []
    for peer in near:
        matches = [_exactly(one) for one in peer.own]
        if peer.transit:
            matches = [f"{network} ge {_bits(network)}" for network in share.prefixes]
        lines += [f"in if {name} ip {match} {action}" for name in peer.interfaces for match in matches]
    return [*lines, "in deny"]


def _sources(share: Share) -> list[tuple[str, str]]:
    found = []
    for network in share.prefixes:
        for address in share.addresses:
            if (":" in address) == (":" in network):
                found.append((network, address.partition("/")[0]))
    return found


def _exactly(address: str) -> str:
    return f"{address} eq {_bits(address)}"


def _bits(network: str) -> int:
    return 128 if ":" in network else 32
