# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the module's options to the layer's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import BindError, Problem
from .layer import NAME, NicOptions
from .program import program_text
from .wishes import wishes_from

LONGEST = 24 * 3600
SHORTEST = 10
"""Seconds: less leaves no time to connect again."""


def options_from(params: Mapping[str, Any], check: bool) -> NicOptions:
    """Raises BindError."""
    problems = []
    seconds, timeout = params["confirm_seconds"], params["link_timeout"]
    if seconds and not SHORTEST <= seconds <= LONGEST:
        problems.append(Problem("confirm_seconds", seconds, f"0, or {SHORTEST} to {LONGEST} s"))
    if not 1 <= timeout <= 600:
        problems.append(Problem("link_timeout", timeout, "1 to 600 s"))
    if problems:
        raise BindError(problems)
    present = params["state"] == "present"
    return NicOptions(
        wishes=wishes_from(params["interfaces"], params["required"], params["origins"]) if present else (),
        owner=params["owner"] or NAME,
        root=Path(params["root"]),
        state_dir=params["state_dir"],
        run_dir=params["run_dir"],
        check=check,
        max_disruption=params["max_disruption"],
        confirm_seconds=seconds,
        token=params["token"],
        link_timeout=timeout,
        persist=params["persist"],
        survey=params["survey"],
        program=program_text,
    )
