# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tunnel: how it is, how it is to be, and the smallest live changes in between. Pure."""

from __future__ import annotations

from typing import Optional

from ..core.managed_files import file_change
from ..core.marking import is_untouched
from ..core.model import Change
from .paths import conf_path, key_path, quick_unit
from .peer_plan import peer_change
from .render import conf, parse_conf
from .share import Share, Tunnel
from .state import Link, MeshState, inside, wanted_addresses
from .sysctls import tunnel_sysctls
from .wg import Device

TUNNEL = "mesh.tunnel"
KEY = "mesh.key"
PORT = "mesh.listen_port"
MTU = "mesh.mtu"
ADDRESS = "mesh.address"
PSK = "mesh.psk"
UNIT = "mesh.unit"

UP = "up"
DOWN = "down"

ALIVE = ("active", "activating", "reloading")
"""States of a unit that systemd believes to run."""

SYSTEMD = "/etc/systemd/system"


def unit_link(interface: str) -> str:
    """The link that has systemd bring the tunnel up at boot."""
    return f"{SYSTEMD}/multi-user.target.wants/{quick_unit(interface)}"


def plan_tunnel(share: Share, tunnel: Tunnel, state: MeshState) -> list[Change]:
    """What makes the tunnel itself right, its file first. Routes are not its matter."""
    name = tunnel.interface
    text, live = conf(share, tunnel, state.ipv6), state.files.get(conf_path(name))
    changes = []
    psk = _psk_change(share, tunnel, state)
    if psk:
        changes.append(psk)
    live_changes = _live_changes(share, tunnel, state)
    written = file_change(
        conf_path(name),
        live,
        text,
        live is not None and not is_untouched(live),
        f"so that the tunnel to {tunnel.peer} comes up like this at boot",
        0o600,
    )
    if written:
        # A boot must not bring what may not be done now.
        written.relies_on = tuple(change.name for change in live_changes if change.disruption != "none")
        changes.append(written)
    return changes + live_changes


def come_up(interface: str, before: Optional[str], how: str, why: str) -> Change:
    """how: start (by its unit), restart (the unit believes it runs), link (it is only switched off)"""
    return Change(
        TUNNEL,
        before,
        UP,
        target=interface,
        why=why,
        data={"how": how, "unit": quick_unit(interface), "link": unit_link(interface), "group": [interface]},
    )


def _psk_change(share: Share, tunnel: Tunnel, state: MeshState) -> Optional[Change]:
    psk = tunnel.psk
    if not psk or not psk.sealed or state.psks.get((share.mesh, psk.name)):
        return None
    return Change(
        PSK,
        None,
        "installed",
        target=f"{share.mesh}/{psk.name}",
        why=f"the key that {tunnel.peer} sealed for this node",
        data={"mesh": share.mesh, "psk": vars(psk), "generation": tunnel.generation},
    )


def _live_changes(share: Share, tunnel: Tunnel, state: MeshState) -> list[Change]:
    name = tunnel.interface
    link, device = state.links.get(name), state.devices.get(name)
    there = state.files.get(conf_path(name)) is not None
    if link is None:
        believed = state.active.get(quick_unit(name), "") in ALIVE
        why = "the interface is gone though its unit runs" if believed else ""
        if not why:
            why = "the tunnel was taken down" if there else f"a tunnel to {tunnel.peer}"
        return [come_up(name, DOWN if there else None, "restart" if believed else "start", why)]
    if device is None:
        return [come_up(name, DOWN, "restart", "WireGuard does not know the interface any more")]
    found = _different(share, tunnel, state, link, device)
    if not link.up:
        found.insert(0, come_up(name, DOWN, "link", "the interface was switched off"))
    if not state.links_on.get(quick_unit(name), True):
        found.append(
            Change(
                UNIT,
                False,
                True,
                target=quick_unit(name),
                why="so that the tunnel comes up at boot",
                data={"link": unit_link(name)},
            )
        )
    return found


def _different(share: Share, tunnel: Tunnel, state: MeshState, link: Link, device: Device) -> list[Change]:
    """What `wg set`, `ip link` and `ip address` change while packets flow."""
    name = tunnel.interface
    written = state.files.get(conf_path(name))
    # Drift is put right at any time: the other end waits for it. What is changed on purpose in place cuts
    # the tunnel until the other end follows.
    on_purpose = written is not None and written != conf(share, tunnel, state.ipv6)
    cut = "peer_jobs" if on_purpose and state.carries(name) else "none"
    changes: list[Change] = []
    if device.public_key != share.keys[tunnel.generation]:
        changes.append(_key_change(share, tunnel, device, cut))
    if device.listen_port != tunnel.listen_port:
        changes.append(
            Change(PORT, device.listen_port, tunnel.listen_port, target=name, disruption=cut, data={})
        )
    peer = peer_change(share, tunnel, device, parse_conf(written), state, cut)
    if peer:
        changes.append(peer)
    if link.mtu != tunnel.mtu:
        lower = "perf" if tunnel.mtu < link.mtu and on_purpose and state.carries(name) else "none"
        changes.append(Change(MTU, link.mtu, tunnel.mtu, target=name, unit="bytes", disruption=lower))
    address = _address_change(share, tunnel, link, state.ipv6, cut)
    if address:
        changes.append(address)
    return changes + tunnel_sysctls(share, name, state)


def _key_change(share: Share, tunnel: Tunnel, device: Device, cut: str) -> Change:
    before = next((number for number, key in share.keys.items() if key == device.public_key), None)
    paths = {str(number): key_path(share.mesh, number) for number in share.keys}
    return Change(
        KEY,
        before,
        tunnel.generation,
        target=tunnel.interface,
        disruption=cut,
        undo="exact" if before is not None or not device.public_key else "none",
        why="" if before is not None else "the interface has no key of this node",
        data={"paths": paths, "public": {str(number): key for number, key in share.keys.items()}},
    )


def _address_change(share: Share, tunnel: Tunnel, link: Link, ipv6: bool, cut: str) -> Optional[Change]:
    """Addresses of others on the interface stay, but for those within the mesh's own prefixes."""
    wanted = wanted_addresses(share, ipv6)
    extra = [one for one in link.addresses if one not in wanted and inside(one, share.prefixes)]
    missing = [one for one in wanted if one not in link.addresses]
    if not extra and not missing:
        return None
    before = sorted([one for one in link.addresses if one in wanted] + extra)
    return Change(
        ADDRESS,
        before,
        wanted,
        target=tunnel.interface,
        disruption=cut if extra else "none",
        data={"prefixes": list(share.prefixes)},
    )
