# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What routing_info says, checked and made short: a member of a thousand has thousands of routes. Pure.

A node's words are not to be trusted to have any form: what is not as documented is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...module_utils.mesh.share import BLOCK

MOST_CHANGES = 1000
"""So many the recorder of a node keeps."""

MOST_FOREIGN = 100

MOST_NUMBER = 65535

SAME_MOMENT = 1.0
"""s: IPv4 and IPv6 of a destination that change in the same way within that are one change."""


def routing_of(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Mesh → what is kept of it, from a result's key `routing`, which is as routing_info's `meshes`.

    ways: number of the destination → `[next member, metric]`, `["", null]` where the daemon knows no way; of
    IPv4 where both are there; a block of a region stands for all its numbers. split: numbers that IPv6
    reaches by another member. changes: newest last, `goal` a number, or a block's first and last as text.
    lookup: whether the kernel asks the daemon's own tables
    """
    return {
        str(name): _one(info)
        for name, info in _mapping(result.get("routing")).items()
        if isinstance(info, Mapping) and "running" in info
    }


def _one(info: Mapping[str, Any]) -> dict[str, Any]:
    drained = _mapping(info.get("drained"))
    dropped = _mapping(info.get("dropped"))
    ways, split = _ways(info.get("routes"))
    return {
        "running": info.get("running") is True,
        "why": _text(info.get("why")),
        "since": number(info.get("since")),
        "version": _text(info.get("version")),
        "port": whole(info.get("port")),
        "transit": bool(info.get("transit")),
        "rank": whole(info.get("rank")),
        "drained": {
            "whole": drained.get("whole") is True,
            "interfaces": [_text(one) for one in _list(drained.get("interfaces"))],
        },
        "neighbours": [_neighbour(one) for one in _list(info.get("neighbours")) if isinstance(one, Mapping)],
        "ways": ways,
        "split": split,
        "changes": _changes(info.get("changes")),
        "lookup": _mapping(info.get("aggregates")).get("rules") is not False,
        "filtered": number(dropped.get("outside")) is not None,
        "dropped": {
            "outside": whole(dropped.get("outside")),
            "spoofed": whole(dropped.get("spoofed")),
            "circled": whole(dropped.get("circled")),
            "foreign": [
                {
                    "peer": _text(one.get("peer")),
                    "prefix": _text(one.get("prefix")),
                    "at": number(one.get("at")),
                }
                for one in _list(dropped.get("foreign"))[:MOST_FOREIGN]
                if isinstance(one, Mapping)
            ],
        },
    }


def _neighbour(said: Mapping[str, Any]) -> dict[str, Any]:
    """lost: of the last 16 hellos"""
    return {
        "interface": _text(said.get("interface")),
        "peer": _text(said.get("peer")),
        "up": said.get("up") is True,
        "lost": 16 - bin(whole(said.get("reach")) & 0xFFFF).count("1"),
        "cost": whole(said.get("cost")),
        "rxcost": whole(said.get("rxcost")),
        "txcost": whole(said.get("txcost")),
        "rtt_ms": number(said.get("rtt_ms")),
    }


def _ways(said: Any) -> tuple[dict[str, list[Any]], list[int]]:
    """What is installed, and what is known to be unreachable."""
    routes = [route for route in _list(said) if isinstance(route, Mapping)]
    found = _by_number([route for route in routes if ":" not in _text(route.get("prefix"))])
    six = _by_number([route for route in routes if ":" in _text(route.get("prefix"))])
    split = sorted(int(goal) for goal, way in six.items() if found.get(goal, way)[0] != way[0])
    return {**six, **found}, split


def _by_number(routes: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Of one address family. A block's way is that of its numbers, but for those that have their own."""
    single: dict[str, list[Any]] = {}
    whole_blocks: dict[str, list[Any]] = {}
    for route in routes:
        block = _block(route)
        table = whole_blocks if block else single
        known, own = number(route.get("metric")) is not None, whole(route.get("number"))
        for goal in map(str, block or range(max(1, own), own + 1)):
            if known and route.get("installed") is True and _text(route.get("via")):
                table[goal] = [_text(route.get("via")), whole(route.get("metric"))]
            elif not known:
                # One neighbour's way may be gone while another's is in use.
                table.setdefault(goal, ["", None])
    # A way of its own that is gone is not in the way of the block's (docs/decisions/0022).
    return {**single, **{goal: way for goal, way in whole_blocks.items() if not single.get(goal, [""])[0]}}


def _block(route: Mapping[str, Any]) -> range:
    """The numbers that a block's route leads to."""
    ends = [whole(one) for one in _list(route.get("numbers"))]
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1] <= MOST_NUMBER or ends[1] - ends[0] >= BLOCK:
        return range(0)
    return range(max(1, ends[0]), ends[1] + 1)


def _changes(said: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    newest: dict[tuple[int | str, str, str], float] = {}
    entries = [one for one in _list(said) if isinstance(one, Mapping) and number(one.get("at")) is not None]
    for one in sorted(entries, key=lambda one: float(one["at"]))[-MOST_CHANGES:]:
        at = float(one["at"])
        block = _block(one)
        goal = f"{block[0]}-{block[-1]}" if block else whole(one.get("number"))
        key = (goal, _text(one.get("from")), _text(one.get("to")))
        if at - newest.get(key, -math.inf) > SAME_MOMENT:
            metric = number(one.get("metric"))
            found.append({"at": at, "goal": key[0], "from": key[1], "to": key[2], "metric": metric})
        newest[key] = at
    return found


def number(value: Any) -> float | None:
    """A finite number, or None."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        return float(value) if good and math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: Any) -> int:
    """0 for what is no number."""
    found = number(value)
    return 0 if found is None else int(found)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def ranges(numbers: Iterable[int]) -> str:
    """`1-3,7`"""
    runs: list[list[int]] = []
    for one in sorted(set(numbers)):
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
