# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins what the nodes of a run say of their meshes: members, links seen from both ends, what is armed.

Live values (handshake ages, bytes) are here and nowhere else in a report, so that nodes which are alike stay
one group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

STATES = ("up", "stale", "never", "down")
"""Of a tunnel, best first."""

FRESH = 180
"""Seconds: a tunnel with a younger handshake is up."""

_TEXTS = ("interface", "peer", "endpoint")
_NUMBERS = ("peer_number", "handshake_age_s", "received_bytes", "sent_bytes", "mtu", "key_age_days")
_FLAGS = ("foreign", "psk")


def fields(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Mesh → the documented keys of what the module mesh (`mesh`) or mesh_info (`meshes`) says of it."""
    found: dict[str, dict[str, Any]] = {}
    for key in ("mesh", "meshes"):
        said = result.get(key)
        if not isinstance(said, Mapping):
            continue
        for name, info in said.items():
            if isinstance(info, Mapping) and isinstance(info.get("tunnels"), list) and info.get("member"):
                found[str(name)] = _info(info)
    return found


def confirm(meshes: Mapping[str, dict[str, Any]], result: Mapping[str, Any]) -> None:
    """Brings a host's meshes up to date by a result of mesh_confirm, which came after them.

    Its `armed` is what is armed since; its `tunnels` are those that were probed.
    """
    if "armed" in result and "reverted" in result:
        for info in meshes.values():
            info["armed"] = _armed(result["armed"])
    for entry in _list(result.get("tunnels")):
        if not isinstance(entry, Mapping):
            continue
        age = entry.get("handshake_age")
        known = isinstance(age, (int, float)) and not isinstance(age, bool)
        for tunnel in meshes.get(str(entry.get("mesh")), {}).get("tunnels", ()):
            if known and tunnel["interface"] == entry.get("interface"):
                tunnel["handshake_age_s"] = int(age)  # type: ignore[arg-type]
                tunnel["state"] = "up" if age < FRESH else "stale"  # type: ignore[operator]


def taken_back(result: Mapping[str, Any]) -> str:
    """Why the change that came before is undone, by a result of mesh_confirm; "" where it is not."""
    if result.get("failure_kind") == "reverted":
        return str(result.get("msg", "")) or "the node has undone it"
    reverted = result.get("reverted")
    if not result.get("changed") or "undone" not in result or not isinstance(reverted, Mapping):
        return ""
    return str(reverted.get("why") or "it was reverted")


def join(hosts: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Mesh → its block of the report, from host → mesh → `fields`. docs/report.md has the shape."""
    members: dict[str, dict[str, dict[str, Any]]] = {}
    for host, meshes in sorted(hosts.items()):
        for mesh, info in meshes.items():
            entry = {"host": host, **{key: value for key, value in info.items() if key != "member"}}
            members.setdefault(mesh, {})[info["member"]] = entry
    return {mesh: _block(found) for mesh, found in sorted(members.items())}


def totals(meshes: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Over all meshes: `{meshes, links, links_not_up, armed}`; `armed` counts members."""
    links = [link for block in meshes.values() for link in block["links"]]
    return {
        "meshes": len(meshes),
        "links": len(links),
        "links_not_up": sum(link["state"] != "up" for link in links),
        "armed": sum(len(block["armed"]) for block in meshes.values()),
    }


def numbers(block: Mapping[str, Any]) -> dict[str, int | None]:
    """Every member and peer that anybody knows of → its number, None where nobody said it."""
    found: dict[str, int | None] = {}
    for name, entry in block["members"].items():
        for tunnel in entry["tunnels"]:
            found.setdefault(tunnel["peer"], tunnel["peer_number"])
        found[name] = entry["number"]
    return found


def _block(members: dict[str, dict[str, Any]]) -> dict[str, Any]:
    tunnels = [tunnel for entry in members.values() for tunnel in entry["tunnels"]]
    peers = {tunnel["peer"] for tunnel in tunnels if not tunnel["foreign"]}
    return {
        "members": members,
        "not_seen": sorted(peers - members.keys()),
        "tunnels": {state: sum(tunnel["state"] == state for tunnel in tunnels) for state in STATES},
        "links": _links(members),
        "armed": [
            {"member": name, **entry["armed"]} for name, entry in sorted(members.items()) if entry["armed"]
        ],
        "oldest_key": _oldest_key(members),
    }


def _links(members: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry per pair. Of the tunnels of one end the best counts, as one may be about to replace another;
    of the two ends the worse."""
    seen: dict[tuple[str, str], dict[str, list[str]]] = {}
    foreign: set[tuple[str, str]] = set()
    for name, entry in members.items():
        for tunnel in entry["tunnels"]:
            first, second = sorted((name, tunnel["peer"]))
            seen.setdefault((first, second), {}).setdefault(name, []).append(tunnel["state"])
            if tunnel["foreign"]:
                foreign.add((first, second))
    found = []
    for pair, ends in sorted(seen.items()):
        states = {name: min(ends[name], key=STATES.index) for name in sorted(ends)}
        found.append(
            {
                "ends": list(pair),
                "state": max(states.values(), key=STATES.index),
                "seen_from": states,
                "foreign": pair in foreign,
            }
        )
    return found


def _oldest_key(members: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    ages = [
        (tunnel["key_age_days"], name)
        for name, entry in sorted(members.items())
        for tunnel in entry["tunnels"]
        if tunnel["key_age_days"] is not None
    ]
    if not ages:
        return None
    days, name = max(ages, key=lambda item: item[0])
    return {"member": name, "days": days}


def _info(info: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "member": str(info["member"]),
        "number": _number(info.get("number")),
        "addresses": [str(text) for text in _list(info.get("addresses"))],
        "transit": bool(info.get("transit")),
        "routes": _number(info.get("routes")) or 0,
        "armed": _armed(info.get("armed")),
        "tunnels": [_tunnel(entry) for entry in info["tunnels"] if isinstance(entry, Mapping)],
    }


def _tunnel(entry: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: str(entry.get(name) or "") for name in _TEXTS}
    found.update({name: _number(entry.get(name)) for name in _NUMBERS})
    found.update({name: bool(entry.get(name)) for name in _FLAGS})
    state = entry.get("state")
    found["state"] = state if state in STATES else "down"
    return found


def _armed(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    deadline = value.get("deadline")
    good = isinstance(deadline, (int, float)) and not isinstance(deadline, bool)
    return {"token": str(value.get("token") or ""), "deadline": deadline if good else None}


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else ()
