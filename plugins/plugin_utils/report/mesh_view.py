# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meshes of a run as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report import mesh, mesh_picture, mesh_text
from ansible_collections.swarm.node.plugins.plugin_utils.report.values import hosts_text


@dataclass
class MeshView:
    """One mesh over all nodes.

    picture: an SVG that may stand in the page as it is; by_region: its dots are regions, not members
    """

    name: str
    headline: str
    not_up: list[tuple[str, str, list[str]]]
    armed: str
    not_seen: str
    oldest_key: str
    picture: str
    by_region: bool


def mesh_views(meshes: Mapping[str, Mapping[str, Any]]) -> list[MeshView]:
    """Only for the page: pictures take a while, and the terminal does without."""
    return [
        MeshView(
            name=name,
            headline=mesh_text.headline(block),
            not_up=[
                (" – ".join(link["ends"]), link["state"], mesh_text.seen_text(link))
                for link in mesh_text.not_up(block)
            ],
            armed=mesh_text.armed_text(block) if block["armed"] else "",
            not_seen=hosts_text(block["not_seen"]),
            oldest_key=mesh_text.oldest_text(block),
            picture=mesh_picture.draw(name, block),
            by_region=len(mesh.numbers(block)) > mesh_picture.MOST,
        )
        for name, block in meshes.items()
    ]
