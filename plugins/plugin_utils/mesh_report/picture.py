# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the mesh, as the report of a run draws it, with links in the colours of their grades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..report import mesh_picture
from ..report.mesh_picture import Dot, Line
from ..report.values import clean, plural
from .links import DOWN, GRADES, PARTLY, UNMEASURED

_WIDTHS = {DOWN: 2.0, PARTLY: 2.0, UNMEASURED: 1.0}


def draw(name: str, body: Mapping[str, Any]) -> str:
    """One <svg> of a mesh's part of the report. By regions where there are too many members to tell apart."""
    members, links = body["members"], body["links"]
    numbers = {member: one["number"] for member, one in members.items()}
    for link in links:
        for end in link["ends"]:
            numbers.setdefault(end, None)
    label = f"mesh {clean(name)}: {plural(len(numbers), 'member')}, {plural(len(links), 'link')}"
    if len(numbers) > mesh_picture.MOST:
        regions = mesh_picture.regions(numbers)
        return mesh_picture.picture(
            label, _region_dots(members, links, regions), _region_lines(links, regions)
        )
    dots = [_dot(member, members.get(member)) for member in mesh_picture.in_order(numbers)]
    lines = [
        Line((link["ends"][0], link["ends"][1]), link["grade"], _title(link), _WIDTHS.get(link["grade"], 1.5))
        for link in links
    ]
    return mesh_picture.picture(label, dots, lines, mesh_picture.starts(numbers))


def _dot(member: str, one: Mapping[str, Any] | None) -> Dot:
    if one is None or one["state"] != "seen":
        return Dot(member, f"{clean(member)}: {clean(one['why'], 200) if one else 'not known'}", ["unseen"])
    kinds, said = [], [clean(member)]
    if one["transit"]:
        kinds.append("hub")
        said.append("forwards for others")
    routing = one["routing"]
    if routing is None or not routing["running"]:
        kinds.append("trouble" if routing is not None else "plain")
        said.append("its routing daemon is off" if routing is not None else "no routing daemon")
    elif routing["drained"]["whole"]:
        kinds.append("armed")
        said.append("drained")
    if one["ways"]:
        said.append(", ".join(f"{count} {kind}" for kind, count in one["ways"].items() if count))
    return Dot(member, ": ".join([said[0], ", ".join(said[1:]) or "seen"]), kinds)


def _title(link: Mapping[str, Any]) -> str:
    words = [" – ".join(clean(end) for end in link["ends"]) + ": " + link["grade"]]
    if link["rtt_ms"] is not None:
        words.append(f"{link['rtt_ms']:g} ms of {link['target_ms']:g}")
    for end, said in link["routing"].items():
        cost = f", cost {said['cost']}" if said["cost"] is not None else ""
        words.append(f"{clean(end)}: {said['state']}{cost}")
    return "; ".join(words)


def _region_dots(
    members: Mapping[str, Mapping[str, Any]], links: list[Mapping[str, Any]], regions: Mapping[str, str]
) -> list[Dot]:
    inside: dict[str, list[str]] = {}
    for link in links:
        first, second = (regions[end] for end in link["ends"])
        if first == second:
            inside.setdefault(first, []).append(link["grade"])
    found = []
    for region in dict.fromkeys(regions.values()):
        names = [name for name, where in regions.items() if where == region]
        entries = [members[name] for name in names if name in members and members[name]["state"] == "seen"]
        own = inside.get(region, [])
        off = any(one["routing"] and not one["routing"]["running"] for one in entries)
        kinds = ["hub"] if any(one["transit"] for one in entries) else []
        kinds += ["trouble"] if off or PARTLY in own or DOWN in own else []
        kinds += [] if entries else ["unseen"]
        said = f"{plural(len(names), 'member')}, {len(entries)} seen, {_counts(own)} inside"
        found.append(Dot(region, f"{clean(region)}: {said}", kinds, mesh_picture.region_size(len(names))))
    return found


def _region_lines(links: list[Mapping[str, Any]], regions: Mapping[str, str]) -> list[Line]:
    """All links of two regions are one line, in the colour of the worst; `partly` where some are down."""
    rank = {region: index for index, region in enumerate(dict.fromkeys(regions.values()))}
    between: dict[tuple[str, str], list[str]] = {}
    for link in links:
        first, second = sorted((regions[end] for end in link["ends"]), key=lambda region: rank[region])
        if first != second:
            between.setdefault((first, second), []).append(link["grade"])
    return [
        Line(
            ends,
            _grade_of_many(grades),
            f"{' – '.join(clean(end) for end in ends)}: {_counts(grades)}",
            mesh_picture.line_width(len(grades)),
        )
        for ends, grades in sorted(between.items())
    ]


def _grade_of_many(grades: list[str]) -> str:
    worst = max(grades, key=GRADES.index)
    return PARTLY if worst == DOWN and any(grade != DOWN for grade in grades) else worst


def _counts(grades: list[str]) -> str:
    words = [f"{grades.count(grade)} {grade}" for grade in GRADES if grade in grades]
    return f"{plural(len(grades), 'link')}{' (' + ', '.join(words) + ')' if words else ''}"
