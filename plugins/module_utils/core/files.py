# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole-file writes and the state directory's paths. The only place that creates files."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
import tempfile
from pathlib import Path


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Replaces `path` so that after any interruption it is either old or new, never half.

    Keeps the owner and mode of an existing file; a link is replaced, not followed. Raises OSError;
    leaves no temporary file then.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _sweep(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=str(path.parent))
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        _copy_owner(path, temporary, mode)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Removes a file if it is there. Raises OSError."""
    _sweep(path)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def read_text(path: Path) -> str | None:
    """The file's text, or None if there is no such file.

    Bytes that are not UTF-8 and every kind of line end survive a round trip through `write_whole`.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sweep(path: Path) -> None:
    """Removes what `write_whole` left beside `path` when it was killed. Runs hold the node's lock."""
    with contextlib.suppress(OSError):
        for stale in path.parent.glob(f".{glob.escape(path.name)}.????????"):
            stale.unlink()


def _copy_owner(path: Path, temporary: str, mode: int) -> None:
    try:
        old = path.lstat()
    except FileNotFoundError:
        old = None
    if old is None or not stat.S_ISREG(old.st_mode):
        # Of a link to /dev/null, by which files below /etc are masked, we would take 0666.
        os.chmod(temporary, mode)  # noqa: PTH101
        return
    os.chmod(temporary, old.st_mode & 0o7777)  # noqa: PTH101
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(temporary, old.st_uid, old.st_gid)


def sync_directory(directory: Path) -> None:
    """The rename itself must reach the disk; some file systems cannot, which is no error."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
