# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host brings to an operation on the registry: the wishes for it, and what it said itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from ...module_utils.mesh import keys_request
from . import values
from .registry import MEMBER_NAME, MEMBER_NAME_WORDS, Sealed
from .values import Wrong
from .wishes import MEMBER

KEYS = "mesh_keys"
"""Origin of what the node said."""


@dataclass(frozen=True)
class Candidate:
    """A host and one mesh.

    public_key: of `generation`; "" where the node has none yet (check mode before its first run)
    port: 0 for the mesh's default; capacity: Mbit/s, 0 for not declared
    underlay: networks the node is in; underlay_mtu: bytes, 0 for not known; address: its own
    udp_ports: on which something else waits there
    time: Unix time in s by the node's clock, None for not known
    sealed: name of a preshared key this node made → its copy for the other end
    settings: of a mesh that is made new
    origins: option → where it was said
    """

    name: str
    public_key: str = ""
    generation: int = 1
    region: str = "main"
    endpoint: str = ""
    local_endpoint: str = ""
    port: int = 0
    nat: bool = False
    transit: bool = False
    relays: tuple[str, ...] = ()
    capacity: int = 0
    underlay_mtu: int = 0
    underlay: tuple[str, ...] = ()
    address: str = ""
    udp_ports: tuple[int, ...] = ()
    time: float | None = None
    sealed: Mapping[str, Sealed] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, option: str) -> str:
        return self.origins.get(option, f"host {self.name}")


def from_host(name: str, mesh: str, wishes: Mapping[str, Any], keys: Any) -> Candidate:
    """wishes: the layer's options as the merge gives them; keys: the result of mesh_keys, or a loop's.

    Raises BindError.
    """
    found = _result_for(mesh, keys)
    if found is None:
        allowed = f"a host whose keys for the mesh {mesh} were read (mesh_keys) in this run"
        raise BindError([Problem("members", name, allowed, "task")])
    return _built(name, mesh, wishes, found)


def from_request(request: Any, mesh: str, wishes: Mapping[str, Any]) -> Candidate:
    """Of a node that prints its request, as text or read already. Raises BindError.

    Its clock is not looked at: the request took a while.
    """
    read = keys_request.from_data if isinstance(request, Mapping) else keys_request.parse
    found = read(request, "join request")
    if found.mesh != mesh:
        raise BindError([Problem("mesh", found.mesh, f"a request for the mesh {mesh}", "join request")])
    said = {
        "public_key": found.public_key,
        "generation": found.generation,
        "underlay": {"networks": list(found.networks), "mtu": found.mtu, "address": found.address},
    }
    return _built(found.name, mesh, wishes, said)


def _result_for(mesh: str, keys: Any) -> Mapping[str, Any] | None:
    if not isinstance(keys, Mapping):
        return None
    entries = keys["results"] if isinstance(keys.get("results"), list) else [keys]
    for entry in entries:
        if isinstance(entry, Mapping) and "generation" in entry and entry.get("mesh_name", mesh) == mesh:
            return entry
    # In a check on a node without WireGuard's tools nobody can look for its key.
    return {} if any(isinstance(entry, Mapping) and entry.get("skipped") for entry in entries) else None


def _built(name: str, mesh: str, wishes: Mapping[str, Any], said: Mapping[str, Any]) -> Candidate:
    problems: list[Problem] = []
    origins = dict(wishes.get("origins") or {})
    wished = {key: wishes[key] for key in MEMBER if wishes.get(key) is not None}
    overrides = (wishes.get("overrides") or {}).get(mesh) or {}
    wished.update({key: value for key, value in overrides.items() if key in MEMBER and value is not None})
    origins.update({key: origins.get("overrides", f"host {name}") for key in overrides})
    if not MEMBER_NAME.fullmatch(name):
        problems.append(Problem("members", name, MEMBER_NAME_WORDS, "inventory"))
    for key, value in wished.items():
        for wrong, allowed in MEMBER[key](value):
            problems.append(Problem(f"mesh_{key}", wrong, allowed, origins.get(key, ""), name))
    underlay = said.get("underlay") or {}

    def taken(key: str, value: Any, convert: Callable[[Any], Any], empty: Any) -> Any:
        if value in (None, ""):
            return empty
        try:
            return convert(value)
        except Wrong as wrong:
            problems.append(Problem(key, wrong.value, wrong.allowed, KEYS, name))
            return empty

    public_key = taken("public_key", said.get("public_key"), values.public_key, "")
    generation = taken("generation", said.get("generation"), values.whole(1, 9999), 1)
    networks = taken("underlay", underlay.get("networks"), values.networks, ())
    mtu = taken("underlay_mtu", underlay.get("mtu"), values.whole(1, 65535), 0)
    udp_ports = taken("udp_ports", said.get("udp_ports"), _ports, ())
    sealed = taken("sealed", said.get("sealed"), sealed_copies, {})
    if problems:
        raise BindError(problems)
    nat = bool(wished.get("behind_nat", False))
    return Candidate(
        name=name,
        public_key=public_key,
        generation=generation,
        region=str(wished.get("region", "main")),
        endpoint=str(wished.get("endpoint", "")),
        local_endpoint=str(wished.get("local_endpoint", "")),
        port=int(wished.get("port", 0)),
        nat=nat,
        transit=bool(wished.get("transit", False)),
        relays=tuple(wished.get("relays", ())),
        capacity=int(wished.get("capacity", 0)),
        underlay_mtu=int(wished.get("underlay_mtu", mtu)),
        underlay=networks,
        address=str(underlay.get("address") or ""),
        udp_ports=udp_ports,
        time=said.get("time") if isinstance(said.get("time"), (int, float)) else None,
        sealed=sealed,
        settings={**(wishes.get("settings") or {}), **(overrides.get("settings") or {})},
        origins=origins,
    )


def _ports(value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)):
        raise Wrong(value, "a list of UDP ports")
    return tuple(values.whole(1, 65535)(port) for port in value)


def sealed_copies(value: Any) -> dict[str, Sealed]:
    """Name of a preshared key → its copy for the other end. Raises Wrong."""
    if not isinstance(value, Mapping):
        raise Wrong(value, "a map of names to sealed keys")
    found = {}
    for name, copy in value.items():
        parts = copy if isinstance(copy, Mapping) else {}
        found[str(name)] = Sealed(values.base64(parts.get("sealed")), values.base64(parts.get("sender")))
    return found
