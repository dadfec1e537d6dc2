# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads all meshes of a node as `info.describe` says them; changes nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.commands import Runner, must
from ..core.errors import BindError, NodeError
from . import info, parse, paths, wg
from .guard import Guard
from .keys import KeyStore
from .share import Share, parse_share
from .state import Route


def read_meshes(
    root: Path, state_dir: str, run_dir: str, runner: Runner, only: Optional[str] = None
) -> tuple[dict[str, Any], list[str]]:
    """(mesh → description, what could not be read). Raises NodeError where ip or wg cannot be asked."""
    shares, problems = read_shares(root, only)
    if not shares:
        return {}, problems
    devices = wg.parse_dump(must(runner, wg.DUMP))
    links = parse.parse_links(must(runner, parse.ADDRESSES))
    routes = parse.parse_routes(must(runner, parse.ROUTES))
    armed = _armed(root, state_dir, run_dir, runner, problems)
    keys, now = KeyStore(root, runner), time.time()
    return {
        mesh: info.describe(
            share,
            devices,
            links,
            now,
            keys.created_all(mesh),
            armed[1] if armed and mesh in armed[0] else None,
            _count(share, routes),
        )
        for mesh, share in shares.items()
    }, problems


def read_shares(root: Path, only: Optional[str] = None) -> tuple[dict[str, Share], list[str]]:
    """Mesh → stored share; a damaged one is told and left out."""
    shares, problems = {}, []
    for path in sorted((root / paths.HOME.lstrip("/")).glob("*/share.json")):
        if only and path.parent.name != only:
            continue
        try:
            share = parse_share(json.loads(files.read_text(path) or ""), str(path))
        except (ValueError, BindError) as error:
            problems.append(f"{path} cannot be read: {error}")
            continue
        shares[share.mesh] = share
    return shares, problems


def _armed(
    root: Path, state_dir: str, run_dir: str, runner: Runner, problems: list[str]
) -> Optional[tuple[set[str], dict[str, Any]]]:
    """The meshes of a change that is not confirmed, and its {token, deadline}; None for none."""
    try:
        found = Guard(root, state_dir, run_dir, runner).armed()
    except NodeError as error:
        problems.append(str(error))
        return None
    if found is None:
        return None
    return set(found.snapshot), {"token": found.token, "deadline": found.deadline}


def _count(share: Share, routes: tuple[Route, ...]) -> int:
    """Planned routes that the kernel has through this mesh's tunnels."""
    ours = {tunnel.interface for tunnel in share.tunnels}
    return sum(route.protocol == paths.PROTOCOL and route.device in ours for route in routes)
