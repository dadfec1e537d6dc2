# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a link can have its tunnels: one end makes a preshared key and seals it to the other. Pure."""

from __future__ import annotations

from .registry import Identity, Link, Registry


def maker(registry: Registry, link: Link) -> str:
    """The end that makes the link's preshared keys: the one with the lower number."""
    return min(link.ends, key=lambda name: registry.members[name].number)


def receiver(registry: Registry, link: Link) -> str:
    return link.other(maker(registry, link))


def is_ready(registry: Registry, link: Link, identity: Identity) -> bool:
    """Whether both ends can have the tunnel."""
    return identity.psk is None or receiver(registry, link) in identity.psk.sealed
