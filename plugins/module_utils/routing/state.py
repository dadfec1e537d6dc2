# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node's routing is: what the plan needs to know. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..mesh.share import Share

OFF: dict[str, Any] = {"enabled": False, "running": False, "started_with": None}


@dataclass(frozen=True)
class RoutingState:
    """How the node is.

    shares: mesh → what the mesh layer has applied last
    unreadable: meshes that have a share that cannot be read
    files: path → text, None where there is none
    units: (kind, mesh) → {enabled, running, started_with}. A daemon runs if it answers, too; started_with is
        the digest of its configuration, of a recorder that of its program; None where it does not run
    masked: units that somebody has masked
    tables: mesh → digest of its table; texts: the same as nft writes it
    deaf: mesh → text of its deaf table, of those that are drained
    meshes: of which anything of ours is there
    distribution: its service, None where there is none
    version: of babeld, None where it is missing; missing: other programs
    taken: UDP ports that other programs have
    """

    shares: Mapping[str, Share] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    files: Mapping[str, Optional[str]] = field(default_factory=dict)
    units: Mapping[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    masked: tuple[str, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    deaf: Mapping[str, str] = field(default_factory=dict)
    meshes: tuple[str, ...] = ()
    distribution: Optional[dict[str, bool]] = None
    version: Optional[str] = None
    missing: tuple[str, ...] = ()
    systemd: bool = True
    ipv6: bool = True
    taken: frozenset[int] = frozenset()
