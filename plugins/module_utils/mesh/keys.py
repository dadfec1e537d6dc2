# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's private keys: made here, kept here. Others learn the public ones."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from ..core import files
from ..core.commands import Runner, execute_allowed
from ..core.errors import BindError, Problem
from . import keys_file
from .paths import key_path
from .share import MESH_NAME

GENERATION = re.compile(r"([1-9][0-9]{0,8})\.key")
LAST_GENERATION = 999_999_999


class KeyStore:
    """Private keys below `root` ("/" but in tests). Whoever writes holds the node's lock."""

    def __init__(self, root: Path | str = "/", runner: Runner = execute_allowed) -> None:
        self.root = Path(root)
        self.runner = runner

    def path(self, mesh: str, generation: int) -> Path:
        """Raises BindError for a name that is none of a mesh, and for a generation below 1."""
        problems = mistakes(mesh, generation)
        if problems:
            raise BindError(problems)
        return self.root / key_path(mesh, generation).lstrip("/")

    def public_key(self, mesh: str, generation: int) -> Optional[str]:
        """None where there is no such key. Raises NodeError for a file that holds none, or a foreign one."""
        path = self.path(mesh, generation)
        return None if keys_file.look(path) is None else keys_file.public_key(self.runner, path)

    def make(self, mesh: str, generation: int) -> str:
        """The public key; a key that exists stays as it is. Raises NodeError, OSError."""
        path = self.path(mesh, generation)
        if keys_file.look(path) is None:
            keys_file.make(self.runner, path, "genkey")
        return keys_file.public_key(self.runner, path)

    def generations(self, mesh: str) -> list[int]:
        """Those for which there is a file, oldest first."""
        directory = self.path(mesh, 1).parent
        try:
            names = [path.name for path in directory.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(found.group(1)) for found in map(GENERATION.fullmatch, names) if found)

    def created(self, mesh: str, generation: int) -> Optional[float]:
        """When the key was made, Unix time in s; None where there is none."""
        found = keys_file.look(self.path(mesh, generation))
        return None if found is None else found.st_mtime

    def created_all(self, mesh: str) -> dict[int, float]:
        """Generation → Unix time in s; a file that is no key of ours is left out."""
        found = {}
        for generation in self.generations(mesh):
            try:
                found[generation] = self.path(mesh, generation).lstat().st_mtime
            except OSError:
                continue
        return found

    def loose(self, mesh: str, generation: int) -> str:
        """The mode by which others can reach the key ("0644"), "" if they cannot."""
        return keys_file.loose(self.path(mesh, generation))

    def tighten(self, mesh: str, generation: int) -> None:
        keys_file.tighten(self.path(mesh, generation))

    def remove(self, mesh: str, generation: int) -> None:
        """Nothing happens where there is none. Raises OSError."""
        files.remove(self.path(mesh, generation))


def mistakes(mesh: object, generation: object) -> list[Problem]:
    """What is wrong with a mesh's name and a generation, as an operator may have written them."""
    problems = []
    if not isinstance(mesh, str) or not MESH_NAME.fullmatch(mesh):
        problems.append(Problem("mesh", mesh, "a letter, then up to 7 letters or digits, all lower case"))
    good = isinstance(generation, int) and not isinstance(generation, bool)
    if not good or not 1 <= int(str(generation)) <= LAST_GENERATION:
        problems.append(Problem("generation", generation, f"1 to {LAST_GENERATION}"))
    return problems


def as_time(seconds: Optional[float]) -> Optional[str]:
    """UTC to the second, as it stands in results."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
