# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a lab keeps its files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LABS = ROOT / ".lab"


def cache_dir() -> Path:
    """Root file systems and simulator packages, shared by all labs of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "swarm.node"


@dataclass(frozen=True)
class LabPaths:
    """The paths of one lab; everything in `state` goes when the lab goes."""

    name: str

    @property
    def state(self) -> Path:
        return LABS / self.name

    @property
    def holder(self) -> Path:
        """Two lines: the holder's pid and its start time in clock ticks since boot."""
        return self.state / "holder"

    @property
    def node_set(self) -> Path:
        """One line: the name of the set of nodes the lab holds."""
        return self.state / "set"

    @property
    def storage(self) -> Path:
        return self.state / "storage"

    @property
    def temporary(self) -> Path:
        return self.state / "tmp"

    @property
    def containers_conf(self) -> Path:
        return self.state / "containers.conf"

    @property
    def key(self) -> Path:
        return self.state / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    @property
    def host_keys(self) -> Path:
        return self.state / "host-keys"

    @property
    def cgroup(self) -> str:
        """The lab's cgroup below the root; unique also among checkouts."""
        return f"/swarm-node-lab-{self.name}-{hashlib.sha256(str(self.state).encode()).hexdigest()[:8]}"
