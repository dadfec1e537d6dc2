# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which set of nodes a lab holds: chosen when it is made, then remembered in its state."""

from __future__ import annotations

from itertools import chain

from lab.errors import LabError
from lab.paths import LabPaths
from lab.spec import DEFAULT_SET, SETS, Node, node, node_set


def remembered(paths: LabPaths) -> str | None:
    """The name of the lab's set; None when there is no such lab."""
    try:
        return paths.node_set.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def remember(paths: LabPaths, name: str) -> None:
    """Writes the name of the lab's set into its state."""
    paths.node_set.write_text(f"{name}\n", encoding="utf-8")


def choose(paths: LabPaths, wanted: str | None, running: bool) -> str:
    """The set to start or repair; LabError when a running lab holds another one than is asked for."""
    held = remembered(paths)
    name = wanted or held or DEFAULT_SET
    node_set(name)
    if running and held is not None and held != name:
        raise LabError(
            f"lab {paths.name} is up with the set {held!r}, not {name!r}: stop it first, or take another name"
        )
    return name


def nodes_of(paths: LabPaths) -> tuple[Node, ...]:
    """The nodes of the lab; those of the default set when there is no such lab."""
    return node_set(remembered(paths) or DEFAULT_SET)


def node_of(paths: LabPaths, name: str) -> Node:
    """The lab's node of that name. Without a lab any set's node will do: its absence is told later."""
    if remembered(paths) is None:
        return node(name, tuple(chain.from_iterable(SETS.values())))
    return node(name, nodes_of(paths))
