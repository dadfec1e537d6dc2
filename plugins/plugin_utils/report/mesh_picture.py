# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as a picture: an SVG for the page, members on a circle in the order of their regions.

No script, no outside resource; everything a node said is escaped here. A mesh of more than MOST members is
drawn by its regions (blocks of member numbers).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report.mesh import STATES, numbers
from ansible_collections.swarm.node.plugins.plugin_utils.report.mesh_text import seen_text
from ansible_collections.swarm.node.plugins.plugin_utils.report.values import clean, plural

MOST = 200
"""More dots on a circle cannot be told apart."""

BLOCK = 64
"""Members of a region have numbers of whole blocks."""

SPACE = 16
"""Between two dots on the circle; text is 11 high. Lengths are SVG user units."""

LEAST_RADIUS = 110
LABEL_CHARACTERS = 24
CHARACTER = 6.5
"""Width of one, about; the font is the reader's."""

FEW = 12
"""So many labels can stand upright."""

ORDER = ("good", "fair", "unmeasured", "slow", "up", "partly", *STATES[1:])
"""In which lines are drawn: what is not up lies on top. `partly`: some links between two regions are up.
Those before `up` are grades of the mesh report."""


@dataclass
class Dot:
    """A member, or a region of them."""

    name: str
    title: str
    kinds: list[str] = field(default_factory=list)
    size: float = 5.0
    angle: float = 0.0


@dataclass
class Line:
    ends: tuple[str, str]
    state: str
    title: str
    width: float = 1.5


def draw(name: str, block: Mapping[str, Any]) -> str:
    """The mesh `name` as one <svg>; `block` as `mesh.join` makes it."""
    known = numbers(block)
    label = f"mesh {clean(name)}: {plural(len(known), 'member')}, {plural(len(block['links']), 'link')}"
    if len(known) > MOST:
        groups = regions(known)
        return picture(label, _region_dots(block, groups), _region_lines(block, groups))
    dots = [_member_dot(member, block) for member in in_order(known)]
    return picture(label, dots, _member_lines(block), starts(known))


def picture(label: str, dots: list[Dot], lines: list[Line], apart: list[bool] | None = None) -> str:
    """One <svg>. apart: which dots stand apart from the one before; all of them where nothing is said."""
    apart = [True] * len(dots) if apart is None else apart
    radius = _put_on_circle(dots, apart if len(dots) > 8 else [False] * len(dots))
    return _svg(label, dots, lines, radius)


def in_order(known: Mapping[str, int | None]) -> list[str]:
    """Members by their numbers."""
    return sorted(known, key=lambda member: _place(member, known))


def starts(known: Mapping[str, int | None]) -> list[bool]:
    """Which of them, in that order, is the first of its region."""
    return _starts([_block_of(known[member]) for member in in_order(known)])


def region_size(count: int) -> float:
    """Of the dot of a region with so many members."""
    return 5 + min(9.0, math.sqrt(count))


def line_width(count: int) -> float:
    """Of the line that is so many links."""
    return min(6.0, 1 + math.sqrt(count) / 2)


# -- what is drawn


def _member_dot(member: str, block: Mapping[str, Any]) -> Dot:
    entry = block["members"].get(member)
    if entry is None:
        foreign = any(link["foreign"] and member in link["ends"] for link in block["links"])
        return Dot(member, f"{clean(member)}: {'foreign peer' if foreign else 'not seen'}", ["unseen"])
    counts = {state: sum(tunnel["state"] == state for tunnel in entry["tunnels"]) for state in STATES}
    words = [f"{count} {state}" for state, count in counts.items() if count] or ["no tunnels"]
    kinds, said = [], [clean(member), *(clean(address) for address in entry["addresses"])]
    if entry["transit"]:
        kinds.append("hub")
        said.append("forwards for others")
    if entry["armed"]:
        kinds.append("armed")
        said.append("not confirmed yet")
    return Dot(member, f"{', '.join(said)}: tunnels {', '.join(words)}", kinds)


def _member_lines(block: Mapping[str, Any]) -> list[Line]:
    return [
        Line(
            (link["ends"][0], link["ends"][1]),
            link["state"],
            f"{' – '.join(clean(end) for end in link['ends'])}: {', '.join(seen_text(link))}",
        )
        for link in block["links"]
    ]


def regions(known: Mapping[str, int | None]) -> dict[str, str]:
    """Member → name of its region; at most MOST regions, so that several blocks may be one."""
    size = BLOCK
    while len({_block_of(number, size) for number in known.values()}) > MOST:
        size *= 2
    blocks: dict[int, list[str]] = {}
    for member, number in known.items():
        blocks.setdefault(_block_of(number, size), []).append(member)
    found = {}
    for block, members in sorted(blocks.items()):
        title = _region_name(members, block, size)
        found.update(dict.fromkeys(members, title))
    return found


def _region_name(members: Iterable[str], block: int, size: int) -> str:
    """What follows the first dot of their names (`gw1.fra`), where they agree; else their numbers."""
    numbers_text = "without number" if block < 0 else f"{max(1, block * size)}–{(block + 1) * size - 1}"
    domains = {member.partition(".")[2] for member in members}
    domain = domains.pop() if len(domains) == 1 else ""
    return f"{domain} ({numbers_text})" if domain else numbers_text


def _region_dots(block: Mapping[str, Any], groups: Mapping[str, str]) -> list[Dot]:
    members: dict[str, list[str]] = {}
    for member, region in groups.items():
        members.setdefault(region, []).append(member)
    inside: dict[str, list[str]] = {}
    for link in block["links"]:
        first, second = (groups[end] for end in link["ends"])
        if first == second:
            inside.setdefault(first, []).append(link["state"])
    dots = []
    for region, names in members.items():
        entries = [block["members"][name] for name in names if name in block["members"]]
        states = inside.get(region, [])
        bad = sum(state != "up" for state in states)
        said = f"{plural(len(names), 'member')}, {len(entries)} seen, {plural(len(states), 'link')} inside"
        kinds = ["hub"] if any(entry["transit"] for entry in entries) else []
        kinds += ["armed"] if any(entry["armed"] for entry in entries) else []
        kinds += ["trouble"] if bad else []
        kinds += [] if entries else ["unseen"]
        dots.append(Dot(region, f"{clean(region)}: {said}, {bad} not up", kinds, region_size(len(names))))
    return dots


def _region_lines(block: Mapping[str, Any], groups: Mapping[str, str]) -> list[Line]:
    """Links between two regions are one line."""
    between: dict[tuple[str, str], list[str]] = {}
    rank = {region: index for index, region in enumerate(dict.fromkeys(groups.values()))}
    for link in block["links"]:
        first, second = sorted((groups[end] for end in link["ends"]), key=lambda region: rank[region])
        if first != second:
            between.setdefault((first, second), []).append(link["state"])
    return [
        Line(
            ends,
            _state_of_many(states),
            f"{' – '.join(clean(end) for end in ends)}: {plural(len(states), 'link')}, "
            f"{sum(state != 'up' for state in states)} not up",
            line_width(len(states)),
        )
        for ends, states in sorted(between.items())
    ]


def _state_of_many(states: list[str]) -> str:
    """One bad link of thirty is no reason to paint all of them red."""
    if all(state == "up" for state in states):
        return "up"
    return "partly" if "up" in states else max(states, key=STATES.index)


# -- where it is drawn


def _place(member: str, known: Mapping[str, int | None]) -> tuple[int, int, str]:
    """Without a number (a foreign peer may have none) last."""
    number = known[member]
    return (1, 0, member) if number is None else (0, number, member)


def _block_of(number: int | None, size: int = BLOCK) -> int:
    return -1 if number is None else number // size


def _starts(blocks: list[int]) -> list[bool]:
    """Whether a member is the first of its region; alone on the circle, no region stands apart."""
    if len(set(blocks)) < 2:
        return [False] * len(blocks)
    return [index == 0 or block != blocks[index - 1] for index, block in enumerate(blocks)]


def _put_on_circle(dots: list[Dot], starts: list[bool]) -> float:
    """Gives every dot its angle, with a gap before each region. Returns the radius."""
    steps = [1 + start for start in starts]
    around = max(1, sum(steps))
    at = 0.0
    for dot, step in zip(dots, steps):
        at += step - 1
        dot.angle = 2 * math.pi * at / around - math.pi / 2
        at += 1
    spacing = max([SPACE, *(2.4 * dot.size for dot in dots)])
    return max(float(LEAST_RADIUS), around * spacing / (2 * math.pi))


def _svg(label: str, dots: list[Dot], lines: list[Line], radius: float) -> str:
    width, height = _frame(dots, radius)
    places = {dot.name: (radius * math.cos(dot.angle), radius * math.sin(dot.angle)) for dot in dots}
    parts = [
        f'<svg class="mesh" role="img" xmlns="http://www.w3.org/2000/svg" aria-label="{escape(label)}" '
        f'viewBox="{-width:.0f} {-height:.0f} {2 * width:.0f} {2 * height:.0f}">'
        f"<title>{escape(label)}</title>"
    ]
    for line in sorted(lines, key=lambda line: ORDER.index(line.state)):
        parts.append(_line(line, places))
    parts += [_dot(dot, places[dot.name], len(dots)) for dot in dots]
    return "\n".join([*parts, "</svg>"])


def _frame(dots: list[Dot], radius: float) -> tuple[float, float]:
    """Half the width and half the height: the circle, the dots and the labels around them."""
    longest = max((len(clean(dot.name, LABEL_CHARACTERS)) for dot in dots), default=0)
    around = radius + 20 + max((dot.size for dot in dots), default=0)
    width = around + CHARACTER * longest
    return width, around + 12 if len(dots) <= FEW else width


def _line(line: Line, places: Mapping[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = (places[end] for end in line.ends)
    return (
        f'<line class="link-{line.state}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke-width="{line.width:.1f}"><title>{escape(line.title)}</title></line>'
    )


def _dot(dot: Dot, place: tuple[float, float], count: int) -> str:
    x, y = place
    size = dot.size + (2 if "hub" in dot.kinds else 0)
    kinds = escape(" ".join(["dot", *dot.kinds]))
    if "hub" in dot.kinds:
        corner = f'x="{x - size:.1f}" y="{y - size:.1f}"'
        shape = f'<rect class="{kinds}" {corner} width="{2 * size:.1f}" height="{2 * size:.1f}" rx="2"/>'
    else:
        shape = f'<circle class="{kinds}" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
    return f"<g>{shape}{_label(dot, place, size, count)}<title>{escape(dot.title)}</title></g>"


def _label(dot: Dot, place: tuple[float, float], size: float, count: int) -> str:
    """Outwards from the circle; upright for few dots, along the radius for many."""
    left = math.cos(dot.angle) < -1e-6
    factor = 1 + (size + 6) / math.hypot(*place)
    x, y = place[0] * factor, place[1] * factor
    turn = ""
    if count > FEW:
        degrees = math.degrees(dot.angle) + (180 if left else 0)
        turn = f' transform="rotate({degrees:.1f} {x:.1f} {y:.1f})"'
    upright = count <= FEW and abs(math.cos(dot.angle)) < 0.2
    anchor = "middle" if upright else "end" if left else "start"
    if upright:
        y += 6 * math.sin(dot.angle)
    text = escape(clean(dot.name, LABEL_CHARACTERS))
    return f'<text x="{x:.1f}" y="{y:.1f}" dy="4" text-anchor="{anchor}"{turn}>{text}</text>'
