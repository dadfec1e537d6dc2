# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For programs that bring a node to what its owner records say, at boot and without a playbook."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from . import files
from .model import Claim
from .store import RUN_DIR, STATE_DIR, Store

LOCK_WAIT = 60.0
"""Seconds a run waits for another one on this node, unless the program says otherwise."""


class BootStore(Store):
    """The node's records, with a journal of our own. wait: s for the node's lock

    The journal of a playbook's run that was cut off stays for the next playbook's run, which reports it.
    """

    def __init__(self, state_dir: str = STATE_DIR, run_dir: str = RUN_DIR, wait: float = LOCK_WAIT) -> None:
        super().__init__(state_dir, run_dir)
        self.wait = wait

    def journal_path(self, owner: str) -> Path:
        return self.state / "journal" / "boot" / f"{owner}.json"

    @contextlib.contextmanager
    def lock(self, timeout: Optional[float] = None) -> Iterator[None]:
        """Raises LockTimeout."""
        with super().lock(self.wait if timeout is None else timeout):
            yield

    def playbook_journal(self, owner: str) -> Optional[dict[str, Any]]:
        """The journal of a playbook's run that has not ended, or None."""
        return Store(str(self.state), str(self.run)).unfinished(owner)

    def owners(self, layer: str) -> list[str]:
        """Those whose record is of this layer; one that cannot be read is nobody's."""
        found = []
        for path in sorted(self.state.glob("*.json")):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                if json.loads(files.read_text(path) or "{}").get("layer") == layer:
                    found.append(path.stem)
        return found


def completed(claims: Mapping[str, Claim], journal: Optional[Mapping[str, Any]]) -> dict[str, Claim]:
    """The claims as the last run that came to its end left them.

    A run that was cut off has put down what it was about to set, and nobody has seen that work: what was
    applied before counts, and a key it was the first to set is left alone.
    """
    found = dict(claims)
    for entry in _entries(journal):
        name = entry.get("claim")
        if name not in found:
            continue
        if "applied_before" in entry:
            found[name] = Claim(found[name].first_seen, entry["applied_before"])
        else:
            del found[name]
    return found


def _entries(journal: Optional[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    changes = (journal or {}).get("changes")
    for entry in changes if isinstance(changes, list) else []:
        if isinstance(entry, dict):
            yield entry
