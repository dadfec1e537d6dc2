# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a run of the routing module, and what makes one of them fail or the process die there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import routing_node
from ansible_collections.swarm.node.plugins.module_utils.core import files
from routing_node import RoutingNode


def steps_of(node: RoutingNode, **options: Any) -> int:
    """How many touches a run takes that nothing disturbs."""
    note = node.base / "steps"
    node.good(before=at_step(0, fail, note), **options)
    return len(note.read_text())


def at_step(step: int, what: Callable[[str], None], note: Path | None = None) -> Callable[[], None]:
    """`what` happens before the module's step-th touch of the machine (from 1). note: gets a sign for each"""

    def patch() -> None:
        count = [0]

        def counted(owner: Any, name: str) -> None:
            real = getattr(owner, name)

            def call(*arguments: Any, **options: Any) -> Any:
                count[0] += 1
                if note:
                    with note.open("a") as stream:
                        stream.write(".")
                if count[0] == step:
                    what(name)
                return real(*arguments, **options)

            setattr(owner, name, call)

        counted(routing_node, "touch")
        counted(files, "_sync_directory")
        for name in ("fsync", "replace", "chmod"):
            counted(os, name)
        counted(Path, "unlink")
        counted(Path, "symlink_to")

    return patch


def fail(name: str) -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def kill(number: int) -> Callable[[str], None]:
    return lambda name: os.kill(os.getpid(), number)
