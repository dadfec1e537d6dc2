# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a single value in a registry may be: functions value → value as the registry has it, raising Wrong."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...module_utils.mesh.share import KEY, MIN_MTU
from .registry import MEMBER_NAME, MEMBER_NAME_WORDS
from .wishes import mistakes_in_endpoint, mistakes_in_region

Convert = Callable[[Any], Any]

BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


class Wrong(ValueError):
    """value: the part that is wrong; allowed: in words"""

    def __init__(self, value: Any, allowed: str) -> None:
        self.value = value
        self.allowed = allowed
        super().__init__(allowed)


def whole(low: int, high: int) -> Convert:
    def convert(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise Wrong(value, f"a whole number from {low} to {high}")

    return convert


def truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Wrong(value, "true or false")


def number_or_none(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6:
        return value
    raise Wrong(value, "a time in ms")


def mtu(value: Any) -> int:
    return 0 if value == "auto" else _mtu(value)


def _mtu(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and MIN_MTU <= value <= 65535:
        return value
    raise Wrong(value, f"auto, or {MIN_MTU} (which IPv6 needs) to 65535")


def member_name(value: Any) -> str:
    if isinstance(value, str) and MEMBER_NAME.fullmatch(value):
        return value
    raise Wrong(value, MEMBER_NAME_WORDS)


def names(value: Any) -> tuple[str, ...]:
    found = tuple(member_name(item) for item in _list(value, "a list of members' names"))
    if len(set(found)) < len(found):
        raise Wrong(value, "each name once")
    return found


def region(value: Any) -> str:
    for wrong, allowed in mistakes_in_region(value):
        raise Wrong(wrong, allowed)
    return str(value)


def endpoint(value: Any) -> str:
    if value in (None, ""):
        return ""
    if not isinstance(value, str):
        raise Wrong(value, "an address or a name, with or without a port, in quotes")
    for wrong, allowed in mistakes_in_endpoint(value):
        raise Wrong(wrong, allowed)
    return value


def networks(value: Any) -> tuple[str, ...]:
    return tuple(_network(item) for item in _list(value, "a list of networks"))


def _network(value: Any) -> str:
    try:
        # A scope (`fd00::%any text/64`) would reach files that the nodes run.
        if isinstance(value, str) and "%" not in value:
            return str(ipaddress.ip_network(value))
    except ValueError:
        pass
    raise Wrong(value, "a network such as 10.99.0.0/16, without bits behind its length")


def public_key(value: Any) -> str:
    if isinstance(value, str) and KEY.fullmatch(value):
        return value
    raise Wrong(value, "a WireGuard public key: 44 characters of base64")


def keys(value: Any) -> dict[int, str]:
    allowed = "a map of generation (from 1) to public key"
    found = {_generation(item): public_key(key) for item, key in _map(value, allowed).items()}
    if not found:
        raise Wrong(value, allowed)
    return found


def _generation(value: Any) -> int:
    return int(whole(1, 9999)(value))


def dates(value: Any) -> dict[int, str]:
    found = _map(value, "a map of generation to date (2026-12-31)")
    return {_generation(item): date(day) for item, day in found.items()}


def date(value: Any) -> str:
    """YAML makes a date of 2026-12-31 where it is not in quotes."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    try:
        if isinstance(value, str):
            return datetime.date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise Wrong(value, "a date such as 2026-12-31")


def per_member(convert: Convert) -> Convert:
    def converted(value: Any) -> dict[str, Any]:
        found = _map(value, "a map of members' names to numbers")
        return {member_name(name): convert(item) for name, item in found.items()}

    return converted


def two(convert: Convert, allowed: str) -> Convert:
    def converted(value: Any) -> tuple[Any, Any]:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise Wrong(value, allowed)
        return convert(value[0]), convert(value[1])

    return converted


def base64(value: Any) -> str:
    if isinstance(value, str) and BASE64.fullmatch(value):
        return value
    raise Wrong(value, "base64")


def blocks(value: Any) -> tuple[int, ...]:
    allowed = "a list of numbers of blocks, from 0"
    found = tuple(whole(0, 1023)(item) for item in _list(value, allowed))
    if len(set(found)) < len(found):
        raise Wrong(value, "each block once")
    return found


def ranges(low: int, high: int) -> Convert:
    """Whole numbers, in the file single or as a range: `[3, 5-8]`."""
    allowed = f"a list of whole numbers from {low} to {high} and ranges such as 5-8, ascending"

    def converted(value: Any) -> tuple[int, ...]:
        found: list[int] = []
        for item in _list(value, allowed):
            ends = RANGE.fullmatch(item) if isinstance(item, str) else None
            first, last = (int(ends[1]), int(ends[2])) if ends else (item, item)
            if not _is_within(first, max(low, found[-1] + 1 if found else low), high):
                raise Wrong(item, allowed)
            if not _is_within(last, first, high):
                raise Wrong(item, allowed)
            found += range(first, last + 1)
        return tuple(found)

    return converted


def _is_within(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _list(value: Any, allowed: str) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    raise Wrong(value, allowed)


def _map(value: Any, allowed: str) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    raise Wrong(value, allowed)
