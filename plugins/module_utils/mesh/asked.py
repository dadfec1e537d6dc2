# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `mesh` makes of its parameters: the layer's options, with the guard's program in them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import BindError, Problem
from .distant import check_witnesses
from .layer import NAME, MeshOptions
from .program import program_text
from .share import Share, parse_share


def shares_from(raw: Mapping[str, Any]) -> dict[str, Share]:
    """Raises BindError."""
    shares, problems = {}, []
    for mesh, data in raw.items():
        try:
            share = parse_share(data, f"shares {mesh}")
        except BindError as error:
            problems += error.problems
            continue
        if share.mesh != mesh:
            problems.append(Problem("shares", share.mesh, f"the share of the mesh {mesh}"))
        shares[mesh] = share
    if problems:
        raise BindError(problems)
    return shares


def options_from(params: Mapping[str, Any], check: bool) -> MeshOptions:
    """Raises BindError."""
    if params["confirm_seconds"] < 0:
        value = params["confirm_seconds"]
        raise BindError(
            [
                Problem(
                    "mesh_confirm_seconds", value, "0 or more", params["origins"].get("confirm_seconds", "")
                )
            ]
        )
    check_witnesses(params["witnesses"])
    absent = params["state"] == "absent"
    return MeshOptions(
        shares={} if absent else shares_from(params["shares"]),
        firewall=params["firewall"],
        confirm_seconds=params["confirm_seconds"],
        token=params["token"] or f"{int(time.time())}-{secrets.token_hex(4)}",
        absent=absent,
        check=check,
        root=Path(params["root"]),
        state_dir=params["state_dir"],
        run_dir=params["run_dir"],
        now=params["now"],
        owner=params["owner"] or NAME,
        tools_pending=params["tools_pending"],
        required=tuple(params["required"]),
        origin=params["origins"].get("firewall", ""),
        max_disruption=params["max_disruption"],
        witnesses=params["witnesses"],
        program=program_text,
    )
