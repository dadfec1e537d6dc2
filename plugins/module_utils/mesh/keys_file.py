# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that hold one WireGuard secret: how they are made, checked and removed.

A secret goes from `wg` straight into its file. It is in no command line, no message and no result.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Optional

from ..core import files
from ..core.commands import Runner
from ..core.errors import NodeError
from .share import KEY

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

GENERATE = 'exec wg "$1" >"$2"'
"""The shell opens the file, so that what `wg genkey` prints passes through no pipe of ours."""

PUBLIC = 'exec wg pubkey <"$1"'


def make(runner: Runner, path: Path, command: str) -> None:
    """Writes what `wg <command>` makes (genkey or genpsk) as a whole file. Raises NodeError, OSError.

    The caller holds the node's lock and has seen that there is no such file.
    """
    directory = path.parent
    make_directory(directory)
    for stale in directory.glob(f".{path.name}.????????"):
        stale.unlink()  # A run that was killed left it.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=str(directory))  # mode 0600
    temporary = Path(name)
    try:
        try:
            done = runner(["sh", "-c", GENERATE, "sh", command, name])
            if not done.good:
                raise NodeError(f"wg {command}: {_reason(done.code, done.err)}")
            if not KEY.fullmatch(temporary.read_text(encoding="ascii", errors="replace").strip()):
                raise NodeError(f"wg {command} wrote no key; is the disk full?")
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    files.sync_directory(directory)


def write(path: Path, secret: str) -> None:
    """Replaces the file by one that holds `secret` (base64). Raises OSError."""
    make_directory(path.parent)
    with contextlib.suppress(FileNotFoundError):
        path.chmod(FILE_MODE)  # A whole write keeps the mode that it finds.
    files.write_whole(path, secret + "\n", FILE_MODE)


def make_directory(directory: Path) -> None:
    """Ours alone, whatever the umask; directories above it are made as others can pass them."""
    directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) != DIRECTORY_MODE:
        directory.chmod(DIRECTORY_MODE)


def look(path: Path) -> Optional[os.stat_result]:
    """What there is, None for nothing. Raises NodeError for what cannot be a key of this node."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        raise NodeError(f"{path} is no regular file; a key must be one: move it away")
    if found.st_uid != os.geteuid():
        raise NodeError(
            f"{path} belongs to user {found.st_uid}, who may know the key; allowed: user {os.geteuid()}. "
            "Remove the file and make a key of the next generation"
        )
    return found


def loose(path: Path) -> str:
    """How file or directory can be reached by others ("0644"), "" if they cannot or there is none."""
    if look(path) is None:
        return ""
    for found, wanted in ((path.lstat(), FILE_MODE), (path.parent.stat(), DIRECTORY_MODE)):
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~wanted:
            return f"{mode:04o}"
    return ""


def tighten(path: Path) -> None:
    path.parent.chmod(DIRECTORY_MODE)
    path.chmod(FILE_MODE)


def public_key(runner: Runner, path: Path) -> str:
    """The public key of the private key in that file. Raises NodeError for one that holds no key."""
    done = runner(["sh", "-c", PUBLIC, "sh", str(path)])
    if done.code == 127:
        raise NodeError(f"wg pubkey: {_reason(done.code, done.err)}")
    key = done.out.strip()
    if not done.good or not KEY.fullmatch(key):
        raise NodeError(
            f"{path} holds no WireGuard key ({_reason(done.code, done.err)}); put it back from a backup, or "
            "move it away and make a key of the next generation"
        )
    return key


def read(path: Path) -> str:
    """The secret itself (base64), for a derivation. Raises NodeError that does not say what it read."""
    look(path)
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error
    if not KEY.fullmatch(text):
        raise NodeError(f"{path} holds no WireGuard key: 44 characters of base64 are expected")
    return text


def _reason(code: int, err: str) -> str:
    if code == 127:
        return "there is no such program; install wireguard-tools"
    return " ".join(err.split()) or f"it returned {code}"
