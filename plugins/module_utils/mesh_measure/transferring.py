# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers of a job, each in its turn, there and back, with iperf3."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import iperf
from .children import Children
from .irtt import BrokenOutput
from .model import TRANSFER_OVERHEAD, Transfer

WAYS = ("out", "back")
PATIENCE = 4.0
"""s beyond what a transfer should take, after which it is stopped."""


def transferred(
    children: Children,
    transfer: Transfer,
    source: str,
    begin: float,
    late: float,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """`{out, back}`, each what `iperf.parse` gives, or `{why}`.

    begin: on the monotonic clock. A turn that comes more than `late` s after that is left to the next pair.
    """
    found: dict[str, Any] = {}
    for way in WAYS:
        behind = clock() - begin
        if way == WAYS[0] and behind > late:
            found.update({each: {"why": f"its turn was {behind:.1f} s ago"} for each in WAYS})
            break
        found[way] = _one(children, transfer, source, way == "back")
    return found


def _one(children: Children, transfer: Transfer, source: str, back: bool) -> dict[str, Any]:
    output = Path(children.directory) / f"transfer-{transfer.name.replace('/', '_')}-{int(back)}.json"
    seconds = transfer.seconds + TRANSFER_OVERHEAD + PATIENCE
    try:
        child = children.start(iperf.client(transfer, source, back), output)
    except OSError as error:
        return {"why": f"iperf3 could not be started: {error}"}
    if child.wait(time.monotonic() + seconds) is None:
        child.process.kill()
        child.process.wait()
        return {"why": f"it did not end within {seconds:.0f} s"}
    try:
        return iperf.parse(output.read_text(encoding="utf-8", errors="backslashreplace"), back)
    except iperf.NoTransfer as error:
        return {"why": iperf.why(error)}
    except (BrokenOutput, OSError) as error:
        return {"why": f"{error} {' '.join(child.errors.split())[:200]}".strip()}
