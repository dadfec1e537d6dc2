# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The round trips of which a mesh was planned last, beside its registry: `<mesh>.latency.json`.

A plan is made of them again as long as what is measured differs by noise only. It may be deleted: the next
plan is then made from nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...module_utils.core import files
from ...module_utils.core.errors import BindError, Problem
from .registry import Pair, pair_of

ALLOWED = "a map of members to maps of members to ms from 0; delete the file to plan from nothing"


def latency_path(registry: Path) -> Path:
    return registry.with_name(f"{registry.stem}.latency.json")


def load_latency(registry: Path) -> dict[Pair, float]:
    """Pair → ms; empty where there is no file. Raises BindError."""
    path = latency_path(registry)
    try:
        text = files.read_text(path)
        rows = json.loads(text) if text else {}
        found = {pair_of(one, other): float(ms) for one, row in rows.items() for other, ms in row.items()}
    except OSError as error:
        raise _unusable(path, f"a file that can be read: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise _unusable(path, ALLOWED) from error
    wrong = [ms for ms in found.values() if not 0 <= ms < 1e6]
    if wrong:
        raise BindError([Problem("latency", wrong[0], ALLOWED, str(path))])
    return found


def save_latency(registry: Path, latency: Mapping[Pair, float]) -> None:
    """One line per member, so that differences are readable. Raises BindError."""
    path = latency_path(registry)
    rows: dict[str, dict[str, float]] = {}
    for (one, other), ms in sorted(latency.items()):
        rows.setdefault(one, {})[other] = ms
    lines = ",\n".join(f"{json.dumps(one)}: {json.dumps(row)}" for one, row in rows.items())
    try:
        files.write_whole(path, f"{{\n{lines}\n}}\n" if lines else "{}\n", 0o644)
    except OSError as error:
        raise _unusable(path, f"a directory that can be written: {error.strerror}") from error


def _unusable(path: Path, allowed: str) -> BindError:
    return BindError([Problem("mesh_registry_dir", str(path), allowed, str(path))])
