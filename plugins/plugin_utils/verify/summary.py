# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run, from the judged pairs: totals, regions, members. Pure; docs/verify.md has its
shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from .budget import MEGA
from .confidence import MET, MISSED, NOT_SHOWN, VERDICTS, needed
from .judge import Judged, worst
from .plan import VerifyPlan
from .settings import METRICS

SCHEMA = 1


def report(
    plan: VerifyPlan,
    pairs: Sequence[Judged],
    run: Mapping[str, Any],
    failed: Mapping[str, str],
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """run: playbook, started, finished, seconds; failed: host → why it was not measured; remarks: on nodes"""
    totals = {metric: _counts(entry["verdict"] for entry in entries(pairs, metric)) for metric in METRICS}
    return {
        "schema": SCHEMA,
        "run": {**run, "mesh": plan.mesh, "partial": len(plan.nodes) < plan.members},
        "settings": dict(plan.wide),
        "verdict": worst([item["verdict"] for item in pairs]) or NOT_SHOWN,
        "totals": {
            "members": len(plan.nodes),
            "members_of_mesh": plan.members,
            "pairs": _counts(item["verdict"] for item in pairs),
            **totals,
        },
        "probes_needed": probes_needed(plan, pairs),
        "traffic": {
            "mbytes": round(plan.bytes / MEGA, 1),
            "most_of_a_member_mbytes": round(max(node.bytes for node in plan.nodes.values()) / MEGA, 1),
            "rounds": plan.rounds,
        },
        "not_measured": {**plan.left_out, **failed},
        "remarks": list(remarks),
        "members": {
            name: {"region": node.region, "address": node.address, "mbytes": round(node.bytes / MEGA, 1)}
            for name, node in plan.nodes.items()
        },
        "regions": _regions(pairs),
        "pairs": list(pairs),
    }


def entries(pairs: Iterable[Judged], metric: str) -> list[Judged]:
    """What was judged: latency once for each pair, others in each direction (once where there is but one)."""
    if metric == "latency":
        return [item["latency"] for item in pairs]
    found = []
    for item in pairs:
        ways = item["directions"]
        single = item["round_trip_only"] and metric != "throughput"
        found += [way[metric] for way in (ways[:1] if single else ways)]
    return found


def probes_needed(plan: VerifyPlan, pairs: Sequence[Judged]) -> dict[str, Any]:
    """How many probes without a lost one show the strictest loss, and how long that takes."""
    if not pairs:
        return {}
    strictest = min(item["targets"]["loss_percent"] for item in pairs)
    interval = max(item["interval_ms"] for item in pairs)
    count = needed(strictest / 100, plan.wide["confidence_percent"] / 100)
    return {"loss_percent": strictest, "probes": count, "seconds": round(count * interval / 1000, 1)}


def fails(verdict: str, fail_on: str) -> bool:
    """Whether the playbook ends with an error."""
    return verdict in {"never": (), "missed": (MISSED,), "not_shown": (MISSED, NOT_SHOWN)}[fail_on]


def by_badness(pairs: Iterable[Judged]) -> list[Judged]:
    """Missed first; among equals those that are furthest from their targets."""
    return sorted(pairs, key=lambda item: (VERDICTS.index(item["verdict"]), -distance(item), item["ends"]))


def distance(item: Judged) -> float:
    """The worst value by its target; 1 is at the target."""
    found = [ratio(metric, entry) for metric in METRICS for entry in entries([item], metric)]
    return max((value for value in found if value is not None), default=0.0)


def ratio(metric: str, entry: Judged) -> Optional[float]:
    """Value by target, above 1 is worse than it; None without a value."""
    if entry["value"] is None:
        return None
    if metric == "throughput":
        return float(entry["target"] / max(entry["value"], 1e-9))
    return float(entry["value"] / entry["target"])


def _counts(verdicts: Iterable[Optional[str]]) -> dict[str, int]:
    found = dict.fromkeys((MET, MISSED, NOT_SHOWN, "not_asked"), 0)
    for item in verdicts:
        found[item or "not_asked"] += 1
    return found


def _regions(pairs: Iterable[Judged]) -> list[dict[str, Any]]:
    """Each two regions: how many pairs, the verdicts, the worst values."""
    between: dict[tuple[str, str], list[Judged]] = {}
    for item in pairs:
        first, second = sorted(item["regions"])
        between.setdefault((first, second), []).append(item)
    return [
        {
            "regions": list(regions),
            "pairs": len(found),
            "verdicts": {metric: worst([item["verdicts"][metric] for item in found]) for metric in METRICS},
            "worst": {metric: _worst_value(metric, found) for metric in METRICS},
        }
        for regions, found in sorted(between.items())
    ]


def _worst_value(metric: str, pairs: Sequence[Judged]) -> Optional[float]:
    values = [entry["value"] for entry in entries(pairs, metric) if entry["value"] is not None]
    if not values:
        return None
    return float(min(values) if metric == "throughput" else max(values))
