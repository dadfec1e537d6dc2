# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a mesh, and what is only worth knowing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..report.values import clean, hosts_text
from . import links as link_words
from .ways import LOOP, UNREACHABLE, Overview

WRONG, NOTICE = "wrong", "notice"
RESTLESS = 60
"""Changes of route of one member in an hour."""

MOST_PLACES = 50
UNHEARD = "nothing is known from the other end"
OUT_OF_REACH, LEFT_OUT = "no answer", "not asked"


def problems_of(
    members: Mapping[str, Mapping[str, Any]], links: Iterable[Mapping[str, Any]], ways: Overview
) -> list[dict[str, Any]]:
    """`{severity, what, where: [..], more}`, the wrong first; `more`: so many places beyond those named."""
    found: list[dict[str, Any]] = []

    def say(severity: str, what: str, where: list[str]) -> None:
        if where:
            more = max(0, len(where) - MOST_PLACES)
            found.append({"severity": severity, "what": what, "where": where[:MOST_PLACES], "more": more})

    _members(members, say)
    _links(list(links), say)
    _ways(ways, say)
    return sorted(found, key=lambda one: one["severity"] != WRONG)


def _by_reason(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """Names that share a reason together."""
    names: dict[str, list[str]] = {}
    for name, why in reasons:
        names.setdefault(why, []).append(name)
    return [
        f"{hosts_text(found)}: {why}" if why else hosts_text(found) for why, found in sorted(names.items())
    ]


def _members(members: Mapping[str, Mapping[str, Any]], say: Any) -> None:
    named = list(members.items())
    say(
        WRONG,
        OUT_OF_REACH,
        _by_reason((name, clean(one["why"], 200)) for name, one in named if one["state"] == OUT_OF_REACH),
    )
    say(NOTICE, LEFT_OUT, _by_reason((name, one["why"]) for name, one in named if one["state"] == LEFT_OUT))
    routed = [(name, one["routing"]) for name, one in named if one["routing"] is not None]
    off = [(name, "") for name, said in routed if not said["running"]]
    if routed:
        # A member without the layer is as one whose daemon is off: others count on what it announces.
        off += [
            (name, "no routing layer")
            for name, one in named
            if one["state"] == "seen" and one["routing"] is None
        ]
    else:
        say(
            NOTICE,
            "no routing daemon: packets take the planned routes",
            ["all members that were seen"] if named else [],
        )
    say(WRONG, "routing daemon off", _by_reason(off))
    foreign = [
        f"{name}: {clean(one['prefix'])} from {clean(one['peer'])}"
        for name, said in routed
        for one in said["dropped"]["foreign"]
    ]
    say(WRONG, "foreign prefixes announced, and not taken", list(dict.fromkeys(foreign)))
    for key, severity, what in (
        ("spoofed", WRONG, "Babel from an address that is not the neighbour's, dropped"),
        ("outside", NOTICE, "Babel from outside of the mesh's tunnels, dropped"),
        ("circled", NOTICE, "packets on their way back to where they came from, dropped"),
    ):
        say(
            severity,
            what,
            [f"{name}: {said['dropped'][key]} packets" for name, said in routed if said["dropped"][key]],
        )
    unfiltered = [name for name, said in routed if not said["filtered"]]
    say(NOTICE, "the filter of Babel's packets is gone", unfiltered)
    unasked = [name for name, said in routed if not said["lookup"]]
    say(WRONG, "the rules that have the kernel ask the routing daemon's tables are gone", unasked)
    say(NOTICE, "drained", [name for name, said in routed if said["drained"]["whole"]])
    say(
        NOTICE,
        "links drained",
        [
            f"{name}: {', '.join(map(clean, said['drained']['interfaces']))}"
            for name, said in routed
            if said["drained"]["interfaces"]
        ],
    )
    say(
        NOTICE,
        f"more than {RESTLESS} changes of route in an hour",
        [f"{name}: {said['changes_hour']}" for name, said in routed if said["changes_hour"] > RESTLESS],
    )
    say(NOTICE, "not confirmed yet", [name for name, one in named if one["armed"]])


def _links(links: list[Mapping[str, Any]], say: Any) -> None:
    both, single, tunnels = [], [], []
    for link in links:
        text = " – ".join(map(clean, link["ends"]))
        states = {end: one["state"] for end, one in link["routing"].items()}
        down = [end for end, state in states.items() if state == "down"]
        if len(down) == 2:
            both.append(text)
        elif down:
            others = [f"{state} from {clean(end)}" for end, state in states.items() if end not in down]
            single.append(f"{text}: down seen from {clean(down[0])}, {(others or [UNHEARD])[0]}")
        if not link["routing"] and link["tunnel"] == "down" and len(link["tunnel_seen_from"]) == 2:
            tunnels.append(text)
    say(WRONG, "neighbour down on both sides", both)
    say(WRONG, "tunnel down", tunnels)
    say(NOTICE, "neighbour down on one side", single)
    slow = [link for link in links if link["grade"] == link_words.SLOW]
    slow.sort(key=lambda link: link["target_ms"] - link["rtt_ms"])
    say(
        NOTICE,
        "links slower than their target",
        [
            f"{' – '.join(map(clean, link['ends']))}: {link['rtt_ms']:g} ms, target {link['target_ms']:g}"
            for link in slow
        ],
    )
    say(
        NOTICE,
        "links that missed a target when verify measured them",
        [
            " – ".join(map(clean, link["ends"]))
            for link in links
            if link["verify"] and link["verify"]["verdict"] == "missed"
        ],
    )


def _ways(ways: Overview, say: Any) -> None:
    lost: dict[str, list[str]] = {}
    for path in ways.broken:
        if path.kind == UNREACHABLE:
            lost.setdefault(path.goal, []).append(path.members[0])
    say(WRONG, "no way", [f"to {clean(goal)} from {hosts_text(names)}" for goal, names in lost.items()])
    loops = [
        " → ".join(map(clean, path.members)) + f" (to {clean(path.goal)})"
        for path in ways.broken
        if path.kind == LOOP
    ]
    say(NOTICE, "ways that went in a circle while members were asked", loops)
