# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a run: each touch of the machine is counted, and at one of them it fails or the process dies."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core import files


class Steps:
    """`what`, given the function's name, happens at the step-th call (from 1) of all functions watched.

    after: once the call is made, not before it; note: a file that gets a sign for each step
    Made in the process under test, whose children are not counted.
    """

    def __init__(
        self, step: int, what: Callable[[str], None], after: bool = False, note: Path | None = None
    ) -> None:
        self.step = step
        self.what = what
        self.after = after
        self.note = note
        self.count = 0
        self.process = os.getpid()

    def watched(self, inner: Callable[..., Any], name: str = "") -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if os.getpid() != self.process:
                return inner(*arguments, **options)
            self.count += 1
            here = self.count == self.step
            if self.note:
                with self.note.open("a") as stream:
                    stream.write(".")
            if here and not self.after:
                self.what(name)
            result = inner(*arguments, **options)
            if here and self.after:
                self.what(name)
            return result

        return call

    def watch(self, owner: Any, *names: str) -> None:
        """Functions of a module, or methods of a class."""
        for name in names:
            setattr(owner, name, self.watched(getattr(owner, name), name))

    def watch_files(self) -> None:
        """What a write of a file is made of."""
        self.watch(files, "sync_directory")
        self.watch(os, "fsync", "replace", "chmod")
        self.watch(Path, "unlink", "symlink_to")


def fail(name: str) -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def kill(number: int) -> Callable[[str], None]:
    return lambda name: os.kill(os.getpid(), number)
