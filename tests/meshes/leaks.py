# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for secrets in whatever a run leaves behind: bytes, directories, archives of a node's files."""

from __future__ import annotations

import base64
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKED = re.compile(rb"UEsDB[A-Za-z0-9+/]{40,}={0,2}")
"""A zip file in base64, as Ansible ships modules with their arguments."""


@dataclass(frozen=True)
class Secret:
    """A key of 32 bytes. name: for a message, such as `fra-1 wan 2`"""

    name: str
    raw: bytes

    @classmethod
    def from_text(cls, name: str, text: str) -> Secret:
        raw = base64.b64decode(text.strip(), validate=True)
        if len(raw) != 32:
            raise ValueError(f"{name} is no key")
        return cls(name, raw)

    @property
    def forms(self) -> tuple[bytes, ...]:
        """All the ways it may be written. The last of base64's 43 digits depends on what follows in part."""
        text = base64.b64encode(self.raw)[:43]
        # A text or the bytes within something longer that is base64 as a whole, at any of three offsets.
        within = [_within(inner, shift) for inner in (self.raw, text) for shift in range(3)]
        return (
            self.raw,
            text,
            text.replace(b"+", b"-").replace(b"/", b"_"),
            text.replace(b"/", b"\\/"),
            self.raw.hex().encode(),
            self.raw.hex().upper().encode(),
            *within,
        )


@dataclass(frozen=True)
class Entry:
    """One thing to look through. mode and user: of a file, None for what is none"""

    place: str
    content: bytes
    mode: int | None = None
    user: int | None = None


@dataclass(frozen=True)
class Leak:
    secret: str
    place: str


class Search:
    """Looks for many secrets in many places."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self.names = {form: secret.name for secret in secrets for form in secret.forms}

    def leaks(self, entries: Iterable[Entry]) -> list[Leak]:
        if not self.names:
            raise ValueError("no secret to look for")
        return [
            Leak(name, entry.place)
            for entry in entries
            for name in sorted({*self._hits(entry.content), *self._hits(entry.place.encode())})
        ]

    def _hits(self, content: bytes) -> Iterator[str]:
        yield from (name for form, name in self.names.items() if form in content)
        for packed in PACKED.finditer(content):
            for inner in unpacked(packed[0]):
                yield from self._hits(inner)


def unpacked(text: bytes) -> Iterator[bytes]:
    """The files in a zip file in base64; none where it is no whole one."""
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(text))) as archive:
            for name in archive.namelist():
                yield archive.read(name)
    except (zipfile.BadZipFile, ValueError):
        return


def files_below(directory: Path) -> Iterator[Entry]:
    """All files there; one that goes away meanwhile is passed over."""
    for path in sorted(directory.rglob("*")):
        try:
            if path.is_file():
                yield Entry(str(path), path.read_bytes(), path.stat().st_mode & 0o7777, path.stat().st_uid)
        except OSError:
            continue


def files_in(archive: bytes, label: str) -> Iterator[Entry]:
    """The regular files of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for item in opened:
            handle = opened.extractfile(item) if item.isreg() else None
            if handle is not None:
                yield Entry(f"{label}:/{item.name}", handle.read(), item.mode, item.uid)


def _within(inner: bytes, shift: int) -> bytes:
    """The digits of base64 that depend on `inner` alone, if it begins `shift` bytes into a group of three."""
    whole = base64.b64encode(bytes(shift) + inner)
    first = (shift * 8 + 5) // 6
    last = (shift + len(inner)) * 8 // 6
    return whole[first:last]
