# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PCI Access Control Services of bridges, from their configuration space. Reads files only."""

from __future__ import annotations

from pathlib import Path

HEADER_SIZE = 64
"""What users other than root can read of a configuration space."""

FIRST_EXTENDED = 0x100
ACS_CAPABILITY = 0x000D
ACS_CONTROL = 6
REDIRECT = 0x4 | 0x8
"""Of the control register: P2P request redirect, P2P completion redirect."""


def redirecting_bridges(root: Path, addresses: list[str]) -> tuple[str, ...] | None:
    """Those of the bridges that redirect peer-to-peer traffic; None if not one could be read."""
    spaces = {address: _config(root, address) for address in addresses}
    readable = {address: space for address, space in spaces.items() if len(space) > HEADER_SIZE}
    if addresses and not readable:
        return None
    return tuple(address for address, space in readable.items() if redirects(space))


def redirects(space: bytes) -> bool:
    """Whether a configuration space has ACS with redirection on."""
    at, seen = FIRST_EXTENDED, set()
    while at >= FIRST_EXTENDED and at + 8 <= len(space) and at not in seen:
        seen.add(at)
        header = int.from_bytes(space[at : at + 4], "little")
        if header & 0xFFFF == ACS_CAPABILITY:
            control = int.from_bytes(space[at + ACS_CONTROL : at + ACS_CONTROL + 2], "little")
            return bool(control & REDIRECT)
        at = header >> 20
    return False


def _config(root: Path, address: str) -> bytes:
    try:
        return (root / "sys/bus/pci/devices" / address / "config").read_bytes()
    except OSError:
        return b""
