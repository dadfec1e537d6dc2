# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report in words for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..report.mesh_text import moment
from ..report.values import clean, plural
from .links import DOWN, SLOW
from .problems import WRONG
from .ways import DIRECT, RELAYED

PLACES, CHANGES = 8, 5
"""So many of each are named; the page has more."""


def lines(report: Mapping[str, Any]) -> list[str]:
    """First the meshes, then what is wrong with them, then the latest changes of route."""
    found: list[str] = []
    for name, body in report["meshes"].items():
        found += [f"mesh {clean(name)}: {headline(body)}", *_problems(body), *_latest(body)]
    totals = report["totals"]
    said = f"WRONG: {plural(totals['wrong'], 'thing')}, see above" if totals["wrong"] else "nothing is wrong"
    return [*found, f"{said}; {plural(totals['notices'], 'notice')}"]


def wrongs(report: Mapping[str, Any]) -> str:
    """What is wrong, in one line; "" where nothing is."""
    return "; ".join(
        f"{clean(name)}: {problem['what']} ({clean(', '.join(problem['where'][:3]), 200)}{_more(problem, 3)})"
        for name, body in report["meshes"].items()
        for problem in body["problems"]
        if problem["severity"] == WRONG
    )


def headline(body: Mapping[str, Any]) -> str:
    """`8 of 9 members seen, 8 with routing; 14 links, 1 down, 2 slower than their target; 40 direct …`"""
    members = body["members"].values()
    seen = sum(one["state"] == "seen" for one in members)
    running = sum(one["routing"] is not None and one["routing"]["running"] for one in members)
    grades = [link["grade"] for link in body["links"]]
    words = [
        f"{seen} of {plural(len(body['members']), 'member')} seen, {running} with a routing daemon",
        f"{plural(len(grades), 'link')}, {grades.count(DOWN)} down, {grades.count(SLOW)} beyond the target",
    ]
    ways = [one["ways"] for one in members if one["ways"]]
    if ways:
        counts = {kind: sum(one[kind] for one in ways) for kind in ways[0]}
        bad = [f"{counts[kind]} {kind}" for kind in counts if counts[kind] and kind not in (DIRECT, RELAYED)]
        words.append(", ".join([f"ways: {counts[DIRECT]} direct, {counts[RELAYED]} relayed", *bad]))
    if body["verify"]:
        words.append(f"verify at {body['verify']['finished']}: {body['verify']['verdict'].replace('_', ' ')}")
    return "; ".join(words)


def change_text(change: Mapping[str, Any]) -> str:
    """`gw1 to ann: gw2 -> directly`"""
    ends = [_by(change[key], change["goal"]) for key in ("from", "to")]
    return f"{clean(change['member'])} to {clean(change['goal'])}: {ends[0]} -> {ends[1]}"


def _by(hop: str, goal: str) -> str:
    if not hop:
        return "no way"
    return "directly" if hop == goal else f"by {clean(hop)}"


def _problems(body: Mapping[str, Any]) -> list[str]:
    found = []
    for problem in body["problems"]:
        mark = "WRONG " if problem["severity"] == WRONG else "notice"
        found.append(f"  {mark}  {problem['what']}")
        found += [f"          {clean(place, 300)}" for place in problem["where"][:PLACES]]
        more = _more(problem, PLACES)
        found += [f"         {more}"] if more else []
    return found


def _more(problem: Mapping[str, Any], shown: int) -> str:
    rest = max(0, len(problem["where"]) - shown) + problem["more"]
    return f" and {rest} more" if rest else ""


def _latest(body: Mapping[str, Any]) -> list[str]:
    found = [f"  {moment(change['at'])}  {change_text(change)}" for change in body["changes"][:CHANGES]]
    return ["  latest changes of route:", *(f"  {line}" for line in found)] if found else []
