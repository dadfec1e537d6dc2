# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a share comes to where changes are left out as too disruptive: what the node keeps as its share. Pure.

An undo goes back to it, and `mesh_info` says it: neither may take a part for the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Optional

from ..core.model import DISRUPTIONS, Change
from .routing import ROUTES
from .share import Share
from .tunnel import ADDRESS


def too_much(changes: Iterable[Change], allowed: str) -> list[Change]:
    """Those that disturb more than is allowed, and those that make no sense without them."""
    every = list(changes)
    held = [c for c in every if DISRUPTIONS.index(c.disruption) > DISRUPTIONS.index(allowed)]
    names = {change.name for change in held}
    return held + [c for c in every if c not in held and names & set(c.relies_on)]


def in_effect(share: Share, stored: Optional[Share], held: Collection[Change]) -> Share:
    """The share with how it was before in place of what is held back.

    stored: the node's share before; None where it was lost, so that nothing is known of what was
    """
    mine = [change for change in held if change.key != "file"]
    if stored is None or not mine:
        return share
    moving = {change.target for change in mine if change.key == ROUTES}
    staying = {change.target for change in mine if change.key != ROUTES}
    tunnels = {tunnel.interface: tunnel for tunnel in share.tunnels}
    old = {tunnel.interface: tunnel for tunnel in stored.tunnels if tunnel.interface in staying}
    gone = set(old) - set(tunnels)
    tunnels.update(old)
    keys = {tunnel.generation: stored.keys[tunnel.generation] for tunnel in old.values()}
    moved = any(change.key == ADDRESS for change in mine)
    return replace(
        share,
        addresses=stored.addresses if moved else share.addresses,
        keys={**keys, **share.keys},
        tunnels=tuple(tunnels[name] for name in sorted(tunnels)),
        routes=_routes(share.routes, stored.routes, moving | gone, set(tunnels)),
        withheld=tuple(sorted(moving | staying)),
    )


def _routes(
    new: Mapping[str, tuple[str, ...]],
    old: Mapping[str, tuple[str, ...]],
    held: Collection[str],
    interfaces: Collection[str],
) -> dict[str, tuple[str, ...]]:
    """Where each destination goes: a tunnel whose routes are held back gains and loses none by itself."""
    after = {one: name for name, many in new.items() for one in many}
    before = {one: name for name, many in old.items() for one in many}
    found: dict[str, list[str]] = {}
    for one in sorted({*after, *before}):
        place = after.get(one)
        if place in held or (place is None and before[one] in held):
            place = before.get(one)
        if place in interfaces:
            found.setdefault(str(place), []).append(one)
    return {name: tuple(many) for name, many in sorted(found.items())}
