# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a run of the routing module, and what makes one of them fail or the process die there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import routing_node
from routing_cases import share, tunnel
from routing_node import OWN_CONF, RoutingNode
from stepping import Steps, fail

MORE = share(*share().tunnels, tunnel(68))
RIVAL = {"enabled": True, "active": True}


def fresh(base: Path) -> RoutingNode:
    node = RoutingNode(base, share())
    node.set(rival=dict(RIVAL))
    node.text("etc/babeld.conf", OWN_CONF)
    return node


def steps_of(node: RoutingNode, **options: Any) -> int:
    """How many touches a run takes that nothing disturbs."""
    note = node.base / "steps"
    node.good(before=at_step(0, fail, note), **options)
    return len(note.read_text())


def at_step(step: int, what: Callable[[str], None], note: Path | None = None) -> Callable[[], None]:
    """`what` happens before the module's step-th touch of the machine (from 1). note: gets a sign for each"""

    def patch() -> None:
        steps = Steps(step, what, note=note)
        steps.watch(routing_node, "touch")
        steps.watch_files()

    return patch
