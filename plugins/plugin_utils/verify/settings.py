# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `verify_` variables of all hosts of a run: checked, and brought together. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.core.errors import BindError, Problem

NONE, LINKS, SAMPLE = "none", "links", "sample"
THROUGHPUT = (NONE, LINKS, SAMPLE)
"""Which pairs transfers are for, the fewest first: of the two ends of a pair the one with fewer counts."""

METRICS = ("latency", "jitter", "loss", "throughput")
TARGETS = {
    "latency": "latency_ms",
    "jitter": "jitter_ms",
    "loss": "loss_percent",
    "throughput": "throughput_mbit",
}
UNITS = {"latency": "ms", "jitter": "ms", "loss": "%", "throughput": "Mbit/s"}

LEAST_TOTAL, A_MEMBER = 20000.0, 100.0
"""MB of a run altogether where nobody says how many: so many at least, and so many a member."""

FAIL_ON = ("missed", "not_shown", "never")

Check = Callable[[Any], bool]


def _within(low: float, high: float, above: bool = False, below: bool = False) -> Check:
    def good(value: Any) -> bool:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return (
            number and low <= value <= high and not (above and value == low) and not (below and value == high)
        )

    return good


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


@dataclass(frozen=True)
class Variable:
    """wide: the same for all hosts of a run"""

    default: Any
    good: Check
    allowed: str
    wide: bool = False


VARIABLES: dict[str, Variable] = {
    "latency_ms": Variable(50.0, _within(0, 60000, above=True), "ms, above 0 and up to 60000"),
    "jitter_ms": Variable(1.0, _within(0, 60000, above=True), "ms, above 0 and up to 60000"),
    "loss_percent": Variable(
        0.01, _within(0, 100, True, True), "percent, above 0 (which no measurement can show) and below 100"
    ),
    "throughput_mbit": Variable(1000.0, _within(0, 1e6, above=True), "Mbit/s, above 0 and up to 1000000"),
    "probe": Variable("irtt", lambda value: value in ("irtt", "fping"), "irtt or fping"),
    "throughput": Variable(LINKS, lambda value: value in THROUGHPUT, "none, links or sample"),
    "budget_mbytes": Variable(2000.0, _within(1, 1e9), "MB, 1 or more"),
    "port": Variable(22112, _whole(1024, 65535), "a port from 1024 to 65535"),
    "interval_ms": Variable(10.0, _within(5, 1000), "ms from 5 to 1000"),
    "window": Variable(330, _whole(10, 3600), "whole seconds from 10 to 3600", wide=True),
    "share_percent": Variable(95.0, _within(50, 100, below=True), "percent, from 50 to below 100", wide=True),
    "confidence_percent": Variable(
        95.0, _within(50, 100, below=True), "percent, from 50 to below 100", wide=True
    ),
    "throughput_seconds": Variable(3, _whole(2, 30), "whole seconds from 2 to 30", wide=True),
    "budget_total_mbytes": Variable(0.0, _within(0, 1e12), "MB; 0 for what follows from the members", True),
    "all_pairs_up_to": Variable(16, _whole(2, 64), "members, 2 to 64", wide=True),
    "sample": Variable(2, _whole(1, 16), "1 to 16", wide=True),
    "seed": Variable(0, _whole(0, 2**31), "a whole number from 0", wide=True),
    "between": Variable(
        {}, lambda value: isinstance(value, Mapping), "a map from two regions to targets", True
    ),
    "fail_on": Variable("missed", lambda value: value in FAIL_ON, "missed, not_shown or never", wide=True),
    "install": Variable(True, lambda value: isinstance(value, bool), "true or false"),
}
"""Without the prefix `verify_`."""

_REGIONS = re.compile(r"(\S+) (\S+)")

RegionPair = tuple[str, str]


@dataclass(frozen=True)
class Wishes:
    """What the run is to do.

    wide: variable → value; hosts: host → variable → value; between: sorted regions → target → value
    """

    wide: Mapping[str, Any]
    hosts: Mapping[str, Mapping[str, Any]]
    between: Mapping[RegionPair, Mapping[str, float]] = field(default_factory=dict)


def wishes_of(hosts: Mapping[str, Mapping[str, Any]], regions: Iterable[str]) -> Wishes:
    """hosts: host → variable → value (null or absent for the default), and `origins`: variable → where from.

    regions: those of the mesh. Raises BindError with all that is wrong.
    """
    problems: list[Problem] = []
    found: dict[str, dict[str, Any]] = {}
    for host, given in sorted(hosts.items()):
        origins = given.get("origins") or {}
        found[host] = {}
        for key, variable in VARIABLES.items():
            value = given.get(key)
            value = variable.default if value is None else value
            if not variable.good(value):
                origin = str(origins.get(key, "default"))
                problems.append(Problem(f"verify_{key}", value, variable.allowed, origin, host))
                value = variable.default
            found[host][key] = value
    wide = {key: _agreed(key, hosts, found, problems) for key, item in VARIABLES.items() if item.wide}
    wide["budget_total_mbytes"] = wide["budget_total_mbytes"] or max(LEAST_TOTAL, A_MEMBER * len(hosts))
    origin = _origin("between", hosts)
    between = _between(wide["between"], set(regions), origin, problems)
    if problems:
        raise BindError(_folded(problems))
    own = {key for key, item in VARIABLES.items() if not item.wide}
    return Wishes(wide, {host: {key: values[key] for key in own} for host, values in found.items()}, between)


def combined(wishes: Wishes, ends: tuple[str, str], regions: RegionPair) -> dict[str, float]:
    """Target → value for a pair: what `verify_between` says of its regions, else the looser of its ends'."""
    one, other = (wishes.hosts[end] for end in ends)
    said = wishes.between.get(_ordered(regions), {})
    found = {}
    for key in TARGETS.values():
        loosest = min if key == "throughput_mbit" else max
        found[key] = float(said.get(key, loosest(one[key], other[key])))
    return found


def _agreed(
    key: str,
    hosts: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
    problems: list[Problem],
) -> Any:
    values: dict[str, tuple[Any, list[str]]] = {}
    for host, own in found.items():
        values.setdefault(repr(own[key]), (own[key], []))[1].append(host)
    if len(values) > 1:
        for value, names in values.values():
            origin = str((hosts[names[0]].get("origins") or {}).get(key, "default"))
            allowed = f"one value for all hosts of a run; {len(values)} differ"
            problems.append(Problem(f"verify_{key}", value, allowed, origin, _some(names)))
    return next(iter(values.values()))[0] if values else VARIABLES[key].default


def _between(
    value: Any, regions: set[str], origin: str, problems: list[Problem]
) -> dict[RegionPair, dict[str, float]]:
    found: dict[RegionPair, dict[str, float]] = {}
    for words, targets in value.items() if isinstance(value, Mapping) else ():
        matched = _REGIONS.fullmatch(str(words))
        if not matched or not {matched[1], matched[2]} <= regions:
            allowed = f"two regions of the mesh ({', '.join(sorted(regions))}) with a blank between them"
            problems.append(Problem("verify_between", words, allowed, origin))
            continue
        pair = _ordered((matched[1], matched[2]))
        if pair in found:
            problems.append(Problem("verify_between", words, "each two regions once", origin))
        if not isinstance(targets, Mapping):
            allowed = f"a map of {', '.join(TARGETS.values())}"
            problems.append(Problem(f"verify_between {words}", targets, allowed, origin))
            continue
        for key, target in targets.items():
            if key not in TARGETS.values():
                allowed = f"one of {', '.join(TARGETS.values())}"
                problems.append(Problem(f"verify_between {words}", key, allowed, origin))
            elif not VARIABLES[key].good(target):
                allowed = VARIABLES[key].allowed
                problems.append(Problem(f"verify_between {words} {key}", target, allowed, origin))
        found[pair] = dict(targets)
    return found


def _origin(key: str, hosts: Mapping[str, Mapping[str, Any]]) -> str:
    found = [(given.get("origins") or {}).get(key) for _host, given in sorted(hosts.items())]
    return str(next((origin for origin in found if origin), "default"))


def _folded(problems: Iterable[Problem]) -> list[Problem]:
    """One for all hosts that have the same one."""
    found: dict[tuple[str, str, str, str], list[Problem]] = {}
    for problem in problems:
        key = (problem.key, repr(problem.value), problem.allowed, problem.origin)
        found.setdefault(key, []).append(problem)
    return [
        Problem(
            same[0].key, same[0].value, same[0].allowed, same[0].origin, _some([one.target for one in same])
        )
        for same in found.values()
    ]


def _some(names: Iterable[str]) -> str:
    every = sorted({name for name in names if name})
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")


def _ordered(regions: RegionPair) -> RegionPair:
    return regions if regions[0] <= regions[1] else (regions[1], regions[0])
