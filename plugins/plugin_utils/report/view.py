# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arranges a report for reading: failures together, identical nodes as one group.

Text and HTML are both rendered from the `View` made here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report import attention, fold
from ansible_collections.swarm.node.plugins.plugin_utils.report.attention import Attention
from ansible_collections.swarm.node.plugins.plugin_utils.report.values import hosts_text, mask, plural

STATE_WORDS = {
    "failed": "failed",
    "unreachable": "unreachable",
    "not_reached": "not reached",
    "planned": "planned, not applied",
    "changed": "changed",
    "would_change": "would change",
    "unchanged": "unchanged",
    "no_layers": "no layers",
}


@dataclass
class LayerView:
    """One layer of a group of identical nodes."""

    title: str
    state: str
    changes: list[dict[str, Any]]
    unapplied: list[dict[str, Any]]
    reboot_required: bool
    still_to_change: list[str]
    interrupted: dict[str, Any] | None
    notes: list[str]
    pending: list[dict[str, Any]]
    degraded: list[str]
    taken_back: str = ""

    @property
    def quiet(self) -> bool:
        """Nothing about it needs a line of its own."""
        return self.state == "unchanged" and not (
            self.unapplied
            or self.reboot_required
            or self.interrupted
            or self.notes
            or self.still_to_change
            or self.pending
            or self.degraded
        )


@dataclass
class Group:
    """Nodes whose layers, changes and unapplied wishes agree."""

    label: str
    hosts: list[str]
    state: str
    profiles: list[str]
    layers: list[LayerView]
    other_changes: list[str]
    whys: list[tuple[str, list[dict[str, Any]]]]
    digests: list[str]
    round_trips_max: int
    writes: int

    @property
    def hosts_text(self) -> str:
        return hosts_text(self.hosts)


@dataclass
class Failure:
    """One failure, with every host that met it."""

    hosts: list[str]
    task: str
    layer: str
    msg: str
    phase: str
    rolled_back: list[str]
    not_undone: list[dict[str, str]]
    degraded: list[str]
    applied_before: list[str]
    taken_back: list[str]

    @property
    def hosts_text(self) -> str:
        return hosts_text(self.hosts)


@dataclass
class View:
    run: Mapping[str, Any]
    totals: Mapping[str, Any]
    headline: str
    verdict: str
    failures: list[Failure]
    tolerated: list[Failure]
    unreachable: list[tuple[str, str]]
    not_reached: str
    attention: list[Attention]
    meshes: Mapping[str, Mapping[str, Any]]
    groups: list[Group] = field(default_factory=list)


def make_view(report: Mapping[str, Any]) -> View:
    """The report of `Collector.report`, arranged."""
    hosts = report["hosts"]
    return View(
        run=report["run"],
        totals=report["totals"],
        headline=headline(report["totals"]),
        verdict=verdict(report["totals"]),
        failures=_failures(hosts, tolerated=False),
        tolerated=_failures(hosts, tolerated=True),
        unreachable=_unreachable(hosts),
        not_reached=hosts_text(name for name, host in hosts.items() if host["state"] == "not_reached"),
        attention=attention.collect(hosts),
        meshes=report["meshes"],
        groups=_groups(hosts),
    )


def headline(totals: Mapping[str, Any]) -> str:
    """`3 nodes: 2 changed, 1 unchanged`"""
    states = totals["states"]
    parts = [f"{states[state]} {word}" for state, word in STATE_WORDS.items() if states.get(state)]
    parts = [part for part in parts if not part.endswith(STATE_WORDS["no_layers"])]
    return f"{plural(totals['nodes'], 'node')}: {', '.join(parts) or 'nothing was done'}"


def verdict(totals: Mapping[str, Any]) -> str:
    """The plain sentence for a run that changed nothing, or ""."""
    states = totals["states"]
    if not totals["nodes"] or any(
        count for state, count in states.items() if state not in ("unchanged", "no_layers")
    ):
        return ""
    left = left_over(totals)
    if not left:
        return "Nothing to change: every node is as wished."
    words = " and ".join(part for part in (", ".join(left[:-1]), left[-1]) if part)
    return f"Nothing to change, but {words} (see below)."


def left_over(totals: Mapping[str, Any]) -> list[str]:
    """What is not as it should be although nothing is to change, in words."""
    left = []
    troubles = sum(totals["attention"].values())
    if troubles:
        left.append(f"{plural(troubles, 'thing')} need{'s' if troubles == 1 else ''} attention")
    if totals["unapplied"]:
        left.append(
            f"{plural(totals['unapplied'], 'wish' if totals['unapplied'] == 1 else 'wishe')} not applied"
        )
    if totals["mesh"]["links_not_up"]:
        left.append(f"{plural(totals['mesh']['links_not_up'], 'link')} of the mesh not up")
    if totals["mesh"]["armed"]:
        left.append(f"{plural(totals['mesh']['armed'], 'node')} waiting for a change to be confirmed")
    if totals["reboot_required"]:
        left.append(f"{plural(totals['reboot_required'], 'node')} waiting for a reboot")
    elif totals["pending"]:
        left.append(f"{plural(totals['pending'], 'setting')} waiting for a reset or a reboot")
    return left


def layer_title(layer: Mapping[str, Any]) -> str:
    """The layer, and on whose behalf when that is another layer."""
    owner = layer["owner"]
    return f"{layer['layer']} (for {owner})" if owner and owner != layer["layer"] else str(layer["layer"])


def _failures(hosts: Mapping[str, Any], tolerated: bool) -> list[Failure]:
    """Failures that are alike are one entry; `tolerated` picks those that did not fail the host."""
    found: dict[str, Failure] = {}
    for name, host in hosts.items():
        changed = [layer for layer in host["layers"] if layer["state"] == "changed"]
        done = [layer_title(layer) for layer in changed if not layer["taken_back"] and not tolerated]
        undone = [
            f"{layer_title(layer)} ({layer['taken_back']})"
            for layer in changed
            if layer["taken_back"] and not tolerated
        ]
        for entry in host["failures"]:
            # An ignored failure of a host that failed in the end is most likely its cause.
            harmless = entry["rescued"] or (entry["ignored"] and host["state"] != "failed")
            if harmless != tolerated:
                continue
            key = mask(json.dumps([entry, done, undone], sort_keys=True))
            if key in found:
                found[key].hosts.append(name)
                continue
            found[key] = Failure(
                hosts=[name],
                task=entry["task"],
                layer=entry["layer"],
                msg=entry["msg"],
                phase="check mode: this task wrote nothing" if entry["check"] else "",
                rolled_back=entry["rolled_back"],
                not_undone=entry["not_undone"],
                degraded=entry["degraded"],
                applied_before=done,
                taken_back=undone,
            )
    return list(found.values())


def _unreachable(hosts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`[(hosts, message)]`"""
    found: dict[str, list[str]] = {}
    for name, host in hosts.items():
        if host["state"] == "unreachable":
            found.setdefault(host["unreachable"].replace(name, "<host>"), []).append(name)
    return [
        (hosts_text(names), message.replace("<host>", names[0]) if len(names) == 1 else message)
        for message, names in found.items()
    ]


def _groups(hosts: Mapping[str, Any]) -> list[Group]:
    members: dict[str, list[str]] = {}
    views: dict[str, list[LayerView]] = {}
    for name, host in hosts.items():
        if host["state"] in ("no_layers", "not_reached") or not (host["layers"] or host["other_changes"]):
            continue
        layers = [_layer_view(layer) for layer in host["layers"]]
        key = _signature(host, layers)
        members.setdefault(key, []).append(name)
        _merge_notes(views.setdefault(key, layers), layers)
    order = list(STATE_WORDS)
    ranked = sorted(
        members, key=lambda key: (order.index(hosts[members[key][0]]["state"]), -len(members[key]))
    )
    return [
        _group(_label(number), {name: hosts[name] for name in members[key]}, views[key])
        for number, key in enumerate(ranked)
    ]


def _signature(host: Mapping[str, Any], layers: list[LayerView]) -> str:
    parts = [
        [v.title, v.state, fold.signature(v.changes), fold.signature(v.unapplied), v.reboot_required,
         fold.signature(v.pending), v.degraded,
         v.taken_back, v.still_to_change,
         mask(json.dumps(v.interrupted, default=str)) if v.interrupted else ""]
        for v in layers
    ]  # fmt: skip
    return json.dumps([host["state"], parts, host["other_changes"]])


def _layer_view(layer: Mapping[str, Any]) -> LayerView:
    return LayerView(
        title=layer_title(layer),
        state=layer["state"],
        changes=fold.fold_changes(layer["changes"]),
        unapplied=fold.fold_unapplied(layer["unapplied"]),
        reboot_required=layer["reboot_required"],
        still_to_change=sorted(set(layer["still_to_change"])),
        interrupted=layer["interrupted"],
        notes=list(layer["notes"]),
        pending=fold.fold_pending(layer["pending"]),
        degraded=sorted(layer["degraded"]),
        taken_back=layer["taken_back"],
    )


def _merge_notes(kept: list[LayerView], more: list[LayerView]) -> None:
    """Notes may differ between identical nodes; the group shows each once."""
    for mine, theirs in zip(kept, more):
        mine.notes.extend(note for note in theirs.notes if note not in mine.notes)


def _group(label: str, hosts: Mapping[str, Any], layers: list[LayerView]) -> Group:
    whys: dict[str, list[str]] = {}
    for name, host in hosts.items():
        if host["explain"]:
            whys.setdefault(json.dumps(host["explain"], default=str), []).append(name)
    rows = list(hosts.values())
    digests = {layer["plan_digest"] for host in rows for layer in host["layers"] if layer["changes"]}
    return Group(
        label=label,
        hosts=list(hosts),
        state=rows[0]["state"],
        profiles=sorted({host["profile"] for host in rows if host["profile"]}),
        layers=layers,
        other_changes=list(rows[0]["other_changes"]),
        whys=[(hosts_text(names), hosts[names[0]]["explain"]) for names in whys.values()],
        digests=sorted(digests - {""}),
        round_trips_max=max(host["round_trips"] for host in rows),
        writes=sum(host["writes"] for host in rows),
    )


def _label(number: int) -> str:
    """A … Z, AA, AB …"""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
