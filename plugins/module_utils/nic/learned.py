# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drivers have made of values since the node was started: refused them, or rounded them up.

So no run asks again in vain. <run>/nic-answers.json: `<setting> <device>` → {value, driver, detail, made}.
`made` is null where the value was refused. A boot forgets it: a new kernel may have what the old one lacked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core import files

NAME = "nic-answers.json"
FIELDS = {"value", "driver", "detail", "made"}

Found = Mapping[str, Mapping[str, Any]]


class Learned:
    """In the run directory. `writes` counts files written."""

    def __init__(self, run_dir: str) -> None:
        self.path = Path(run_dir) / NAME
        self.writes = 0

    def read(self) -> dict[str, dict[str, Any]]:
        """A file that makes no sense says nothing: it is asked again then."""
        try:
            body = json.loads(files.read_text(self.path) or "{}")
        except (ValueError, OSError):
            return {}
        if not isinstance(body, dict):
            return {}
        return {
            str(key): item for key, item in body.items() if isinstance(item, dict) and set(item) >= FIELDS
        }

    def refused(self, found: Found, device: str, driver: str) -> dict[str, tuple[Any, str]]:
        """Setting → (value, what was said), of one device that still has that driver."""
        return {
            name: (item["value"], str(item["detail"]))
            for name, item in _of(found, device, driver)
            if item["made"] is None
        }

    def rounded(self, found: Found, device: str, driver: str) -> dict[str, tuple[Any, Any]]:
        """Setting → (value, what the driver made of it)."""
        return {
            name: (item["value"], item["made"])
            for name, item in _of(found, device, driver)
            if item["made"] is not None
        }

    def note(
        self, name: str, device: str, value: Any, driver: str, detail: str = "", made: Any = None
    ) -> None:
        """Raises OSError."""
        found = self.read()
        new = {"value": value, "driver": driver, "detail": detail, "made": made}
        if found.get(f"{name} {device}") != new:
            found[f"{name} {device}"] = new
            files.write_whole(self.path, json.dumps(found, indent=1) + "\n", 0o600)
            self.writes += 1


def _of(found: Found, device: str, driver: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (key.partition(" ")[0], item)
        for key, item in found.items()
        if key.partition(" ")[2] == device and item["driver"] == driver
    ]
