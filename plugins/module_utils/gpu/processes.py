# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and arguments of running processes, from /proc. Reads files only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def running(root: Path) -> Iterator[tuple[int, str, Path]]:
    """(pid, name, directory in /proc) of every process; the kernel cuts names at 15 characters."""
    try:
        entries = list((root / "proc").iterdir())
    except OSError:
        return
    for entry in entries:
        if not entry.name.isdigit():
            continue
        try:
            yield (
                int(entry.name),
                (entry / "comm").read_text(encoding="utf-8", errors="replace").strip(),
                entry,
            )
        except OSError:
            continue


def arguments(directory: Path) -> list[str]:
    """The command line of a process, empty if it has gone."""
    try:
        return (directory / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return []
