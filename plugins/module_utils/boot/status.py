# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last run did, and whether another one is due. The file is on a tmpfs: a boot forgets it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.version import VERSION
from ..gpu.presence import driver_load
from .paths import STATUS

APPLIED, UNCHANGED, NOTHING = "applied", "unchanged", "nothing"
FROZEN, MANAGED = "frozen", "managed"
PARTLY, FAILED, UNAVAILABLE, BUSY = "partly", "failed", "unavailable", "busy"
RUNNING = "running"
"""Stands in the file while a run is under way, and after one that was killed: a driver may not answer."""

TRY_AGAIN = (PARTLY, FAILED, UNAVAILABLE, BUSY, RUNNING)
"""Outcomes after which the watch tries again, at growing distances."""

FIRST_RETRY, LAST_RETRY = 60.0, 3600.0
"""Seconds between a run that did not do all and the next."""

START_LIMIT, STOP_LIMIT = 180, 30
"""Seconds after which systemd stops a run, and after which it kills one that does not stop."""

LONGEST_RUN = START_LIMIT + 2 * STOP_LIMIT
"""Seconds after which a boot goes on whatever becomes of a run: systemd waits once more for one it killed."""

DAEMON = "run/nvidia-persistenced/nvidia-persistenced.pid"

Status = dict[str, Any]


@dataclass(frozen=True)
class Stamp:
    """What volatile settings last with: another stamp means they may be gone.

    module: inode of /sys/module/nvidia, None while no driver is loaded
    daemon: which run of nvidia-persistenced it is, "" for none
    """

    boot_id: str = ""
    module: Optional[int] = None
    daemon: str = ""


def read_stamp(root: Path) -> Stamp:
    load = driver_load(root)
    try:
        found = (root / DAEMON).stat()
        daemon = f"{found.st_ino}:{found.st_mtime_ns}"
    except OSError:
        daemon = ""
    return Stamp(load.boot_id, load.module, daemon)


def read_status(run_dir: Path) -> Status:
    """What stands in the file, {} if there is none or it makes no sense."""
    try:
        body = json.loads(files.read_text(run_dir / STATUS) or "{}")
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) and isinstance(body.get("owners"), list) else {}


def write_status(run_dir: Path, status: Mapping[str, Any]) -> None:
    """Raises OSError."""
    files.write_whole(run_dir / STATUS, json.dumps(status, indent=1, default=str) + "\n")


def new_status(why: str, stamp: Stamp, last: Mapping[str, Any], result: Mapping[str, Any]) -> Status:
    """The status after a run. `result`: outcome, code, summary, owners."""
    again = result["outcome"] in TRY_AGAIN and last.get("stamp") == asdict(stamp)
    return {
        "version": VERSION,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "clock": time.time(),
        "why": why,
        "stamp": asdict(stamp),
        "attempts": (_number(last.get("attempts")) if again else 0) + 1,
        **result,
    }


def due(status: Mapping[str, Any], stamp: Stamp, frozen: bool, clock: float) -> str:
    """Why the settings have to be applied (again) now, or "". `clock`: seconds since the epoch."""
    last = status.get("stamp")
    if not isinstance(last, dict) or last.get("boot_id") != stamp.boot_id:
        return "boot"
    if last.get("module") != stamp.module:
        return "driver reload"
    if last.get("daemon") != stamp.daemon:
        return "nvidia-persistenced was started or stopped"
    if status.get("outcome") == FROZEN:
        return "" if frozen else "the node is not frozen any more"
    if status.get("outcome") not in TRY_AGAIN:
        return ""
    attempts = _number(status.get("attempts"))
    wait = min(FIRST_RETRY * 2.0 ** min(attempts - 1, 10), LAST_RETRY)
    if status.get("outcome") == RUNNING:
        wait = max(wait, float(LONGEST_RUN))
    passed = clock - float(_number(status.get("clock")))
    return f"attempt {attempts + 1}" if passed >= wait or passed < 0 else ""


def _number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else 0
