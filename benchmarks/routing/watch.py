# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device the kernel of a namespace sends a destination out of, followed by its own messages."""

from __future__ import annotations

import json
import socket
import threading
import time

from benchmarks.routing.netlink import GROUP_IPV4_ROUTES, NETLINK_ROUTE, Change, moves_in, routes_in
from lab.wires import Space


class RouteWatch:
    """The daemon's route to one address, from now until it is closed."""

    def __init__(self, space: Space, destination: str) -> None:
        self._destination = socket.inet_aton(destination)
        self._socket = space.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((0, GROUP_IPV4_ROUTES))
        self._socket.settimeout(0.2)
        links = json.loads(space.run(["ip", "-json", "link"]))
        self._names = {link["ifindex"]: link["ifname"] for link in links}
        self.changes = [Change(time.monotonic(), None)]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._end.is_set():
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            for is_new, device in routes_in(data, self._destination):
                found = self._names.get(device) if is_new else None
                if found != self.changes[-1].device:
                    self.changes.append(Change(time.monotonic(), found))

    @property
    def device(self) -> str | None:
        return self.changes[-1].device

    def moves(self, start: float, end: float | None = None) -> list[Change]:
        """Changes to another device than the one before, passing over moments without a route."""
        return moves_in(list(self.changes), start, end)

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()
