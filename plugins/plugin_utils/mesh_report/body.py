# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of one mesh, and of a run over several, as plain data. Pure. Shape: docs/mesh-report.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..report import mesh as mesh_words
from .answers import ranges
from .links import DOWN, SLOW, links_of, round_trips
from .problems import LEFT_OUT, NOTICE, OUT_OF_REACH, WRONG, problems_of
from .ways import KINDS, Path, overview

SCHEMA = 1
FINE = "fine"
HOUR, DAY = 3600.0, 86400.0
ALL_PATHS_UP_TO = 64
"""Members; of more the ways are told by their next member alone."""

MOST_CHANGES = 5000


@dataclass(frozen=True)
class Answer:
    """Of one host.

    why: why there is none; now: its clock, Unix time in s
    meshes, routing: as of report.mesh.fields and answers.routing_of
    """

    why: str = ""
    meshes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    routing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    now: float = 0.0


@dataclass(frozen=True)
class Known:
    """What the controller knows of a mesh.

    members: of the registry, with number, region and transit
    links: that carry routes → ms when they were planned
    absent: member → why nobody asked it; target: ms of a pair; measured: as measured.newest
    """

    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    links: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    target: Callable[[str, str], float] = lambda _one, _other: 50.0
    measured: Mapping[str, Any] | None = None


def mesh_report(name: str, answers: Mapping[str, Answer], known: Known) -> dict[str, Any]:
    """answers: host → what came of asking it, of all hosts that were asked about this mesh."""
    block = (
        mesh_words.join({host: one.meshes for host, one in answers.items()}).get(name)
        or mesh_words.join({"": {name: {"member": "", "tunnels": [], "armed": None, "number": None}}})[name]
    )
    block["members"].pop("", None)
    routing = {
        member: answers[entry["host"]].routing[name]
        for member, entry in block["members"].items()
        if name in answers[entry["host"]].routing
    }
    members = _members(name, answers, known, block, routing)
    numbers = {entry["number"]: member for member, entry in members.items() if entry["number"] is not None}
    pairs = (known.measured or {}).get("pairs", {})
    links = links_of(block, routing, known.links, known.target, pairs)
    hops = {member: _hops(said, numbers) for member, said in routing.items() if said["running"]}
    ways = overview(members, hops, round_trips(links), known.target, len(members) <= ALL_PATHS_UP_TO)
    changes = _changes(routing, numbers)
    for member, entry in members.items():
        counts: Mapping[str, int] = ways.counts.get(member, {})
        entry["ways"] = {kind: counts.get(kind, 0) for kind in KINDS} if member in hops else None
        entry["sends_over"] = _sends_over(routing[member]) if member in hops else {}
    measured = {key: value for key, value in (known.measured or {}).items() if key != "pairs"}
    return {
        "members": members,
        "links": links,
        "paths": [_path(path) for path in ways.paths],
        "broken": [_path(path) for path in ways.broken],
        "over_target": [{**_path(path), "target_ms": target} for path, target in ways.over],
        "over_target_count": ways.over_count,
        "relays": dict(ways.relays.most_common()),
        "changes": changes[:MOST_CHANGES],
        "verify": {**measured, "pairs": len(pairs)} if measured else None,
        "tunnels": block["tunnels"],
        "problems": problems_of(members, links, ways),
    }


def run_report(meshes: Mapping[str, Mapping[str, Any]], run: Mapping[str, Any]) -> dict[str, Any]:
    """All meshes of a run. verdict: `wrong` where one thing is."""
    problems = [one for body in meshes.values() for one in body["problems"]]
    members = [one for body in meshes.values() for one in body["members"].values()]
    links = [one for body in meshes.values() for one in body["links"]]
    wrong = sum(one["severity"] == WRONG for one in problems)
    return {
        "schema": SCHEMA,
        "run": dict(run),
        "verdict": WRONG if wrong else FINE,
        "totals": {
            "meshes": len(meshes),
            "members": len(members),
            "seen": sum(one["state"] == "seen" for one in members),
            "routing": sum(one["routing"] is not None and one["routing"]["running"] for one in members),
            "links": len(links),
            "links_down": sum(link["grade"] == DOWN for link in links),
            "links_slow": sum(link["grade"] == SLOW for link in links),
            "changes_hour": sum((one["routing"] or {}).get("changes_hour", 0) for one in members),
            "wrong": wrong,
            "notices": sum(one["severity"] == NOTICE for one in problems),
        },
        "meshes": dict(meshes),
    }


def _members(
    name: str,
    answers: Mapping[str, Answer],
    known: Known,
    block: Mapping[str, Any],
    routing: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Of the registry, and who else anybody knows of, by number."""
    foreign = {end for link in block["links"] if link["foreign"] for end in link["ends"]} - block[
        "members"
    ].keys()
    numbers = mesh_words.numbers(block)
    asked = {host for host, one in answers.items() if one.why or name in one.meshes}
    found = {}
    for member in sorted(
        {*known.members, *block["members"], *(set(numbers) - foreign), *(asked - _hosts(block))}
    ):
        entry, listed = block["members"].get(member, {}), known.members.get(member, {})
        state, why = "seen", ""
        if not entry:
            state, why = _absence(member, answers, known)
        said = routing.get(member)
        found[member] = {
            "number": entry.get("number") or listed.get("number") or numbers.get(member),
            "region": listed.get("region", ""),
            "state": state,
            "why": why,
            "transit": bool(entry.get("transit", listed.get("transit", False))),
            "armed": entry.get("armed"),
            "tunnels": {
                one: sum(tunnel["state"] == one for tunnel in entry.get("tunnels", ()))
                for one in mesh_words.STATES
            },
            "routing": _daemon(said, answers[entry["host"]].now) if said else None,
        }
    ordered = sorted(found, key=lambda one: (found[one]["number"] is None, found[one]["number"] or 0, one))
    return {member: found[member] for member in ordered}


def _hosts(block: Mapping[str, Any]) -> set[str]:
    return {entry["host"] for entry in block["members"].values()}


def _absence(member: str, answers: Mapping[str, Answer], known: Known) -> tuple[str, str]:
    """Why a member is not seen."""
    if member in answers:
        return OUT_OF_REACH, answers[member].why or "it has nothing of this mesh"
    return LEFT_OUT, known.absent.get(member, "no host of this run")


def _daemon(said: Mapping[str, Any], now: float) -> dict[str, Any]:
    """What a page needs of one; changes_more: the recorder keeps no older ones than these"""
    recent = [one["at"] for one in said["changes"] if one["at"] > now - DAY]
    oldest = said["changes"][0]["at"] if said["changes"] else now
    return {
        **{
            key: said[key]
            for key in ("running", "why", "since", "version", "port", "rank", "drained", "dropped")
        },
        "filtered": said["filtered"],
        "lookup": said["lookup"],
        "split": ranges(said["split"]),
        "changes_hour": sum(at > now - HOUR for at in recent),
        "changes_day": len(recent),
        "oldest_change": oldest if said["changes"] else None,
    }


def _hops(said: Mapping[str, Any], numbers: Mapping[Any, str]) -> dict[str, str]:
    return {numbers[int(goal)]: via for goal, (via, _metric) in said["ways"].items() if int(goal) in numbers}


def _sends_over(said: Mapping[str, Any]) -> dict[str, str]:
    """Next member → the numbers of those that are reached by it, as ranges."""
    over: dict[str, list[int]] = {}
    for goal, (via, _metric) in said["ways"].items():
        if via:
            over.setdefault(via, []).append(int(goal))
    return {via: ranges(goals) for via, goals in sorted(over.items())}


def _changes(routing: Mapping[str, Mapping[str, Any]], numbers: Mapping[Any, str]) -> list[dict[str, Any]]:
    """Newest first."""
    found = [
        {
            "at": one["at"],
            "member": member,
            "goal": numbers.get(one["goal"]) or _goal(one["goal"]),
            "from": one["from"],
            "to": one["to"],
            "metric": one["metric"],
        }
        for member, said in routing.items()
        for one in said["changes"]
    ]
    return sorted(found, key=lambda one: -one["at"])


def _goal(goal: int | str) -> str:
    """Of one that no member has, or of a block."""
    return f"numbers {goal}" if isinstance(goal, str) else f"number {goal}"


def _path(path: Path) -> dict[str, Any]:
    return {"kind": path.kind, "goal": path.goal, "members": list(path.members), "rtt_ms": path.rtt}
