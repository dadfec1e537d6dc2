# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole files of ours: the change that makes one hold its text (pure), and the port that makes it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from . import files
from .model import Change

FILE = "file"
"""The key of such a change; its target is the path on the node."""


def digest(text: str | None) -> str | None:
    """What stands for a file's content in results: short, and equal for equal content."""
    if text is None:
        return None
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def file_change(
    path: str, live: str | None, wanted: str | None, edited: bool = False, why: str = "", mode: int = 0o644
) -> Change | None:
    """The change from `live` to `wanted` (None: no file), or None where they are alike.

    edited: somebody else has changed it, so a copy is kept before it is replaced
    mode: of a file that is new; one that is there keeps its own
    """
    if live == wanted:
        return None
    return Change(
        FILE,
        digest(live),
        digest(wanted),
        target=path,
        data={"before_text": live, "after_text": wanted, "edited": edited, "mode": mode},
        why="edited by hand" if edited else why,
    )


class FilePort:
    """Writes whole files below `root` ("/" but in tests) and keeps copies of edited ones."""

    def __init__(self, root: Path, state_dir: str) -> None:
        self.root = root
        self.edited = Path(state_dir) / "edited"
        self.writes = 0

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        """The text, or None if there is no such file. Raises OSError."""
        return files.read_text(self.at(path))

    # -- contract.Port

    def apply(self, change: Change) -> None:
        """Raises OSError."""
        if change.data["edited"]:
            self._keep_copy(self.at(change.target))
        self._write(change, change.data["after_text"])

    def undo(self, change: Change) -> None:
        self._write(change, change.data["before_text"])

    def reopen(self) -> None:
        """Nothing stays open."""

    def readback(self, change: Change) -> Any:
        """The digest; that of neither text is "other content"."""
        text = self.read(change.target)
        for side in ("after", "before"):
            if text == change.data[f"{side}_text"]:
                return getattr(change, side)
        return "other content"

    # -- inside

    def _write(self, change: Change, text: str | None) -> None:
        place = self.at(change.target)
        if text is None:
            files.remove(place)
        else:
            files.write_whole(place, text, change.data.get("mode", 0o644))
        self.writes += 1

    def _keep_copy(self, place: Path) -> None:
        copy = self.edited / f"{place.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        files.write_whole(copy, files.read_text(place) or "", 0o600)
        self.writes += 1
