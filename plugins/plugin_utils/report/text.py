# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary a person reads at the end of a run.

`render` returns `(line, tone)` pairs; the tone is plain, good, changed, bad or dim, and the
caller decides whether it becomes a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report import fold, mesh_text
from ansible_collections.swarm.node.plugins.plugin_utils.report.attention import SEVERITIES
from ansible_collections.swarm.node.plugins.plugin_utils.report.values import clean, plural, show, span
from ansible_collections.swarm.node.plugins.plugin_utils.report.view import (
    STATE_WORDS,
    Failure,
    Group,
    LayerView,
    View,
    left_over,
)

Line = tuple[str, str]

ATTENTION_SHOWN = 20
PLACES_SHOWN = 5
"""So many troubles, and places of each, are named on the terminal."""

GROUPS_SHOWN = 20
"""A fleet without two equal nodes must not flood the terminal; the report has them all."""

TONES = {
    "failed": "bad",
    "unreachable": "bad",
    "not_reached": "bad",
    "planned": "changed",
    "changed": "changed",
    "would_change": "changed",
    "unchanged": "good",
}


def render(view: View, path: str = "") -> list[Line]:
    """The whole summary; `path` is where the HTML report is, "" if there is none."""
    mode = " (check mode: nothing was written)" if view.run["check"] else ""
    tone = "bad" if view.failures or view.unreachable or view.not_reached else "plain"
    lines: list[Line] = [
        (f"SWARM.NODE SUMMARY  {clean(view.run['playbook'])}{mode}", "plain"),
        (view.headline, tone),
    ]
    if view.verdict:
        lines.append((view.verdict, "changed" if left_over(view.totals) else "good"))
    lines += _problems(view)
    lines += _attention(view)
    for group in view.groups[:GROUPS_SHOWN]:
        lines.append(("", "plain"))
        lines += _group(group)
    if len(view.groups) > GROUPS_SHOWN:
        rest = sum(len(group.hosts) for group in view.groups[GROUPS_SHOWN:])
        count = plural(len(view.groups) - GROUPS_SHOWN, "more group")
        lines += [("", "plain"), (f"… and {count} ({plural(rest, 'node')}): see the report", "dim")]
    lines += mesh_text.lines(view.meshes)
    lines += [("", "plain"), (totals_line(view.totals), "plain")]
    if path:
        lines.append((f"report: {path}", "plain"))
    return lines


def totals_line(totals: Mapping[str, Any]) -> str:
    """`12 changes, 1 not applied, round trips: 9 at most per node, 24 writes`"""
    parts = [plural(totals["changes"], "change")]
    if totals["changes_planned"]:
        parts.append(f"{totals['changes_planned']} planned")
    if totals["unapplied"]:
        parts.append(f"{totals['unapplied']} not applied")
    for severity, count in totals["attention"].items():
        if count:
            parts.append(f"{count} {severity}")
    if totals["degraded"]:
        parts.append(f"{plural(totals['degraded'], 'node')} degraded")
    if totals["pending"]:
        parts.append(f"{totals['pending']} pending")
    mesh = totals["mesh"]
    if mesh["links"]:
        parts.append(f"{mesh['links'] - mesh['links_not_up']} of {plural(mesh['links'], 'mesh link')} up")
    if mesh["armed"]:
        parts.append(f"{plural(mesh['armed'], 'node')} not confirmed")
    if totals["reboot_required"]:
        parts.append(
            f"{plural(totals['reboot_required'], 'node')} need a reboot".replace("node need", "node needs")
        )
    parts.append(f"round trips: {totals['round_trips_max']} at most per node, {totals['round_trips']} in all")
    parts.append(plural(totals["writes"], "write"))
    return "TOTAL  " + ", ".join(parts)


def _problems(view: View) -> Iterator[Line]:
    if view.failures:
        yield "", "plain"
        yield f"FAILED  {plural(view.totals['states']['failed'], 'node')}", "bad"
        for failure in view.failures:
            yield from _failure(failure, "bad")
    if view.unreachable:
        yield "", "plain"
        yield f"UNREACHABLE  {plural(view.totals['states']['unreachable'], 'node')}", "bad"
        for hosts, message in view.unreachable:
            yield f"  {hosts}  {clean(message, 300)}", "bad"
    if view.not_reached:
        yield "", "plain"
        yield f"NOT REACHED  {view.not_reached}: the run stopped before", "bad"
    if view.tolerated:
        yield "", "plain"
        yield "FAILED AND TOLERATED (ignored or rescued by the playbook)", "changed"
        for failure in view.tolerated:
            yield from _failure(failure, "changed")


def _attention(view: View) -> Iterator[Line]:
    if not view.attention:
        return
    yield "", "plain"
    yield "NEEDS ATTENTION", "plain"
    for entry in view.attention[:ATTENTION_SHOWN]:
        tone = "bad" if entry.severity == SEVERITIES[0] else "changed"
        yield f"  {entry.severity}  {clean(entry.what).replace('_', ' ')}: {clean(entry.detail, 300)}", tone
        for hosts, devices in entry.where[:PLACES_SHOWN]:
            yield f"      {hosts}  {clean(devices, 200)}", "plain"
        if len(entry.where) > PLACES_SHOWN:
            yield (
                f"      … and {plural(len(entry.where) - PLACES_SHOWN, 'more place')}: see the report",
                "dim",
            )
    if len(view.attention) > ATTENTION_SHOWN:
        yield f"  … and {len(view.attention) - ATTENTION_SHOWN} more: see the report", "dim"


def _failure(failure: Failure, tone: str) -> Iterator[Line]:
    where = failure.layer or failure.task
    phase = f"  [{failure.phase}]" if failure.phase else ""
    yield f"  {failure.hosts_text}  {clean(where)}: {clean(failure.msg, 600)}{phase}", tone
    if failure.degraded:
        yield f"      degraded, left out as it does not work: {clean(', '.join(failure.degraded), 300)}", tone
    if failure.rolled_back:
        yield f"      rolled back: {_some(failure.rolled_back)}", "plain"
    for left in failure.not_undone:
        target = f" on {left['target']}" if left["target"] else ""
        yield f"      NOT UNDONE  {clean(left['key'] + target)}: {clean(left['error'], 200)}", "bad"
    if failure.applied_before:
        yield f"      stays applied: {clean(', '.join(failure.applied_before))}", "plain"
    if failure.taken_back:
        yield f"      taken back: {clean(', '.join(failure.taken_back), 600)}", "plain"


def _some(names: list[str], most: int = 8) -> str:
    shown = clean(", ".join(names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _group(group: Group) -> Iterator[Line]:
    profile = f"  {clean(', '.join(group.profiles))}" if group.profiles else ""
    head = f"{group.label}  {plural(len(group.hosts), 'node')}  {group.hosts_text}"
    yield f"{head}  {STATE_WORDS[group.state]}{profile}", TONES[group.state]
    for layer in group.layers:
        if not layer.quiet:
            yield from _layer(layer)
    quiet = [layer.title for layer in group.layers if layer.quiet]
    if quiet:
        yield f"   unchanged: {clean(', '.join(quiet))}", "dim"
    if group.other_changes:
        yield (
            f"   {plural(len(group.other_changes), 'other task')} changed: {_some(group.other_changes)}",
            "changed",
        )


def _layer(layer: LayerView) -> Iterator[Line]:
    yield f"   {clean(layer.title)}: {STATE_WORDS[layer.state]}", TONES[layer.state]
    if layer.taken_back:
        yield f"     TAKEN BACK  {clean(layer.taken_back, 300)}", "bad"
    shown, more = fold.condense(layer.changes)
    for change in shown:
        yield f"     {change_text(change)}", "changed"
    for kind, count in more:
        yield f"     … and {count} more  {kind}", "changed"
    yield from _unapplied(layer.unapplied)
    for waiting in layer.pending:
        yield f"     WAITING  {pending_text(waiting)}", "changed"
    if layer.degraded:
        yield f"     DEGRADED  left out as it does not work: {_some(layer.degraded)}", "bad"
    if layer.reboot_required:
        yield "     needs a reboot to take effect", "changed"
    if layer.still_to_change:
        yield f"     NOT KEPT  a later check would change again: {_some(layer.still_to_change)}", "bad"
    if layer.interrupted:
        yield f"     an earlier run never finished: {show(layer.interrupted, limit=200)}", "changed"
    for note in layer.notes[:4]:
        yield f"     note: {clean(note, 200)}", "dim"
    if len(layer.notes) > 4:
        yield f"     … and {plural(len(layer.notes) - 4, 'more note')}", "dim"


FOLDED = ("readonly", "unsupported", "not_installed")
"""Reasons that are the same for every key: what wins or what a key needs is not lost by folding."""


def _unapplied(wishes: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """One line a wish; several of one self-explaining reason share a line, with the first one's detail."""
    folded: dict[str, list[Mapping[str, Any]]] = {}
    for wish in wishes:
        if wish.get("reason") in FOLDED and not wish.get("required"):
            folded.setdefault(wish["reason"], []).append(wish)
        else:
            yield f"     NOT APPLIED  {unapplied_text(wish)}", "bad" if wish.get("required") else "changed"
    for reason, group in sorted(folded.items()):
        if len(group) == 1:
            yield f"     NOT APPLIED  {unapplied_text(group[0])}", "changed"
            continue
        detail = clean(group[0].get("detail") or "", 160)
        yield f"     NOT APPLIED  {len(group)} {reason.replace('_', ' ')}, such as: {detail}", "changed"
        for start in range(0, len(group), 3):
            yield "         " + "; ".join(_brief(wish) for wish in group[start : start + 3]), "dim"


def _brief(wish: Mapping[str, Any]) -> str:
    """`vm.swappiness 10 (is 60)`"""
    words = [clean(wish.get("key", "")), wish["subject"], show(wish.get("wanted"))]
    live = wish.get("live")
    return " ".join(word for word in words if word) + ("" if live is None else f" (is {show(live)})")


def change_text(change: Mapping[str, Any]) -> str:
    """`gpu.power_limit  700 -> 630 W  8 GPUs  now perf undo exact  (90%default of 700; group train)`"""
    words = [
        clean(change.get("key", "")),
        span(change),
    ]
    if change["subject"]:
        words.insert(2 if change["count"] > 1 else 1, change["subject"])
    words.append(fold.kind(change))
    return "  ".join(words) + _because(change.get("why"), change.get("origin"))


def unapplied_text(wish: Mapping[str, Any]) -> str:
    """`vm.swappiness  wanted 10, is 60  shadowed by: /etc/sysctl.d/99-site.conf wins  (required; task)`"""
    words = [clean(wish.get("key", ""))]
    if wish["subject"]:
        words.append(wish["subject"])
    live = wish.get("live")
    words.append(f"wanted {show(wish.get('wanted'))}" + ("" if live is None else f", is {show(live)}"))
    reason = clean(wish.get("reason") or "not said").replace("_", " ")
    detail = clean(wish.get("detail") or "", 300)
    words.append(f"{reason}: {detail}" if detail else reason)
    return "  ".join(words) + _because("required" if wish.get("required") else "", wish.get("origin"))


def pending_text(waiting: Mapping[str, Any]) -> str:
    """`gpu.ecc  8 GPUs  true, then false  at the next reset of the GPU`"""
    words = [clean(waiting.get("key", "")), waiting["subject"]]
    words.append(f"{show(waiting.get('live'))}, then {show(waiting.get('after'))}")
    words.append(clean(waiting.get("detail") or f"waits for {waiting.get('when') or 'a reset'}", 300))
    return "  ".join(word for word in words if word)


def _because(*reasons: Any) -> str:
    said = [clean(reason, 160) for reason in reasons if reason]
    return f"  ({'; '.join(said)})" if said else ""
