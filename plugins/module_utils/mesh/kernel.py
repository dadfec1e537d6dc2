# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of devices, routes and WireGuard now: asked once, until something was changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from ..core.commands import Runner
from ..core.errors import NodeError
from .parse import ADDRESSES, ROUTES, parse_links, parse_routes
from .state import Link, Route
from .wg import DUMP, Device, parse_dump


class Kernel:
    """Each question is one process; the answers are kept until `forget`."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._links: Optional[dict[str, Link]] = None
        self._routes: Optional[tuple[Route, ...]] = None
        self._devices: Optional[dict[str, Device]] = None

    def forget(self) -> None:
        self._links = self._routes = self._devices = None

    def links(self) -> dict[str, Link]:
        """Raises NodeError."""
        if self._links is None:
            self._links = parse_links(self._asked(ADDRESSES))
        return self._links

    def routes(self) -> tuple[Route, ...]:
        """Raises NodeError."""
        if self._routes is None:
            self._routes = parse_routes(self._asked(ROUTES))
        return self._routes

    def devices(self) -> dict[str, Device]:
        """Empty where wg is not installed. Raises NodeError; never says what wg printed: it has secrets."""
        if self._devices is None:
            done = self.runner(DUMP)
            if not done.good and done.code != 127:
                raise NodeError(f"{' '.join(DUMP)}: {done.complaint}")
            self._devices = parse_dump(done.out) if done.good else {}
        return self._devices

    def _asked(self, argv: Sequence[str]) -> str:
        """Nothing where ip is not installed yet; whoever needs it says so."""
        done = self.runner(argv)
        if not done.good and done.code != 127:
            raise NodeError(f"{' '.join(argv)}: {done.complaint}")
        return done.out if done.good else ""
