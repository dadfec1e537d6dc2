# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look of every minute: was the driver loaded anew? It never speaks to NVML, and writes nothing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ..core.notify import NOTICE, WARNING, say
from ..core.store import Store
from .options import parse
from .paths import SERVICE, is_masked, unit_path
from .status import due, read_stamp, read_status


def main(arguments: Sequence[str]) -> int:
    """Starts the service where that is due. 0, or 1 where that cannot be seen or done."""
    options = parse(arguments)
    store = Store(options.state_dir, options.run_dir)
    stamp = read_stamp(Path(options.root))
    if stamp.module is None:
        return 0  # Nothing has settings; the next load of the driver is seen by its inode.
    if is_masked(Path(options.root), unit_path(SERVICE)):
        return 0  # Somebody's decision: to fail every minute would not change it.
    try:
        why = due(read_status(store.run), stamp, bool(store.frozen()), time.time())
        if not why:
            return 0
        say(f"{why}: starting {SERVICE}", NOTICE)
        done = subprocess.run([options.systemctl, "start", "--no-block", SERVICE], check=False)
    except OSError as error:
        say(str(error), WARNING)
        return 1
    return 1 if done.returncode else 0
