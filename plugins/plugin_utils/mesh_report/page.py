# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one self-contained HTML page, in the style of the other reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..report import mesh_picture
from ..report.mesh_text import moment
from ..report.pages import templates
from ..report.values import clean, hosts_text, plural
from . import lines
from .links import DOWN, GOOD, GRADES
from .picture import draw
from .ways import DIRECT, KINDS, RELAYED

HERE = Path(__file__).resolve().parent

LINKS, CHANGES, PAIRS = 300, 200, 100
"""Rows of a table; the JSON has all."""


def render(report: Mapping[str, Any]) -> str:
    """Everything a node said is escaped by the environment, or by the picture itself."""
    environment = templates(HERE)
    environment.filters.update(clean=clean, plural=plural, hosts=hosts_text, moment=_moment)
    environment.globals.update(
        change_text=lines.change_text, headline=lines.headline, places=lines.PLACES, path_text=_path_text
    )
    return environment.get_template("mesh_report.html.j2").render(
        report=report, meshes={name: _view(name, body) for name, body in report["meshes"].items()}
    )


def _view(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What the template does not reckon itself."""
    links = sorted(body["links"], key=_badness)
    paths: dict[str, list[Mapping[str, Any]]] = {}
    for path in body["paths"]:
        paths.setdefault(path["members"][0], []).append(path)
    members = body["members"].values()
    known = {kind for one in members for kind, count in (one["ways"] or {}).items() if count}
    grades = {GOOD, DOWN, *(link["grade"] for link in links)}
    return {
        "body": body,
        "picture": draw(name, body),
        "by_region": len(body["members"]) > mesh_picture.MOST,
        "links": links[:LINKS],
        "links_more": max(0, len(links) - LINKS),
        "changes": body["changes"][:CHANGES],
        "changes_more": max(0, len(body["changes"]) - CHANGES),
        "over": body["over_target"][:PAIRS],
        "over_more": body["over_target_count"] - min(PAIRS, len(body["over_target"])),
        "paths": paths,
        "relays": list(body["relays"].items())[:PAIRS],
        "routed": any(one["routing"] is not None for one in members),
        "kinds": [kind for kind in KINDS if kind in (DIRECT, RELAYED) or kind in known],
        "grades": [grade for grade in GRADES if grade in grades],
    }


def _badness(link: Mapping[str, Any]) -> tuple[int, float]:
    """Of two of a grade the one first that is nearer to its target, or further beyond it."""
    share = link["rtt_ms"] / link["target_ms"] if link["rtt_ms"] is not None else 0.0
    return -GRADES.index(link["grade"]), -share


def _path_text(path: Mapping[str, Any]) -> str:
    """`directly`, `by gw1, gw2`, or how far it is known"""
    if path["kind"] == DIRECT:
        return "directly"
    between = ", ".join(clean(one) for one in path["members"][1:-1])
    if path["kind"] == RELAYED:
        return f"by {between}"
    last = clean(path["members"][-1])
    return {
        "unreachable": f"no way, says {last}",
        "unknown": f"not known from {last} on",
    }.get(path["kind"], "in a circle: " + " → ".join(clean(one) for one in path["members"]))


def _moment(unix: float | None) -> str:
    return "–" if unix is None else moment(unix)
