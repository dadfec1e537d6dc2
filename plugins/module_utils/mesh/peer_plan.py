# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one peer of a tunnel: how it is, and how it is to be. Pure."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Any, Optional

from ..core.model import Change
from .paths import mesh_dir, psk_path
from .refresh import has_name, split_endpoint
from .render import Written
from .share import Share, Tunnel
from .state import MeshState
from .wg import Device, Peer

PEER = "mesh.peer"

OTHER_PSK = "(another)"
"""In place of a preshared key's name: there is one, and it is not what our file holds."""

SILENT = 180.0
"""Seconds without a handshake after which an address that the peer has roamed to is worth nothing."""


def wanted_peer(tunnel: Tunnel) -> dict[str, Any]:
    """As a result has it. endpoint: "" where the peer calls; psk: its name, "" for none"""
    return {
        "public_key": tunnel.public_key,
        "endpoint": tunnel.endpoint,
        "keepalive": tunnel.keepalive,
        "allowed_ips": sorted(tunnel.allowed_ips),
        "psk": tunnel.psk.name if tunnel.psk else "",
    }


def peer_change(
    share: Share, tunnel: Tunnel, device: Device, written: Written, state: MeshState, cut: str
) -> Optional[Change]:
    """The one peer of a tunnel, or None where it is right. A peer that has roamed is right."""
    after = wanted_peer(tunnel)
    found = device.peers.get(tunnel.public_key)
    others = [
        describe(peer, written) for key, peer in sorted(device.peers.items()) if key != tunnel.public_key
    ]
    live = describe(found, written) if found else None
    if live and found and live["psk"] == after["psk"] and _has_another_psk(share, tunnel, found, state):
        live["psk"] = OTHER_PSK
    if live and found and not _calls_elsewhere(tunnel, found, written, state):
        live["endpoint"] = after["endpoint"]
    if live == after and not others:
        return None
    before: Any = live if not others else [*([live] if live else []), *others]
    harmless = live is not None and all(live[name] == after[name] for name in ("public_key", "psk"))
    drift = live is None and not any(peer["public_key"] == written.public_key for peer in others)
    other = live is not None and live["psk"] == OTHER_PSK
    # Whoever sealed another key on purpose cuts the tunnel until the other end has it, too.
    drift = drift or (other and state.psks.get((share.mesh, after["psk"])) is not False)
    return Change(
        PEER,
        before,
        after,
        target=tunnel.interface,
        disruption="none" if harmless or drift else cut,
        # A key that somebody set by hand is nowhere else: it does not come back.
        undo="to_default" if other else "exact",
        why=_why(live, others),
        data={
            "psk": psk_path(share.mesh, tunnel.psk.name) if tunnel.psk else "",
            "psk_dir": f"{mesh_dir(share.mesh)}/psk",
            "before": [*([live] if live else []), *others],
        },
    )


def describe(peer: Peer, written: Written) -> dict[str, Any]:
    """A live peer in the form of `wanted_peer`; its psk has the name that our file gives it."""
    return {
        "public_key": peer.public_key,
        "endpoint": peer.endpoint,
        "keepalive": peer.keepalive,
        "allowed_ips": sorted(peer.allowed_ips),
        "psk": (written.psk or "unknown") if peer.has_psk else "",
    }


def _calls_elsewhere(tunnel: Tunnel, peer: Peer, written: Written, state: MeshState) -> bool:
    """Whether the live endpoint has to be set. WireGuard itself follows a peer that moves."""
    if not tunnel.endpoint or canonical(peer.endpoint) == canonical(tunnel.endpoint):
        return False
    if not peer.endpoint:
        # A name that means nothing now cannot be set; plan says so.
        return not has_name(tunnel.endpoint) or bool(state.named.get(tunnel.endpoint))
    if peer.endpoint in state.named.get(tunnel.endpoint, ()):
        return False
    if written.public_key == tunnel.public_key and written.endpoint not in ("", tunnel.endpoint):
        return True
    # Names are looked up again by a timer of their own.
    return not has_name(tunnel.endpoint) and state.time - peer.handshake > SILENT


def canonical(endpoint: str) -> str:
    """An address as WireGuard writes it; a name as it is."""
    if not endpoint or has_name(endpoint):
        return endpoint
    host, port = split_endpoint(endpoint)
    address, _percent, scope = host.partition("%")
    plain = str(ipaddress.ip_address(address)) + (f"%{scope}" if scope else "")
    return f"[{plain}]:{port}" if ":" in plain else f"{plain}:{port}"


def _has_another_psk(share: Share, tunnel: Tunnel, peer: Peer, state: MeshState) -> bool:
    wanted = state.psk_marks.get((share.mesh, tunnel.psk.name), "") if tunnel.psk else ""
    return bool(wanted and peer.psk_mark and not hmac.compare_digest(wanted, peer.psk_mark))


def _why(live: Optional[Mapping[str, Any]], others: list[dict[str, Any]]) -> str:
    if live is not None and live["psk"] == OTHER_PSK:
        return "its preshared key is not the one of our file"
    if others and live is not None:
        return "there is a peer that does not belong there"
    return "" if live is not None or others else "the peer was taken away"
