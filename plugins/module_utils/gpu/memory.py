# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NVML cannot be asked: the clock locks this node was last given, and what the driver refused to set.

    <run_dir>/gpu_locks.json  {boot_id, driver_load,
                               locks: {uuid: {key: [min, max] or "unlocked"}},
                               refused: {uuid: {key: the driver's words}}}

It counts only for the same boot and the same load of the driver: with them the locks go, and another
driver may do what this one refused. A lock is taken out before it is set and put back after, so that
a process killed in between leaves "unknown", never something false.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core import files
from .presence import DriverLoad
from .quantity import UNLOCKED

FILE = "gpu_locks.json"

LOCK_MEMORY = "gpu.lock_memory"
"""The key of a change that forgets what a GPU was locked to."""

Locks = dict[str, dict[str, Any]]
Refusals = dict[str, dict[str, str]]


def known_locks(locks: Locks, uuid: str, persistence: bool | None) -> dict[str, Any]:
    """The locks of one GPU that can be relied on.

    Without persistence the GPU may have been torn down since, which takes locks away; an
    unlocked GPU is unlocked either way.
    """
    mine = locks.get(uuid, {})
    return {key: value for key, value in mine.items() if persistence or value == UNLOCKED}


def locked(locks: Locks) -> tuple[str, ...]:
    """UUIDs of the GPUs with a lock on any clock."""
    return tuple(uuid for uuid in sorted(locks) if any(lock != UNLOCKED for lock in locks[uuid].values()))


class LockMemory:
    """The file above. Its writing methods return how many writes they made and raise OSError."""

    def __init__(self, run_dir: str, load: DriverLoad) -> None:
        self.path = Path(run_dir) / FILE
        self.load = load

    def read(self) -> Locks:
        """The locks of this load of the driver; a file that makes no sense is nothing."""
        return _valid(self._body().get("locks"), _is_lock)

    def refusals(self) -> Refusals:
        """What this load of the driver refused to set."""
        return _valid(self._body().get("refused"), lambda value: isinstance(value, str))

    def remember(self, uuid: str, key: str, value: Any) -> int:
        locks = self.read()
        locks.setdefault(uuid, {})[key] = value
        return self._write(locks, self.refusals())

    def forget(self, uuid: str, key: str = "") -> int:
        """Forgets one lock of a GPU, or all of them."""
        locks = self.read()
        gone = [name for name in locks.get(uuid, {}) if key in ("", name)]
        if not gone:
            return 0
        for name in gone:
            del locks[uuid][name]
        return self._write({name: value for name, value in locks.items() if value}, self.refusals())

    def forget_locked(self, uuid: str) -> int:
        """Forgets what a GPU was locked to; that it was unlocked stays true when it is torn down."""
        locks = self.read()
        mine = locks.get(uuid, {})
        locks[uuid] = {key: value for key, value in mine.items() if value == UNLOCKED}
        if locks[uuid] == mine:
            return 0
        return self._write({name: value for name, value in locks.items() if value}, self.refusals())

    def put_back(self, uuid: str, locks: dict[str, Any]) -> int:
        """A GPU's locks as they were before a write that did nothing."""
        known = self.read()
        if known.get(uuid, {}) == locks:
            return 0
        known[uuid] = locks
        return self._write({name: value for name, value in known.items() if value}, self.refusals())

    def refuse(self, uuid: str, key: str, words: str, locks: dict[str, Any]) -> int:
        """Notes a refusal. `locks` are the GPU's, as they still are: a refused write did nothing."""
        known, refused = self.read(), self.refusals()
        known[uuid] = locks
        refused.setdefault(uuid, {})[key] = words
        return self._write({name: value for name, value in known.items() if value}, refused)

    def _body(self) -> dict[str, Any]:
        try:
            body = json.loads(files.read_text(self.path) or "{}")
            mine = (body["boot_id"], body["driver_load"]) == (self.load.boot_id, self.load.module)
        except (ValueError, KeyError, TypeError):
            return {}
        return body if mine else {}

    def _write(self, locks: Locks, refused: Refusals) -> int:
        body: dict[str, Any] = {"boot_id": self.load.boot_id, "driver_load": self.load.module, "locks": locks}
        if refused:
            body["refused"] = refused
        files.write_whole(self.path, json.dumps(body, indent=1, sort_keys=True) + "\n")
        return 1


def _valid(listed: Any, good: Any) -> dict[str, dict[str, Any]]:
    """{uuid: {key: value}} with the values that make sense."""
    if not isinstance(listed, dict):
        return {}
    return {
        str(uuid): {str(key): value for key, value in entries.items() if good(value)}
        for uuid, entries in listed.items()
        if isinstance(entries, dict)
    }


def _is_lock(value: Any) -> bool:
    if value == UNLOCKED:
        return True
    return isinstance(value, list) and len(value) == 2 and all(isinstance(clock, int) for clock in value)
