# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the packages layer that touches the machine: dpkg-query, apt-cache, apt-get."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from ..core import files
from ..core.errors import NodeError
from ..core.model import Change
from ..core.store import RUN_DIR, now
from .commands import Answer, run, run_whole
from .imports import find_module
from .model import Package, Simulation
from .parse import (
    DPKG_FORMAT,
    complaint,
    is_broken,
    is_locked,
    parse_dpkg,
    parse_policy,
    parse_simulation,
)

READ_TIMEOUT = 120.0
NETWORK_TIMEOUT = 1800.0
"""Seconds a command may take that only reads, or that loads something."""

LOCK_PAUSE = 2.0
"""Seconds between two attempts at a lock that apt itself does not wait for."""

LISTS_FRESH = 3600.0
"""Seconds within which lists are not updated again for a package that stays unknown."""

SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")

INSTALL = ["install", "-y", "--no-install-recommends", "--no-remove", "-o", "Dpkg::Options::=--force-confold"]


class PackagesPort:
    """Reads and changes packages with apt. `writes` counts commands that changed something.

    lock_timeout: seconds to wait for another process that uses apt or dpkg.
    run_dir: where the time of the last update of the lists is kept, until the next boot.
    sources: files and directories that say where packages come from.
    """

    def __init__(
        self, lock_timeout: int = 120, run_dir: str = RUN_DIR, sources: tuple[str, ...] = SOURCES
    ) -> None:
        self.lock_timeout = lock_timeout
        self.stamp = Path(run_dir) / "package_lists"
        self.sources = sources
        self.writes = 0
        self._cached: dict[str, Package] | None = None
        self._present_before: set[str] | None = None

    # -- reading

    def has_apt(self) -> bool:
        """apt-get alone is not enough: there are distributions that use it with rpm."""
        return all(shutil.which(name) for name in ("apt-get", "apt-cache", "dpkg-query"))

    def packages(self) -> dict[str, Package]:
        """Every package dpkg knows. Raises NodeError."""
        if self._cached is None:
            answer = run(["dpkg-query", "-W", "-f", DPKG_FORMAT], READ_TIMEOUT)
            if answer.code:
                raise NodeError(f"dpkg-query cannot read the packages: {complaint(answer.out, answer.err)}")
            self._cached = parse_dpkg(answer.out)
        return self._cached

    def modules(self, names: Iterable[str], paths: Iterable[str]) -> dict[str, str]:
        """Python module -> where it is, for those that can be imported."""
        places = {name: find_module(name, paths) for name in names}
        return {name: place for name, place in places.items() if place}

    def candidates(self, names: Iterable[str]) -> dict[str, str]:
        """Package -> version apt would install; unknown and virtual ones are left out."""
        answer = run(["apt-cache", "policy", *names], READ_TIMEOUT)
        if answer.code:
            raise NodeError(f"apt-cache cannot read the package lists: {complaint(answer.out, answer.err)}")
        return parse_policy(answer.out)

    def simulate(self, names: Iterable[str]) -> Simulation:
        """What installing these packages would do. Raises NodeError if the node's packages are broken."""
        asked = tuple(names)
        answer = run(["apt-get", "-s", "install", "--no-install-recommends", *asked], READ_TIMEOUT)
        if answer.code:
            if is_broken(answer.err):
                raise NodeError(f"nothing was changed: {complaint(answer.out, answer.err)}")
            return Simulation(asked, error=complaint(answer.out, answer.err))
        return Simulation(asked, parse_simulation(answer.out))

    # -- apt's own caches: no setting of the node

    def is_fresh(self) -> bool:
        """Whether the lists were updated within LISTS_FRESH, and no source was changed since."""
        try:
            updated = self.stamp.stat().st_mtime
        except OSError:
            return False
        changed = 0.0
        for place in map(Path, self.sources):
            for path in [place, *(place.iterdir() if place.is_dir() else ())]:
                with contextlib.suppress(FileNotFoundError):
                    changed = max(changed, path.stat().st_mtime)
        return changed <= updated and 0 <= time.time() - updated < LISTS_FRESH

    def refresh(self) -> str:
        """Loads the package lists anew. Returns what went wrong, or "": old lists then stay in use."""
        answer = self._apt(["update", "-q"])
        if answer.code or "Some index files failed to download" in answer.err:
            return complaint(answer.out, answer.err)
        files.write_whole(self.stamp, f"{now()}\n")
        return ""

    def download(self, names: Iterable[str]) -> str:
        """Loads the packages without installing them. Returns what went wrong, or ""."""
        answer = self._apt(["-q", *INSTALL, "--download-only", *names])
        return complaint(answer.out, answer.err) if answer.code else ""

    # -- engine.Port

    def apply(self, change: Change) -> None:
        """Makes the whole transaction, which is the last change's to carry. Raises NodeError."""
        names = change.data["names"]
        planned = sorted(map(str, change.data["steps"]))
        coming = self.simulate(names)
        if coming.error or sorted(map(str, coming.steps)) != planned:
            found = coming.error or ", ".join(map(str, coming.steps)) or "nothing"
            raise NodeError(
                f"what apt would do is no longer what was planned ({', '.join(planned)}), but: {found}; "
                "run this again"
            )
        self._cached = None
        self._present_before = self._present(change.data["new"])
        answer = self._apt(["-q", *INSTALL, *names], whole=True)
        if answer.code:
            raise NodeError(f"apt-get install {' '.join(names)}: {complaint(answer.out, answer.err)}")

    def undo(self, change: Change) -> None:
        """Removes what this transaction newly installed, and nothing else.

        Changes without `new` came along: they are gone when the one that carries them is undone.
        An upgrade cannot be undone. Raises NodeError.
        """
        self._cached = None
        if "new" in change.data:
            self._remove(change.data["new"])
        elif change.undo == "none" and self.readback(change) != change.before:
            raise NodeError(f"stays at {self.readback(change)}: apt does not go back to an older version")

    def reopen(self) -> None:
        """Forgets what was read."""
        self._cached = None

    def readback(self, change: Change) -> str | None:
        """The installed version, with its state where that is not a working one; None if not installed."""
        package = self.packages().get(change.target)
        if package is None or package.status in ("not-installed", "config-files"):
            return None
        return package.version if package.works else f"{package.version} ({package.status})"

    def _present(self, names: Iterable[str]) -> set[str]:
        """Those of the names that dpkg has anything of but configuration files."""
        known = self.packages()
        absent = ("not-installed", "config-files")
        return {name for name in names if name in known and known[name].status not in absent}

    def _remove(self, new: list[str]) -> None:
        if self._present_before is None:
            return  # The installation never started: what is there is not ours.
        ours = sorted(self._present(new) - self._present_before)
        if not ours:
            return
        # Parts of a failed installation may be broken; removing them is the cure.
        preview = run(["apt-get", "-s", "remove", *ours], READ_TIMEOUT)
        if preview.code:
            raise NodeError(f"apt-get remove {' '.join(ours)}: {complaint(preview.out, preview.err)}")
        others = [step for step in parse_simulation(preview.out) if step.name not in ours]
        if others:
            raise NodeError(f"not removed, because apt would also {', '.join(map(str, others))}")
        answer = self._apt(["-q", "remove", "-y", *ours], whole=True)
        self._cached = None
        if answer.code:
            raise NodeError(f"apt-get remove {' '.join(ours)}: {complaint(answer.out, answer.err)}")

    def _apt(self, arguments: list[str], whole: bool = False) -> Answer:
        """Runs apt-get and waits for its locks. Raises NodeError if they stay taken.

        apt waits for dpkg's lock itself, but not for those of its lists and archives, which apt-daily
        takes after every boot.
        """
        deadline = time.monotonic() + self.lock_timeout
        self.writes += 1
        while True:
            left = max(0, math.ceil(deadline - time.monotonic()))
            argv = ["apt-get", "-o", f"DPkg::Lock::Timeout={left}", *arguments]
            answer = run_whole(argv) if whole else run(argv, NETWORK_TIMEOUT)
            if not (answer.code and is_locked(answer.err)):
                return answer
            if time.monotonic() + LOCK_PAUSE > deadline:
                raise NodeError(
                    f"{complaint(answer.out, answer.err)}; waited {self.lock_timeout} s (lock_timeout)"
                )
            time.sleep(LOCK_PAUSE)
