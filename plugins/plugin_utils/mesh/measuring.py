# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which round trips a member measures before the mesh is planned anew: few, whatever the fleet. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from . import path
from .registry import Member, Registry
from .wishes import split_endpoint

ALL_UP_TO = 50
"""Members of a mesh in which everybody measures everybody."""

MOST_NEAR = 32
"""Beyond it: members of the own region, and hubs of other regions, of each kind up to so many."""

SAMPLE = 8
"""And of all others so many."""


def targets(registry: Registry, name: str) -> list[dict[str, str]]:
    """`{name, host}` of the members to measure, sorted; host: address or name below the mesh.

    Always among them: the member's neighbours and relays. Who cannot be called measures, and is not measured.
    """
    own = registry.members.get(name)
    if own is None or own.leaving:
        return []
    others = [item for item in registry.members.values() if item.name != name and not item.leaving]
    usable = {item.name: item for item in others if path.called(own, item)}
    chosen = set(usable) if len(registry.members) <= ALL_UP_TO else _chosen(registry, own, usable)
    return [{"name": one, "host": _host(own, usable[one])} for one in sorted(chosen)]


def _chosen(registry: Registry, own: Member, usable: dict[str, Member]) -> set[str]:
    found = {link.other(own.name) for link in registry.links_of(own.name)} | set(own.relays)
    near = [one for one, item in usable.items() if item.region == own.region]
    hubs = [one for one, item in usable.items() if item.transit and item.region != own.region]
    found |= {*_some(own.name, near, MOST_NEAR), *_some(own.name, hubs, MOST_NEAR)}
    found |= set(_some(own.name, set(usable) - found, SAMPLE))
    return found & set(usable)


def _some(name: str, others: Iterable[str], most: int) -> list[str]:
    """By chance, but always the same, and mostly the same when members come and go."""
    return sorted(others, key=lambda other: (zlib.crc32(f"{name} {other}".encode()), other))[:most]


def _host(own: Member, peer: Member) -> str:
    return split_endpoint(path.called(own, peer))[0]
