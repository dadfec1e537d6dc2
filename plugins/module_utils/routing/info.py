# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the routing of a node's meshes is now, in the shape that `routing_info` returns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.commands import Runner
from ..core.errors import NodeError
from ..mesh.paths import share_path
from ..mesh.share import Share
from ..mesh.stored import stored_shares, unreadable_shares
from .babel_socket import INFINITY, Tables, read_tables
from .blocks import numbers_of
from .filter import CIRCLED, OUTSIDE, SPOOFED, counted, deaf_interfaces
from .listen import listen
from .lookup import is_laid, lookup_of
from .paths import PORT, changes_path, conf_path, deaf_table, running_conf, socket_path, table
from .recorder import read_changes
from .render import port_of
from .settings import Peer, member_of, peers
from .tables import Tables as NftTables

DROPPED = {"outside": OUTSIDE, "spoofed": SPOOFED, "circled": CIRCLED}


def read_routing(
    root: Path, runner: Runner, mesh: Optional[str] = None, seconds: float = 0.0
) -> tuple[dict[str, Any], list[str]]:
    """Mesh → how it is, and what could not be read. seconds: how long to listen to neighbours

    Meshes without a routing daemon of ours are not in it.
    """

    def meant(name: str) -> bool:
        return mesh in (None, name) and _text(root, conf_path(name)) is not None

    problems = [
        f"mesh {name}: {share_path(name)} cannot be read, so that nothing is known of its routing"
        for name in unreadable_shares(root)
        if meant(name)
    ]
    shares = {name: share for name, share in stored_shares(root).items() if meant(name)}
    foreign = _foreign(root, shares, seconds, problems)
    nft = NftTables(runner)
    try:
        names = nft.names() if shares else []
    except NodeError as error:
        problems.append(str(error))
        names = []
    found = {}
    for name, share in shares.items():
        try:
            drained, dropped = _tables(nft, names, name)
        except NodeError as error:
            problems.append(str(error))
            drained, dropped = {"whole": False, "interfaces": []}, dict.fromkeys(DROPPED)
        found[name] = {
            **_daemon(root, share),
            "aggregates": _aggregates(root, share, runner),
            "drained": drained,
            "dropped": {**dropped, "foreign": foreign.get(name, [])},
        }
    return found, problems


def _foreign(
    root: Path, shares: Mapping[str, Share], seconds: float, problems: list[str]
) -> dict[str, list[dict[str, Any]]]:
    wanted = {_port(root, mesh): share for mesh, share in shares.items()}
    if not wanted or seconds <= 0:
        return {}
    try:
        return listen(wanted, seconds)
    except OSError as error:
        problems.append(f"what neighbours announce could not be heard: {error.strerror or error}")
        return {}


def _port(root: Path, mesh: str) -> int:
    return port_of(_text(root, running_conf(mesh)) or _text(root, conf_path(mesh))) or PORT


def _tables(nft: NftTables, names: list[str], mesh: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Raises NodeError."""
    drained: dict[str, Any] = {"whole": False, "interfaces": []}
    if deaf_table(mesh) in names:
        deaf = deaf_interfaces(nft.rules(deaf_table(mesh)))
        whole = f"{mesh}-*" in deaf
        drained = {"whole": whole, "interfaces": [] if whole else deaf}
    if table(mesh) not in names:
        return drained, dict.fromkeys(DROPPED)
    packets = counted(nft.listed(table(mesh)))
    return drained, {key: packets.get(word, 0) for key, word in DROPPED.items()}


def _aggregates(root: Path, share: Share, runner: Runner) -> Optional[dict[str, Any]]:
    """What the daemon that runs was told of other regions; None where all are single members."""
    text = _text(root, running_conf(share.mesh)) or _text(root, conf_path(share.mesh))
    found = lookup_of(text)
    if not found.tables:
        return None
    return {
        "own": list(found.own),
        "others": [network for network, table in found.thrown if numbers_of(share, network)],
        "tables": found.asked,
        "rules": is_laid(text, runner),
    }


def _daemon(root: Path, share: Share) -> dict[str, Any]:
    """All that the daemon says, and what was noted of it."""
    tables, why = Tables(), ""
    try:
        tables = read_tables(str(root / socket_path(share.mesh).lstrip("/")))
    except NodeError as error:
        why = str(error)
    near = peers(share)
    by_interface = {name: peer for peer in near for name in peer.interfaces}
    return {
        "running": not why,
        "why": why,
        "since": None if why else _since(root, share.mesh),
        "version": tables.version,
        "port": _port(root, share.mesh),
        "member": share.member,
        "number": share.number,
        "transit": share.transit,
        "rank": share.rank,
        "neighbours": neighbours(tables, by_interface),
        "routes": routes(share, tables, by_interface),
        "changes": [
            _change(share, entry, by_interface)
            for entry in read_changes(root / changes_path(share.mesh).lstrip("/"))
        ],
    }


def neighbours(tables: Tables, by_interface: Mapping[str, Peer]) -> list[dict[str, Any]]:
    """Sorted by interface. up: it is heard, and it hears us"""
    found = []
    for one in sorted(tables.neighbours.values(), key=lambda one: one.interface):
        peer = by_interface.get(one.interface)
        found.append(
            {
                "interface": one.interface,
                "peer": peer.name if peer else "",
                "number": peer.number if peer else None,
                "address": one.address,
                "reach": one.reach,
                "rxcost": one.rxcost,
                "txcost": one.txcost,
                "rtt_ms": one.rtt,
                "rtt_cost": one.rtt_cost,
                "cost": one.cost,
                "up": one.cost < INFINITY,
            }
        )
    return found


def routes(share: Share, tables: Tables, by_interface: Mapping[str, Peer]) -> list[dict[str, Any]]:
    """Sorted by destination, the one in use first."""
    names = {peer.number: peer.name for peer in by_interface.values()}
    found = []
    for one in tables.routes.values():
        number = member_of(share, one.prefix)
        peer = by_interface.get(one.interface)
        found.append(
            {
                "prefix": one.prefix,
                "member": names.get(number),
                "number": number or None,
                "numbers": numbers_of(share, one.prefix),
                "via": peer.name if peer else None,
                "interface": one.interface,
                "metric": one.metric if one.metric < INFINITY else None,
                "refmetric": one.refmetric if one.refmetric < INFINITY else None,
                "installed": one.installed,
            }
        )

    def order(route: dict[str, Any]) -> tuple[Any, ...]:
        last = INFINITY if route["metric"] is None else route["metric"]
        first = (route["numbers"] or [0])[0]
        return ":" in route["prefix"], route["number"] or first, route["prefix"], not route["installed"], last

    return sorted(found, key=order)


def _change(share: Share, entry: Mapping[str, Any], by_interface: Mapping[str, Peer]) -> dict[str, Any]:
    names = {peer.number: peer.name for peer in by_interface.values()}
    number = member_of(share, str(entry["prefix"]))

    def peer_of(interface: str) -> str:
        peer = by_interface.get(interface)
        return peer.name if peer else interface

    return {
        "at": entry["at"],
        "prefix": entry["prefix"],
        "member": names.get(number),
        "number": number or None,
        "numbers": numbers_of(share, str(entry["prefix"])),
        "from": peer_of(str(entry["from"])),
        "to": peer_of(str(entry["to"])),
        "metric": entry["metric"],
    }


def _since(root: Path, mesh: str) -> Optional[float]:
    """Unix time of its start: right before that its configuration is put down for it."""
    try:
        return (root / running_conf(mesh).lstrip("/")).stat().st_mtime
    except OSError:
        return None


def _text(root: Path, path: str) -> Optional[str]:
    return files.read_text(root / path.lstrip("/"))
