# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests to many places at once, by ICMP sockets: no node needs a ping program for it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Protocol

from ..core.errors import NodeError

ECHO: dict[int, tuple[int, int]] = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
"""Family → types of request and reply."""

ICMP_HEADER = 8
SMALL = 56
"""Bytes of data, as ping has it."""

ICMP6_FILTER = 1
SOL_ICMP6 = 58


@dataclass(frozen=True)
class Target:
    """name: of its own; interface: "" for what the routes say; source: "" for any; size: bytes of data"""

    name: str
    destination: str
    interface: str = ""
    source: str = ""
    size: int = SMALL


_sequences = itertools.count()
"""Of all calls of a process: an answer that comes late belongs to no request of the next call."""

_Key = tuple[int, str, str]
"""Family, source, interface: what one socket is for."""


class Ping(Protocol):
    def __call__(self, targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
        """Name → round trip in s of those that answered. One request each; ends early when all have."""


def ping(targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
    """The real one. Raises NodeError where the process may not send echo requests."""
    with contextlib.ExitStack() as stack:
        sockets: dict[_Key, socket.socket] = {}
        sent: dict[tuple[int, int], tuple[str, float]] = {}
        for target in targets:
            sequence = next(_sequences) & 0xFFFF
            family = _family(target)
            key = (family, target.source, target.interface)
            try:
                if key not in sockets:
                    sockets[key] = stack.enter_context(_opened(*key))
                _send(sockets[key], family, target, sequence)
            except OSError as error:
                if error.errno in (errno.EPERM, errno.EACCES) and key not in sockets:
                    raise NodeError(f"echo requests need root with CAP_NET_RAW: {error}") from error
                continue  # No route, no such interface or address: it does not answer.
            sent[family, sequence] = (target.name, time.monotonic())
        return _collected(sockets, sent, timeout)


def _collected(
    sockets: Mapping[_Key, socket.socket],
    sent: dict[tuple[int, int], tuple[str, float]],
    timeout: float,
) -> dict[str, float]:
    found: dict[str, float] = {}
    families = {opened.fileno(): (opened, family) for (family, *_rest), opened in sockets.items()}
    poller = select.poll()
    for number in families:
        poller.register(number, select.POLLIN)
    end = time.monotonic() + timeout
    while len(found) < len(sent):
        rest = end - time.monotonic()
        if rest <= 0:
            break
        for number, _event in poller.poll(rest * 1000):
            opened, family = families[number]
            for sequence in _replies(opened, family):
                if (family, sequence) in sent:
                    name, began = sent[family, sequence]
                    found.setdefault(name, time.monotonic() - began)
    return found


def _family(target: Target) -> int:
    return socket.AF_INET6 if ipaddress.ip_address(target.destination).version == 6 else socket.AF_INET


def _opened(family: int, source: str, interface: str) -> socket.socket:
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    opened = socket.socket(family, socket.SOCK_RAW, protocol)
    try:
        opened.setblocking(False)
        if family == socket.AF_INET6:
            # Only replies: bits that are set are kept away.
            words = [0xFFFFFFFF] * 8
            words[129 >> 5] &= ~(1 << (129 & 31)) & 0xFFFFFFFF
            opened.setsockopt(SOL_ICMP6, ICMP6_FILTER, struct.pack("8I", *words))
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG, 1)
        if interface:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if source:
            opened.bind((source, 0))
    except OSError:
        opened.close()
        raise
    return opened


def _send(opened: socket.socket, family: int, target: Target, sequence: int) -> None:
    packet = _request(ECHO[family][0], sequence, target.size, family == socket.AF_INET)
    if family == socket.AF_INET:
        opened.sendto(packet, (target.destination, 0))
        return
    scope = socket.if_nametoindex(target.interface) if target.interface else 0
    opened.sendto(packet, (target.destination, 0, 0, scope))


def _request(kind: int, sequence: int, size: int, checked: bool) -> bytes:
    """The kernel adds the checksum of ICMPv6."""
    data = bytes(size)
    head = struct.pack("!BBHHH", kind, 0, 0, _identifier(), sequence & 0xFFFF)
    if checked:
        head = struct.pack("!BBHHH", kind, 0, _checksum(head + data), _identifier(), sequence & 0xFFFF)
    return head + data


def _identifier() -> int:
    return os.getpid() & 0xFFFF


def _checksum(packet: bytes) -> int:
    padded = packet + b"\0" * (len(packet) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _replies(opened: socket.socket, family: int) -> Iterator[int]:
    """Sequence numbers of our replies that wait in the socket."""
    while True:
        try:
            packet = opened.recv(65535)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            continue  # An ICMP error that belongs to an earlier request.
        sequence = parse_reply(packet, family)
        if sequence is not None:
            yield sequence


def parse_reply(packet: bytes, family: int) -> Optional[int]:
    """The sequence number of a reply to this process; IPv4 packets come with their header."""
    start = (packet[0] & 0x0F) * 4 if family == socket.AF_INET and packet else 0
    if len(packet) < start + ICMP_HEADER:
        return None
    kind, _code, _sum, identifier, sequence = struct.unpack("!BBHHH", packet[start : start + ICMP_HEADER])
    ours = kind == ECHO[family][1] and identifier == _identifier()
    return int(sequence) if ours else None
