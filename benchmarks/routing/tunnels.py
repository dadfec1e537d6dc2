# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard (wireguard-go) over a wire, one interface per neighbour, as the mesh layer has it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab.errors import LabError
from lab.shell import run
from lab.wires import Space

OVERHEAD = 80
"""Bytes that a tunnel adds to a packet, with IPv6 outside."""
SOCKETS = "/run/wireguard"
"""Where wireguard-go makes its sockets; a space needs one of its own, as all use the same names."""


# It takes an inotify instance each, of which a user has 128 over the whole machine: not root's.
_CAPABILITY = ("--inh-caps=+net_admin", "--ambient-caps=+net_admin")
_USER = ("setpriv", "--reuid=64213", "--clear-groups", *_CAPABILITY, "--pdeathsig=KILL", "--")


@dataclass(frozen=True)
class End:
    """One end of a tunnel: its device `name`, its address outside."""

    space: Space
    name: str
    outside: str


def join(first: End, second: End, port: int) -> None:
    """Makes both devices, down and without address, and tells each of the other. Raises LabError."""
    keys = {}
    for end in (first, second):
        end.space.run(["chmod", "1777", SOCKETS])
        end.space.start([*_USER, "wireguard-go", "--foreground", end.name])
        private = run(["wg", "genkey"])
        keys[end] = private, run(["wg", "pubkey"], data=private.encode()).strip()
    for end, other in ((first, second), (second, first)):
        _wait(end)
        words = [
            "wg",
            "set",
            end.name,
            "listen-port",
            str(port),
            "private-key",
            "/dev/stdin",
            "peer",
            keys[other][1],
        ]
        words += ["endpoint", f"{other.outside}:{port}", "allowed-ips", "0.0.0.0/0,::/0"]
        end.space.run([*words, "persistent-keepalive", "25"], data=keys[end][0].encode())


def _wait(end: End) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            end.space.run(["wg", "show", end.name])
            return
        except LabError as error:
            if time.monotonic() > until:
                raise LabError(
                    f"wireguard-go for {end.name} does not answer (it may have ended): {error}"
                ) from error
            time.sleep(0.02)
