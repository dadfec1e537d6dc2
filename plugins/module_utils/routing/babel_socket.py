# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""babeld's own socket: what it says of itself, in lines of words.

It greets with `BABEL 1.0`, version, host, id and `ok`; after `dump` come lines and `ok`, after `monitor` the
same and then changes, as they happen.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Optional

from ..core.errors import NodeError

INFINITY = 65535
TIMEOUT = 2.0
MOST_BYTES = 64 << 20
"""No answer of a daemon that is one is as long."""


@dataclass(frozen=True)
class Neighbour:
    """rtt: ms, None where it is not known; reach: which of the last 16 hellos came, the newest highest"""

    key: str
    address: str
    interface: str
    reach: int
    rxcost: int
    txcost: int
    cost: int
    rtt: Optional[float] = None
    rtt_cost: int = 0


@dataclass(frozen=True)
class Route:
    """metric: INFINITY for unreachable; via: the neighbour's link-local address"""

    key: str
    prefix: str
    installed: bool
    metric: int
    refmetric: int
    via: str
    interface: str
    router: str = ""


@dataclass
class Tables:
    """What the daemon has now, by its keys. own: prefixes that it announces itself"""

    version: str = ""
    interfaces: dict[str, bool] = field(default_factory=dict)
    neighbours: dict[str, Neighbour] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    def take(self, line: str) -> bool:
        """Enters one line. False for one that means nothing here; never raises."""
        words = line.split()
        if len(words) == 2 and words[0] == "version":
            self.version = words[1]
            return True
        if len(words) < 3 or words[0] not in ("add", "change", "flush"):
            return False
        verb, kind, key = words[:3]
        named = dict(zip(words[3::2], words[4::2]))
        try:
            return self._enter(verb == "flush", kind, key, named)
        except (KeyError, ValueError):
            return False

    def _enter(self, gone: bool, kind: str, key: str, named: dict[str, str]) -> bool:
        if kind == "neighbour":
            _put(self.neighbours, key, None if gone else _neighbour(key, named))
        elif kind == "route":
            _put(self.routes, key, None if gone else _route(key, named))
        elif kind == "interface":
            _put(self.interfaces, key, None if gone else named["up"] == "true")
        elif kind == "xroute":
            (self.own.discard if gone else self.own.add)(named["prefix"])
        else:
            return False
        return True


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _neighbour(key: str, named: dict[str, str]) -> Neighbour:
    return Neighbour(
        key,
        named["address"],
        named["if"],
        int(named["reach"], 16),
        int(named["rxcost"]),
        int(named["txcost"]),
        int(named["cost"]),
        float(named["rtt"]) if "rtt" in named else None,
        int(named.get("rttcost", 0)),
    )


def _route(key: str, named: dict[str, str]) -> Route:
    return Route(
        key,
        named["prefix"],
        named["installed"] == "yes",
        int(named["metric"]),
        int(named["refmetric"]),
        named["via"],
        named["if"],
        named.get("id", ""),
    )


class Channel:
    """A connection to the daemon's socket. Raises NodeError where nobody answers there."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        self.path = path
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise NodeError(f"{path}: {error.strerror or error}") from error

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_what: object) -> None:
        self._socket.close()

    def send(self, words: str) -> None:
        try:
            self._socket.sendall(f"{words}\n".encode())
        except OSError as error:
            raise NodeError(f"{self.path}: {error.strerror or error}") from error

    def until_ok(self, timeout: float = TIMEOUT) -> list[str]:
        """Lines up to `ok`. Raises NodeError: a daemon that hangs or refuses, or that is none."""
        end, found, size = time.monotonic() + timeout, list[str](), 0
        while True:
            line = self.line(end - time.monotonic())
            if line is None:
                raise NodeError(f"{self.path}: it does not answer within {timeout:g} s")
            if line == "ok":
                return found
            size += len(line)
            if line.partition(" ")[0] in ("bad", "no") or size > MOST_BYTES:
                raise NodeError(f"{self.path}: it said {line[:80]!r}")
            found.append(line)

    def line(self, timeout: float) -> Optional[str]:
        """The next line, None for none in time. Raises NodeError where the daemon has ended."""
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0:
                return None
            if not select.select([self._socket], [], [], left)[0]:
                return None
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise NodeError(f"{self.path}: {error.strerror or error}") from error
            if not data:
                raise NodeError(f"{self.path}: the daemon has closed it")
            self._rest += data
            if len(self._rest) > MOST_BYTES:
                raise NodeError(f"{self.path}: a line without an end")
        line, _newline, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii", "replace").strip()


def read_tables(path: str, timeout: float = TIMEOUT) -> Tables:
    """All that the daemon says of itself now. Raises NodeError."""
    found = Tables()
    with Channel(path, timeout) as channel:
        greeting = channel.until_ok(timeout)
        if not greeting or not greeting[0].startswith("BABEL "):
            raise NodeError(f"{path}: whoever listens there is no babeld")
        channel.send("dump")
        for line in [*greeting, *channel.until_ok(timeout)]:
            found.take(line)
    return found


def answers(path: str, timeout: float = TIMEOUT) -> bool:
    try:
        read_tables(path, timeout)
    except NodeError:
        return False
    return True
