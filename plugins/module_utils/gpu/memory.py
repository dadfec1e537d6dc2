# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clock locks this node was last given. NVML can set locks but not read them.

    <run_dir>/gpu_locks.json  {boot_id, driver_load, locks: {uuid: {key: [min, max] or "unlocked"}}}

It counts only for the same boot and the same load of the driver: with them the locks go.
An entry is taken out before a lock is set and put back after, so that a process killed in
between leaves "unknown", never something false.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core import files
from .presence import DriverLoad
from .quantity import UNLOCKED

FILE = "gpu_locks.json"

Locks = dict[str, dict[str, Any]]


def known_locks(locks: Locks, uuid: str, persistence: bool | None) -> dict[str, Any]:
    """The locks of one GPU that can be relied on.

    Without persistence the GPU may have been torn down since, which takes locks away; an
    unlocked GPU is unlocked either way.
    """
    mine = locks.get(uuid, {})
    return {key: value for key, value in mine.items() if persistence or value == UNLOCKED}


class LockMemory:
    """The file above. Its writing methods return how many writes they made."""

    def __init__(self, run_dir: str, load: DriverLoad) -> None:
        self.path = Path(run_dir) / FILE
        self.load = load

    def read(self) -> Locks:
        """What is remembered of this load of the driver; a file that makes no sense is nothing."""
        try:
            body = json.loads(files.read_text(self.path) or "{}")
            if (body["boot_id"], body["driver_load"]) != (self.load.boot_id, self.load.module):
                return {}
            return {
                str(uuid): {str(key): value for key, value in locks.items() if _is_lock(value)}
                for uuid, locks in body["locks"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    def remember(self, uuid: str, key: str, value: Any) -> int:
        """Raises OSError."""
        locks = self.read()
        locks.setdefault(uuid, {})[key] = value
        return self._write(locks)

    def forget(self, uuid: str, key: str = "") -> int:
        """Forgets one lock of a GPU, or all of them. Raises OSError."""
        locks = self.read()
        gone = [name for name in locks.get(uuid, {}) if key in ("", name)]
        if not gone:
            return 0
        for name in gone:
            del locks[uuid][name]
        return self._write({name: value for name, value in locks.items() if value})

    def _write(self, locks: Locks) -> int:
        body = {"boot_id": self.load.boot_id, "driver_load": self.load.module, "locks": locks}
        files.write_whole(self.path, json.dumps(body, indent=1, sort_keys=True) + "\n")
        return 1


def _is_lock(value: Any) -> bool:
    if value == UNLOCKED:
        return True
    return isinstance(value, list) and len(value) == 2 and all(isinstance(clock, int) for clock in value)
