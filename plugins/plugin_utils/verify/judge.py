# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the nodes measured to verdicts, pair by pair. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from .confidence import MET, MISSED, NOT_SHOWN, VERDICTS, lower_bound, upper_bound, verdict
from .plan import PairPlan, VerifyPlan
from .settings import METRICS

WAYS = ("out", "back")
"""From the end that begins to the other, and back."""

BOTH = "both"
"""A tool that knows only of there and back."""

LATE = 2.0
"""s; less is the way of things."""

UNREACHED = "nothing answers: neither the server nor echo requests"
BLOCKED = "{why}; echo requests are answered, so a firewall keeps the port closed, or the server is gone"

Judged = dict[str, Any]


def judge(
    plan: VerifyPlan, results: Mapping[str, Optional[Mapping[str, Any]]], failed: Mapping[str, str]
) -> list[Judged]:
    """An entry for each pair, as docs/verify.md has them.

    results: host → what its module answered, None for nothing; failed: host → why it was not measured
    """
    return [_pair(plan, pair, results, failed) for pair in plan.pairs]


def remarks(results: Mapping[str, Optional[Mapping[str, Any]]]) -> list[str]:
    """What went otherwise than it was to, on which node."""
    found = []
    for host, own in sorted(results.items()):
        if own and own.get("late", 0) > LATE:
            window = own.get("window", 0)
            found.append(f"{host} began {own['late']:.0f} s too late, and measured for {window:.0f} s")
        servers = (own or {}).get("servers", {})
        found += [f"{host}: its {tool} server ended early: {why}" for tool, why in sorted(servers.items())]
    return found


def worst(verdicts: list[Optional[str]]) -> Optional[str]:
    """None where nothing was asked for."""
    found = [item for item in verdicts if item is not None]
    return min(found, key=VERDICTS.index, default=None)


def _pair(
    plan: VerifyPlan,
    pair: PairPlan,
    results: Mapping[str, Optional[Mapping[str, Any]]],
    failed: Mapping[str, str],
) -> Judged:
    other = pair.ends[1 - pair.ends.index(pair.client)]
    own = results.get(pair.client)
    why = "; ".join(f"{end} was not measured: {failed[end]}" for end in pair.ends if end in failed)
    if not why and not own:
        why = f"{pair.client} gave no results"
    found: Mapping[str, Any] = {} if why else (own or {}).get("probes", {}).get(other, {})
    moved: Mapping[str, Any] = {} if why else (own or {}).get("transfers", {}).get(other, {})
    sample, reason, answered = _sample(found)
    why = why or reason
    confidence = plan.wide["confidence_percent"] / 100
    allowed = 1 - plan.wide["share_percent"] / 100
    directions: list[Judged] = []
    for way in WAYS:
        ends = (pair.client, other) if way == "out" else (other, pair.client)
        directions.append(
            {
                "from": ends[0],
                "to": ends[1],
                "jitter": _share(_way(sample, "jitter", way), pair.targets["jitter_ms"], allowed, confidence),
                "loss": _loss(_way(sample, "loss", way), pair.targets["loss_percent"], confidence),
                "throughput": _throughput(pair, moved.get(way), why),
            }
        )
    rtt = None if sample is None else sample.get("rtt")
    latency = _share(rtt, pair.targets["latency_ms"], allowed, confidence)
    verdicts: dict[str, Optional[str]] = {"latency": latency["verdict"]}
    for metric in METRICS[1:]:
        verdicts[metric] = worst([direction[metric]["verdict"] for direction in directions])
    return {
        "ends": list(pair.ends),
        "regions": [plan.nodes[end].region for end in pair.ends],
        "kind": pair.kind,
        "tool": None if sample is None else sample["tool"],
        "interval_ms": pair.interval_ms,
        "targets": dict(pair.targets),
        "answered": answered,
        "why": why,
        "round_trip_only": sample is not None and BOTH in sample["loss"],
        "latency": latency,
        "directions": directions,
        "verdicts": verdicts,
        "verdict": worst(list(verdicts.values())) or NOT_SHOWN,
    }


def _sample(found: Mapping[str, Any]) -> tuple[Optional[Mapping[str, Any]], str, bool]:
    """What is judged, what is to be said of it, and whether anything was answered."""
    measured, echo = found.get("measured"), found.get("echo")
    why = str(found.get("why") or "")
    if measured:
        return measured, "", measured["received"] > 0
    if echo is None:
        return None, why or "nothing was measured", False
    if echo["received"] == 0:
        return echo, f"{UNREACHED} ({why})" if why else UNREACHED, False
    return echo, BLOCKED.format(why=why), True


def _way(sample: Optional[Mapping[str, Any]], metric: str, way: str) -> Optional[Mapping[str, Any]]:
    if sample is None:
        return None
    found = sample[metric]
    return found.get(BOTH) if BOTH in found else found.get(way)


def _share(found: Optional[Mapping[str, Any]], target: float, allowed: float, confidence: float) -> Judged:
    """Latency or jitter: at most `allowed` (0 to 1) of the values are above the target."""
    if not found:
        return {"verdict": NOT_SHOWN, "value": None, "target": target, "n": 0}
    return {
        "verdict": verdict(found["over"], found["n"], allowed, confidence),
        "target": target,
        "over_percent_at_most": _percent(upper_bound(found["over"], found["n"], confidence)),
        **found,
    }


def _loss(found: Optional[Mapping[str, Any]], target: float, confidence: float) -> Judged:
    if not found or not found["sent"]:
        return {"verdict": NOT_SHOWN, "value": None, "target": target, "sent": 0, "lost": 0}
    lost, sent = found["lost"], found["sent"]
    return {
        "verdict": verdict(lost, sent, target / 100, confidence),
        "value": _percent(lost / sent),
        "target": target,
        "sent": sent,
        "lost": lost,
        "at_most": _percent(upper_bound(lost, sent, confidence)),
        "at_least": _percent(lower_bound(lost, sent, confidence)),
    }


def _throughput(pair: PairPlan, found: Optional[Mapping[str, Any]], why: str) -> Judged:
    """One run, so no confidence is claimed. A verdict of None: nobody asked for it."""
    target = pair.targets["throughput_mbit"]
    empty: Judged = {"value": None, "target": target}
    if not pair.asked:
        return {"verdict": None, **empty, "why": pair.no_transfer}
    if pair.transfer is None:
        return {"verdict": NOT_SHOWN, **empty, "why": pair.no_transfer}
    if not found:
        return {"verdict": NOT_SHOWN, **empty, "why": why or "the clock of an end is not known well enough"}
    if "mbit" not in found:
        return {"verdict": NOT_SHOWN, **empty, "why": str(found.get("why", ""))}
    return {
        "verdict": MET if found["mbit"] >= target else MISSED,
        "value": found["mbit"],
        "target": target,
        "why": "",
        "retransmits": found.get("retransmits"),
        "seconds": found.get("seconds"),
    }


def _percent(share: float) -> float:
    return round(share * 100, 6)
