# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens right before the daemon starts: its tables, its copy of the configuration, tunnels with keys.

Without the wait the first hello of a tunnel waits for WireGuard's handshake, which counts as round trip.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core import files
from ..core.commands import Runner, must
from ..core.errors import NodeError
from .filter import removal_text
from .lookup import clear, lay, lookup_of
from .paths import (
    PROTOCOL,
    conf_path,
    deaf_table,
    drain_path,
    filter_path,
    laid_path,
    running_conf,
    socket_path,
)
from .render import prefixes_of

LONGEST, QUIET = 6.0, 1.5
"""Seconds: of the whole wait, and without a new handshake. Who is off must not keep the others waiting."""

WARM = 150
"""Seconds for which a handshake is good enough: the keys it made are used for 180 s."""

DISCARD = 9
_INTERFACE = re.compile(r"^interface (\S+)", re.MULTILINE)

Clock = Callable[[], float]


def prepare(root: Path, mesh: str, runner: Runner) -> list[str]:
    """Everything before the daemon. Returns interfaces that are still cold. Raises NodeError, OSError."""
    text = files.read_text(_at(root, conf_path(mesh)))
    if text is None:
        raise NodeError(f"{conf_path(mesh)} is not there")
    load_tables(root, mesh, runner)
    take_down(root, mesh, runner)
    files.write_whole(_at(root, running_conf(mesh)), text, 0o600)
    cold = wait_until_warm(root, _INTERFACE.findall(text), runner)
    _at(root, socket_path(mesh)).unlink(missing_ok=True)
    flush(prefixes_of(text), runner)
    clear(text, runner)
    if lookup_of(text).tables:
        files.write_whole(_at(root, laid_path(mesh)), text, 0o600)
    lay(text, runner)
    return cold


def take_down(root: Path, mesh: str, runner: Runner) -> None:
    """What a daemon that has ended had beside its routes: rules, and tables of its own. Raises OSError."""
    clear(files.read_text(_at(root, laid_path(mesh))), runner)
    files.remove(_at(root, laid_path(mesh)))


def load_tables(root: Path, mesh: str, runner: Runner) -> None:
    """Who may talk to the daemon; and if the node is drained, that it hears nobody. Raises NodeError."""
    must(runner, ["nft", "-f", str(_at(root, filter_path(mesh)))])
    if _at(root, drain_path(mesh)).exists():
        must(runner, ["nft", "-f", str(_at(root, drain_path(mesh)))])


def hear_again(root: Path, mesh: str, runner: Runner) -> None:
    """Ends a drain. Raises NodeError, OSError."""
    files.remove(_at(root, drain_path(mesh)))
    must(runner, ["nft", "-f", "-"], removal_text(deaf_table(mesh)))


def flush(prefixes: Sequence[str], runner: Runner) -> None:
    """Routes that a killed daemon of this mesh has left; a new one could not replace them."""
    for prefix in prefixes:
        version = "-6" if ":" in prefix else "-4"
        runner(["ip", version, "route", "flush", "proto", str(PROTOCOL), "root", prefix])


def wait_until_warm(
    root: Path,
    interfaces: Sequence[str],
    runner: Runner,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Waits until the tunnels have keys. Returns those that have none in the end. Raises NodeError."""
    there = [name for name in interfaces if _at(root, f"/sys/class/net/{name}").exists()]
    start = progress = poked = clock()
    _poke(there)
    cold = cold_of(there, _handshakes(runner), time.time())
    while cold and clock() - start < LONGEST and clock() - progress < QUIET:
        sleep(0.1)
        if clock() - poked > 1:
            poked = clock()
            _poke(cold)
        still = cold_of(cold, _handshakes(runner), time.time())
        if len(still) < len(cold):
            progress = clock()
        cold = still
    return cold


def cold_of(interfaces: Sequence[str], handshakes: dict[str, float], now: float) -> list[str]:
    """What WireGuard does not know is no tunnel: nothing to wait for."""
    return [name for name in interfaces if name in handshakes and now - handshakes[name] > WARM]


def _handshakes(runner: Runner) -> dict[str, float]:
    """Interface → Unix time of its newest handshake, 0 for none."""
    shown = runner(["wg", "show", "all", "latest-handshakes"])
    found: dict[str, float] = {}
    for line in shown.out.splitlines() if shown.good else ():
        words = line.split()
        if len(words) == 3 and words[2].isdigit():
            found[words[0]] = max(found.get(words[0], 0.0), float(words[2]))
    return found


def _poke(interfaces: Sequence[str]) -> None:
    """A packet by each tunnel, so that it asks for a handshake."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        for name in interfaces:
            number = name.rpartition("-")[2].rstrip("b")
            with contextlib.suppress(OSError, ValueError):
                place = (f"fe80::{int(number):x}", DISCARD, 0, socket.if_nametoindex(name))
                sender.sendto(b"", place)


def _at(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
