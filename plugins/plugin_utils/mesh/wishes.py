# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory's `mesh_` variables may hold: (value, what is allowed) for each mistake. Pure."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...module_utils.mesh.share import MAX_CAPACITY, MESH_NAME

Mistakes = list[tuple[Any, str]]

NAMES = "a mesh's name (a letter, then up to 7 letters or digits, all lower case), or a list of such names"
ENDPOINT = (
    "an address or a name, and a port if need be: 203.0.113.7, '[2001:db8::7]:51820', gw.example.org:51820"
)
REGION = "1 to 63 letters, digits, '.', '_' or '-'"

_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HOST_NAME = re.compile(r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_ALL_DIGITS = re.compile(r"[0-9.]+")


def mistakes_in_names(value: Any) -> Mistakes:
    """Of `mesh_name`: one name, or a list of different ones."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return [(value, NAMES)]
    wrong: Mistakes = [(name, NAMES) for name in names if not MESH_NAME.fullmatch(name)]
    return wrong or ([(value, "each mesh once")] if len(set(names)) < len(names) else [])


def names_of(value: Any) -> list[str]:
    """`mesh_name` as a list; nothing wished is no mesh."""
    if value in (None, ""):
        return []
    return [value] if isinstance(value, str) else list(value)


def split_endpoint(value: str) -> tuple[str, int]:
    """(host, port) of `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address; port 0 for none.

    Raises ValueError.
    """
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::([0-9]{1,5}))?", value)
    if bracketed:
        host, port = str(ipaddress.IPv6Address(bracketed[1])), bracketed[2]
    elif value.count(":") > 1:
        return str(ipaddress.IPv6Address(value)), 0
    else:
        host, _colon, port = value.partition(":")
        if _ALL_DIGITS.fullmatch(host):
            host = str(ipaddress.IPv4Address(host))
        elif not _HOST_NAME.fullmatch(host):
            raise ValueError(f"{host!r} is no address and no name")
        if _colon and not re.fullmatch(r"[0-9]{1,5}", port):
            raise ValueError("no port behind the colon")
    number = int(port) if port else 0
    if port and not 1 <= number <= 65535:
        raise ValueError(f"port {port} is not one of 1 to 65535")
    return host, number


def mistakes_in_endpoint(value: Any) -> Mistakes:
    try:
        host, _port = split_endpoint(str(value))
    except ValueError:
        return [(value, ENDPOINT)]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []
    if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
        return [(value, "an address that other members can reach")]
    return []


def mistakes_in_port(value: Any) -> Mistakes:
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535
    return [] if good else [(value, "1 to 65535")]


def mistakes_in_region(value: Any) -> Mistakes:
    return [] if isinstance(value, str) and _REGION.fullmatch(value) else [(value, REGION)]


def mistakes_in_mtu(value: Any) -> Mistakes:
    good = isinstance(value, int) and not isinstance(value, bool) and 1340 <= value <= 65535
    return (
        [] if good else [(value, "1340 to 65535 bytes: a tunnel takes 60 off it, and IPv6 needs 1280 within")]
    )


def mistakes_in_capacity(value: Any) -> Mistakes:
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_CAPACITY
    return [] if good else [(value, f"1 to {MAX_CAPACITY} Mbit/s, a whole number")]


def mistakes_in_seconds(value: Any) -> Mistakes:
    good = isinstance(value, int) and not isinstance(value, bool) and (value == 0 or 30 <= value <= 3600)
    return [] if good else [(value, "0 (never undone by itself), or 30 to 3600 s")]


def _truth(value: Any) -> Mistakes:
    return [] if isinstance(value, bool) else [(value, "true or false")]


def _texts(value: Any) -> Mistakes:
    good = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
    return [] if good else [(value, "a list of members' names")]


MEMBER: dict[str, Callable[[Any], Mistakes]] = {
    "endpoint": mistakes_in_endpoint,
    "local_endpoint": mistakes_in_endpoint,
    "port": mistakes_in_port,
    "region": mistakes_in_region,
    "behind_nat": _truth,
    "transit": _truth,
    "relays": _texts,
    "underlay_mtu": mistakes_in_mtu,
    "capacity": mistakes_in_capacity,
}
"""What a member is, by the variable's name without `mesh_`."""


def _settings(value: Any) -> Mistakes:
    # What is in it is read where a registry is made (parse.parse_settings).
    return [] if isinstance(value, Mapping) else [(value, "a map such as {prefixes: [10.98.0.0/16]}")]


OVERRIDES: dict[str, Callable[[Any], Mistakes]] = {**MEMBER, "settings": _settings}
"""The keys of a map in `mesh_overrides`."""


def mistakes_in_overrides(value: Any) -> Mistakes:
    """Of `mesh_overrides`: mesh → what of OVERRIDES is different there."""
    found: Mistakes = []
    for mesh, keys in value.items():
        if not isinstance(mesh, str) or not MESH_NAME.fullmatch(mesh):
            found.append((mesh, NAMES))
        elif not isinstance(keys, Mapping):
            found.append((f"{mesh}: {keys}", "a map of " + ", ".join(OVERRIDES)))
        else:
            found += _mistakes_of_member(mesh, keys)
    return found


def _mistakes_of_member(mesh: str, keys: Mapping[str, Any]) -> Mistakes:
    found: Mistakes = []
    for key, value in keys.items():
        if key not in OVERRIDES:
            near = difflib.get_close_matches(str(key), OVERRIDES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            found.append((f"{mesh}: {key}", f"{hint}one of " + ", ".join(OVERRIDES)))
        elif value is not None:
            found += [(f"{mesh}: {key}: {item}", allowed) for item, allowed in OVERRIDES[key](value)]
    return found


def validators() -> dict[str, Callable[[Any], Mistakes]]:
    """Variable → function giving its mistakes, for the merge. That of the firewall is the node's to know."""
    found: dict[str, Callable[[Any], Mistakes]] = {f"mesh_{key}": check for key, check in MEMBER.items()}
    found["mesh_name"] = mistakes_in_names
    found["mesh_overrides"] = mistakes_in_overrides
    found["mesh_confirm_seconds"] = mistakes_in_seconds
    found["mesh_pull"] = _truth
    return found
