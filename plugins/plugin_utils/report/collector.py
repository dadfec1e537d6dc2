# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects task results during a run and says at its end what became of every host.

    collector = Collector("optimize.yml", check=False, started=now)
    collector.expect(["n1", "n2"]); collector.add(event); ...
    report = collector.report(finished=now, stats={"n1": {"failures": 0, ...}})

Knows nothing of Ansible. The report is plain data, described in docs/report.md.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report import attention, mesh, results
from ansible_collections.swarm.node.plugins.plugin_utils.report.results import Event

SCHEMA = 4

STATES = (
    "failed",
    "unreachable",
    "not_reached",
    "planned",
    "changed",
    "would_change",
    "unchanged",
    "no_layers",
)
"""What became of a host, worst first. `no_layers`: nothing of this collection ran for it."""

MESH = "mesh"
"""The layer whose changes are confirmed, or taken back."""

Slot = tuple[str, str, str, str]
"""One reconciled thing: layer, owner, module, loop item."""


@dataclass
class _Layer:
    """Results of one slot on one host, in the order they came."""

    applied: list[dict[str, Any]] = field(default_factory=list)
    checked: dict[str, Any] | None = None
    failed: dict[str, Any] | None = None
    taken_back: str = ""
    """Why what was applied last is undone, of a layer whose changes each node confirms by itself."""


@dataclass
class _Host:
    layers: dict[Slot, _Layer] = field(default_factory=dict)
    merge: dict[str, Any] = field(default_factory=lambda: {"profile": "", "explain": []})
    merged: bool = False
    meshes: dict[str, dict[str, Any]] = field(default_factory=dict)
    taken_back: str = ""
    """Why the last change of the mesh layer is undone."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    unreachable: str = ""
    other_changes: list[str] = field(default_factory=list)
    round_trips: int = 0
    delegated: int = 0
    writes: int = 0


class Collector:
    """Takes events from any thread: loop items and whole tasks come from different ones."""

    def __init__(self, playbook: str, check: bool, started: datetime) -> None:
        self.playbook = playbook
        self.check = check
        self.started = started
        self.relevant = False
        self._hosts: dict[str, _Host] = {}
        self._expected: set[str] = set()
        self._lock = threading.Lock()

    def expect(self, hosts: Iterable[str]) -> None:
        """Hosts a play is meant for, whether or not it ever gets to them."""
        with self._lock:
            self._expected.update(hosts)

    def count_round_trip(self, host: str) -> None:
        """One more module call on `host` that has no result of its own (a poll)."""
        with self._lock:
            self._hosts.setdefault(host, _Host()).round_trips += 1

    def add(self, event: Event) -> None:
        with self._lock:
            host = self._hosts.setdefault(event.host, _Host())
            _count(host, event)
            if event.outcome == "unreachable":
                host.unreachable = results.message_of(event.result)
            elif event.outcome == "failed":
                self._add_failure(host, event)
            elif event.outcome == "ok":
                self._add_ok(host, event)

    def _add_ok(self, host: _Host, event: Event) -> None:
        meshes = mesh.fields(event.result)
        if meshes:
            # Of several looks the last one counts: it shows what became of a change.
            self.relevant = True
            host.meshes.update(meshes)
        self._note_mesh(host, event)
        if results.is_layer_result(event.result):
            self.relevant = True
            self._add_layer(host, event, failed=False)
        elif results.is_merge_result(event.result):
            self.relevant = host.merged = True
            host.merge = results.merge_fields(event.result)
        elif event.result.get("changed") and results.runs_module(event.action):
            if event.check and not self.check:
                return
            if event.task not in host.other_changes:
                host.other_changes.append(event.task)

    def _note_mesh(self, host: _Host, event: Event) -> None:
        """What a result of mesh_confirm says of the change before."""
        mesh.confirm(host.meshes, event.result)
        if not event.check and event.result.get("layer") != results.NIC:
            host.taken_back = mesh.taken_back(event.result) or host.taken_back

    def _add_failure(self, host: _Host, event: Event) -> None:
        self._note_mesh(host, event)
        fields = results.layer_fields(event.result)
        ours = results.is_layer_result(event.result, failed=True)
        if ours or event.action.startswith("swarm.node."):
            self.relevant = True
        if ours:
            self._add_layer(host, event, failed=True)
        failure = {name: fields[name] for name in ("layer", "rolled_back", "not_undone", "degraded")}
        failure.update(
            task=event.task,
            msg=results.message_of(event.result),
            check=event.check,
            ignored=event.ignored,
            rescued=False,
        )
        host.failures.append(failure)

    def _add_layer(self, host: _Host, event: Event, failed: bool) -> None:
        fields = results.layer_fields(event.result)
        fields["check"] = event.check
        slot = _slot(host, fields, event)
        layer = host.layers.setdefault(slot, _Layer())
        back = "" if event.check else results.devices_taken_back(event.result)
        layer.taken_back = back or ("" if fields["changes"] else layer.taken_back)
        told = fields["layer"] == results.NIC and "undone" in event.result
        if told and (layer.applied or layer.failed):
            return  # It says what became of the result before, which stays what is told of the layer.
        layer.failed = fields if failed else None
        if failed:
            return
        if event.check:
            layer.checked = fields
        else:
            layer.applied.append(fields)
            host.taken_back = "" if fields["layer"] == MESH else host.taken_back
            layer.checked = None

    def report(self, finished: datetime, stats: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """The whole run as plain data; `stats` is Ansible's recap per host."""
        with self._lock:
            hosts = {name: self._host(host, stats.get(name, {})) for name, host in self._hosts.items()}
            meshes = mesh.join({name: host.meshes for name, host in self._hosts.items()})
        stopped = any(host["state"] in ("failed", "unreachable") for host in hosts.values())
        for name in self._expected - hosts.keys() if stopped else ():
            hosts[name] = self._host(_Host(), {}) | {"state": "not_reached"}
        hosts = dict(sorted(hosts.items()))
        return {
            "schema": SCHEMA,
            "run": {
                "playbook": self.playbook,
                "check": self.check,
                "started": self.started.isoformat(timespec="seconds"),
                "finished": finished.isoformat(timespec="seconds"),
                "seconds": round((finished - self.started).total_seconds(), 1),
            },
            "totals": totals(hosts) | {"mesh": mesh.totals(meshes)},
            "meshes": meshes,
            "hosts": hosts,
        }

    def _host(self, host: _Host, stats: Mapping[str, int]) -> dict[str, Any]:
        layers = []
        for slot, layer in host.layers.items():
            of_mesh = host.taken_back if slot[0] == MESH and layer.applied else ""
            layers.append(_layer(layer, slot, self.check) | {"taken_back": layer.taken_back or of_mesh})
        failures = _judged(host.failures, stats)
        return {
            "state": _state(host, layers, failures, stats, self.check),
            "profile": host.merge["profile"],
            "layers": layers,
            "failures": failures,
            "unreachable": host.unreachable,
            "other_changes": list(host.other_changes),
            "explain": host.merge["explain"],
            "reboot_required": any(layer["reboot_required"] for layer in layers),
            "degraded": sorted({target for layer in layers for target in layer["degraded"]}),
            "round_trips": host.round_trips,
            "delegated": host.delegated,
            "writes": host.writes,
        }


def _slot(host: _Host, fields: Mapping[str, Any], event: Event) -> Slot:
    """A result that names no owner (an early failure) belongs to the only owner there is, if so."""
    layer, owner = fields["layer"], fields["owner"]
    same = [slot for slot in host.layers if (slot[0], *slot[2:]) == (layer, event.action, event.item)]
    if len(same) == 1 and not (owner and same[0][1]):
        return same[0]
    return (layer, owner, event.action, event.item)


def _count(host: _Host, event: Event) -> None:
    """Round trips and writes: what was skipped or never arrived counts as neither."""
    if event.outcome in ("skipped", "unreachable"):
        return
    if results.runs_module(event.action):
        if event.delegated:
            host.delegated += 1
        else:
            host.round_trips += 1
    host.writes += results.writes_of(event.result)


def _layer(layer: _Layer, slot: Slot, check_run: bool) -> dict[str, Any]:
    """One slot's outcome. Changes of several applies follow each other; the rest is the last one's."""
    last = layer.applied[-1] if layer.applied else layer.checked
    if layer.failed is not None:
        last = layer.failed
    fields = dict(last or results.layer_fields({"layer": slot[0], "owner": slot[1]}))
    fields.pop("check", None)
    fields["owner"] = fields["owner"] or slot[1]
    applied = [entry for entry in layer.applied if entry is not last]
    fields["changes"] = [change for entry in applied for change in entry["changes"]] + fields["changes"]
    if applied and not layer.failed:
        fields["before"] = applied[0]["before"] | fields["before"]
        fields["reboot_required"] |= any(entry["reboot_required"] for entry in applied)
    if layer.failed is not None and not fields["attention"]:
        # A failure need not say it again: the hardware is as the look before found it.
        before = [entry for entry in (*layer.applied, layer.checked) if entry]
        fields["attention"] = before[-1]["attention"] if before else []
    fields["writes"] = sum(entry["writes"] for entry in applied) + fields["writes"]
    fields["changed"] = bool(fields["changed"] or any(entry["changed"] for entry in applied))
    fields["state"] = _layer_state(layer, fields, check_run)
    # A check after the last apply that still finds work: the node did not keep what it was given.
    later = layer.checked if layer.applied and not layer.failed else None
    fields["still_to_change"] = [change.get("key", "") for change in later["changes"]] if later else []
    return fields


def _layer_state(layer: _Layer, fields: Mapping[str, Any], check_run: bool) -> str:
    if layer.failed is not None:
        return "failed"
    if not fields["changes"] and not fields["changed"]:
        return "unchanged"
    if layer.applied:
        return "changed"
    return "would_change" if check_run else "planned"


def _judged(failures: list[dict[str, Any]], stats: Mapping[str, int]) -> list[dict[str, Any]]:
    """Failures a `rescue` dealt with: Ansible counts the host as failed only for the others."""
    rescued = bool(stats) and not stats.get("failures") and bool(stats.get("rescued"))
    return [failure | {"rescued": rescued and not failure["ignored"]} for failure in failures]


def _state(
    host: _Host,
    layers: list[dict[str, Any]],
    failures: list[dict[str, Any]],
    stats: Mapping[str, int],
    check_run: bool,
) -> str:
    if host.unreachable and (not stats or stats.get("unreachable")):
        return "unreachable"
    if stats.get("failures") or any(not f["ignored"] and not f["rescued"] for f in failures):
        return "failed"
    found = {layer["state"] for layer in layers}
    if host.other_changes:
        found.add("would_change" if check_run else "changed")
    for state in ("failed", "planned", "changed", "would_change"):
        if state in found:
            return state
    return "unchanged" if host.merged or layers or failures or host.meshes else "no_layers"


def _took_effect(layer: Mapping[str, Any]) -> bool:
    """Also of a failed layer, when it lost a device half-way and the others kept their new state."""
    kept = layer["state"] == "changed" and not layer["taken_back"]
    return kept or (layer["state"] == "failed" and layer["changed"])


def _attention(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How many entries of each severity, each device's trouble once."""
    found = [
        attention.severity_of(entry)
        for host in hosts.values()
        for entry in attention.distinct(host["layers"])
    ]
    return {severity: found.count(severity) for severity in attention.SEVERITIES}


def totals(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Counts over all hosts. `nodes` leaves out those nothing of the collection ran for."""
    states = {state: sum(host["state"] == state for host in hosts.values()) for state in STATES}
    done = [layer for host in hosts.values() for layer in host["layers"]]
    trips = [host["round_trips"] for host in hosts.values() if host["state"] != "no_layers"]
    return {
        "nodes": len(hosts) - states["no_layers"],
        "states": states,
        "changes": sum(len(layer["changes"]) for layer in done if _took_effect(layer)),
        "changes_planned": sum(
            len(layer["changes"]) for layer in done if layer["state"] in ("planned", "would_change")
        ),
        "unapplied": sum(len(layer["unapplied"]) for layer in done),
        "pending": sum(len(layer["pending"]) for layer in done),
        "attention": _attention(hosts),
        "degraded": sum(bool(host["degraded"]) for host in hosts.values()),
        "reboot_required": sum(host["reboot_required"] for host in hosts.values()),
        "round_trips": sum(trips),
        "round_trips_max": max(trips, default=0),
        "writes": sum(host["writes"] for host in hosts.values()),
    }
