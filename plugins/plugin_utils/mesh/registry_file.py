# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries as files: where they are, whole-file writes, one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...module_utils.core import files
from ...module_utils.core.errors import BindError, LockTimeout, Problem
from .dump import dump_registry
from .parse import parse_registry
from .registry import Registry

WAIT = 60.0
"""s that a run waits for another one that writes registries in the same directory."""


def registry_path(directory: Path, mesh: str) -> Path:
    return directory / f"{mesh}.yml"


def load(path: Path) -> tuple[Registry | None, str]:
    """The registry and its text; (None, "") where there is no such file. Raises BindError."""
    try:
        text = files.read_text(path)
    except OSError as error:
        allowed = f"a file that can be read: {error.strerror}"
        raise BindError([Problem("mesh_registry_dir", str(path.parent), allowed, str(path))]) from error
    if text is None:
        return None, ""
    registry = parse_registry(text, str(path))
    if registry.mesh != path.stem:
        raise BindError([Problem("mesh", registry.mesh, f"{path.stem}, as the file is named", str(path))])
    return registry, text


def load_others(directory: Path, mesh: str) -> dict[str, Registry]:
    """The other meshes' registries in the same directory. Raises BindError."""
    found = {}
    for path in sorted(directory.glob("*.yml")):
        if path.stem != mesh:
            registry, _text = load(path)
            if registry is not None:
                found[registry.mesh] = registry
    return found


def regions_of_others(directory: Path, mesh: str) -> set[str]:
    """Regions of the other meshes, of those whose registries can be read."""
    found: set[str] = set()
    for path in sorted(directory.glob("*.yml")):
        with contextlib.suppress(BindError):
            registry = load(path)[0] if path.stem != mesh else None
            found |= {member.region for member in registry.members.values()} if registry else set()
    return found


def save(path: Path, registry: Registry) -> str:
    """Writes the file whole, keeping its mode; a link is followed. Returns the text. Raises BindError."""
    text = dump_registry(registry)
    # What is written must be what was meant, but for the header that a new file gets.
    if replace(parse_registry(text, str(path)), header=registry.header) != registry:
        raise BindError([Problem("registry", registry.mesh, "a registry that can be written", str(path))])
    try:
        files.write_whole(path.resolve(), text, 0o644)
    except OSError as error:
        allowed = f"a directory that can be written: {error.strerror}"
        raise BindError([Problem("mesh_registry_dir", str(path.parent), allowed, str(path))]) from error
    return text


@contextlib.contextmanager
def locked(directory: Path, wait: float = WAIT) -> Iterator[None]:
    """Holds the directory (no lock file is left in it). Raises LockTimeout, BindError."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        allowed = f"a directory: {error.strerror}"
        raise BindError([Problem("mesh_registry_dir", str(directory), allowed, "task")]) from error
    try:
        _take(handle, directory, wait)
        yield
    finally:
        os.close(handle)


def _take(handle: int, directory: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
                return  # a file system without locks: the write is still whole
        if time.monotonic() >= deadline:
            raise LockTimeout(f"{directory}: another run has been changing registries for {wait:.0f} s")
        time.sleep(0.1)
