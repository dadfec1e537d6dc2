# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what makes a node's meshes what its shares say. Pure.

The order: files and new tunnels; live changes of tunnels; routes, which move to new tunnels; removals. A
tunnel whose port another one needs goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from ..core.errors import BindError
from ..core.managed_files import file_change
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from .checks import mtu_notes, refusals
from .forwarding import plan_forwarding
from .paths import quick_unit, share_path
from .refresh import has_name
from .removal import leftovers, remove_mesh, remove_secrets, remove_tunnel, secret_claims
from .render import share_text
from .routing import plan_aggregates, plan_routes, routes_files
from .share import Share
from .state import MeshState, is_v6, wanted_addresses, wanted_routes
from .tunnel import ADDRESS, PSK, TUNNEL, UP, plan_tunnel
from .withheld import in_effect, too_much

LIVE = (
    "mesh.tunnel",
    "mesh.peer",
    "mesh.key",
    "mesh.listen_port",
    "mesh.mtu",
    "mesh.address",
    "mesh.routes",
    "mesh.filter",
    "mesh.firewall",
    "mesh.forwarding",
)
"""Keys whose changes can cut the node off, so that they are armed."""


@dataclass(frozen=True)
class Wish:
    """shares: mesh → share, empty where all goes
    absent: everything is to go, keys too
    keep_keys: a change is armed
    now: the controller's Unix time; required: keys without which the host fails
    pending: programs are missing that are installed later in this run (check mode)
    undoing: the guard goes back to what was before
    max_disruption: what disturbs more is taken out of the plan later
    """

    shares: Mapping[str, Share]
    absent: bool = False
    keep_keys: bool = False
    now: Optional[float] = None
    required: tuple[str, ...] = ()
    pending: bool = False
    undoing: bool = False
    max_disruption: str = "reboot"


def plan_mesh(wish: Wish, state: MeshState, record: Record) -> Plan:
    """Raises BindError for what this node must not have."""
    shares = wish.shares
    problems = refusals(
        shares, state, wish.now, keys=not (wish.pending and state.missing), undoing=wish.undoing
    )
    if problems:
        raise BindError(problems)
    plan, given_back = plan_forwarding(shares, state, record)
    plan.claims.update({name: Claim(None, value) for name, value in secret_claims(shares).items()})
    tunnels = [
        c for share in shares.values() for tunnel in share.tunnels for c in plan_tunnel(share, tunnel, state)
    ]
    _put_together(tunnels, ("start", "restart"))
    early, late = _removals(wish, state)
    plan.changes += early
    plan.changes += _aggregates(shares, state, stays=True)
    plan.changes += _in_order(tunnels)
    routes = plan_routes(shares, state)
    for share in shares.values():
        routes += routes_files(share, state)
    plan.changes += _with_addresses(routes, tunnels)
    plan.changes += late
    plan.changes += _aggregates(shares, state, stays=False)
    plan.changes += _shares_and_rests(wish, state, early + late, plan.changes)
    plan.changes += given_back
    _secrets(plan, wish, state, record)
    _say(plan, wish, state)
    return plan


def is_live(change: Change) -> bool:
    """Whether a change can cut the node off. Keys that nobody needs any more can not."""
    return change.key in LIVE and "secret" not in change.data


# -- inside


def _in_order(changes: list[Change]) -> list[Change]:
    """Secrets and files, then new tunnels, then what changes while packets flow."""

    def place(change: Change) -> int:
        if change.key == PSK:
            return 0
        if change.key == "file":
            return 1
        return 2 if change.key == TUNNEL else 3

    return sorted(changes, key=place)


def _with_addresses(routes: list[Change], tunnels: list[Change]) -> list[Change]:
    """Routes name the node's address as their source: they stay as they are where the address has to."""
    moving = {c.target: c.name for c in tunnels if c.key == ADDRESS}
    for change in routes:
        interface = change.target.rpartition("/")[2].removesuffix(".routes")
        if interface in moving:
            change.relies_on = (*change.relies_on, moving[interface])
    return routes


def _put_together(changes: list[Change], ways: tuple[str, ...]) -> None:
    """Tunnels that one call of systemctl starts or stops: each names them all.

    The undo of one is that of all it names: so they were in one state before.
    """
    groups: dict[tuple[str, Optional[str]], list[Change]] = {}
    for change in changes:
        if change.key == TUNNEL and change.data["how"] in ways:
            groups.setdefault((change.data["how"], change.before), []).append(change)
    for group in groups.values():
        for change in group:
            change.data["group"] = [one.target for one in group]


def _removals(wish: Wish, state: MeshState) -> tuple[list[Change], list[Change]]:
    """Tunnels that go: those whose port is needed by another one, and the rest."""
    needed = {tunnel.listen_port for share in wish.shares.values() for tunnel in share.tunnels}
    early: list[Change] = []
    late: list[Change] = []
    for interface in leftovers(wish.shares, state):
        device = state.devices.get(interface)
        place = early if device and device.listen_port in needed else late
        place += remove_tunnel(interface, wish.shares, state, wish.absent)
    _put_together(early, ("stop",))
    _put_together(late, ("stop",))
    return early, sorted(late, key=lambda change: change.key != TUNNEL)


def _aggregates(shares: Mapping[str, Share], state: MeshState, stays: bool) -> list[Change]:
    meshes = shares if stays else sorted(set(state.stored) - set(shares))
    return [
        change
        for mesh in meshes
        for change in plan_aggregates(shares.get(mesh), mesh, state, shares.values())
    ]


def _shares_and_rests(
    wish: Wish, state: MeshState, removed: list[Change], planned: list[Change]
) -> list[Change]:
    """share.json of what stays; what is left of meshes that go."""
    changes = []
    for mesh, share in wish.shares.items():
        path = share_path(mesh)
        of_mesh = [c for c in planned if c.target.startswith(f"{mesh}-")]
        kept = in_effect(share, state.stored.get(mesh), too_much(of_mesh, wish.max_disruption))
        why = (
            "what was asked for last, but for what is left out"
            if kept.withheld
            else "what was asked for last"
        )
        change = file_change(path, state.files.get(path), share_text(kept), why=why)
        if change:
            change.data["mode"] = 0o600
            mine = [c for c in of_mesh if c.disruption != "none" and c.target not in kept.withheld]
            change.relies_on = tuple(c.name for c in mine)
            changes.append(change)
    for mesh in sorted(_known_meshes(state) - set(wish.shares)):
        changes += remove_mesh(mesh, state, [c for c in removed if c.target.startswith(f"{mesh}-")])
    return changes


def _known_meshes(state: MeshState) -> set[str]:
    """Meshes of which anything is on the node."""
    found = set(state.stored)
    for path, text in state.files.items():
        if text is not None and path.endswith(("/share.json", ".routes")):
            found.add(path.split("/")[-2])
    return found


def _secrets(plan: Plan, wish: Wish, state: MeshState, record: Record) -> None:
    """Keys nobody needs go last, and not while what needs them may stay or come back."""
    needed_by = tuple(change.name for change in plan.changes if change.disruption != "none")
    for change in remove_secrets(wish.shares, state, record, wish.absent):
        change.relies_on = needed_by
        plan.changes.append(change)
    if wish.keep_keys:
        keep_secrets(plan, record)


def keep_secrets(plan: Plan, record: Record) -> None:
    """Takes the removal of keys out of a plan: a later run does it, as their claims stay."""
    for change in [one for one in plan.changes if "secret" in one.data]:
        plan.take_out(change)
        plan.claims[change.claim] = record.claims.get(change.claim) or Claim(None, change.before)


def _say(plan: Plan, wish: Wish, state: MeshState) -> None:
    """Values before and after, what cannot be had here, and what is worth knowing."""
    for change in plan.changes:
        if change.key != "file":
            plan.before[change.name], plan.after[change.name] = change.before, change.after
    for share in wish.shares.values():
        for tunnel in share.tunnels:
            link = state.links.get(tunnel.interface)
            plan.before.setdefault(f"{TUNNEL} {tunnel.interface}", UP if link else None)
            plan.after.setdefault(f"{TUNNEL} {tunnel.interface}", UP)
        if not state.ipv6:
            _say_no_ipv6(plan, share, wish)
    for name in sorted({share.mesh for share in wish.shares.values()}):
        if not wish.shares[name].tunnels:
            plan.notes.append(f"mesh {name}: this node has no tunnels")
    if state.missing:
        plan.notes.append(f"not installed yet: {', '.join(state.missing)}")
    plan.notes += mtu_notes(wish.shares, state)
    for share in wish.shares.values():
        for tunnel in share.tunnels:
            if has_name(tunnel.endpoint) and state.named.get(tunnel.endpoint) == ():
                plan.notes.append(
                    f"{tunnel.interface}: nobody tells this node the address of {tunnel.endpoint} now, so it "
                    f"cannot call {tunnel.peer}; the name is looked up again every minute"
                )
            link, unit = state.links.get(tunnel.interface), quick_unit(tunnel.interface)
            if link and unit in state.active and state.active[unit] in ("inactive", "failed"):
                plan.notes.append(f"{tunnel.interface} is up, though not by its unit ({unit})")


def _say_no_ipv6(plan: Plan, share: Share, wish: Wish) -> None:
    left_out = [one for one in wanted_addresses(share, True) if is_v6(one) and not one.startswith("fe80:")]
    destinations = sum(len(wanted_routes(share, name, True)) for name in share.routes) - sum(
        len(wanted_routes(share, name, False)) for name in share.routes
    )
    if left_out:
        plan.unapplied.append(
            Unapplied(
                ADDRESS,
                left_out,
                "unsupported",
                "IPv6 is switched off on this node (net.ipv6.conf.all.disable_ipv6, or ipv6.disable=1), so "
                f"these addresses and {destinations} destinations are left out",
                target=share.mesh,
                required=ADDRESS in wish.required,
            )
        )
