# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A `wg` for key tests that needs no wireguard-tools, and a runner that finds it and remembers what it ran.

As a program it is `wg genkey`, `wg genpsk` and `wg pubkey`, with X25519 in plain Python (RFC 7748).
"""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # The program runs outside the collection.
    from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done

PRIME = 2**255 - 19
BASE = 9


def x25519(scalar: bytes, point: bytes) -> bytes:
    """The Montgomery ladder of RFC 7748, section 5."""
    number = int.from_bytes(scalar, "little") & ~7 & ~(128 << 8 * 31) | (64 << 8 * 31)
    x1 = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for bit in reversed(range(255)):
        now = number >> bit & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % PRIME, c * b % PRIME, a * a % PRIME, b * b % PRIME
        x3, z3 = (da + cb) ** 2 % PRIME, x1 * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, (aa - bb) * (aa + 121665 * (aa - bb)) % PRIME
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def public_of(private: str) -> str:
    raw = base64.b64decode(private)
    return base64.b64encode(x25519(raw, BASE.to_bytes(32, "little"))).decode()


def clamped(raw: bytes) -> bytes:
    return bytes([raw[0] & 248]) + raw[1:31] + bytes([raw[31] & 127 | 64])


def install(directory: Path) -> None:
    """Makes `directory`/wg this program."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "wg"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {Path(__file__).resolve()} "$@"\n')
    program.chmod(0o755)


class RecordingRunner:
    """Runs for real, with the program above first in PATH.

    argv: every argument of every command; missing: programs that this node does not have
    """

    def __init__(self, programs: Path, missing: Sequence[str] = ()) -> None:
        install(programs)
        self.path = f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"
        self.argv: list[list[str]] = []
        if missing:
            self.path = str(programs)
            for name in ("sh", "openssl", "cat"):
                if name not in missing and not (programs / name).exists():
                    (programs / name).symlink_to(f"/usr/bin/{name}")
            for name in missing:
                (programs / name).unlink(missing_ok=True)

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done

        self.argv.append(list(argv))
        environment = {"LC_ALL": "C.UTF-8", "PATH": self.path}
        try:
            ended = subprocess.run(
                list(argv), input=data, capture_output=True, text=True, env=environment, check=False
            )
        except FileNotFoundError:
            return Done(127, "", f"{argv[0]}: no such program")
        return Done(ended.returncode, ended.stdout, ended.stderr)


def main(arguments: list[str]) -> int:
    if arguments == ["genkey"]:
        print(base64.b64encode(clamped(os.urandom(32))).decode())
    elif arguments == ["genpsk"]:
        print(base64.b64encode(os.urandom(32)).decode())
    elif arguments == ["pubkey"]:
        try:
            print(public_of(base64.b64encode(_raw(sys.stdin.read().strip())).decode()))
        except ValueError:
            print("wg: Key is not the correct length or format", file=sys.stderr)
            return 1
    return 0


def _raw(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 32:
        raise binascii.Error("not 32 bytes")
    return raw


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
