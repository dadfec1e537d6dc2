# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh in words, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report.mesh import STATES
from ansible_collections.swarm.node.plugins.plugin_utils.report.values import clean, hosts_text, plural

LINKS_SHOWN = 10
"""So many links that are not up are named on the terminal; the report has all."""


def headline(block: Mapping[str, Any]) -> str:
    """`3 of 4 members seen, 5 tunnels up, 1 stale`"""
    seen, missing = len(block["members"]), len(block["not_seen"])
    counts = block["tunnels"]
    words = [f"{seen} of {seen + missing} members seen" if missing else f"{plural(seen, 'member')} seen"]
    words.append(plural(counts["up"], "tunnel") + " up")
    words += [f"{counts[state]} {state}" for state in STATES[1:] if counts[state]]
    return ", ".join(words)


def lines(meshes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """One paragraph per mesh, as `(line, tone)`."""
    for name, block in meshes.items():
        bad = not_up(block)
        yield "", "plain"
        yield f"MESH  {clean(name)}: {headline(block)}", "changed" if bad or block["armed"] else "good"
        for link in bad[:LINKS_SHOWN]:
            yield f"  {link_text(link)}", "bad" if link["state"] == "down" else "changed"
        if len(bad) > LINKS_SHOWN:
            yield f"  … and {plural(len(bad) - LINKS_SHOWN, 'more link')} not up: see the report", "dim"
        if block["armed"]:
            yield f"  NOT CONFIRMED  {armed_text(block)}", "changed"
        if block["not_seen"]:
            yield f"  not seen in this run: {clean(hosts_text(block['not_seen']), 300)}", "dim"
        oldest = oldest_text(block)
        if oldest:
            yield f"  {oldest}", "dim"


def not_up(block: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The worst first."""
    found = [link for link in block["links"] if link["state"] != "up"]
    return sorted(found, key=lambda link: -STATES.index(link["state"]))


def link_text(link: Mapping[str, Any]) -> str:
    """`gw1 – ann  never seen from ann, up seen from gw1`"""
    ends = " – ".join(clean(end) for end in link["ends"])
    return f"{ends}  {', '.join(seen_text(link))}" + (" (foreign peer)" if link["foreign"] else "")


def seen_text(link: Mapping[str, Any]) -> list[str]:
    """`["stale seen from ann and gw1"]`; ends that agree are one entry, the worse state first."""
    ends: dict[str, list[str]] = {}
    for name, state in link["seen_from"].items():
        ends.setdefault(state, []).append(clean(name))
    order = sorted(ends, key=lambda state: -STATES.index(state))
    return [f"{state} seen from {' and '.join(ends[state])}" for state in order]


def armed_text(block: Mapping[str, Any]) -> str:
    """`ann, gw1: undone from 2026-11-23 02:00:00 UTC on`"""
    names = hosts_text(entry["member"] for entry in block["armed"])
    deadlines = [entry["deadline"] for entry in block["armed"] if entry["deadline"] is not None]
    return f"{names}: undone from {moment(min(deadlines))} on" if deadlines else names


def oldest_text(block: Mapping[str, Any]) -> str:
    """`oldest key: 12 days (gw1)`, or "" """
    oldest = block["oldest_key"]
    return f"oldest key: {plural(oldest['days'], 'day')} ({clean(oldest['member'])})" if oldest else ""


def moment(unix: float) -> str:
    """UTC, to the second; "an unknown time" for what no calendar has."""
    try:
        return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
