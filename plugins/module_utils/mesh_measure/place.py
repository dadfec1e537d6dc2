# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run keeps its files on the node while it lasts: below /run, and nowhere else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ..core.files import read_text, write_whole
from .children import NOBODY

RUN = Path("/run")


class Place:
    """The directory of one mesh.

    order: what to serve; ready: what became of that; job: what to measure; results: what was measured
    """

    def __init__(self, mesh: str, root: Path = RUN) -> None:
        self.mesh = mesh
        self.path = root / f"swarm-node-verify-{mesh}"

    @property
    def program(self) -> Path:
        return self.path / "program"

    @property
    def printed(self) -> Path:
        """What the programs print."""
        return self.path / "printed"

    @property
    def scratch(self) -> Path:
        """What the programs write that do not run as root. Nothing that does writes there."""
        return self.path / "scratch"

    def make(self) -> None:
        """Raises OSError: also where it is there already."""
        self.path.mkdir()
        self.printed.mkdir()
        self.scratch.mkdir()
        # Whatever the umask is.
        self.path.chmod(0o711)
        self.printed.chmod(0o700)
        self.scratch.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(self.scratch, NOBODY, NOBODY)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def write(self, name: str, data: Mapping[str, Any]) -> None:
        write_whole(self.path / f"{name}.json", json.dumps(data), 0o600)

    def read(self, name: str) -> Optional[dict[str, Any]]:
        """None where it is not there, or is no map: it is written whole, so then it is somebody else's."""
        text = read_text(self.path / f"{name}.json")
        if text is None:
            return None
        try:
            data = json.loads(text)
        except ValueError:
            return None
        return data if isinstance(data, dict) else None
