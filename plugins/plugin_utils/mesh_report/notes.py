# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of one run tell each other: a file for each host in the run's own directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from .body import Answer


class Notes:
    """directory: of the run; Ansible removes it at the end"""

    def __init__(self, directory: Path) -> None:
        self._place = directory / "swarm_mesh_report"

    def put(self, host: str, data: Mapping[str, Any]) -> None:
        """data: the fields of an Answer"""
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._place / f"{host}.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(data), encoding="utf-8", errors="backslashreplace")
        temporary.replace(path)

    def get(self, host: str) -> Optional[Answer]:
        try:
            return Answer(**json.loads((self._place / f"{host}.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
