# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify has measured lately, from the newest of its reports about a mesh."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

RECENT = timedelta(hours=24)
MOST_FILES = 50
VERDICTS = ("met", "missed", "not_shown")


def newest(directory: Path, mesh: str, now: datetime) -> dict[str, Any] | None:
    """`{file, finished, verdict, partial, pairs: {sorted ends: {verdict, latency_ms}}}`, or None.

    What cannot be read, or is no such report, is passed over.
    """
    try:
        paths = sorted(directory.glob("*-verify*.json"), reverse=True)
    except OSError:
        return None
    for path in paths[:MOST_FILES]:
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = read(report, mesh, now)
        if found is not None:
            return {"file": path.name, **found}
    return None


def read(report: Any, mesh: str, now: datetime) -> dict[str, Any] | None:
    """The same of one report."""
    if not isinstance(report, Mapping) or not isinstance(report.get("run"), Mapping):
        return None
    run = report["run"]
    finished = _time(run.get("finished"))
    if run.get("mesh") != mesh or finished is None or not timedelta(0) <= now - finished <= RECENT:
        return None
    pairs = {}
    said = report.get("pairs")
    for entry in said if isinstance(said, list) else ():
        ends = entry.get("ends") if isinstance(entry, Mapping) else None
        if isinstance(ends, list) and len(ends) == 2 and entry.get("verdict") in VERDICTS:
            latency = entry.get("latency")
            value = latency.get("value") if isinstance(latency, Mapping) else None
            good = isinstance(value, (int, float)) and not isinstance(value, bool)
            first, second = sorted(map(str, ends))
            pairs[first, second] = {"verdict": entry["verdict"], "latency_ms": value if good else None}
    verdict = report.get("verdict")
    return {
        "finished": f"{finished:%Y-%m-%dT%H:%M:%SZ}",
        "verdict": verdict if verdict in VERDICTS else "not_shown",
        "partial": run.get("partial") is True,
        "pairs": pairs,
    }


def _time(text: Any) -> datetime | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
