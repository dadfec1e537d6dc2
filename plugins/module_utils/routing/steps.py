# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of the layer's changes, and what several parts of its plan need. Pure."""

from __future__ import annotations

from typing import Any, Optional

from ..core.managed_files import FILE, digest, file_change
from ..core.marking import is_untouched
from ..core.model import Change, Claim, Plan
from .paths import PROGRAM
from .state import OFF, RoutingState

DAEMON, RECORDER, FILTER, DRAIN = "routing.daemon", "routing.recorder", "routing.filter", "routing.drain"
RIVAL = "routing.distribution"
UNITS = {"daemon": DAEMON, "recorder": RECORDER}
WHY = "so that packets take the way with the least latency and loss"
GONE = "no longer asked for"
LOSS = "a start of the daemon: up to 20 ms of packets that it relays, as was measured"


class Opaque(str):
    """A text nobody wants to read: diffs show how long it is. The journal has the whole of it."""

    def __str__(self) -> str:
        return f"({len(self)} characters)"


def value_of(state: RoutingState, kind: str, mesh: str) -> dict[str, Any]:
    return state.units.get((kind, mesh), OFF)


def keep_file(plan: Plan, path: str, live: Optional[str], text: Optional[str], why: str) -> Optional[Change]:
    if text is not None:
        plan.claims[f"{FILE} {path}"] = Claim(None, digest(text))
    edited = live is not None and path != PROGRAM and not is_untouched(live)
    change = file_change(path, live, text, edited, why, 0o755 if path == PROGRAM else 0o644)
    if change is None:
        return None
    if path == PROGRAM:
        for side in ("before_text", "after_text"):
            found = change.data[side]
            change.data[side] = None if found is None else Opaque(found)
    change.claim = f"{FILE} {path}" if text is not None else ""
    plan.changes.append(change)
    return change
