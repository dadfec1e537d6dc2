# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of a mesh as both ends see them: tunnel, routing daemons, round trip against its target. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

GOOD, FAIR, SLOW, PARTLY, DOWN, UNMEASURED = "good", "fair", "slow", "partly", "down", "unmeasured"
GRADES = (GOOD, FAIR, UNMEASURED, SLOW, PARTLY, DOWN)
"""Best first. good: at most half the target; fair: within it; slow: beyond it; partly: one end hears nothing;
down: no end that was seen does; unmeasured: nobody has said a round trip."""

Pair = tuple[str, str]


def links_of(
    block: Mapping[str, Any],
    routing: Mapping[str, Mapping[str, Any]],
    planned: Mapping[Pair, float | None],
    target: Callable[[str, str], float],
    measured: Mapping[Pair, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """By their ends. docs/mesh-report.md has the shape.

    block: as report.mesh.join makes it; routing: member → `answers.routing_of` of this mesh
    planned: links of the registry that carry routes → ms when they were planned
    measured: pair → what verify says of it
    """
    tunnels = {(link["ends"][0], link["ends"][1]): link for link in block["links"] if not link["foreign"]}
    heard = _heard(routing)
    drained = {end: _drained(said, block["members"].get(end, {})) for end, said in routing.items()}
    found = []
    for pair in sorted({*tunnels, *planned, *_pairs(heard)}):
        ends = {end: _end(end, pair, routing, heard, drained) for end in pair if end in routing}
        rtts = [end["rtt_ms"] for end in ends.values() if end["rtt_ms"] is not None]
        rtt = round(max(rtts), 3) if rtts else None
        goal = target(*pair)
        tunnel = tunnels.get(pair)
        entry = {
            "ends": list(pair),
            "tunnel": tunnel["state"] if tunnel else None,
            "tunnel_seen_from": dict(tunnel["seen_from"]) if tunnel else {},
            "routing": ends,
            "rtt_ms": rtt,
            "target_ms": goal,
            "planned_ms": planned.get(pair),
            "verify": measured.get(pair),
        }
        entry["grade"] = _grade(entry)
        found.append(entry)
    return found


def round_trips(links: list[dict[str, Any]]) -> dict[Pair, float]:
    return {
        (link["ends"][0], link["ends"][1]): link["rtt_ms"] for link in links if link["rtt_ms"] is not None
    }


def _heard(routing: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Member → peer → the best of its neighbours there, as a tunnel may have two sides."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for member, said in routing.items():
        best: dict[str, dict[str, Any]] = {}
        for one in said["neighbours"]:
            other = best.get(one["peer"])
            if other is None or (not one["up"], one["cost"]) < (not other["up"], other["cost"]):
                best[one["peer"]] = one
        found[member] = best
    return found


def _pairs(heard: Mapping[str, Mapping[str, Any]]) -> set[Pair]:
    return {
        (member, peer) if member < peer else (peer, member)
        for member, peers in heard.items()
        for peer in peers
        if peer and peer != member
    }


def _end(
    end: str,
    pair: Pair,
    routing: Mapping[str, Mapping[str, Any]],
    heard: Mapping[str, Mapping[str, Mapping[str, Any]]],
    drained: Mapping[str, set[str]],
) -> dict[str, Any]:
    """state: up, down, drained, or off where no daemon runs; cost: None where it is not up"""
    said = routing[end]
    peer = pair[1] if end == pair[0] else pair[0]
    one = heard[end].get(peer)
    up = one is not None and one["up"]
    state = "up" if up else "down"
    if not said["running"]:
        state = "off"
    elif not up and _is_drained(said, peer in drained[end], routing.get(peer)):
        state = "drained"
    return {
        "state": state,
        "cost": one["cost"] if one is not None and up else None,
        "rtt_ms": one["rtt_ms"] if one is not None and up else None,
        "lost": one["lost"] if one is not None else None,
    }


def _drained(said: Mapping[str, Any], member: Mapping[str, Any]) -> set[str]:
    """Peers whose links are drained here, by the tunnels: babeld soon forgets whom it does not hear."""
    interfaces = set(said["drained"]["interfaces"])
    every = [*member.get("tunnels", ()), *said["neighbours"]]
    return {one["peer"] for one in every if one["interface"] in interfaces}


def _is_drained(said: Mapping[str, Any], link: bool, other: Mapping[str, Any] | None) -> bool:
    """That nothing is heard is meant so, here or at the other end. link: this link is drained here"""
    return link or said["drained"]["whole"] or (other is not None and other["drained"]["whole"])


def _grade(link: Mapping[str, Any]) -> str:
    states = [end["state"] for end in link["routing"].values() if end["state"] != "off"]
    if not states:
        tunnel = link["tunnel"]
        return DOWN if tunnel == "down" else UNMEASURED
    if "up" not in states:
        return DOWN
    if "down" in states:
        return PARTLY
    if link["rtt_ms"] is None:
        return UNMEASURED
    if link["rtt_ms"] <= link["target_ms"] / 2:
        return GOOD
    return FAIR if link["rtt_ms"] <= link["target_ms"] else SLOW
