# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares, tunnels and states of a node for tests of the mesh layer."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import (
    METRIC,
    PROTOCOL,
    UNREACHABLE_METRIC,
    conf_path,
    quick_unit,
    routes_path,
    share_path,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.plan import Wish, plan_mesh
from ansible_collections.swarm.node.plugins.module_utils.mesh.render import (
    aggregates,
    conf,
    parse_conf,
    routes,
    share_text,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel
from ansible_collections.swarm.node.plugins.module_utils.mesh.state import (
    Link,
    MeshState,
    Route,
    source_for,
    wanted_addresses,
    wanted_aggregates,
    wanted_routes,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.sysctls import wanted_sysctls
from ansible_collections.swarm.node.plugins.module_utils.mesh.wg import Device, Peer

NOW = 1_800_000_000.0


def key(letter: str) -> str:
    """A public key that is easy to tell."""
    return base64.b64encode(letter.encode() * 32).decode()


OWN = key("o")
PREFIXES = ("10.99.0.0/16", "fd12:3456:789a::/48")


def tunnel(number: int = 2, **wishes: Any) -> Tunnel:
    known: dict[str, Any] = {
        "interface": f"wan-{number}",
        "peer": f"node-{number}",
        "peer_number": number,
        "generation": 1,
        "listen_port": 51820 + 2 * number,
        "public_key": key(chr(96 + number)),
        "endpoint": f"192.0.2.{number}:51820",
    }
    return Tunnel(**{**known, **wishes})


def share(*tunnels: Tunnel, **wishes: Any) -> Share:
    """A direct route to each peer, unless routes are given."""
    found = tunnels or (tunnel(),)
    direct = {
        one.interface: (f"10.99.0.{one.peer_number}/32", f"fd12:3456:789a::{one.peer_number:x}/128")
        for one in found
        if not one.interface.endswith("b")
    }
    known: dict[str, Any] = {
        "mesh": "wan",
        "member": "me",
        "number": 1,
        "addresses": ("10.99.0.1/32", "fd12:3456:789a::1/128"),
        "prefixes": PREFIXES,
        "ports": (51820, 51867),
        "keys": {1: OWN},
        "tunnels": found,
        "routes": direct,
    }
    return Share(**{**known, **wishes})


def device(one: Tunnel, own: str = OWN, **peer: Any) -> Device:
    known: dict[str, Any] = {
        "public_key": one.public_key,
        "has_psk": one.psk is not None,
        "endpoint": one.endpoint,
        "allowed_ips": tuple(sorted(one.allowed_ips)),
        "handshake": int(NOW) - 10,
        "keepalive": one.keepalive,
    }
    return Device(one.interface, own, one.listen_port, {one.public_key: Peer(**{**known, **peer})})


def node(*shares: Share, **changes: Any) -> MeshState:
    """A node that is as its shares say; `changes` are fields of MeshState."""
    links = {"lo": Link("lo", "", 65536, True, ("127.0.0.1/8", "::1/128")), "eth0": Link("eth0", "", 1500)}
    links["eth0"] = replace(links["eth0"], addresses=("192.0.2.1/24",))
    routing = [Route("0.0.0.0/0", "eth0", 16), Route("192.0.2.0/24", "eth0", 2, 0, "192.0.2.1")]
    texts: dict[str, Any] = {}
    devices, active, public, sysctls = {}, {}, {}, {"net/ipv6/conf/all/forwarding": "0"}
    for one in shares:
        texts[share_path(one.mesh)] = share_text(one)
        texts[routes_path(one.mesh, "mesh")] = aggregates(one, True)
        public.update({(one.mesh, number): found for number, found in one.keys.items()})
        routing += [
            Route(prefix, "", PROTOCOL, UNREACHABLE_METRIC, "", "unreachable")
            for prefix in wanted_aggregates(one, True)
        ]
        for item in one.tunnels:
            name = item.interface
            texts[conf_path(name)] = conf(one, item, True)
            texts[routes_path(one.mesh, name)] = routes(one, name, True)
            links[name] = Link(name, "wireguard", item.mtu, True, tuple(wanted_addresses(one, True)))
            devices[name] = device(item, one.keys[item.generation])
            active[quick_unit(name)] = "active"
            sysctls.update(wanted_sysctls(one, name))
            routing += [
                Route(found, name, PROTOCOL, METRIC, source_for(one, found))
                for found in wanted_routes(one, name, True)
            ]
    known: dict[str, Any] = {
        "stored": {one.mesh: one for one in shares},
        "links": links,
        "routes": tuple(routing),
        "devices": devices,
        "files": texts,
        "links_on": dict.fromkeys(active, True),
        "active": active,
        "ports": frozenset(found.listen_port for found in devices.values()),
        "public_keys": public,
        "generations": {one.mesh: tuple(one.keys) for one in shares},
        "psks": {(one.mesh, t.psk.name): True for one in shares for t in one.tunnels if t.psk},
        "sysctls": sysctls,
        "time": NOW,
    }
    return MeshState(**{**known, **changes})


def planned(state: MeshState, *shares: Share, record: Record | None = None, **wish: Any) -> Any:
    return plan_mesh(Wish({one.mesh: one for one in shares}, **wish), state, record or Record("mesh"))


def steps(plan: Any) -> list[tuple[str, str]]:
    return [(change.key, change.target.rpartition("/")[2]) for change in plan.changes]


__all__ = [
    "NOW", "OWN", "PREFIXES", "device", "key", "node", "parse_conf", "planned", "share", "steps", "tunnel",
]  # fmt: skip
