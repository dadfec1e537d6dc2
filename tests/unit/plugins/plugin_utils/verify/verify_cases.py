# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes and measurements for the tests of verify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import (
    Identity,
    Link,
    Member,
    Registry,
    Settings,
    pair_of,
)
from ansible_collections.swarm.node.plugins.plugin_utils.verify.plan import VerifyPlan, make_plan

SETTINGS = Settings(prefixes=("10.99.0.0/16", "fd5e:7a11:9c3d::/48"))


def registry(regions: Mapping[str, str], links: list[tuple[str, str]], **members: Member) -> Registry:
    """regions: member → its region"""
    every = {
        name: Member(name, number, region, port=51820, keys={1: "k"})
        for number, (name, region) in enumerate(regions.items(), 1)
    }
    found = {pair_of(*ends): Link(pair_of(*ends), (0, 0), Identity((1, 1))) for ends in links}
    return Registry("wan", SETTINGS, members={**every, **members}, links=found)


SMALL = {"gw1.fra": "fra", "n1.fra": "fra", "gw1.ams": "ams", "home-ann": "home"}
LINKS = [("gw1.fra", "n1.fra"), ("gw1.fra", "gw1.ams"), ("gw1.ams", "home-ann")]


def small(hosts: Mapping[str, Mapping[str, Any]] | None = None, **common: Any) -> VerifyPlan:
    """Four members in three regions, with three links. hosts: of the run; common: variables of all of them"""
    given = {name: {} for name in SMALL} if hosts is None else hosts
    return make_plan(registry(SMALL, LINKS), {name: {**common, **own} for name, own in given.items()}, ())


def large(count: int, regions: int, degree: int = 6) -> Registry:
    """A ring of neighbours in each region, its first members linked to the next region's."""
    names = {f"n{number:04}": f"r{number * regions // count:03}" for number in range(count)}
    order = list(names)
    links = {
        pair_of(order[at], order[(at + step) % count])
        for at in range(count)
        for step in range(1, degree // 2 + 1)
    }
    return registry(names, sorted(links))


def stats(n: int = 33000, over: int = 0, value: float = 0.3) -> dict[str, Any]:
    same = dict.fromkeys(("value", "mean", "p50", "p95", "p99", "max"), value)
    return {"n": n, "over": over, **same}


def irtt(sent: int = 33000, out: int = 0, back: int = 0, **more: Any) -> dict[str, Any]:
    """As the node's parser gives it."""
    received = sent - out - back
    found = {
        "tool": "irtt",
        "sent": sent,
        "received": received,
        "seconds": 330.0,
        "loss": {"out": {"sent": sent, "lost": out}, "back": {"sent": sent - out, "lost": back}},
        "rtt": stats(received, value=12.0),
        "jitter": {"out": stats(received), "back": stats(received)},
    }
    return {**found, **more}


def echo(sent: int = 330, lost: int = 0) -> dict[str, Any]:
    answered = sent - lost
    return {
        "tool": "fping",
        "sent": sent,
        "received": answered,
        "loss": {"both": {"sent": sent, "lost": lost}},
        "rtt": stats(answered, value=12.0) if answered else None,
        "jitter": {"both": stats(answered - 1) if answered > 1 else None},
    }


def results(
    plan: VerifyPlan, probes: Mapping[tuple[str, str], Any] | None = None, mbit: float = 1100.0
) -> dict[str, dict[str, Any]]:
    """What all nodes answer where all is well. probes: pair → what is there instead"""
    found: dict[str, dict[str, Any]] = {name: {"probes": {}, "transfers": {}} for name in plan.nodes}
    for pair in plan.pairs:
        other = pair.ends[1 - pair.ends.index(pair.client)]
        well = {"measured": irtt(), "why": "", "echo": echo(), "echo_why": ""}
        found[pair.client]["probes"][other] = (probes or {}).get(pair.ends, well)
        if pair.transfer is not None:
            way = {"mbit": mbit, "seconds": 3.0, "mbytes": mbit * 3 / 8, "retransmits": 0}
            found[pair.client]["transfers"][other] = {"out": way, "back": dict(way)}
    return found
