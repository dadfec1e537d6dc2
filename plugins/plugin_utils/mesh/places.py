# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which registries there are, as seen from the inventory. No Ansible in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from .check import overlaps
from .registry import Registry

DIRECTORY = "mesh"


def registry_directory(
    chosen: str | None, inventory_dir: str | None, sources: Iterable[Any], base: str, make: bool = False
) -> Path:
    """Where the registries are.

    chosen: the variable mesh_registry_dir, relative to the inventory; without it `mesh/` beside it. What lies
    in an inventory directory Ansible reads as inventory, so then beside that directory counts first.
    make: whether it may be made now. A host that a play added is of the first inventory. Raises BindError.
    """
    # For a source that is a list of hosts Ansible says "None".
    here = inventory_dir if inventory_dir and Path(str(inventory_dir)).is_dir() else None
    root = Path(str(here or _first_directory(sources) or base))
    if chosen:
        named = (root / Path(chosen).expanduser()).absolute()
        if not named.is_dir() and not (make and named.parent.is_dir()):
            allowed = "a directory that exists, relative to the inventory"
            raise BindError([Problem("mesh_registry_dir", str(chosen), allowed, str(named))])
        return named
    is_directory = root.resolve() in [Path(str(item)).resolve() for item in sources]
    places = [root.parent, root] if is_directory else [root]
    found = next((place / DIRECTORY for place in places if (place / DIRECTORY).is_dir()), None)
    return (found or places[0] / DIRECTORY).absolute()


def _first_directory(sources: Iterable[Any]) -> Path | None:
    """Of the first source that is a file or a directory; others are lists of hosts."""
    for source in sources:
        path = Path(str(source)).absolute()
        if path.exists():
            return path if path.is_dir() else path.parent
    return None


def clashes(
    registry: Registry, name: str, port: int, others: Iterable[Registry], origin: str
) -> list[Problem]:
    """What the mesh would take of another mesh on the same host: ports, addresses."""
    found = []
    for other in others:
        neighbour = other.members.get(name)
        if neighbour is None or other.mesh == registry.mesh:
            continue
        ours = (port, port + 2 * registry.settings.max_degree - 1)
        theirs = (neighbour.port, neighbour.port + 2 * other.settings.max_degree - 1)
        if ours[0] <= theirs[1] and theirs[0] <= ours[1]:
            allowed = (
                f"a port whose {2 * registry.settings.max_degree} ports are free: "
                f"{theirs[0]} to {theirs[1]} are those of the mesh {other.mesh} on this host (mesh_overrides)"
            )
            found.append(Problem("mesh_port", port, allowed, origin, name))
        for mine, taken in overlaps(registry.settings.prefixes, other.settings.prefixes):
            allowed = (
                f"a prefix apart from {taken}, the one of the mesh {other.mesh}, in which {name} is, too"
            )
            found.append(Problem("mesh_settings prefixes", mine, allowed, origin, name))
    return found


def share_clashes(shares: dict[str, dict[str, Any]], origins: dict[str, str]) -> list[Problem]:
    """The same between shares of one host, as they go to the node. mesh → share data, registry's path."""
    found = []
    names = sorted(shares)
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            first, second = shares[one], shares[other]
            if first["ports"][0] <= second["ports"][1] and second["ports"][0] <= first["ports"][1]:
                allowed = f"ports apart from {second['ports']}, those of the mesh {other} on this host"
                found.append(Problem(f"{one} port", list(first["ports"]), allowed, origins[one]))
            for mine, taken in overlaps(first["prefixes"], second["prefixes"]):
                allowed = f"a prefix apart from {taken}, the one of the mesh {other} on this host"
                found.append(Problem(f"{one} prefixes", mine, allowed, origins[one]))
    return found
