# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes which way each member is reached by, whenever that changes: what a report shows of the past.

One JSON object a line: {at, prefix, from, to, metric}. `from` and `to` are interfaces, "" for no route of the
daemon's. The newest KEEP stay; a boot forgets them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.errors import NodeError
from .babel_socket import INFINITY, Channel, Tables
from .paths import changes_path, recorder_path, socket_path

KEEP = 1000
SLACK = 500
"""Lines more than KEEP before the file is written anew."""

PAUSE = 0.1
"""Seconds without a change before it is looked at: babeld says first that one route goes, then what comes."""

GRACE = 10.0
"""Seconds after a start of the daemon, or without one, in which a route that is gone is not said to be."""

Ways = dict[str, tuple[str, int]]
"""Prefix → interface and metric."""


def ways_of(tables: Tables) -> Ways:
    return {
        route.prefix: (route.interface, route.metric)
        for route in tables.routes.values()
        if route.installed and route.metric < INFINITY
    }


def changed(before: Ways, after: Ways, at: float) -> list[dict[str, Any]]:
    """What is reached otherwise than before; another metric alone is no change."""
    found = []
    for prefix in sorted({*before, *after}):
        old, new = before.get(prefix, ("", 0)), after.get(prefix, ("", None))
        if old[0] != new[0]:
            found.append({"at": at, "prefix": prefix, "from": old[0], "to": new[0], "metric": new[1]})
    return found


def moves(tables: Tables, line: str) -> bool:
    """Enters a line; whether another route may be in use by it. Most say that a metric is another."""
    words = line.split(" ", 3)
    if len(words) < 4 or words[1] != "route":
        return False
    before = tables.routes.get(words[2])
    tables.take(line)
    after = tables.routes.get(words[2])
    used = [bool(one and one.installed and one.metric < INFINITY) for one in (before, after)]
    return used[0] != used[1] or bool(before and after and before.interface != after.interface)


class Changes:
    """The file. `limit`: lines that stay"""

    def __init__(self, path: Path, limit: int = KEEP) -> None:
        self.path = path
        self.limit = limit
        self.lines = len(self._text().splitlines())

    def add(self, entries: Iterable[dict[str, Any]]) -> None:
        """Raises OSError."""
        lines = [json.dumps(entry) + "\n" for entry in entries]
        if not lines:
            return
        if self.lines + len(lines) > self.limit + SLACK:
            kept = [*self._text().splitlines(keepends=True), *lines][-self.limit :]
            files.write_whole(self.path, "".join(kept))
            self.lines = len(kept)
            return
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))
        self.lines += len(lines)

    def _text(self) -> str:
        return files.read_text(self.path) or ""


def read_changes(path: Path, limit: int = KEEP) -> list[dict[str, Any]]:
    """The newest last; a line that a crash has cut is passed over."""
    found = []
    for line in (files.read_text(path) or "").splitlines():
        try:
            entry = json.loads(line)
            found.append({name: entry[name] for name in ("at", "prefix", "from", "to", "metric")})
        except (ValueError, KeyError, TypeError):
            continue
    return found[-limit:]


class Recorder:
    """Follows the daemon of one mesh, and its next one when it ends."""

    def __init__(
        self, root: Path, mesh: str, clock: Callable[[], float] = time.time, grace: float = GRACE
    ) -> None:
        self.socket = str(root / socket_path(mesh).lstrip("/"))
        self.changes = Changes(root / changes_path(mesh).lstrip("/"))
        self.stamp = root / recorder_path(mesh).lstrip("/")
        self.clock = clock
        self.grace = grace
        self.ways: Ways = {}
        self.since = clock()
        """When the daemon was started or lost."""

    def run(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """For ever. Raises OSError."""
        while True:
            self.once()
            sleep(0.5)
            self.note({})  # Said only where no other one has come in time.

    def once(self) -> None:
        """As long as one daemon lives. Raises OSError where nothing can be written."""
        try:
            with Channel(self.socket) as channel:
                self.since = self.clock()
                try:
                    self._follow(channel)
                finally:
                    self.since = self.clock()
        except NodeError:
            return  # It has ended, or there is none yet.

    def _follow(self, channel: Channel) -> None:
        """Raises NodeError when the daemon ends."""
        tables, first, early = Tables(), self.clock(), True
        channel.until_ok()
        channel.send("monitor")
        for known in channel.until_ok():
            tables.take(known)
        waits = True
        while True:
            line = channel.line(PAUSE if waits else 1.0)
            if line is not None and moves(tables, line):
                first = first if waits else self.clock()
                waits = True
            now = self.clock()
            ended = early and now - self.since > self.grace
            # Under a stream of changes, too, once a second.
            if ended or (waits and (line is None or now - first > 1)):
                self.note(ways_of(tables), first if waits else now)
                waits, early = False, early and not ended

    def note(self, ways: Ways, at: Optional[float] = None) -> None:
        """Writes what has changed. Soon after a start what is missing is not missed."""
        if self.clock() - self.since < self.grace:
            ways = {**self.ways, **ways}
        self.changes.add(changed(self.ways, ways, round(at or self.clock(), 3)))
        self.ways = ways

    def sign(self, program: Path) -> None:
        """Says which program this is, so that a newer one takes its place. Raises OSError."""
        files.write_whole(self.stamp, f"{digest_of(program)}\n")


def digest_of(program: Path) -> str:
    return "sha256:" + hashlib.sha256(program.read_bytes()).hexdigest()[:16]
