# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's ethtool calls (SIOCETHTOOL), by the structures of linux/ethtool.h. Standard library only.

These structures are frozen: whatever the kernel or the ethtool program, they stay as they are.
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from .settings import COALESCE

SIOCETHTOOL = 0x8946
GDRVINFO, GCOALESCE, SCOALESCE, GRINGPARAM, SRINGPARAM = 0x03, 0x0E, 0x0F, 0x10, 0x11
GSTRINGS, GRXRINGS, GSSET_INFO, GRXFHINDIR, SRXFHINDIR = 0x1B, 0x2D, 0x37, 0x38, 0x39
GFEATURES, SFEATURES, GCHANNELS, SCHANNELS = 0x3A, 0x3B, 0x3C, 0x3D
SS_FEATURES = 4
NAME_LENGTH = 32
WISH = 2
"""SFEATURES: taken down as wanted, and not active, as another feature or the driver keeps it off."""

RING_ORDER = ("rx", "rx-mini", "rx-jumbo", "tx")
CHANNEL_ORDER = ("rx", "tx", "other", "combined")
INTERFACE = 15
"""Bytes of an interface's name."""


@dataclass(frozen=True)
class Feature:
    """active: in force; requested: wanted; changeable: the driver lets it be changed"""

    active: bool
    requested: bool
    changeable: bool


@dataclass(frozen=True)
class Counts:
    """Rings or channels: what is, and the most there can be."""

    now: Mapping[str, int]
    most: Mapping[str, int]


class Ethtool:
    """Every call raises OSError: EOPNOTSUPP where the driver has none of it, ENODEV, EPERM."""

    def __init__(self) -> None:
        self._names: Optional[list[str]] = None

    def driver(self, device: str) -> str:
        answer = self._call(device, struct.pack("=I192x", GDRVINFO))
        return answer[4:36].split(b"\0")[0].decode("ascii", "replace")

    # -- rings and channels

    def rings(self, device: str) -> Counts:
        found = struct.unpack("=9I", self._call(device, struct.pack("=I32x", GRINGPARAM)))
        return Counts(dict(zip(RING_ORDER, found[5:])), dict(zip(RING_ORDER, found[1:5])))

    def set_rings(self, device: str, values: Mapping[str, int]) -> None:
        """All in one call; what is not named stays."""
        now = {**self.rings(device).now, **values}
        self._call(device, struct.pack("=I16x4I", SRINGPARAM, *(now[name] for name in RING_ORDER)))

    def channels(self, device: str) -> Counts:
        found = struct.unpack("=9I", self._call(device, struct.pack("=I32x", GCHANNELS)))
        return Counts(dict(zip(CHANNEL_ORDER, found[5:])), dict(zip(CHANNEL_ORDER, found[1:5])))

    def set_channels(self, device: str, values: Mapping[str, int]) -> None:
        now = {**self.channels(device).now, **values}
        self._call(device, struct.pack("=I16x4I", SCHANNELS, *(now[name] for name in CHANNEL_ORDER)))

    # -- coalescing

    def coalesce(self, device: str) -> dict[str, int]:
        """By ethtool's names; adaptive ones are 0 or 1."""
        found = struct.unpack("=23I", self._call(device, struct.pack("=I88x", GCOALESCE)))
        return dict(zip(COALESCE, found[1:]))

    def set_coalesce(self, device: str, values: Mapping[str, int]) -> None:
        now = {**self.coalesce(device), **values}
        self._call(device, struct.pack("=23I", SCOALESCE, *(int(now[name]) for name in COALESCE)))

    # -- features

    def features(self, device: str) -> dict[str, Feature]:
        names = self._feature_names(device)
        blocks = -(-len(names) // 32)
        answer = self._call(device, struct.pack(f"=2I{16 * blocks}x", GFEATURES, blocks))
        words = struct.unpack_from(f"={4 * blocks}I", answer, 8)
        found = {}
        for index, name in enumerate(names):
            available, requested, active, never = (
                bool(words[index // 32 * 4 + part] >> index % 32 & 1) for part in range(4)
            )
            if name:
                found[name] = Feature(active, requested, available and not never)
        return found

    def set_features(self, device: str, values: Mapping[str, bool]) -> bool:
        """False where one was taken down as wanted and is not in force."""
        names = self._feature_names(device)
        blocks = -(-len(names) // 32)
        words = [0] * (2 * blocks)
        for name, value in values.items():
            if name not in names:
                raise OSError(errno.EOPNOTSUPP, f"this kernel has no feature {name}")
            block, bit = divmod(names.index(name), 32)
            words[2 * block] |= 1 << bit
            words[2 * block + 1] |= int(value) << bit
        buffer = array.array("B", struct.pack(f"=2I{2 * blocks}I", SFEATURES, blocks, *words))
        return not self._ioctl(device, buffer) & WISH

    # -- RSS

    def rx_rings(self, device: str) -> int:
        answer = self._call(device, struct.pack("=I508x", GRXRINGS))
        return int(struct.unpack_from("=Q", answer, 8)[0])

    def indirection(self, device: str) -> list[int]:
        """Hash → queue."""
        size = struct.unpack("=2I", self._call(device, struct.pack("=2I", GRXFHINDIR, 0)))[1]
        answer = self._call(device, struct.pack(f"=2I{4 * size}x", GRXFHINDIR, size))
        return list(struct.unpack_from(f"={size}I", answer, 8))

    def set_indirection(self, device: str, table: Sequence[int]) -> None:
        """An empty table brings the driver's own back."""
        self._call(device, struct.pack(f"=2I{len(table)}I", SRXFHINDIR, len(table), *table))

    # -- inside

    def _feature_names(self, device: str) -> list[str]:
        """In the kernel's order; "" for a bit that means nothing. The same for all devices."""
        if self._names is None:
            request = struct.pack("=2IQI", GSSET_INFO, 0, 1 << SS_FEATURES, 0)
            count = struct.unpack_from("=I", self._call(device, request), 16)[0]
            answer = self._call(
                device, struct.pack(f"=3I{NAME_LENGTH * count}x", GSTRINGS, SS_FEATURES, count)
            )
            self._names = [
                answer[12 + NAME_LENGTH * index :][:NAME_LENGTH].split(b"\0")[0].decode("ascii", "replace")
                for index in range(count)
            ]
        return self._names

    def _call(self, device: str, request: bytes) -> bytes:
        buffer = array.array("B", request)
        self._ioctl(device, buffer)
        return buffer.tobytes()

    def _ioctl(self, device: str, buffer: array.array[int]) -> int:
        """The kernel writes into `buffer`. Returns what the call returns. An error names the device."""
        name = device.encode("utf-8", "surrogateescape")
        if len(name) > INTERFACE:
            raise OSError(errno.ENODEV, f"{device}: no such device")
        request = bytearray(struct.pack("=16s", name) + struct.pack("P", buffer.buffer_info()[0]) + bytes(24))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            try:
                return fcntl.ioctl(channel.fileno(), SIOCETHTOOL, request, True)
            except OSError as error:
                raise OSError(error.errno, error.strerror, device) from error
