# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the kernel layer that touches the machine: /proc/sys, /sys, drop-in files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core import files
from ..core.errors import NodeError
from ..core.managed_files import FILE, FilePort
from ..core.model import Change
from .boot import SYSCTL_DIRS, TMPFILES_DIRS, BootFile, BootFiles, parse_tmpfiles, reading_order
from .dropins import sysctl_file, tmpfiles_file
from .model import KernelState, Knob, Live
from .sysctl_conf import normalise, parse
from .tuned import read_tuned

BUILT_IN_QDISCS = ("pfifo_fast", "pfifo", "bfifo", "mq", "noqueue")
"""In no list of modules: they come with queueing disciplines as such (net/sched/sch_generic.c, sch_fifo)."""


class KernelPort:
    """Reads and writes below `root` ("/" but in tests). `writes` counts files and keys written."""

    def __init__(self, root: str = "/", state_dir: str = "/var/lib/swarm_node") -> None:
        self.root = Path(root)
        self.files = FilePort(self.root, state_dir)
        self.keys_written = 0

    @property
    def writes(self) -> int:
        return self.keys_written + self.files.writes

    # -- reading

    def read(self, owner: str, keys: Iterable[str]) -> KernelState:
        """The state for these keys and owner."""
        own = [sysctl_file(owner), tmpfiles_file(owner)]
        return KernelState(
            live={key: self._live(Knob(key)) for key in keys},
            sysctl_boot=self._boot_files(SYSCTL_DIRS, parse, own[0]),
            tmpfiles_boot=self._boot_files(TMPFILES_DIRS, parse_tmpfiles, own[1], first_wins=True),
            tuned=read_tuned(lambda path: files.read_text(self._at(path))),
            files={path: files.read_text(self._at(path)) for path in own},
            congestion=self._congestion(),
            qdiscs=self._qdiscs(),
        )

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _live(self, knob: Knob) -> Live:
        path = self._at(knob.path)
        try:
            if not path.is_file():
                return Live()
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return Live(exists=True)
        writable = self._writable(path)
        if knob.is_sysctl:
            return Live(True, normalise(text), writable)
        words = text.split()
        chosen = next((word[1:-1] for word in words if word.startswith("[")), words[0] if words else None)
        choices = tuple(word.strip("[]") for word in words) if "[" in text else ()
        return Live(True, chosen, writable, choices)

    def _writable(self, path: Path) -> bool:
        """Whether root could write here: a check that runs without root must not take that for the node's."""
        if os.access(path, os.W_OK):
            return True
        if os.geteuid() == 0:
            return False
        return bool(path.stat().st_mode & 0o200) and not os.statvfs(path).f_flag & os.ST_RDONLY

    def _boot_files(
        self, directories: tuple[str, ...], parser: Any, own: str, first_wins: bool = False
    ) -> BootFiles:
        listing: dict[str, list[str]] = {}
        for directory in directories:
            folder = self._at(directory)
            # /lib may be the same directory as /usr/lib: listed once.
            if folder.is_dir() and not any(self._same(folder, known) for known in listing):
                listing[directory] = [item.name for item in folder.iterdir() if item.name.endswith(".conf")]
        order = [path for path in reading_order(listing, directories) if path != own]
        return BootFiles([BootFile(path, tuple(parser(self._content(path)))) for path in order], first_wins)

    def _same(self, folder: Path, known: str) -> bool:
        return folder.samefile(self._at(known))

    def _content(self, path: str) -> str:
        try:
            return files.read_text(self._at(path)) or ""
        except OSError:
            return ""  # A dangling or unreadable file is passed over at boot, too.

    def _congestion(self) -> tuple[str, ...]:
        """Congestion controls that are loaded, and those the kernel loads when they are asked for.

        In a network namespace of its own, a node may take only what the machine underneath allows
        (net/ipv4/tcp_cong.c); there the list of the allowed ones is read-only.
        """
        allowed = self._at("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
        if allowed.is_file() and not self._writable(allowed):
            return tuple((files.read_text(allowed) or "").split())
        available = files.read_text(self._at("/proc/sys/net/ipv4/tcp_available_congestion_control")) or ""
        loadable = [] if self._shut() else self._modules("modules.dep", "/net/ipv4/", "tcp_")
        return tuple(dict.fromkeys(available.split() + loadable))

    def _qdiscs(self) -> tuple[str, ...]:
        """() where the lists of modules are not here, as in a container: then the kernel decides.

        Where no module may be loaded any more, those that are loaded take the place of those that could be.
        """
        indexes = ("modules.builtin",) if self._shut() else ("modules.dep", "modules.builtin")
        if not all(self._at(self._index(index)).is_file() for index in indexes):
            return ()
        found = [name for index in indexes for name in self._modules(index, "/net/sched/", "sch_")]
        return tuple(
            dict.fromkeys([*BUILT_IN_QDISCS, *found, *(self._loaded("sch_") if self._shut() else ())])
        )

    def _loaded(self, prefix: str) -> list[str]:
        """Modules that are loaded by name, without the prefix."""
        lines = (files.read_text(self._at("/proc/modules")) or "").splitlines()
        names = [line.split(" ")[0] for line in lines]
        return [name[len(prefix) :] for name in names if name.startswith(prefix)]

    def _index(self, name: str) -> str:
        release = (files.read_text(self._at("/proc/sys/kernel/osrelease")) or "").strip()
        return f"/lib/modules/{release or 'unknown'}/{name}"

    def _shut(self) -> bool:
        """Whether no module may be loaded any more."""
        return (files.read_text(self._at("/proc/sys/kernel/modules_disabled")) or "").strip() == "1"

    def _modules(self, index: str, folder: str, prefix: str) -> list[str]:
        """Modules of a folder of the kernel's by name, without the prefix."""
        names = []
        for line in (files.read_text(self._at(self._index(index))) or "").splitlines():
            path = line.split(":")[0]
            name = path.rsplit("/", 1)[-1].split(".")[0].replace("-", "_")
            if name.startswith(prefix) and folder in path:
                names.append(name[len(prefix) :])
        return names

    # -- engine.Port

    def apply(self, change: Change) -> None:
        """Writes one key or one file. Raises NodeError naming key, value and origin."""
        if change.key == FILE:
            self.files.apply(change)
        else:
            self._write_key(change, str(change.after))

    def undo(self, change: Change) -> None:
        if change.key == FILE:
            self.files.undo(change)
        elif "undo_by" in change.data:
            # The kernel refuses a 0 here; it sets one itself when the other key of the pair is written.
            key, value = change.data["undo_by"]
            self._write_key(replace(change, key=key, before=None), value)
        else:
            self._write_key(change, str(change.before))

    def reopen(self) -> None:
        """Nothing stays open."""

    def readback(self, change: Change) -> Any:
        if change.key == FILE:
            return self.files.readback(change)
        return self._live(Knob(change.key)).value

    def _write_key(self, change: Change, value: str) -> None:
        path = self._at(Knob(change.key).path)
        try:
            self._put(path, f"{value}\n")
        except OSError as error:
            origin = f" (from {change.origin})" if change.origin else ""
            raise NodeError(
                f"{change.key}: the kernel rejects {value!r}{origin}: {error.strerror}; "
                f"live is {self._live(Knob(change.key)).value!r}"
            ) from error
        self.keys_written += 1

    def _put(self, path: Path, text: str) -> None:
        """One write(2) to a file of the kernel; it never creates one. Raises OSError."""
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(handle, text.encode("utf-8", "surrogateescape"))
        finally:
            os.close(handle)


def keys_to_read(wished: Iterable[str], claimed: Iterable[str], exclusive: dict[str, str]) -> list[str]:
    """Every key the plan may look at: wished, held, and what the kernel changes along with those."""
    keys = dict.fromkeys([*wished, *claimed])
    for key in list(keys):
        if key in exclusive:
            keys.setdefault(exclusive[key])
    return list(keys)
