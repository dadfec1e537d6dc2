# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's own babeld: it has one configuration for a whole host, and it is off while ours runs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.commands import Runner, must
from ..core.errors import NodeError
from .paths import BABELD, DISTRIBUTION, DISTRIBUTION_CONF

OLDEST, TRIED = (1, 12), ((1, 12), (1, 13))
OFF = {"enabled": False, "active": False}


class Distribution:
    """babeld as the node's package has it."""

    def __init__(self, root: Path, runner: Runner) -> None:
        self.root = root
        self.runner = runner

    def version(self) -> Optional[str]:
        """ "1.12.1"; None where it is not installed, "" where it says none."""
        if not (self.root / BABELD.lstrip("/")).exists():
            return None
        done = self.runner([BABELD, "-V"])
        found = re.search(r"babeld-(\d+(?:\.\d+)+)", done.out + done.err)
        return found[1] if found else ""

    def state(self) -> Optional[dict[str, bool]]:
        """Whether its service is enabled and runs; None where there is none. Raises NodeError."""
        shown = self._shown()
        if shown.get("LoadState") in ("not-found", "masked", "", None):
            return None
        enabled = self.runner(["systemctl", "is-enabled", DISTRIBUTION])
        return {
            "enabled": enabled.out.strip().splitlines()[-1:] == ["enabled"],
            "active": shown.get("ActiveState") in ("active", "activating", "reloading"),
        }

    def edited(self) -> str:
        """Why its configuration is not the package's own, or "". Raises NodeError."""
        text = files.read_text(self.root / DISTRIBUTION_CONF.lstrip("/"))
        if text is None:
            return ""
        known = self.runner(["dpkg-query", "-W", "-f", "${Conffiles}\\n", "babeld"])
        digests = [
            line.split()[1] for line in known.out.splitlines() if line.split()[:1] == [DISTRIBUTION_CONF]
        ]
        if not known.good or not digests:
            return "no package says what it is to be"
        own = hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
        return "" if own in digests else "it is not the package's own any more"

    def manager(self) -> str:
        """Who runs babeld on this node in our place, or "". Raises NodeError."""
        state = self.state()
        if state is None or state == OFF:
            return ""
        why = self.edited()
        return f"{DISTRIBUTION} with {DISTRIBUTION_CONF} ({why})" if why else ""

    def switch(self, wanted: dict[str, Any]) -> int:
        """Makes its service so; returns how many writes that took. Raises NodeError."""
        now, writes = self.state(), 0
        if now is None:
            raise NodeError(f"{DISTRIBUTION} is gone, or somebody has masked it")
        if now["enabled"] != wanted["enabled"]:
            must(self.runner, ["systemctl", "enable" if wanted["enabled"] else "disable", DISTRIBUTION])
            writes += 1
        if now["active"] != wanted["active"]:
            must(self.runner, ["systemctl", "start" if wanted["active"] else "stop", DISTRIBUTION])
            writes += 1
        return writes

    def _shown(self) -> dict[str, str]:
        words = ["systemctl", "show", "--property=LoadState,ActiveState", DISTRIBUTION]
        done = self.runner(words)
        return dict(line.partition("=")[::2] for line in done.out.splitlines()) if done.good else {}


def version_note(version: str) -> str:
    """What is to be said of a babeld that was never tried, or ""."""
    numbers = numbers_of(version)
    if numbers in TRIED:
        return ""
    tried = ", ".join(".".join(map(str, one)) for one in TRIED)
    return (
        f"babeld {version or 'of a version that it does not say'} was never tried with this collection "
        f"(tried: {tried}); it has checked its configuration itself"
    )


def numbers_of(version: str) -> tuple[int, ...]:
    """The first two."""
    return tuple(int(part) for part in version.split(".")[:2]) if version else ()
