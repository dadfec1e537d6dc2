# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shares that were applied last, as the node keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

from ..core import files
from ..core.errors import BindError
from .paths import HOME, share_path
from .share import Share, parse_share


def stored_shares(root: Path) -> dict[str, Share]:
    """Mesh → the share that was applied last. One that cannot be read is passed over: its files tell."""
    found = {}
    for mesh in directories(root):
        text = files.read_text(root / share_path(mesh).lstrip("/"))
        share = _parsed(text, share_path(mesh)) if text is not None else None
        if share is not None and share.mesh == mesh:
            found[mesh] = share
    return found


def unreadable_shares(root: Path) -> list[str]:
    """Meshes that have a share that is passed over: damaged, or of a newer version."""
    known = stored_shares(root)
    return [
        mesh
        for mesh in directories(root)
        if mesh not in known and (root / share_path(mesh).lstrip("/")).exists()
    ]


def directories(root: Path) -> list[str]:
    """Meshes of which there is anything of ours."""
    try:
        return sorted(path.name for path in (root / HOME.lstrip("/")).iterdir() if path.is_dir())
    except OSError:
        return []


def _parsed(text: str, origin: str) -> Optional[Share]:
    try:
        return parse_share(json.loads(text), origin)
    except (ValueError, BindError):
        return None
