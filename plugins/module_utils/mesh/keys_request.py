# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The join request: what a registry has to know of a node, as a text that an operator can send.

For nodes that no controller can reach by ssh: they make their key and print this. No secret is in it.
It is YAML that can be read without a YAML parser, as each value is JSON on one line.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..core.errors import BindError, Problem
from .keys import mistakes
from .share import KEY

SCHEMA = 1
KIND = "swarm.node mesh join request"
LONGEST = 65536
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,252}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LINE = re.compile(r"(?P<indent> *)(?P<name>[a-z_]+): *(?P<value>.*?) *")
KINDS = ("kernel", "userspace", "none")
TOP = ("schema", "mesh", "name", "public_key", "generation", "wireguard", "time")
BELOW = ("networks", "mtu", "address")


@dataclass(frozen=True)
class JoinRequest:
    """networks: in use on the node; mtu: bytes, of its way out; address: its own address there

    time: when it was written, UTC
    """

    mesh: str
    name: str
    public_key: str
    generation: int
    networks: tuple[str, ...] = ()
    mtu: Optional[int] = None
    address: Optional[str] = None
    wireguard: str = "kernel"
    time: str = ""
    schema: int = field(default=SCHEMA)


def render(request: JoinRequest) -> str:
    """YAML that `parse` reads; values are JSON, which is YAML."""
    lines = [f"# {KIND}: for the operator of the mesh. It holds no secret."]
    lines += [f"{name}: {json.dumps(getattr(request, name))}" for name in TOP]
    lines.append("underlay:")
    lines += [f"  {name}: {json.dumps(_plain(getattr(request, name)))}" for name in BELOW]
    return "\n".join(lines) + "\n"


def parse(text: str, origin: str = "") -> JoinRequest:
    """Reads what `render` wrote. Raises BindError that names everything wrong with it."""
    if not isinstance(text, str) or len(text) > LONGEST:
        raise BindError(
            [Problem("join request", _shown(text), f"text of at most {LONGEST} characters", origin)]
        )
    values, problems = _values(text, origin)
    return _checked(values, problems, origin)


def from_data(data: Mapping[str, Any], origin: str = "") -> JoinRequest:
    """The same for one that a YAML parser has read. Raises BindError."""
    values = {str(name): value for name, value in data.items() if name != "underlay"}
    problems = [
        Problem(name, values[name], f"only {', '.join(TOP)}", origin) for name in values if name not in TOP
    ]
    underlay = data.get("underlay")
    values = {name: value for name, value in values.items() if name in TOP}
    if isinstance(underlay, Mapping):
        values.update({name: underlay[name] for name in BELOW if name in underlay})
    return _checked(values, problems, origin)


def _checked(values: dict[str, Any], problems: list[Problem], origin: str) -> JoinRequest:
    """Whoever sent it may be anybody."""
    for name in (*TOP, *BELOW):
        if name not in values and not any(problem.key == name for problem in problems):
            problems.append(Problem(name, None, "it has to be in a join request", origin))
    problems += [problem for name in values for problem in _mistakes(name, values[name], origin)]
    if problems:
        raise BindError(problems)
    return JoinRequest(**{**values, "networks": tuple(values["networks"])})


def from_result(result: Mapping[str, Any], name: str) -> JoinRequest:
    """The request that stands for a result of the module mesh_keys. Raises BindError where it has no key."""
    if not result.get("public_key"):
        raise BindError([Problem("public_key", None, "a key that was made (new: true)")])
    underlay = result["underlay"]
    return JoinRequest(
        mesh=result["mesh_name"],
        name=name,
        public_key=result["public_key"],
        generation=result["generation"],
        networks=tuple(underlay["networks"]),
        mtu=underlay["mtu"],
        address=underlay["address"],
        wireguard=result["wireguard"],
        time=result["time_utc"],
    )


def _values(text: str, origin: str) -> tuple[dict[str, Any], list[Problem]]:
    """Name → value of every line that could be read."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    below = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#") or line.strip() == "---":
            continue
        if line.rstrip() == "underlay:":
            below = True
            continue
        found = LINE.fullmatch(line)
        allowed = (
            BELOW if found and found["indent"] and below else TOP if found and not found["indent"] else ()
        )
        if not found or found["name"] not in allowed or found["name"] in values:
            problems.append(Problem(f"line {number}", _shown(line), "a line of a join request, once", origin))
            continue
        try:
            values[found["name"]] = json.loads(found["value"])
        except (ValueError, RecursionError):
            problems.append(
                Problem(found["name"], _shown(found["value"]), "a value as it was printed", origin)
            )
    return values, problems


def _mistakes(name: str, value: Any, origin: str) -> list[Problem]:
    """What is wrong with one value."""
    if name in ("mesh", "generation"):
        wrong = mistakes(value, 1) if name == "mesh" else mistakes("any", value)
        return [Problem(problem.key, problem.value, problem.allowed, origin) for problem in wrong]
    good, allowed = {
        "schema": (value == SCHEMA and not isinstance(value, bool), str(SCHEMA)),
        "name": (_matches(NAME, value), "a host's name: letters, digits and any of _ . : -"),
        "public_key": (_matches(KEY, value), "44 characters of base64"),
        "wireguard": (value in KINDS, ", ".join(KINDS)),
        "time": (_matches(TIME, value), "a time such as 2026-11-23T01:30:00Z"),
        "networks": (_are_networks(value), "a list of networks such as 192.0.2.0/24"),
        "mtu": (value is None or _is_mtu(value), "576 to 65535 bytes, or null"),
        "address": (value is None or _is_address(value), "an address, or null"),
    }[name]
    return [] if good else [Problem(name, _shown(value), allowed, origin)]


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _are_networks(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    try:
        return all(isinstance(item, str) and bool(ipaddress.ip_network(item)) for item in value)
    except ValueError:
        return False


def _is_mtu(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 576 <= value <= 65535


def _is_address(value: Any) -> bool:
    try:
        ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> Any:
    """A stranger's text, not too long for a message."""
    return value if not isinstance(value, str) or len(value) <= 80 else f"{value[:80]}…"
